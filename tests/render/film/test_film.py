"""What moves in a film, as data: frames, words, cameras, and paths as far as a step."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import UsageError
from lossviz.records.trajectory import Trajectory
from lossviz.render.film.film import EACH_S, FIRST_S, LAST_S, make_film
from lossviz.render.film.flight import FROM_ABOVE, flight
from lossviz.render.film.growth import moments, until
from lossviz.render.scene import make_scene
from lossviz.render.values.camera import Camera, picture_bounds

OWN, BENEATH = np.array([4.0, 2.0, 1.0, 0.05]), np.array([2.0, 1.0, 0.5, 0.05])
pytestmark = pytest.mark.usefixtures("coarse")


def path_of(name="sgd", points=((-0.8, 0.6), (-0.2, 0.1), (0.5, -0.2), (0.0, 0.0)), steps=(0, 10, 30, 40), **more):
    tables = {"own": {"train_loss": OWN}, "projected": {"train_loss": BENEATH}} | more
    return Trajectory(name, steps, np.asarray(points, float), np.linspace(2, 0, len(points)), **tables)


@pytest.fixture
def with_path(bowl):
    rates = np.array([0.1, 0.1, 0.01, 0.01])
    bowl.trajectories["sgd"] = path_of(learning_rate=rates)
    return bowl


def test_what_there_is_decides_the_subject(bowl, with_path, surface_of):
    film = make_film([with_path], seconds=1)
    assert film.subject == "path" and film.poster == len(film.frames) - 1
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    plain = surface_of(x, y, train_loss=1 + x**2 + y[:, None] ** 2)
    assert make_film([plain], seconds=1).subject == "flight"
    assert make_film([plain, plain], titles=["a", "b"]).subject == "sequence"
    assert make_film([with_path], subject="flight", seconds=1).plates[0].panels[0].paths == ()


def test_equal_times_are_equal_numbers_of_steps(with_path):
    film = make_film([with_path], seconds=2, rate=10)
    steps = [frame.step for frame in film.frames]
    np.testing.assert_allclose(np.diff(steps), 40 / 19)
    assert (steps[0], steps[-1]) == (0, 40)
    assert [film.frames[i].seconds for i in (0, 1, -1)] == [FIRST_S, 0.1, LAST_S]


def test_log_time_dwells_on_the_beginning_and_says_so(with_path):
    film = make_film([with_path], seconds=2, rate=10, time="log")
    steps = np.array([frame.step for frame in film.frames])
    np.testing.assert_allclose(np.diff(np.log(steps + 1)), np.log(41) / 19)
    assert (steps[0], steps[-1]) == (0, 40) and all(frame.words[-1] == "log time" for frame in film.frames)
    assert "ratios of the steps" in film.caption
    for words, said in (({"time": "cubic"}, "linear, log"), ({"time": "log", "subject": "flight"}, "--scene path")):
        with pytest.raises(UsageError, match=said):
            make_film([with_path], seconds=1, **words)


@given(first=st.integers(0, 10**9), length=st.integers(1, 10**9), count=st.integers(2, 50), log=st.booleans())
def test_moments_never_leave_the_path(first, length, count, log):
    path = make_film_path((first, first + length))
    shown = moments([path], count, "log" if log else "linear")
    assert shown[0] == first and shown[-1] == pytest.approx(first + length, rel=1e-12) and len(shown) == count
    assert all(a <= b for a, b in pairwise(shown)) and first <= min(shown) and max(shown) <= first + length


def make_film_path(steps):
    return SimpleNamespace(steps=np.array(steps))


def test_words_are_those_of_the_last_snapshot_passed(with_path):
    film = make_film([with_path], seconds=4.1, rate=10)  # a step a frame
    at = {round(frame.step): frame.words for frame in film.frames}
    assert at[9] == at[0] == ("step 0", "own training loss 4", "of the plane beneath 2", "learning rate 0.1")
    assert at[10] == at[29] == ("step 10", "own training loss 2", "of the plane beneath 1", "learning rate 0.1")
    assert at[40] == ("step 40", "own training loss 0.05", "of the plane beneath 0.05", "learning rate 0.01")


def test_of_several_paths_the_step_is_told(bowl):
    bowl.trajectories.update({"a": path_of("a"), "b": path_of("b", steps=(5, 20, 30, 60))})
    film = make_film([bowl], seconds=1, rate=10)
    assert film.frames[0].words == ("step 0",) and film.frames[-1].words == ("step 60",)


@given(step=st.floats(0, 40))
def test_a_path_as_far_as_a_step_lies_on_the_whole(step, surface_of_a_path):
    path, terrain = surface_of_a_path
    grown = until(path, step, (-1, 1, -0.5, 1), terrain)
    place = np.interp(step, path.steps, np.arange(4))
    assert len(grown.x) == int(place) + 1 + (place > int(place))
    np.testing.assert_array_equal(grown.x[: int(place) + 1], path.x[: int(place) + 1])
    np.testing.assert_allclose(grown.x[-1], np.interp(step, path.steps, path.x), atol=1e-12)
    np.testing.assert_allclose(grown.y[-1], np.interp(step, path.steps, path.y), atol=1e-12)
    # lifted, it runs straight in height between its snapshots
    heights = terrain.height_of(path.own)
    np.testing.assert_allclose(terrain.height_of(grown.own[-1]), np.interp(place, np.arange(4), heights), atol=1e-9)
    assert grown.ended == (step >= 40)


@pytest.fixture(scope="module")
def surface_of_a_path():
    from tests.render.conftest import bowl_tables, make_surface

    x, y, z = bowl_tables()
    surface = make_surface(x, y, train_loss=z)
    surface.trajectories["sgd"] = path_of()
    scene = make_scene([surface], kind="surface")
    return scene.panels[0].paths[0], scene.terrains[0]


def test_map_and_surface_share_scale_and_levels(with_path):
    plane, surface = make_film([with_path], seconds=1).plates
    assert plane.keys[0].scale == surface.keys[0].scale and plane.keys[0].levels == surface.keys[0].levels
    assert plane.layout.width == surface.layout.width and plane.layout.height == surface.layout.height


def test_nothing_lies_outside_the_paper_or_on_something_else(with_path):
    plane, surface = make_film([with_path], seconds=1).plates
    layout, strip = plane.layout, plane.layout.strips[0]
    boxes = [layout.panels[0], layout.bars[0], surface.layout.panels[0], strip]
    for box in boxes:
        assert box.left >= 0 and box.right <= layout.width + 1e-9
        assert box.bottom >= 0 and box.bottom + box.height <= layout.height + 1e-9
    assert layout.bars[0].left > layout.panels[0].right
    assert strip.bottom + strip.height < layout.panels[0].bottom
    assert round(layout.height * plane.style.dpi) % 2 == 0 == round(layout.width * plane.style.dpi) % 2


def test_a_sequence_has_one_scale_and_a_frame_for_each_file(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7)
    bowls = [surface_of(x, y, train_loss=k * (0.1 + x**2 + y[:, None] ** 2)) for k in (8.0, 2.0, 1.0)]
    film = make_film(bowls, titles=["epoch 0", "epoch 5", "epoch 9"])
    assert [frame.panel for frame in film.frames] == [0, 1, 2]
    assert [round(frame.seconds, 9) for frame in film.frames] == [EACH_S, EACH_S, EACH_S + LAST_S]
    assert film.frames[1].words == ("epoch 5", "2 of 3", "centre 0.2", "lowest 0.2")
    plane, surface = film.plates
    assert len(plane.keys) == 1 and plane.keys[0].scale.low == pytest.approx(0.1) and len(surface.terrains) == 3
    assert "nothing is interpolated between them" in film.caption


def test_a_sequence_may_be_longer_than_a_figure_has_panels(surface_of):
    x, y = np.linspace(-1, 1, 4), np.linspace(-1, 1, 3)
    many = [surface_of(x, y, train_loss=1 + i + x**2 + y[:, None] ** 2) for i in range(13)]
    assert len(make_film(many, titles=list(map(str, range(13)))).frames) == 13


def test_a_flight_begins_and_ends_above_and_turns_as_far_as_it_says():
    cameras = flight(Camera(-58.0, 36.0), 60, 30.0)
    assert cameras[0].elevation == FROM_ABOVE and cameras[0] == cameras[-1]
    assert min(c.elevation for c in cameras) == 36.0
    low = [c.azimuth for c in cameras if c.elevation == 36.0]
    assert max(low) - min(low) == pytest.approx(30.0, abs=0.5)
    assert len(cameras) == pytest.approx(60, abs=5) and len(set(cameras)) <= 32  # the way back is drawn already
    turns = np.abs(np.diff([c.azimuth for c in cameras]))
    assert turns.max() < 4.0  # nothing jumps


def test_once_around_comes_back_to_its_beginning():
    around = flight(Camera(-58.0, 36.0), 8, 360.0)
    assert [round(c.azimuth + 58.0) for c in around] == [0, 45, 90, 135, 180, 225, 270, 315]


def test_a_flight_holds_the_surface_within_one_frame(bowl):
    film = make_film([bowl], subject="flight", seconds=1, rate=8)
    (scene,) = film.plates
    left, right, bottom, top = scene.bounds
    for frame in film.frames:
        a, b, c, d = picture_bounds(scene.terrains[0], frame.camera, scene.floor)
        assert a >= left and b <= right and c >= bottom and d <= top


@pytest.mark.parametrize(
    "words, message",
    [
        ({"subject": "spin"}, "path, flight, sequence"),
        ({"subject": "path"}, "lossviz trace"),
        ({"subject": "sequence"}, "give several"),
        ({"seconds": 1e9}, "0.5 to 120"),
        ({"rate": 0}, "1 to 60"),
        ({"turn": 1e3}, "-360 to 360"),
        ({"quantity": "train_loss,test_loss"}, "one quantity"),
    ],
)
def test_what_cannot_be_filmed_is_refused_with_what_can(bowl, words, message):
    with pytest.raises(UsageError, match=message):
        make_film([bowl], **words)


def test_a_line_has_no_animation(surface_of):
    with pytest.raises(UsageError, match="--kind line"):
        make_film([surface_of(np.linspace(-1, 1, 5), train_loss=np.arange(5.0))])
