"""Minima and saddles of a sampled surface, and how deep each valley is: the merge tree, exact on the grid.

Between grid points the surface counts as linear on the Freudenthal triangulation (squares cut along the diagonal from
low to high coordinates, cubes into six), on which a rising flood is decided by the grid points alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossviz.records.surface import Surface
from lossviz.records.whole import complete


@dataclass(frozen=True)
class Valley:
    """A minimum of the grid, and the saddle over which its valley meets a deeper one.

    Attributes:
        minimum: Flat index of the lowest point.
        saddle: Flat index of the point where it is flooded by a deeper valley; None for the deepest of a connected
            part, which never is.
        depth: The saddle's value less the minimum's, its persistence; infinite without a saddle.
        noise: Two standard errors of that difference if both values were independent, as one may fear at worst; NaN
            where errors are not known.
    """

    minimum: int
    saddle: int | None
    depth: float
    noise: float = np.nan

    @property
    def significant(self) -> bool:
        """Whether the depth exceeds the noise; True where the noise is not known."""
        return not self.depth <= self.noise


def valleys_of(surface: Surface, name: str) -> list[Valley]:
    """Valleys of a quantity, deepest first; points that were left out are interpolated where that is possible.

    Points that are not finite, and those that cannot be interpolated, stand as walls.
    """
    whole = complete(surface, name)
    return find_valleys(whole.values, whole.stderr)


def find_valleys(values: np.ndarray, stderr: np.ndarray | None = None) -> list[Valley]:
    """The merge tree of the sets below a level, as its branches (Edelsbrunner, Letscher & Zomorodian 2002).

    Of two valleys that meet the one with the higher minimum ends (the elder rule); equal values are told apart by
    their flat index. A plateau is one minimum.

    Args:
        values: Over a grid of any dimension; those not finite are left out.
        stderr: Standard errors, of the same shape.

    Returns:
        Valleys of positive depth, deepest first, one of infinite depth for every connected part.

    Example:
        >>> [(v.minimum, v.saddle, v.depth) for v in find_valleys(np.array([0.0, 2.0, 1.0, 5.0]))]
        [(0, None, inf), (2, 1, 1.0)]
    """
    flat = np.asarray(values, np.float64).ravel()
    errors = np.full(flat.shape, np.nan) if stderr is None else np.asarray(stderr, np.float64).ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.isfinite(flat[order])]
    rank = np.full(len(flat), len(flat))
    rank[order] = np.arange(len(order))
    root = np.arange(len(flat))  # union-find; the root of a set is its lowest point
    found = []

    def lowest(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    for index in order.tolist():
        for other in _neighbours(index, np.shape(values)):
            if rank[other] > rank[index]:
                continue
            a, b = lowest(index), lowest(other)
            if a == b:
                continue
            older, younger = (a, b) if rank[a] < rank[b] else (b, a)
            root[younger] = older
            if flat[younger] < flat[index]:
                noise = 2 * float(np.hypot(errors[index], errors[younger]))
                found.append(Valley(int(younger), index, float(flat[index] - flat[younger]), noise))
    parts = [Valley(index, None, np.inf) for index in order.tolist() if root[index] == index]
    return sorted([*parts, *found], key=lambda valley: (-valley.depth, rank[valley.minimum]))


def _neighbours(index: int, shape: tuple[int, ...]) -> Iterator[int]:
    """Flat indices joined to a point by an edge of the Freudenthal triangulation."""
    position = np.unravel_index(index, shape)
    for offset in itertools.product((0, 1), repeat=len(shape)):
        for sign in (1, -1) if any(offset) else ():
            moved = [int(p) + sign * o for p, o in zip(position, offset, strict=True)]
            if all(0 <= m < n for m, n in zip(moved, shape, strict=True)):
                yield int(np.ravel_multi_index(moved, shape))
