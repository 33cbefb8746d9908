import numpy as np
import pytest
from colorspacious import cspace_convert

from lossviz.render.draw.height_field import Side, trace
from lossviz.render.draw.lighting import BRIGHTEST, DARKEST, make_light, sky_view, sun_direction, sun_light
from lossviz.render.draw.shading import Ink, shade
from lossviz.render.values.camera import Camera
from lossviz.render.values.cells import Cell
from lossviz.render.values.scale import Scale
from lossviz.render.values.terrain import HEIGHT, Terrain
from lossviz.render.words.colours import colour_at, to_linear, to_srgb
from lossviz.render.words.style import DARK, LIGHT

CAMERA = Camera(-58, 36)
INK = Ink(1.0, 1.5, 1)


def terrain_of(height, kinds=None):
    kinds = np.zeros(height.shape, np.uint8) if kinds is None else kinds
    return Terrain(height.astype(np.float32), kinds, 1.0, 0.7, (-1, 1), (-1, 1), Scale("linear", 0.0, 1.0))


def hills(rows=80, columns=110):
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    z = np.sin(4 * x + 1) * np.cos(3 * y) + 0.5 * x
    return HEIGHT * (z - z.min()) / np.ptp(z)


def picture(terrain, theme=LIGHT, levels=(), columns=240):
    buffer = trace(terrain, CAMERA, columns=columns, floor=-0.6)
    light = make_light(terrain, CAMERA)
    return buffer, shade(buffer, terrain, light, colours="lipari", levels=levels, theme=theme, ink=INK)


def places(buffer, side):
    rows, columns = np.nonzero(buffer.side == side)
    t, s = buffer.t[rows, columns], buffer.s[columns]
    x = s * CAMERA.right[0] + t * CAMERA.away[0]
    return rows, columns, x, s * CAMERA.right[1] + t * CAMERA.away[1]


def difference(a, b):
    return np.linalg.norm(cspace_convert(a, "sRGB1", "CAM02-UCS") - cspace_convert(b, "sRGB1", "CAM02-UCS"), axis=-1)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_floor_has_the_colour_of_the_bar(theme):
    terrain = terrain_of(hills())
    buffer, image = picture(terrain, theme)
    rows, columns, x, y = places(buffer, Side.FLOOR)
    bar = colour_at("lipari", terrain.sample(terrain.height, x, y) / HEIGHT)
    assert len(rows) > 2000
    assert difference(image[rows, columns, :3], bar).max() < 1.0


@pytest.mark.parametrize("value", [0.0, 0.3, 0.77, 1.0])
def test_a_flat_open_patch_keeps_exactly_its_colour(value):
    terrain = terrain_of(np.full((40, 50), value * HEIGHT))
    buffer, image = picture(terrain)
    rows, columns, _, _ = places(buffer, Side.TOP)
    colours = image[rows, columns, :3]
    assert np.quantile(difference(colours, colour_at("lipari", np.full(len(rows), value))), 0.95) < 0.5


def test_light_multiplies_linear_rgb_within_bounds():
    terrain = terrain_of(hills())
    buffer, image = picture(terrain)
    rows, columns, x, y = places(buffer, Side.TOP)
    inside = (np.abs(x) < 0.97) & (np.abs(y) < 0.67)
    own = to_linear(colour_at("lipari", terrain.sample(terrain.height, x, y) / HEIGHT))[inside]
    factor = to_linear(image[rows, columns, :3])[inside] / np.maximum(own, 1e-3)
    bright = own.min(axis=1) > 0.05
    assert np.quantile(factor[bright], 0.99) <= BRIGHTEST + 0.02
    assert np.quantile(factor[bright].max(axis=1) - factor[bright].min(axis=1), 0.95) < 0.03  # one factor a pixel
    light = make_light(terrain, CAMERA)
    assert light.top.min() >= DARKEST and light.top.max() <= np.float32(BRIGHTEST)


def test_contour_lines_have_the_levels_and_one_width_on_the_floor():
    terrain = terrain_of(HEIGHT * np.tile(np.linspace(0, 1, 110), (80, 1)))
    buffer, plain = picture(terrain, columns=600)
    _, lined = picture(terrain, levels=(0.25, 0.5), columns=600)
    rows, columns, x, _ = places(buffer, Side.FLOOR)
    changed = np.abs(lined - plain)[rows, columns, :3].max(axis=1) > 0.02
    position = (x[changed] + 1) / 2
    nearest = np.minimum(np.abs(position - 0.25), np.abs(position - 0.5))
    assert changed.sum() > 50
    assert nearest.max() < 2 * buffer.pixel


def test_patterns_mark_what_has_no_value_and_lines_stay_out():
    kinds = np.zeros((80, 110), np.uint8)
    kinds[20:60, 30:80] = Cell.PLUS_INF
    terrain = terrain_of(hills(), kinds)
    buffer, image = picture(terrain, levels=(0.2, 0.4, 0.6, 0.8))
    _, plain = picture(terrain)
    rows, columns, x, y = places(buffer, Side.FLOOR)
    masked = terrain.kind_at(x, y) == Cell.PLUS_INF
    grounds = [np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for c in (LIGHT.masked, LIGHT.hatch)]
    seen = image[rows[masked], columns[masked], :3]
    nearest = np.minimum(*(np.abs(seen - ground).max(axis=1) for ground in grounds))
    assert masked.sum() > 500 and nearest.max() < 0.02
    np.testing.assert_array_equal(seen, plain[rows[masked], columns[masked], :3])


def test_the_sky_over_a_plain_is_open_and_in_a_pit_is_not():
    plain = np.full((30, 40), 0.5)
    np.testing.assert_allclose(sky_view(plain, (0.05, 0.05)), 1.0)
    pit = plain.copy()
    pit[10:20, 15:25] = 0.0
    view = sky_view(pit, (0.05, 0.05))
    assert view[15, 20] < 0.75 < view[2, 2]


def test_a_wall_casts_its_shadow_away_from_the_sun():
    sun = np.array([-np.sqrt(0.5), 0.0, np.sqrt(0.5)])  # from the left, at 45 degrees
    height = np.zeros((20, 60))
    height[:, 20] = 0.5
    lit = sun_light(height, (0.05, 0.05), sun)
    assert lit[10, 24] < 0.5  # 0.2 behind a wall of 0.5
    assert lit[10, 10] == 1.0 and lit[10, 45] == 1.0
    assert sun_direction(CAMERA) @ sun_direction(CAMERA) == pytest.approx(1.0)


def test_averaging_and_bands_change_nothing_but_resolution():
    terrain = terrain_of(hills())
    buffer = trace(terrain, CAMERA, columns=200, floor=-0.6)
    light = make_light(terrain, CAMERA)
    fine = shade(buffer, terrain, light, colours="oslo", levels=(), theme=LIGHT, ink=INK)
    half = shade(buffer, terrain, light, colours="oslo", levels=(), theme=LIGHT, ink=INK, oversample=2)
    n, m = half.shape[0], half.shape[1]
    blocks = to_linear(fine[: 2 * n, : 2 * m, :3]) * fine[: 2 * n, : 2 * m, 3:]
    mean = blocks.reshape(n, 2, m, 2, 3).mean(axis=(1, 3))
    full = half[..., 3] == 1.0
    np.testing.assert_allclose(half[full][:, :3], to_srgb(mean)[full], atol=2e-3)
