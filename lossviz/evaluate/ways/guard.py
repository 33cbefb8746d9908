"""Fast values compared with the plain loop's: where, and what has to be evaluated again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lossviz.evaluate.ways.way import Way
from lossviz.records.point import Point

INNER = 4  # points inside the window, beside its corners and edge middles
FEWEST, KEPT, SHARE = 3, 16, 0.05  # points compared at the end
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


@dataclass
class Sample:
    """Points of fast ways: a random sample to compare, and the places of all of them.

    Attributes:
        kept: The sample: every point that was given is in it with the same probability.
        places: Splits and indices of all points, in the order they came.
    """

    kept: list[Point] = field(default_factory=list)
    places: list[tuple[tuple[str, ...], np.ndarray]] = field(default_factory=list)
    count: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.Philox(key=SEED)))

    def drawn(self) -> list[Point]:
        """The points to compare: a share of all, but a few at least and not many."""
        wanted = min(len(self.kept), max(FEWEST, int(SHARE * self.count)))
        return [self.kept[place] for place in self.random.permutation(len(self.kept))[:wanted]]

    def add(self, points: Sequence[Point], splits: Sequence[str]) -> None:
        """Add a chunk of points in ``splits``."""
        self.places.append((tuple(splits), np.array(sorted({point.index for point in points}), np.int64)))
        for point in points:
            self.count += 1
            if len(self.kept) < KEPT:
                self.kept.append(point)
            elif (place := int(self.random.integers(self.count))) < KEPT:
                self.kept[place] = point
