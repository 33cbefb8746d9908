import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lossviz.records.grid import Grid
from lossviz.records.order import coarse_to_fine


@given(st.lists(st.integers(2, 9), min_size=1, max_size=3), st.randoms())
def test_every_index_comes_once_whatever_the_order_given(lengths, random):
    grid = Grid.parse(",".join(f"-1:1:{n}" for n in lengths))
    given_order = list(range(grid.size))
    random.shuffle(given_order)
    ordered = coarse_to_fine(grid, np.array(given_order))
    assert sorted(ordered.tolist()) == list(range(grid.size))
    np.testing.assert_array_equal(ordered, coarse_to_fine(grid, np.arange(grid.size)))


def test_the_centre_comes_first_and_a_whole_picture_soon():
    grid = Grid.parse("-1:1:51,-1:1:41")
    ordered = coarse_to_fine(grid, np.arange(grid.size))
    assert ordered[0] == grid.origin_index
    early = grid.coordinates(ordered[: grid.size // 14])
    for column, axis in zip(early.T, grid.axes, strict=True):
        gaps = np.diff(np.unique([axis.coordinates[0], axis.coordinates[-1], *column]))
        assert gaps.max() <= 4.001 * np.diff(axis.coordinates)[0]


def test_a_part_is_ordered_like_the_whole():
    grid = Grid.parse("-1:1:9,-1:1:7")
    whole, part = coarse_to_fine(grid, np.arange(63)), np.arange(3, 60, 5)
    assert coarse_to_fine(grid, part).tolist() == [i for i in whole if i in set(part)]
