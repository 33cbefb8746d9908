import numpy as np
import pytest
from colorspacious import cspace_convert

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.draw.height_field import Side
from lossviz.render.draw.relief import render_panel
from lossviz.render.scene import make_scene
from lossviz.render.values.terrain import HEIGHT


def drawn(scene):
    with settings(scene):
        return make_figure(scene)


@pytest.fixture
def scene(bowl):
    return make_scene([bowl], kind="surface", dpi=100, levels=[])


def test_floor_points_have_the_colour_of_the_bar(scene):
    figure = drawn(scene)
    (bar,) = [axes for axes in figure.axes if axes.get_gid() == "colour bar"]
    strip = np.asarray(bar.images[0].get_array())[:, 0, :3]
    buffer, image = render_panel(scene, 0)
    terrain, camera = scene.terrains[0], scene.camera
    sides = buffer.side[: image.shape[0] * 2, : image.shape[1] * 2].reshape(image.shape[0], 2, image.shape[1], 2)
    rows, columns = np.nonzero((sides == Side.FLOOR).all(axis=(1, 3)))
    s, v = (buffer.s[2 * columns] + buffer.s[2 * columns + 1]) / 2, (buffer.v[2 * rows] + buffer.v[2 * rows + 1]) / 2
    t = (v - scene.floor * camera.cos) / camera.sin
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    position = terrain.sample(terrain.height, x, y) / HEIGHT
    a, b = (
        cspace_convert(c, "sRGB1", "CAM02-UCS")
        for c in (image[rows, columns, :3], strip[np.minimum((position * 512).astype(int), 511)])
    )
    assert len(rows) > 1000
    assert np.linalg.norm(a - b, axis=1).max() < 1.0


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_value_axis_stands_at_true_heights(bowl, scale):
    scene = make_scene([bowl], kind="surface", dpi=100, scale=scale)
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    terrain, camera = scene.terrains[0], scene.camera
    corners = [(x, y) for x in (-terrain.half_x, terrain.half_x) for y in (-terrain.half_y, terrain.half_y)]
    left = min(corners, key=lambda c: camera.project(*c, 0.0)[0])
    foot, top = (np.array(camera.project(*left, height)[:2], float) for height in (0.0, HEIGHT))
    numbers = [t for t in axes.texts if t.get_ha() == "right" and foot[1] <= t.get_position()[1] <= top[1]]
    assert len(numbers) >= 3
    for number in numbers:
        _, v, _ = camera.project(*left, float(terrain.height_of(float(number.get_text()))))
        assert number.get_position()[1] == pytest.approx(float(v), abs=1e-6)


def test_marks_stand_over_their_place_on_floor_and_surface(scene):
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    terrain, camera = scene.terrains[0], scene.camera
    marks = [line.get_xydata()[0] for line in axes.lines if line.get_gid() == "trained"]
    x, y = (float(c) for c in terrain.to_ground(0.0, 0.0))
    s, v, _ = camera.project(x, y, scene.floor)
    assert any(np.allclose(mark, [s, v]) for mark in marks)
    assert all(mark[0] == pytest.approx(float(s)) for mark in marks)


def test_coordinate_ticks_stand_at_their_coordinates(scene):
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    texts = [t.get_text() for t in axes.texts]
    assert {"−1", "−0.5", "0", "0.5", "1"} <= set(texts)
    assert scene.panels[0].x_label in texts and scene.panels[0].y_label in texts


def test_labels_too_long_for_their_edge_leave_their_unit_beneath(bowl):
    figure = drawn(make_scene([bowl], kind="surface", style="column", dpi=60))
    texts = [t.get_text() for t in figure.axes[0].texts if t.get_visible()]
    assert "α" in texts and "β" in texts and "α, β: filter-normalized units" in texts


@pytest.mark.parametrize("style", ["paper", "column", "text"])
@pytest.mark.parametrize(("factor", "add"), [(1.8e-12, 0.0), (0.0, 2.302585), (1.0, 12345678.0)])
def test_long_numbers_of_the_value_axis_stay_on_the_paper(surface_of, style, factor, add):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7)
    bowl = x[None] ** 2 + 2 * y[:, None] ** 2
    surface = surface_of(x, y, train_loss=add + (factor or 2e-6) * (1 + bowl))
    figure = drawn(make_scene([surface], kind="surface", style=style, dpi=60, scale="linear"))
    figure.draw_without_rendering()
    paper = figure.bbox
    texts = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text()]
    assert min(box.x0 for box in texts) >= paper.x0


