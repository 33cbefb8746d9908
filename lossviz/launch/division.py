"""Which points are whose: shares of a grid, and how many tasks a run is cut into."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lossviz.records.grid import Grid
from lossviz.records.order import coarse_to_fine

TASKS_PER_SLOT = 4  # so that a slow or late task delays the end by a quarter of a slot's work at most
LONGEST_TASK = 20.0  # in start-ups: then starting costs 5 %, and a longer task only loses more when it is stopped
SHORTEST_TASK = 2.0  # in start-ups: below it a third of the time and more goes into starting
LIMIT_SHARE = 0.9  # of the time limit; the rest is for a slow node


def share(grid: Grid, part: tuple[int, int], points: np.ndarray | None = None) -> np.ndarray:
    """Flat indices of a share: every N-th point of the coarse-to-fine order, from the I-th.

    Shares follow from grid and points alone, so that processes that never speak to each other take disjoint ones, and
    any half of a run is an even, coarse picture of the whole.

    Args:
        grid: The run's grid.
        part: Share I of N, I counting from 1.
        points: Flat indices that are divided, int64 (M,); None divides the whole grid.

    Returns:
        The share in the order to evaluate it, int64.

    Example:
        >>> share(Grid.parse("-1:1:5,-1:1:3"), (2, 4)).tolist()
        [0, 9, 6, 11]
    """
    index, count = part
    points = np.arange(grid.size) if points is None else points
    return coarse_to_fine(grid, points)[index - 1 :: count]


@dataclass(frozen=True)
class Speed:
    """What a run costs, as far as it is known.

    Attributes:
        point_s: Seconds a point, over all splits; None where none was evaluated yet.
        startup_s: Seconds from a process's start to its first point.
    """

    point_s: float | None
    startup_s: float = 60.0


def points_per_task(missing: int, slots: int, speed: Speed, limit_s: float | None = None) -> int:
    """How many points a task of an array should take.

    About four tasks a slot even out slow machines; a task is no longer than 20 start-ups, which then cost 5 %, no
    shorter than two of them, and fits its time limit.

    Args:
        missing: Points to divide.
        slots: Tasks that run at once.
        speed: Cost of a point and of a start.
        limit_s: Time limit of a task; None knows none.

    Example:
        >>> points_per_task(10_201, 64, Speed(60.0, 120.0)), points_per_task(10**6, 512, Speed(120.0, 600.0))
        (40, 100)
        >>> points_per_task(100, 64, Speed(0.1, 30.0)), points_per_task(10_000, 4, Speed(60.0, 120.0), limit_s=1800)
        (100, 25)
    """
    even = math.ceil(missing / (TASKS_PER_SLOT * slots))
    if not speed.point_s:
        return max(1, even)
    startups = speed.startup_s / speed.point_s  # a start-up in points
    size = max(min(LONGEST_TASK * startups, even), SHORTEST_TASK * startups, 1.0)
    if limit_s is not None:
        size = min(size, max((LIMIT_SHARE * limit_s - speed.startup_s) / speed.point_s, 1.0))
    return min(int(size), max(missing, 1))


@dataclass(frozen=True)
class Division:
    """A number of points cut into tasks.

    Attributes:
        points: Points to evaluate.
        tasks: Tasks, each with every ``tasks``-th of them.
        slots: Tasks that run at once.
        speed: What a point and a start cost.
    """

    points: int
    tasks: int
    slots: int
    speed: Speed

    @classmethod
    def automatic(cls, points: int, slots: int, speed: Speed, limit_s: float | None = None) -> Division:
        """Cut into as many tasks as :func:`points_per_task` says."""
        return cls(points, max(1, math.ceil(points / points_per_task(points, slots, speed, limit_s))), slots, speed)

    @property
    def most(self) -> int:
        """Points of the largest task."""
        return math.ceil(self.points / self.tasks)

    @property
    def task_s(self) -> float | None:
        """Seconds the largest task takes."""
        return None if self.speed.point_s is None else self.speed.startup_s + self.most * self.speed.point_s

    @property
    def total_s(self) -> float | None:
        """Seconds all tasks take together."""
        if self.speed.point_s is None:
            return None
        return self.tasks * self.speed.startup_s + self.points * self.speed.point_s

    @property
    def wall_s(self) -> float | None:
        """Seconds until the last task ends, were every slot free at once."""
        return None if self.task_s is None else math.ceil(self.tasks / self.slots) * self.task_s
