"""How points are divided."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.launch.division import Division, Speed, points_per_task, share
from lossviz.records.grid import Grid


@given(st.integers(1, 12), st.integers(2, 9), st.integers(2, 7), st.data())
def test_shares_of_any_points_are_disjoint_whole_and_even(count, nx, ny, data):
    grid = Grid.parse(f"-1:1:{nx},-1:1:{ny}")
    points = np.array(sorted(data.draw(st.sets(st.integers(0, grid.size - 1), min_size=1))))
    shares = [share(grid, (i, count), points) for i in range(1, count + 1)]
    assert sorted(np.concatenate(shares).tolist()) == points.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 10**6), st.integers(1, 1000), st.floats(1e-3, 1e4), st.floats(0, 1e4))
def test_a_task_is_neither_too_short_nor_too_long(missing, slots, point_s, startup_s):
    size = points_per_task(missing, slots, Speed(point_s, startup_s))
    assert 1 <= size <= missing
    if size < missing:  # starting takes at most a third, or a point more than that
        assert (size + 1) * point_s >= 2 * startup_s * 0.999
    if size > 1 and size * point_s > 2 * startup_s:
        assert size <= math.ceil(missing / (4 * slots))


@given(st.integers(1, 10**5), st.integers(1, 100), st.floats(0.1, 100), st.floats(1, 500), st.floats(600, 86400))
def test_a_task_fits_its_time_limit_unless_one_point_does_not(missing, slots, point_s, startup_s, limit_s):
    cut = Division.automatic(missing, slots, Speed(point_s, startup_s), limit_s)
    assert cut.tasks * cut.most >= missing
    assert cut.task_s <= limit_s or cut.most <= 2 or startup_s > 0.5 * limit_s


def test_costs_add_up():
    cut = Division(100, 8, 4, Speed(2.0, 30.0))
    assert (cut.most, cut.task_s, cut.total_s, cut.wall_s) == (13, 56.0, 440.0, 112.0)
    unknown = Division(100, 8, 4, Speed(None))
    assert unknown.task_s is unknown.total_s is unknown.wall_s is None


def test_without_a_known_speed_there_are_four_tasks_a_slot():
    assert Division.automatic(1000, 10, Speed(None)).tasks == 40
    assert Division.automatic(3, 10, Speed(None)).tasks == pytest.approx(3)
