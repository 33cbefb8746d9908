"""Fast values compared with the plain loop's: where, and what has to be evaluated again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lossviz.evaluate.ways.way import Way
from lossviz.records.point import Point

INNER = 4  # points inside the window, beside its corners and edge middles
FEWEST, MOST = 3, 90  # points compared at the end: of 90, one is among 5 % wrong ones with probability 99 %
MISSED = 0.01  # probability with which a wrong share is missed that is said to be found
SHARE, FREE_S = 0.05, 1.0  # of the time of the fast points, and seconds, that the comparison may take
SEED = 20


def is_plain(way: Way) -> bool:
    """Whether a way is the loop over the user's own model, unchanged."""
    return way == Way("loop", way.batch_size, lean=way.lean, threads=way.threads)


def spread_first(coordinates: np.ndarray) -> tuple[np.ndarray, int]:
    """An order of points (K, k) that begins with some spread over their window, and how many those are.

    They are nearest to the corners, to the middles of the edges and to a few places inside, drawn with a fixed seed.

    Example:
        >>> order, few = spread_first(np.linspace(-1, 1, 21)[:, None])
        >>> order[:2].tolist(), few, len(order)
        ([0, 20], 6, 21)
    """
    low, high = coordinates.min(0), coordinates.max(0)
    dimension = coordinates.shape[1]
    corners = np.array(list(np.ndindex(*[2] * dimension)), float)
    middles = [np.where(np.arange(dimension) == axis, end, 0.5) for axis in range(dimension) for end in (0.0, 1.0)]
    words = np.random.Philox(key=SEED).random_raw(INNER * dimension).reshape(INNER, dimension)
    inner = (words >> np.uint64(11)) * 2.0**-53
    # the first two lie far from the centre, on opposite sides
    places = np.concatenate([corners[[0, -1]], corners[1:-1], middles if dimension > 1 else np.empty((0, 1)), inner])
    scale = np.where(high > low, high - low, 1.0)
    relative = (coordinates - low) / scale
    chosen = list(dict.fromkeys(int(np.square(relative - place).sum(1).argmin()) for place in places))
    rest = np.setdiff1d(np.arange(len(coordinates)), chosen)
    return np.concatenate([np.array(chosen, np.int64), rest]), len(chosen)


def missable(compared: int) -> float:
    """The largest share of wrong points of which none may be among so many compared ones, with probability ``MISSED``.

    Example:
        >>> round(missable(90), 3), round(missable(3), 3)
        (0.05, 0.785)
    """
    return 1 - MISSED ** (1 / compared)


@dataclass
class Sample:
    """Points of fast ways: a random sample to compare, and the places of all of them.

    Attributes:
        kept: The sample: every point that was given is in it with the same probability.
        places: Splits and indices of all points, in the order they came.
        count: How many points were given.
        seconds: What they took.
        compared: How many were compared so far; those of earlier samples of the run count.
    """

    kept: list[Point] = field(default_factory=list)
    places: list[tuple[tuple[str, ...], np.ndarray]] = field(default_factory=list)
    count: int = 0
    seconds: float = 0.0
    compared: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.Philox(key=SEED)))
    _spent_s: float = 0.0

    def drawn(self) -> Iterator[Point]:
        """The points to compare, in random order, until the comparison has taken its share of the time."""
        order = self.random.permutation(len(self.kept))
        for done, place in enumerate(order):
            if done >= FEWEST and self._spent_s > max(FREE_S, SHARE * self.seconds):
                return
            began = time.perf_counter()
            yield self.kept[place]
            self._spent_s += time.perf_counter() - began
            self.compared += 1

    def again(self) -> Sample:
        """An empty sample for the next points of the same run, which share its time."""
        return Sample(seconds=self.seconds, compared=self.compared, random=self.random, _spent_s=self._spent_s)

    def limits(self) -> str:
        """What the comparison cannot exclude, a sentence; empty where it took all points or enough of them."""
        if not self.count or self.compared >= min(MOST, self.count):
            return ""
        return (
            f"Points are expensive here, so that {self.compared} of the {self.count} values of a fast way were "
            f"compared with the plain loop's: had {100 * missable(self.compared):.2g} % of them been wrong, one would "
            f"have been found with a probability of {100 * (1 - MISSED):.0f} %; fewer may be."
        )

    def take(self, indices: np.ndarray, split: str, point: Callable[[int], Point], seconds: float) -> None:
        """Add points of an earlier session at flat ``indices`` of a split, read one by one where they are drawn.

        Example:
            >>> sample = Sample()
            >>> sample.take(np.arange(1000), "train", lambda index: Point(index, "train", 1, 1.0, {}, {}), 2.0)
            >>> len(sample.kept), sample.count, sample.seconds
            (90, 1000, 2.0)
        """
        first, rest = np.split(indices, [MOST - len(self.kept)])
        self.kept += [point(int(index)) for index in first]
        places = self.random.integers(self.count + len(first) + 1 + np.arange(len(rest)))
        for drawn in np.flatnonzero(places < MOST):
            self.kept[places[drawn]] = point(int(rest[drawn]))
        self.places.append(((split,), indices))
        self.count += len(indices)
        self.seconds += seconds

    def add(self, points: Sequence[Point], splits: Sequence[str]) -> None:
        """Add a chunk of points in ``splits``."""
        self.places.append((tuple(splits), np.array(sorted({point.index for point in points}), np.int64)))
        for point in points:
            self.count += 1
            self.seconds += point.seconds
            if len(self.kept) < MOST:
                self.kept.append(point)
            elif (place := int(self.random.integers(self.count))) < MOST:
                self.kept[place] = point
