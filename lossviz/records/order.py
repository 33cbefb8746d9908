"""The order in which grid points are evaluated: coarse to fine, so that the picture is whole early."""

from __future__ import annotations

import numpy as np

from lossviz.records.grid import Grid


def coarse_to_fine(grid: Grid, indices: np.ndarray, *, snake: bool = False) -> np.ndarray:
    """Sort flat ``indices`` so that ever finer sub-grids around the centre, edges included, come one after another.

    A point's level is the largest power of two that divides its distance from the centre, in cells, along every axis
    on whose edge it does not lie. After about 9 % of a 2-D run every fourth row and column is there, and the frame's
    share of them: the picture is whole.

    Args:
        grid: The grid the indices belong to.
        indices: Flat indices (K,), int64, in any order.
        snake: Whether every other row of a sub-grid runs backwards, so that points that follow each other are
            neighbours.

    Returns:
        The same indices in the order to evaluate them; it does not depend on the order given.

    Example:
        >>> coarse_to_fine(Grid.parse("-1:1:5,-1:1:3"), np.arange(15)).tolist()
        [7, 0, 2, 4, 5, 9, 10, 12, 14, 6, 8, 1, 3, 11, 13]
    """
    indices = np.sort(np.asarray(indices, np.int64))
    positions = np.unravel_index(indices, grid.shape)
    distances = [np.abs(p - n // 2) for p, n in zip(positions, grid.shape, strict=True)]
    edges = [(p == 0) | (p == n - 1) for p, n in zip(positions, grid.shape, strict=True)]
    joined = np.bitwise_or.reduce([np.where(edge, 0, d) for d, edge in zip(distances, edges, strict=True)])
    # the lowest set bit of the union is the smallest level of the axes
    level = np.where(joined == 0, max(grid.shape), joined & -joined)
    level = np.where(np.max(distances, axis=0) == 0, 2 * max(grid.shape), level)
    ordered = indices[np.lexsort((np.any(edges, axis=0), -level))]
    return _snake(grid, ordered, np.sort(-level)) if snake else ordered


def _snake(grid: Grid, indices: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Indices of each level, row after row, every other one backwards."""
    parts = []
    for level in np.unique(levels):
        own = np.sort(indices[levels == level])
        rows = np.split(own, np.flatnonzero(np.diff(own // len(grid.axes[0]))) + 1)
        parts += [row[::-1] if number % 2 else row for number, row in enumerate(rows)]
    return np.concatenate(parts) if parts else indices