def test_the_chance_line_of_the_legend_lies_on_surface_and_floor_at_its_level(bowl, coarse):
    scene = make_scene([bowl], kind="surface", dpi=100)
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    assert any(entry.sign == "chance" for row in scene.legend for entry in row)
    terrain, camera = scene.terrains[0], scene.camera
    level = float(terrain.height_of(np.log(10)))
    for gid, height in (("chance on the surface", level), ("chance on the floor", scene.floor)):
        lines = [line for line in axes.lines if line.get_gid() == gid]
        assert lines and all(line.get_linestyle() == "--" for line in lines)
        s, v = np.concatenate([line.get_xydata() for line in lines]).T
        t = (v - height * camera.cos) / camera.sin
        x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
        assert terrain.sample(terrain.height, x, y) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("height", [0.3, 1.4])
def test_the_height_of_a_surface_is_the_one_asked_for(bowl, height, coarse):
    scene = make_scene([bowl], kind="surface", dpi=60, height=height)
    terrain = scene.terrains[0]
    top, bottom = (float(terrain.height_of(v)) for v in (scene.keys[0].scale.high, scene.keys[0].scale.low))
    assert (top, bottom) == (pytest.approx(height), 0.0)
    assert float(terrain.height.max()) == pytest.approx(height, rel=1e-6)
    usual = make_scene([bowl], kind="surface", dpi=60)
    np.testing.assert_allclose(terrain.height / height, usual.terrains[0].height / HEIGHT, rtol=1e-6)
    picture, own = (render_panel(s, 0)[1] for s in (scene, make_scene([bowl], kind="surface", dpi=60, height=height)))
    np.testing.assert_array_equal(picture, own)


def test_without_a_floor_nothing_lies_beneath_the_surface_and_its_frame_stands_at_its_foot(bowl, coarse):
    scene = make_scene([bowl], kind="surface", dpi=60, floor=False, camera="cover")
    buffer, _ = render_panel(scene, 0)
    assert not (buffer.side == Side.FLOOR).any() and (buffer.side == Side.TOP).any()
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    assert not [line for line in axes.lines if line.get_gid() == "chance on the floor"]
    assert len([line for line in axes.lines if line.get_gid() == "trained"]) <= 1
    assert scene.camera.elevation < 30 and scene.floor == 0


def words_of(scene):
    """Texts of a surface's axes with their boxes on the paper."""
    with settings(scene):
        figure = make_figure(scene)
        figure.draw_without_rendering()
        axes = next(axes for axes in figure.axes if axes.get_gid() == "panel 0")
        return [(t.get_text(), t.get_window_extent()) for t in axes.texts if t.get_text()]


@pytest.mark.parametrize("azimuth", [-58.0, -118.0, 32.0, 152.0])
def test_no_two_words_meet_at_the_corner_where_the_axes_begin(bowl, azimuth):
    words = words_of(make_scene([bowl], kind="surface", style="paper", camera=(azimuth, 36.0)))
    assert len(words) > 8
    meeting = [(a, b) for i, (a, box) in enumerate(words) for b, other in words[:i] if box.overlaps(other)]
    assert not meeting


def test_units_stand_on_both_edges_or_beneath_the_picture(bowl):
    narrow = [text for text, _ in words_of(make_scene([bowl], kind="surface", style="paper", camera=(-80.0, 36.0)))]
    wide = [text for text, _ in words_of(make_scene([bowl], kind="surface", style="poster", camera=(-45.0, 36.0)))]
    assert "α" in narrow and "β" in narrow and "α, β: filter-normalized units" in narrow
    assert "α (filter-normalized units)" in wide and not any(text.startswith("α, β") for text in wide)


def test_the_bars_label_stands_above_it_and_on_the_paper(bowl):
    scene = make_scene([bowl], kind="surface", style="paper")
    with settings(scene):
        figure = make_figure(scene)
        figure.draw_without_rendering()
        (bar,) = [axes for axes in figure.axes if axes.get_gid() == "colour bar"]
        (label,) = [text for text in bar.texts if text.get_gid() == "bar label"]
        box = label.get_window_extent()
    assert label.get_text() == "training loss\n(log scale)"
    assert box.y0 > bar.bbox.y1 and 0 < box.x0 < box.x1 < figure.bbox.width


def test_the_surface_stands_over_its_coordinates_on_a_window_that_is_no_square(surface_of):
    x, y = np.linspace(-1, 3, 9), np.linspace(-0.5, 0.75, 6)
    values = 2 + np.random.default_rng(0).random((6, 9))
    scene = make_scene([surface_of(x, y, train_loss=values)], kind="surface", dpi=60)
    (terrain,), key = scene.terrains, scene.keys[0]
    right, back = terrain.to_ground(x[-1], y[-1])
    assert (right, back) == pytest.approx((terrain.half_x, terrain.half_y)) and right > 2 * back
    ground = terrain.to_ground(*np.meshgrid(x, y))
    expected = np.clip((values - key.scale.low) / (key.scale.high - key.scale.low), 0, 1) * HEIGHT
    np.testing.assert_allclose(terrain.sample(terrain.height, *ground), expected, atol=2e-3)
