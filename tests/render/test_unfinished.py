"""Pictures of unfinished runs: whole where a sub-grid is complete, and never taken for measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.records.grid import Grid
from lossviz.records.unfinished import finest_stride, guess_missing
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell
from tests.render.conftest import bowl_tables, make_surface


def order_of(shape):
    """Flat indices, ever finer sub-grids around the centre one after another: how points are evaluated."""
    left, order = set(range(int(np.prod(shape)))), [int(np.ravel_multi_index([n // 2 for n in shape], shape))]
    for stride in 2 ** np.arange(10)[::-1]:
        inner, outer = [], []
        for index in sorted(left - set(order)):
            place = np.unravel_index(index, shape)
            on_edge = [i in (0, n - 1) for i, n in zip(place, shape, strict=True)]
            whole = [edge or abs(i - n // 2) % stride == 0 for edge, i, n in zip(on_edge, place, shape, strict=True)]
            if all(whole):
                (outer if any(on_edge) else inner).append(index)
        order += inner + outer
    return np.array(order)


def done_after(shape, count):
    done = np.zeros(shape, bool)
    done.ravel()[order_of(shape)[:count]] = True
    return done


def part_of_bowl(count, nx=33, ny=25):
    x, y, z = bowl_tables(nx, ny)
    return make_surface(x, y, train_loss=z, evaluated=done_after(z.shape, count)), z


def test_the_order_is_the_one_points_are_evaluated_in():
    from lossviz.records.order import coarse_to_fine

    grid = Grid.parse("-1:1:31,-1:1:25")
    np.testing.assert_array_equal(coarse_to_fine(grid, np.arange(grid.size)), order_of(grid.shape))


@given(shape=st.tuples(st.integers(3, 23), st.integers(3, 23)), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_guesses_lie_only_where_nothing_is_evaluated_and_within_what_is(shape, share, seed):
    values = np.random.default_rng(seed).normal(size=shape)
    done = done_after(shape, int(share * values.size))
    axes = [np.arange(float(n)) for n in shape]
    guesses = guess_missing(np.where(done, values, np.nan), done, axes)
    known = np.isfinite(guesses)
    assert not (known & done).any()
    if known.any():  # monotone interpolation never overshoots
        assert values[done].min() - 1e-9 <= guesses[known].min() and guesses[known].max() <= values[done].max() + 1e-9


@given(shape=st.tuples(st.integers(9, 33), st.integers(9, 33)), seed=st.integers(0, 9))
def test_a_complete_sub_grid_leaves_no_hole_within_it(shape, seed):
    done = np.zeros(shape, bool)
    rows, columns = (np.unique([0, *range(n // 2 % 2, n, 2), n - 1]) for n in shape)
    done[np.ix_(rows, columns)] = True
    assert finest_stride(done) == 2
    values = np.random.default_rng(seed).normal(size=shape)
    filled = np.isfinite(guess_missing(np.where(done, values, np.nan), done, [np.arange(float(n)) for n in shape]))
    assert (filled | done).all()


def test_a_plane_is_guessed_exactly():
    x, y = np.linspace(-1, 1, 17), np.linspace(-2, 1, 9)
    plane = 3 * x[None, :] + 2 * y[:, None]
    done = done_after(plane.shape, 40)
    guesses = guess_missing(np.where(done, plane, np.nan), done, (y, x))
    known = np.isfinite(guesses)
    assert known.sum() > 80
    np.testing.assert_allclose(guesses[known], plane[known], atol=1e-12)


def test_nothing_is_guessed_beside_what_is_not_finite():
    done = np.zeros((9, 13), bool)
    done[::2, ::2] = True
    display = np.where(done, 1.0, np.nan)
    display[4, 6] = np.nan  # evaluated, and infinite there
    guesses = guess_missing(display, done, (np.arange(9.0), np.arange(13.0)))
    assert np.isnan(guesses[3:6, 5:8]).all() and np.isfinite(guesses[1, 1]) and np.isfinite(guesses[4, 3])


def test_what_is_too_irregular_is_left_open(surface_of):
    x, y, z = bowl_tables()
    done = np.random.default_rng(0).random(z.shape) < 0.5
    scene = make_scene([surface_of(x, y, train_loss=z, evaluated=done)])
    panel = scene.panels[0]
    assert not panel.guessed.any()
    assert (panel.field.kinds == Cell.NOT_EVALUATED).any()
    assert any("not evaluated:" in entry.text for row in scene.legend for entry in row)


@pytest.mark.parametrize("kind", ["contour", "filled", "surface", "html"])
@pytest.mark.parametrize("share", [0.08, 0.5])
def test_the_picture_is_whole_and_unchanged_at_evaluated_points(kind, share):
    surface, z = part_of_bowl(int(share * 33 * 25))
    scene = make_scene([surface], kind=kind)
    panel, field = scene.panels[0], scene.panels[0].field
    assert (field.kinds != Cell.NOT_EVALUATED).all()
    rows, columns = np.nonzero(surface.evaluated())
    j, i = np.searchsorted(field.y, panel.y)[rows], np.searchsorted(field.x, panel.x)[columns]
    np.testing.assert_allclose(scene.keys[0].scale.inverse(field.display[j, i]), z[rows, columns], rtol=1e-9)
    np.testing.assert_array_equal(panel.z.mask, ~surface.evaluated())  # guesses are no values
    assert panel.extremes.low == z[surface.evaluated()].min()


def test_it_says_how_much_is_evaluated(surface_of):
    surface, z = part_of_bowl(100)
    scene = make_scene([surface])
    texts = [entry.text for row in scene.legend for entry in row]
    assert f"100 of {z.size} points evaluated; between them interpolated" in texts
    assert f"100 of {z.size} points are evaluated, each with a dot" in scene.caption
    assert "interpolated, not measured" in scene.caption
    assert any(f"{z.size - 100} not evaluated" in line for line in scene.footer)
    narrow = make_scene([surface], style="column")
    texts = [entry.text for row in narrow.legend for entry in row]
    assert f"100 of {z.size} points evaluated;" in texts and "between them interpolated" in texts


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_dots_stand_at_the_evaluated_points_and_nowhere_else(kind):
    surface, _ = part_of_bowl(100)
    scene = make_scene([surface], kind=kind, dpi=40)
    with settings(scene):
        figure = make_figure(scene)
    dots = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "samples"]
    if kind == "contour":
        rows, columns = np.nonzero(surface.evaluated())
        panel = scene.panels[0]
        np.testing.assert_array_equal(dots[0].get_xydata(), np.stack([panel.x[columns], panel.y[rows]], axis=1))
    else:
        assert len(dots) == 2 and all(0 < len(line.get_xydata()) <= 100 for line in dots)


def test_a_finished_picture_has_no_dots(bowl):
    scene = make_scene([bowl])
    assert not scene.panels[0].guessed.any() and "Unfinished" not in scene.caption


@pytest.mark.parametrize("words", [{"kind": "heatmap"}, {"smooth": False}])
def test_cells_are_never_guessed(words):
    surface, z = part_of_bowl(100)
    panel = make_scene([surface], **words).panels[0]
    assert not panel.guessed.any() and (panel.kinds == Cell.NOT_EVALUATED).sum() == z.size - 100


def test_a_profile_runs_through_its_points(surface_of):
    from lossviz.render.draw.line import curve_points

    x = np.linspace(-1, 1, 33)
    z = 0.01 + x**2
    done = done_after(x.shape, 12)
    scene = make_scene([surface_of(x, train_loss=z, evaluated=done)])
    at, display = curve_points(scene.panels[0], scene.keys[0].scale, smooth=True)
    inside = (x >= x[done].min()) & (x <= x[done].max())
    assert np.isfinite(display[:-1]).all() and len(at) > inside.sum()
    known = scene.keys[0].scale.inverse(display)[np.searchsorted(at[:-1], x[done])]
    np.testing.assert_allclose(known, z[done], rtol=1e-9)
    assert any("12 of 33 points evaluated" in entry.text for row in scene.legend for entry in row)
