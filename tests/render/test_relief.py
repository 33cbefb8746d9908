import numpy as np
import pytest
from colorspacious import cspace_convert

from lossviz.render.draw import make_figure, settings
from lossviz.render.height_field import Side
from lossviz.render.relief import render_panel
from lossviz.render.scene import make_scene
from lossviz.render.terrain import HEIGHT


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


def test_the_value_axis_stands_at_true_heights(scene):
    axes = next(axes for axes in drawn(scene).axes if axes.get_gid() == "panel 0")
    terrain, camera = scene.terrains[0], scene.camera
    texts = {t.get_text(): t.get_position() for t in axes.texts}
    corners = [(x, y) for x in (-terrain.half_x, terrain.half_x) for y in (-terrain.half_y, terrain.half_y)]
    left = min(corners, key=lambda c: camera.project(*c, 0.0)[0])
    values = [t for t in texts if t in {scene.keys[0].text(v) for v in scene.keys[0].ticks} and texts[t][0] < -0.5]
    for text in values:
        _, v, _ = camera.project(*left, float(terrain.height_of(float(text))))
        assert texts[text][1] == pytest.approx(float(v), abs=1e-6)


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
    assert "α" in texts and "β" in texts and "α, β: filter-normalised units" in texts
