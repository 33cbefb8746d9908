import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import UsageError
from lossviz.records.grid import Axis, Grid

counts = st.integers(2, 7)
shapes = st.lists(counts, min_size=1, max_size=3)


def grid_of(lengths):
    return Grid.parse(",".join(f"-1:{2 + i}:{n}" for i, n in enumerate(lengths)))


@given(shapes, st.data())
def test_index_and_position_are_inverse(lengths, data):
    grid = grid_of(lengths)
    index = data.draw(st.integers(0, grid.size - 1))
    assert grid.index(grid.position(index)) == index


@given(shapes)
def test_coordinates_agree_with_meshgrid(lengths):
    grid = grid_of(lengths)
    mesh = np.meshgrid(*[a.coordinates for a in reversed(grid.axes)], indexing="ij")
    expected = np.stack([m.ravel() for m in reversed(mesh)], axis=-1)
    np.testing.assert_array_equal(grid.coordinates(np.arange(grid.size)), expected)


@given(st.floats(0.01, 1e6), st.integers(1, 500))
def test_symmetric_odd_ranges_sample_zero_and_both_ends_exactly(half, k):
    axis = Grid.parse(f"{-half!r}:{half!r}:{2 * k + 1}").axes[0].coordinates
    assert axis[k] == 0.0
    assert (axis[0], axis[-1]) == (-half, half)


@given(shapes)
def test_json_round_trip(lengths):
    grid = grid_of(lengths)
    assert Grid.from_json(grid.to_json()) == grid


def test_alpha_is_the_last_array_axis():
    grid = Grid.parse("-1:1:5,10:20:3")
    assert grid.shape == (3, 5)
    assert grid.names == ("beta", "alpha")
    np.testing.assert_array_equal(grid.coordinates([grid.index((2, 0))]), [[-1.0, 20.0]])


def test_origin_index():
    assert Grid.parse("-1:1:5,-1:1:3").origin_index == 7
    assert Grid.parse("-1:1:4,-1:1:3").origin_index is None
    assert Grid.parse("0:1:3").origin_index == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not first:last:count"),
        ("-1:1", "not first:last:count"),
        ("-1:1:5.5", "not first:last:count"),
        ("1:1:5", "no width"),
        ("1:-1:5", "runs backwards"),
        ("-1:1:1", "at least 2"),
        ("nan:1:5", "not finite"),
        ("0:1:2,0:1:2,0:1:2,0:1:2", "at most 3"),
    ],
)
def test_a_grid_that_does_not_parse_says_what_to_type(text, says):
    with pytest.raises(UsageError, match=says) as error:
        Grid.parse(text)
    assert "--grid -1:1:51,-1:1:41" in str(error.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(UsageError, match=r"no width[\s\S]*backwards"):
        Grid.parse("1:1:5,3:2:5")


def test_axes_are_frozen_and_strictly_increasing():
    axis = Axis("alpha", np.array([0.0, 1.0, 4.0]))
    with pytest.raises(ValueError, match="read-only"):
        axis.coordinates[0] = 5
    with pytest.raises(UsageError, match="strictly increasing"):
        Axis("alpha", np.array([0.0, 0.0, 1.0]))
