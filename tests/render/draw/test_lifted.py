"""Paths under and over a surface: on the floor, and at their own loss; what the surface hides is dotted."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.draw.height_field import trace
from lossviz.render.draw.lifted import lifted_heights, visible_runs
from lossviz.render.scene import make_scene
from tests.render.values.test_track import artists, path_of, with_paths

pytestmark = pytest.mark.usefixtures("coarse")


@pytest.fixture
def scene(bowl):
    own, beneath = np.array([0.5, 0.3, 0.15, 0.02]), np.array([0.4, 0.1, 0.2, 0.02])
    return make_scene([with_paths(bowl, path_of(own=own, beneath=beneath))], kind="surface", dpi=60)


def axes_of(scene):
    with settings(scene):
        return make_figure(scene).axes[0]


def test_it_stands_at_its_own_loss_and_not_on_the_surface(scene):
    (path,), (terrain,) = scene.panels[0].paths, scene.terrains
    at = np.arange(4.0)
    heights = lifted_heights(path, at, terrain)
    np.testing.assert_allclose(heights, terrain.height_of(np.array([0.5, 0.3, 0.15, 0.02])))
    ground = terrain.to_ground(path.x, path.y)
    surface = terrain.sample(terrain.height, *(np.asarray(g) for g in ground))
    assert np.abs(heights - surface)[:3].min() > 0.01


def test_both_lines_meet_at_the_drop_line(scene):
    axes = axes_of(scene)
    (drop,) = artists(axes, "drop")
    (path,), (terrain,) = scene.panels[0].paths, scene.terrains
    x, y = terrain.to_ground(path.x[-1], path.y[-1])
    for end, height in ((0, scene.floor), (1, float(terrain.height_of(0.02)))):
        s, v, _ = scene.camera.project(x, y, height)
        np.testing.assert_allclose(drop.get_xydata()[end], [float(s), float(v)], atol=1e-6)


def test_hidden_pieces_are_dotted_and_visible_ones_are_not(bowl):
    points = np.stack([np.zeros(30), np.linspace(-0.45, 0.95, 30)], axis=1)
    own = np.full(30, bowl.values("train_loss").min() * 1.01)  # far below the walls of the bowl
    scene = make_scene([with_paths(bowl, path_of(points=points, own=own, beneath=own))], kind="surface", dpi=60)
    axes = axes_of(scene)
    seen, hidden = (artists(axes, gid)[0] for gid in ("lifted", "lifted hidden"))
    assert hidden.get_segments() and hidden.get_linestyle()[0][1] is not None
    assert seen.get_linestyle()[0][1] is None and hidden.get_linewidth()[0] < seen.get_linewidth()[0]
    assert any(entry.text == "behind the surface" for row in scene.legend for entry in row)
    # what is drawn dotted lies behind the picture, what is solid in front
    (terrain,) = scene.terrains
    buffer = trace(terrain, scene.camera, columns=400, floor=scene.floor)
    ground = np.array(terrain.to_ground(points[:, 0], points[:, 1]))
    s, v, t = scene.camera.project(*ground, terrain.height_of(own))
    behind = ~buffer.visible(s, v, t)
    assert behind.sum() > 0
    drawn = np.concatenate(hidden.get_segments())
    for place in np.stack([s, v], axis=1)[behind][1:-1]:
        assert np.hypot(*(drawn - place).T).min() < 0.03


def test_runs_cover_the_whole_path_without_gaps(scene):
    (terrain,) = scene.terrains
    buffer = trace(terrain, scene.camera, columns=200, floor=scene.floor)
    t = np.linspace(-1, 1, 50)
    s, v, away = scene.camera.project(t, 0.5 * np.sin(5 * t), 0.3)
    points = np.stack(np.broadcast_arrays(s, v, away), axis=1)
    visible, hidden = visible_runs(points, buffer)
    length = sum(np.hypot(*np.diff(run, axis=0).T).sum() for run in (*visible, *hidden))
    assert length == pytest.approx(np.hypot(*np.diff(points[:, :2], axis=0).T).sum())


def test_the_legend_tells_the_two_apart(scene):
    texts = [entry.text for row in scene.legend for entry in row]
    assert texts[:2] == ["path sgd", "the same at its own loss"]
    assert "stands at its own loss, not on the surface" in scene.caption


def test_a_path_without_losses_stays_on_the_floor(bowl):
    scene = make_scene([with_paths(bowl, path_of())], kind="surface", dpi=60)
    axes = axes_of(scene)
    assert not artists(axes, "lifted")[0].get_segments() and not artists(axes, "drop")
    assert artists(axes, "floor")[0].get_segments()


def test_the_camera_sees_more_of_the_path_than_one_chosen_without_it(bowl):
    from lossviz.render.values.camera import _lifted, _visible_share, choose_camera

    points = np.stack([np.linspace(-0.9, 0.9, 20), np.full(20, 0.8)], axis=1)
    own = np.full(20, 3.0)
    scene = make_scene([with_paths(bowl, path_of(points=points, own=own, beneath=own))], kind="surface")
    (terrain,), paths = scene.terrains, scene.panels[0].paths
    with_it, without = choose_camera([terrain], [paths]), choose_camera([terrain])
    share = [_visible_share(terrain, camera, *_lifted(terrain, paths)) for camera in (with_it, without)]
    assert share[0] >= share[1] and share[0] > 0.5


def test_a_file_without_a_path_beside_one_with_has_no_strip(scene, bowl, surface_of):
    bare = surface_of(bowl.plan.grid.axes[0].coordinates, bowl.plan.grid.axes[1].coordinates,
                      train_loss=bowl.values("train_loss"))  # fmt: skip
    for kind in ("surface", "contour"):
        pair = make_scene([bowl, bare], kind=kind, dpi=40)
        with settings(pair):
            strips = [axes for axes in make_figure(pair).axes if axes.get_gid() == "own loss"]
        assert len(strips) == 1


def test_the_end_of_a_path_is_above_the_grid_minimum_that_it_reached(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    surface = surface_of(x, y, train_loss=1 + np.add.outer((y - 0.5) ** 2, (x - 0.5) ** 2))
    axes = axes_of(make_scene([with_paths(surface, path_of(points=[(-0.5, 0.1), (0.5, 0.5)]))], kind="surface", dpi=40))
    (end,) = artists(axes, "floor end")
    lowest = [line.get_zorder() for line in axes.lines if line.get_gid() == "minimum"]
    assert lowest and max(lowest) < end.get_zorder()


def test_without_a_floor_the_path_is_drawn_once_in_its_own_colour(bowl):
    own = np.array([4.0, 1.0, 0.3, 0.1])
    scene = make_scene([with_paths(bowl, path_of(own=own, beneath=own))], kind="surface", dpi=60, floor=False)
    axes = axes_of(scene)
    assert not artists(axes, "floor") and not artists(axes, "floor hidden") and len(artists(axes, "lifted")) == 1
    assert "lifted" not in [entry.sign for row in scene.legend for entry in row]
    assert to_hex(artists(axes, "lifted")[0].get_color()[0]) == scene.panels[0].paths[0].colour
