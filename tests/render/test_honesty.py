"""Colours in the finished file are those of the bar, on every ground; and no meaning hangs on a hue that some miss."""

import itertools

import numpy as np
import pytest
from PIL import Image

from lossviz.render.draw.height_field import Side, trace
from lossviz.render.draw.line import DARK_COLOURS, LIGHT_COLOURS
from lossviz.render.draw.relief import picture_columns, shown_bounds
from lossviz.render.draw.signs import DARK_FAMILIES, LIGHT_FAMILIES
from lossviz.render.paper.layout import RELIEF_MARGINS_EM
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import HATCHES, Cell
from lossviz.render.values.terrain import HEIGHT
from lossviz.render.values.track import MOST_PATHS, PALETTE, SHAPES
from lossviz.render.words.colours import colour_at
from lossviz.render.write import draw
from tests.render.words.test_colours import SIGHTS, uniform

NOWHERE = [1e9]  # a level beyond all values: no line crosses the map


def distance(seen, bar):
    return np.linalg.norm(uniform(seen) - uniform(bar), axis=-1)


def finished(scene, tmp_path):
    figure = draw(scene, tmp_path / "x.png")[0]
    with Image.open(figure) as image:
        return np.asarray(image.convert("RGB")) / 255


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["contour", "heatmap"])
def test_a_map_in_its_file_has_the_colours_of_the_bar(bowl, tmp_path, kind, dark):
    scene = make_scene([bowl], kind=kind, levels=NOWHERE, dark=dark, dpi=150)
    (panel,), (key,), (box,) = scene.panels, scene.keys, scene.layout.panels
    picture = finished(scene, tmp_path)
    rows, columns = (g.ravel() for g in np.mgrid[1:12, 1:20])
    x, y = panel.x[columns], panel.y[rows]
    ends = [(panel.x[0], panel.x[-1]), (panel.y[0], panel.y[-1])]
    if kind == "heatmap":  # whole cells at the rim
        half = np.diff(panel.x)[0] / 2, np.diff(panel.y)[0] / 2
        ends = [(a - h, b + h) for (a, b), h in zip(ends, half, strict=True)]
    across, up = ((c - a) / (b - a) for c, (a, b) in zip((x, y), ends, strict=True))
    column = ((box.left + across * box.width) * 150).astype(int)
    row = picture.shape[0] - 1 - ((box.bottom + up * box.height) * 150).astype(int)
    value = panel.z.filled(np.nan)[rows, columns]
    chance = np.abs(np.log(value / key.chance)) if key.chance else np.full(value.shape, 9.0)
    free = (np.hypot(x, y) > 0.15) & (chance > 0.4)
    free &= np.all([np.hypot(x - m.x, y - m.y) > 0.15 for m in panel.marks], axis=0)
    apart = distance(picture[row, column], colour_at(key.colours, key.scale.position(value)))
    # half a pixel off on a steep slope is another value: most are exact, none is far
    assert free.sum() > 100 and np.median(apart[free]) < 1.0 and np.quantile(apart[free], 0.9) < 1.5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_floor_under_a_surface_in_its_file_has_the_colours_of_the_bar(bowl, tmp_path, dark):
    scene = make_scene([bowl], kind="surface", levels=NOWHERE, dark=dark, dpi=100)
    picture, terrain, camera, em = finished(scene, tmp_path), scene.terrains[0], scene.camera, scene.style.font_pt / 72
    left, right, bottom, _ = shown_bounds(scene)
    box = scene.layout.panels[0]
    scale = (box.width - (RELIEF_MARGINS_EM[0] + RELIEF_MARGINS_EM[1]) * em) / (right - left) * 100
    buffer = trace(terrain, camera, columns=picture_columns(scene), floor=scene.floor)
    inner = buffer.side == Side.FLOOR
    inner[2:-2, 2:-2] &= np.all([np.roll(inner, s, (0, 1))[2:-2, 2:-2] for s in ((2, 0), (-2, 0), (0, 2), (0, -2))], 0)
    rows, columns = np.nonzero(inner)
    t, s, v = buffer.t[rows, columns], buffer.s[columns], buffer.v[rows]
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    column = (box.left + RELIEF_MARGINS_EM[0] * em) * 100 + (s - left) * scale
    row = picture.shape[0] - ((box.bottom + RELIEF_MARGINS_EM[2] * em) * 100 + (v - bottom) * scale)
    bar = colour_at(scene.keys[0].colours, terrain.sample(terrain.height, x, y) / HEIGHT)
    apart = distance(picture[row.astype(int), column.astype(int)], bar)
    assert len(rows) > 3000 and np.median(apart) < 1.0 and np.quantile(apart, 0.9) < 1.5


# ---------------------------------------------------------------- what colours must not carry alone


@pytest.mark.parametrize("sight", SIGHTS)
def test_differences_keep_their_sign_for_every_sight(sight):
    low, middle, high = uniform(colour_at("vik", np.array([0.05, 0.5, 0.95])), SIGHTS[sight])
    assert np.linalg.norm(low - high) > 20 and min(np.linalg.norm(low - middle), np.linalg.norm(high - middle)) > 30


@pytest.mark.parametrize("colours", [LIGHT_COLOURS, DARK_COLOURS, LIGHT_FAMILIES, DARK_FAMILIES, PALETTE])
def test_lines_are_told_apart_by_every_sight(colours):
    def srgb(colour):
        return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    for sight in SIGHTS.values():
        seen = [uniform(srgb(colour), sight) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 9.0


def test_every_kind_of_cell_has_its_own_pattern_and_every_path_its_own_shape():
    assert len(set(HATCHES.values())) == len(HATCHES) == len(Cell) - 1
    assert len(set(SHAPES)) == len(SHAPES) == MOST_PATHS
