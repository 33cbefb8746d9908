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
from lossviz.records.traits import is_higher_better
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

    Of a quantity of which more is better they are hills: valleys of its negative.
    Points that are not finite, and those that cannot be interpolated, stand as walls.
    """
    whole = complete(surface, name)
    return find_valleys(-whole.values if is_higher_better(name) else whole.values, whole.stderr)


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
    basin = _basins(rank.reshape(np.shape(values)), len(order))
    root = np.arange(len(order)).tolist()  # union-find over ranks; the root of a set is its lowest point
    found = []
    for left, right, saddle in zip(*_passes(rank.reshape(np.shape(values)), basin), strict=True):
        a, b = _lowest(root, left), _lowest(root, right)
        if a == b:
            continue
        younger, index = order[max(a, b)], order[saddle]
        root[max(a, b)] = min(a, b)
        if flat[younger] < flat[index]:
            noise = 2 * float(np.hypot(errors[index], errors[younger]))
            found.append(Valley(int(younger), int(index), float(flat[index] - flat[younger]), noise))
    minima = np.unique(basin).tolist()
    parts = [Valley(int(order[low]), None, np.inf) for low in minima if root[low] == low]
    return sorted([*parts, *found], key=lambda valley: (-valley.depth, rank[valley.minimum]))


def _basins(rank: np.ndarray, count: int) -> np.ndarray:
    """By rank, the rank of the minimum at which the steepest way down ends, (count,)."""
    lowest = rank.copy()
    for one, other in _edges(rank.ndim):
        np.minimum(lowest[one], rank[other], out=lowest[one])
        np.minimum(lowest[other], rank[one], out=lowest[other])
    known = rank < count
    down = np.empty(count, np.intp)
    down[rank[known]] = lowest[known]
    while (further := down[down]).tobytes() != down.tobytes():
        down = further
    return down


def _passes(rank: np.ndarray, basin: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Two basins and the rank of the lowest pass between them, lowest pass first."""
    count, found = len(basin), []
    for one, other in _edges(rank.ndim):
        a, b = rank[one].ravel(), rank[other].ravel()
        known = np.maximum(a, b) < count
        a, b = a[known], b[known]
        apart = basin[a] != basin[b]
        found.append(np.stack([basin[a[apart]], basin[b[apart]], np.maximum(a, b)[apart]]))
    left, right, saddle = np.concatenate(found, axis=1)
    by_pass = np.argsort(saddle, kind="stable")
    pairs = (np.minimum(left, right) * count + np.maximum(left, right))[by_pass]
    kept = by_pass[np.sort(np.unique(pairs, return_index=True)[1])]
    return left[kept].tolist(), right[kept].tolist(), saddle[kept].tolist()


def _lowest(root: list[int], index: int) -> int:
    while root[index] != index:
        root[index] = root[root[index]]
        index = root[index]
    return index


def _edges(dimension: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Both ends of the edges of the Freudenthal triangulation, as slices of a table, one pair for every direction."""
    for offset in itertools.product((0, 1), repeat=dimension):
        if any(offset):
            yield tuple(slice(None, -1) if o else slice(None) for o in offset), tuple(slice(o, None) for o in offset)
