"""Paths: where they run, what is drawn of them, and what is said of what the plane does not show."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossviz.records.remark import texts
from lossviz.records.trajectory import Mark, Trajectory
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.track import PALETTE, choose_dots, clip_path
from lossviz.render.words.colours import colour_at, colour_table

BOX = (-1.0, 1.0, -0.5, 0.75)


def path_of(name="sgd", points=((-0.8, 0.6), (-0.2, 0.1), (0.5, -0.2), (0.0, 0.0)), own=None, beneath=None, **more):
    points = np.asarray(points, float)
    losses = {} if own is None else {"own": {"train_loss": own}, "projected": {"train_loss": beneath}}
    distance = more.pop("distance", np.linspace(2, 0, len(points)))
    return Trajectory(name, np.arange(len(points)) * 10, points, distance, **losses, **more)


def with_paths(surface, *paths):
    surface.trajectories.update({path.name: path for path in paths})
    return surface


def drawn(scene, name="panel 0"):
    with settings(scene):
        figure = make_figure(scene)
    return next(axes for axes in figure.axes if axes.get_gid() == name)


def artists(axes, gid):
    return [a for a in (*axes.collections, *axes.lines, *axes.texts) if a.get_gid() == gid]


# ---------------------------------------------------------------- the frame


@given(points=arrays(float, st.tuples(st.integers(2, 30), st.just(2)), elements=st.floats(-3, 3, width=32)))
def test_pieces_lie_in_the_frame_and_on_the_path(points):
    pieces, exits = clip_path(points, BOX)
    for piece in pieces:
        assert (piece[:, 0] >= BOX[0] - 1e-9).all() and (piece[:, 0] <= BOX[1] + 1e-9).all()
        assert (piece[:, 1] >= BOX[2] - 1e-9).all() and (piece[:, 1] <= BOX[3] + 1e-9).all()
        on_path = [np.interp(piece[:, 2], np.arange(len(points)), points[:, i]) for i in (0, 1)]
        np.testing.assert_allclose(piece[:, :2], np.transpose(on_path), atol=1e-9)
    inside = (points[:, 0] > BOX[0]) & (points[:, 0] < BOX[1]) & (points[:, 1] > BOX[2]) & (points[:, 1] < BOX[3])
    places = np.concatenate([piece[:, 2] for piece in pieces]) if pieces else np.zeros(0)
    assert set(np.flatnonzero(inside)) <= set(np.round(places, 9))
    if inside.any() and not inside.all():
        assert len(exits)


def test_every_crossing_of_the_frame_has_an_arrow(bowl):
    out_and_back = path_of(points=((0.0, 0.5), (1.8, 0.5), (0.0, 0.0)))
    scene = make_scene([with_paths(bowl, out_and_back)])
    exits = scene.panels[0].paths[0].exits
    assert len(exits) == 2 and (exits[:, 0] == 1.0).all() and exits[0, 2] > 0 > exits[1, 2]
    arrows = artists(drawn(scene), "exit")
    assert [tuple(a.get_xydata()[0]) for a in arrows] == [tuple(row[:2]) for row in exits]
    assert any("sgd leaves the picture" in text for text in texts(scene.remarks))


def test_a_path_within_has_none(bowl):
    scene = make_scene([with_paths(bowl, path_of())])
    assert not len(scene.panels[0].paths[0].exits) and not scene.remarks


# ---------------------------------------------------------------- on a map


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap"])
def test_the_line_is_the_path_and_nothing_smoother(bowl, kind):
    path = path_of()
    axes = drawn(make_scene([with_paths(bowl, path)], kind=kind, dpi=40))
    (line,) = artists(axes, "path")
    np.testing.assert_allclose(line.get_segments()[0], path.coordinates)
    assert tuple(artists(axes, "start")[0].get_xydata()[0]) == tuple(path.coordinates[0])
    assert tuple(artists(axes, "end")[0].get_xydata()[0]) == tuple(path.coordinates[-1])
    assert not artists(axes, "trained")  # the star stands there


def test_marks_of_the_schedule(bowl):
    marks = (Mark(10, "decay", "LR ÷10"), Mark(20, "restart", "warm restart"), Mark(30, "average", "SWA"))
    scene = make_scene([with_paths(bowl, path_of(marks=marks))])
    axes = drawn(scene)
    assert tuple(artists(axes, "decay")[0].get_xydata()[0]) == (-0.2, 0.1)
    assert [text.get_text() for text in artists(axes, "event label")] == ["LR ÷10"]
    assert [text.get_text() for text in artists(axes, "event number")] == ["1", "2"]
    texts = [entry.text for row in scene.legend for entry in row]
    assert "1 warm restart, 2 SWA" in texts and "learning rate falls" in texts


def test_many_falls_of_the_learning_rate_have_no_words(bowl):
    points = np.stack([np.linspace(-0.9, 0.9, 9), np.zeros(9)], axis=1)
    marks = tuple(Mark(10 * i, "decay", "LR ÷2") for i in range(1, 7))
    scene = make_scene([with_paths(bowl, path_of(points=points, marks=marks))])
    assert not artists(drawn(scene), "event label") and len(artists(drawn(scene), "decay")) == 6


def test_several_paths_take_the_palette_and_a_pale_ground(bowl):
    paths = [path_of(f"run {i}", np.array([[-0.8, 0.5], [0.1 * i, 0.0]])) for i in range(8)]
    scene = make_scene([with_paths(bowl, *paths)])
    seen = scene.panels[0].paths
    assert tuple(path.colour for path in seen) == (*PALETTE, *PALETTE[:2])
    assert [path.dashed for path in seen] == [False] * 6 + [True] * 2
    assert len({(path.colour, path.dashed) for path in seen}) == 8
    assert scene.keys[0].colours == "oslo60"
    names = [text.get_text() for text in artists(drawn(scene), "path name")]
    assert len(names) == len(set(names)) >= 6 and set(names) <= {path.name for path in paths}
    assert make_scene([bowl], colours="viridis").keys[0].colours == "viridis"


def test_every_one_of_twelve_paths_has_signs_of_its_own_on_map_and_strip(bowl):
    own = np.geomspace(5, 0.1, 9)
    paths = [
        path_of(f"run {i}", np.linspace([-0.8, 0.5], [0.05 * i, 0.0], 9), own=own / (i + 1), beneath=own)
        for i in range(12)
    ]
    scene = make_scene([with_paths(bowl, *paths)])
    assert len({path.shape for path in scene.panels[0].paths}) == 12
    for part, gid in (("own loss", "own"), ("distance", "off plane")):
        lines = artists(drawn(scene, part), gid)
        assert [line.get_marker() for line in lines] == [path.shape for path in scene.panels[0].paths]


def test_a_path_alone_needs_no_signs_on_its_strip(bowl):
    scene = make_scene([with_paths(bowl, path_of(own=[4.0, 2.0, 1.0, 0.5], beneath=[3.0, 2.0, 1.0, 0.5]))])
    (line,) = artists(drawn(scene, "own loss"), "own")
    assert line.get_marker() in ("None", None, "")


def test_falls_of_many_runs_together_have_no_words(bowl):
    points = np.stack([np.linspace(-0.9, 0.9, 9), np.zeros(9)], axis=1)
    runs = [path_of(f"run {i}", points, marks=(Mark(20, "decay", "LR ÷10"),)) for i in range(6)]
    axes = drawn(make_scene([with_paths(bowl, *runs)]))
    assert not artists(axes, "event label") and len(artists(axes, "decay")) == 6


def test_names_do_not_meet(bowl):
    paths = [path_of(f"optimizer {i}", np.array([[-0.8, 0.5], [0.02 * i, 0.0]])) for i in range(6)]
    scene = make_scene([with_paths(bowl, *paths)])
    with settings(scene):
        figure = make_figure(scene)
        renderer = figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts if text.get_gid() == "path name"]
    assert len(boxes) >= 4
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_the_pale_ground_keeps_every_path_colour_apart():
    from colorspacious import cspace_convert

    ground = cspace_convert(colour_table("oslo60"), "sRGB1", "CAM02-UCS")
    assert (np.diff(ground[:, 0]) > 0).all()
    for colour in PALETTE:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert np.linalg.norm(ground - cspace_convert(rgb, "sRGB1", "CAM02-UCS"), axis=1).min() > 13
    assert not colour_table("oslo60").flags.writeable and colour_at("oslo60", 0.5).shape == (3,)


def test_no_path_is_drawn_where_it_is_not_wanted_or_cannot_be(bowl, surface_of):
    with_paths(bowl, path_of())
    assert not make_scene([bowl], path=False).panels[0].paths
    assert not make_scene([bowl], kind="line").panels[0].paths
    assert not make_scene([bowl, bowl], difference=True).panels[0].paths


def test_snapshots_that_are_not_finite_are_left_out(bowl):
    points = np.array([[-0.5, 0.5], [np.nan, np.nan], [0.2, 0.0]])
    (path,) = make_scene([with_paths(bowl, path_of(points=points))]).panels[0].paths
    assert path.steps.tolist() == [0, 20] and len(path.pieces) == 1 and path.dots.max() < 2


# ---------------------------------------------------------------- dots


def test_dots_are_equal_in_steps_or_are_called_snapshots():
    even = Trajectory("a", range(0, 500, 5), np.zeros((100, 2)), np.zeros(100))
    dots, text = choose_dots(even, "step")
    assert len(dots) <= 60 and set(np.diff(even.steps[dots])) == {10} and text == "dot: every 10 steps"
    uneven = Trajectory("a", [0, 1, 2, 5, 10], np.zeros((5, 2)), np.zeros(5))
    assert choose_dots(uneven, "epoch") == (pytest.approx(np.arange(5)), "dot: a snapshot")


def test_epochs_apart_are_told_as_a_reader_counts_them():
    steps = np.arange(30) * 391
    path = Trajectory("sgd", steps, np.zeros((30, 2)), np.zeros(30), epochs=steps / 390.2)
    assert choose_dots(path, "step")[1] == "dot: every epoch"


def test_dots_are_epochs_where_these_are_known():
    path = Trajectory("a", range(0, 1000, 10), np.zeros((100, 2)), np.zeros(100), epochs=np.arange(100) / 20)
    dots, text = choose_dots(path, "step")
    assert path.epochs[dots].tolist() == [0, 1, 2, 3, 4] and text == "dot: every epoch"


# ---------------------------------------------------------------- what the plane does not show


def test_the_strip_shows_both_losses_and_the_distance(bowl):
    own, beneath = np.array([2.0, 0.5, 0.05, 0.02]), np.array([1.0, 0.6, 0.2, 0.02])
    path = path_of(own=own, beneath=beneath)
    scene = make_scene([with_paths(bowl, path)])
    losses = drawn(scene, "own loss")
    np.testing.assert_array_equal(artists(losses, "own")[0].get_xydata(), np.stack([path.steps, own], axis=1))
    np.testing.assert_array_equal(artists(losses, "beneath")[0].get_ydata(), beneath)
    assert losses.get_yscale() == "log"
    np.testing.assert_array_equal(artists(drawn(scene, "distance"), "off plane")[0].get_ydata(), path.distance)
    assert "own training loss is 0.25 to 2 times that of the plane beneath them: the path does not lie" in scene.caption
    assert "lie 0 to 2 away" in scene.caption


def test_a_plane_that_hides_nothing_needs_no_second_line(bowl):
    own = np.array([2.0, 0.5, 0.05, 0.02])
    path = path_of(own=own, beneath=own * (1 + 1e-7), distance=np.zeros(4))
    scene = make_scene([with_paths(bowl, path)])
    losses = drawn(scene, "own loss")
    assert not artists(losses, "beneath")
    assert losses.get_title(loc="left") == "training loss"
    with pytest.raises(StopIteration):
        drawn(scene, "distance")


def test_strips_side_by_side_have_one_scale(bowl):
    low, high = (path_of(own=np.array([2.0, 1.0, 0.5, 0.2]) * k, beneath=np.ones(4)) for k in (0.1, 10.0))
    surfaces = [with_paths(copy.deepcopy(bowl), path) for path in (low, high)]
    with settings(scene := make_scene(surfaces)):
        figure = make_figure(scene)
    one, other = [axes.get_ylim() for axes in figure.axes if axes.get_gid() == "own loss"]
    assert one == pytest.approx(other)
    assert one[0] < 0.02 < 20 < one[1]


def test_the_strip_lies_under_its_panel_and_on_the_paper(bowl):
    path = path_of(own=np.ones(4), beneath=np.ones(4))
    with_paths(bowl, path)
    for kind in ("contour", "surface"):
        for style in ("column", "text"):
            layout = make_scene([bowl, bowl, bowl], kind=kind, style=style).layout
            boxes = [*layout.panels, *layout.strips]
            for n, a in enumerate(boxes):
                assert a.left >= 0 and a.bottom >= 0
                assert a.left + a.width <= layout.width and a.bottom + a.height <= layout.height
                for b in boxes[:n]:
                    apart = a.left >= b.left + b.width or b.left >= a.left + a.width
                    assert apart or a.bottom >= b.bottom + b.height or b.bottom >= a.bottom + a.height


def test_without_losses_only_the_distance_is_shown(bowl):
    scene = make_scene([with_paths(bowl, path_of())])
    with settings(scene):
        names = [axes.get_gid() for axes in make_figure(scene).axes]
    assert "distance" in names and "own loss" not in names and "times that of the plane" not in scene.caption


def test_a_path_that_is_a_dot_is_called_so(bowl):
    scene = make_scene([with_paths(bowl, path_of(explained_variance=[1e-4, 2e-4]))])
    assert any("hardly seen on this plane" in text for text in texts(scene.remarks))


def test_the_share_of_a_random_walk_stands_beside_that_of_the_path(bowl):
    surface = with_paths(bowl, path_of(explained_variance=[0.7, 0.2]))
    plane = dataclasses.replace(surface.plan.plane)
    object.__setattr__(plane, "kind", "pca")
    surface.plan = dataclasses.replace(surface.plan, plane=plane)
    scene = make_scene([surface])
    assert scene.panels[0].x_label == "PC1 (70 % of the motion)"
    assert "70 % and 20 % of its variance (of a random walk as long they would hold" in scene.caption


def test_the_scale_holds_the_own_losses(bowl):
    low = make_scene([bowl]).keys[0].scale.low
    path = path_of(own=np.array([1.0, 0.1, low / 5, low / 10]), beneath=np.ones(4))
    assert make_scene([with_paths(bowl, path)]).keys[0].scale.low == pytest.approx(low / 10)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", ["contour", "surface"])
@pytest.mark.parametrize("snapshots", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_twelve_long_paths_stay_small(bowl, kind, snapshots, tmp_path):
    from lossviz.render.write import draw

    rng = np.random.default_rng(0)
    for i in range(13):
        points = np.clip(np.cumsum(rng.normal(0, 0.4 / snapshots**0.5, (snapshots, 2)), axis=0), -2, 2)
        bowl.trajectories[f"<script>{i}"] = path_of(f"<script>{i}", points, own=np.full(snapshots, 0.1 * (i + 1)),
                                                    beneath=np.ones(snapshots))  # fmt: skip
    scene = make_scene([bowl], kind=kind, style="column", dpi=60)
    assert len(scene.panels[0].paths) == 12 and any("1 of the file's paths" in text for text in texts(scene.remarks))
    out = draw(scene, tmp_path / "a.png")[0]
    assert out.stat().st_size < 1_000_000


def test_a_schedule_has_a_part_of_the_strip(bowl):
    rates = [0.1, 0.1, 0.01, 0.001]
    told = path_of(own=[4.0, 2.0, 1.0, 0.5], beneath=[4.0, 3.0, 2.0, 0.5], learning_rate=rates)
    figure = drawn(make_scene([with_paths(bowl, told)])).figure
    parts = {axes.get_gid(): axes for axes in figure.axes}
    (line,) = (line for line in parts["learning rate"].lines if line.get_gid() == "rate")
    np.testing.assert_array_equal(line.get_ydata(), rates)
    assert parts["learning rate"].get_yscale() == "log"
    heights = [parts[name].get_position() for name in ("own loss", "distance", "learning rate")]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(heights))
    assert parts["learning rate"].get_xlabel() == "step" and not parts["distance"].get_xlabel()
    even = path_of(own=[4.0, 2.0, 1.0, 0.5], beneath=[4.0, 3.0, 2.0, 0.5], learning_rate=[0.1] * 4)
    figure = drawn(make_scene([with_paths(bowl, even)])).figure
    assert "learning rate" not in {axes.get_gid() for axes in figure.axes}


def test_losses_within_a_decade_have_ticks_on_a_log_scale(surface_of):
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    surface = surface_of(x, y, train_loss=10.0 ** (2 * np.add.outer(np.abs(y), np.abs(x))))
    told = path_of(own=[8.0, 4.0, 2.0, 1.7], beneath=[8.0, 3.0, 2.5, 1.7])
    figure = drawn(make_scene([with_paths(surface, told)], scale="log")).figure
    (axes,) = (axes for axes in figure.axes if axes.get_gid() == "own loss")
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


def test_a_picture_without_a_place_for_paths_says_so(bowl, surface_of):
    def told(surfaces, **words):
        return [text for text in texts(make_scene(surfaces, **words).remarks) if "not drawn" in text]

    surface = with_paths(bowl, path_of())
    assert not told([surface])
    assert "a profile has no place" in told([surface], kind="line")[0]
    assert "lies under neither's path" in told([surface, bowl], difference=True)[0]
    assert not told([surface], kind="line", path=False)
    line = surface_of(np.linspace(0, 1, 5), train_loss=np.linspace(1, 2, 5))
    assert not told([line])


def test_words_keep_clear_of_paths_where_they_can(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7)
    surface = surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2))
    flat = path_of("a path", points=[(0.0, -0.6), (0.0, 0.6)])  # its end has its own line beneath it
    across = path_of("another", points=[(0.7, -0.9), (0.7, 0.2), (0.7, 0.9)])
    axes = drawn(make_scene([with_paths(surface, flat, across)]))
    axes.figure.draw_without_rendering()
    names = artists(axes, "path name")
    assert len(names) == 2
    for name in names:
        box = name.get_window_extent().transformed(axes.transData.inverted())
        for place in (0.0, 0.7):
            assert not box.x0 < place < box.x1 or box.y0 > 0.9 or box.y0 > 0.6 + 0.3 * (place > 0)


def test_numbers_of_contours_keep_clear_of_a_path_of_few_long_steps(bowl):
    scene = make_scene([with_paths(bowl, path_of(points=[(-0.95, -0.4), (0.95, 0.9), (0.0, 0.0)]))])
    axes = drawn(scene)
    axes.figure.draw_without_rendering()
    places = [axes.transData.transform(p) for p in np.linspace((-0.95, -0.4), (0.95, 0.9), 400)]
    numbers = artists(axes, "level")
    assert numbers
    for number in numbers:
        middle = axes.transData.transform(number.get_position())
        near = np.hypot(*(np.array(places) - middle).T).min()
        assert near > 0.4 * number.get_window_extent().height


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_a_path_that_escapes_downwards_does_not_flatten_the_picture(surface_of, kind):
    x, y = np.linspace(-2, 2, 41), np.linspace(-2, 2, 33)
    saddle = np.subtract.outer(-(y**2), -(x**2))
    down = [(-1.5, 0.001), (-0.5, 0.1), (0.0, 1.9), (0.0, 40.0), (0.0, 9500.0)]
    own = np.array([a**2 - b**2 for a, b in down])
    surface = with_paths(surface_of(x, y, train_loss=saddle), path_of("momentum", down, own=own, beneath=own))
    scene = make_scene([surface], kind=kind)
    assert (scene.keys[0].scale.low, scene.keys[0].scale.high) == (-4, 4)
    assert any("momentum leaves the picture" in warning for warning in texts(scene.remarks))
    # a snapshot in the picture whose own loss is far beneath: clipped, and said
    own[1] = -9e7
    surface = with_paths(surface_of(x, y, train_loss=saddle), path_of("momentum", down, own=own, beneath=own))
    scene = make_scene([surface], kind=kind)
    assert (scene.keys[0].scale.low, scene.keys[0].scale.high) == (-4, 4)
    (told,) = [warning for warning in texts(scene.remarks) if "falls below the scale" in warning]
    assert "1 of its snapshots" in told and "−9×10⁷" in told
    if kind == "surface":
        assert scene.terrains[0].height_of(own).min() == 0.0


@pytest.mark.parametrize(("last", "low"), [(0.02, 0.02), (1e-31, 0.1)])
def test_a_path_that_converges_does_not_stretch_a_log_scale(surface_of, last, low):
    x, y = np.linspace(-2, 2, 41), np.linspace(-2, 2, 33)
    bowl = 0.1 + np.add.outer(100 * y**2, 100 * x**2)
    own = np.array([500.0, 50.0, last])
    down = path_of("sgd", [(-1.5, 0.5), (-0.5, 0.1), (0.0, 0.0)], own=own, beneath=own)
    scene = make_scene([with_paths(surface_of(x, y, train_loss=bowl), down)], kind="contour")
    assert scene.keys[0].scale.kind == "log" and scene.keys[0].scale.low == pytest.approx(low)
    assert any("falls below the scale" in said for said in texts(scene.remarks)) == (last < low)
