"""What each grid point can be drawn as: a finite value, or one of the reasons why not.

Every sample owns a cell that reaches half-way to its neighbours; masks are exact to the cell, because nobody measured
where inside a cell a value ceases to be finite.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from lossviz.render.values.scale import Scale


class Cell(IntEnum):
    """How a point is drawn. CLIPPED keeps a colour (the top of the bar), as does BELOW (its bottom)."""

    FINITE = 0
    CLIPPED = 1
    BELOW = 2  # zero or negative on a log scale
    PLUS_INF = 3
    MINUS_INF = 4
    NAN = 5
    NOT_EVALUATED = 6


HATCHES = {
    Cell.CLIPPED: "....",
    Cell.BELOW: "oo",
    Cell.PLUS_INF: "////",
    Cell.MINUS_INF: "\\\\\\\\",
    Cell.NAN: "xxxx",
    Cell.NOT_EVALUATED: "---",
}


def classify(values: np.ndarray, evaluated: np.ndarray, scale: Scale) -> np.ndarray:
    """The :class:`Cell` of every point: uint8 of the shape of ``values``.

    Example:
        >>> values = np.array([1.0, np.inf, np.nan, np.nan])
        >>> classify(values, np.array([True, True, True, False]), Scale("log", 1.0, 2.0))
        array([0, 3, 5, 6], dtype=uint8)
    """
    with np.errstate(invalid="ignore"):
        kinds = np.select(
            [
                ~evaluated,
                np.isnan(values),
                values == np.inf,
                values == -np.inf,
                scale.beyond(values),
                _below(values, scale),
            ],
            [Cell.NOT_EVALUATED, Cell.NAN, Cell.PLUS_INF, Cell.MINUS_INF, Cell.CLIPPED, Cell.BELOW],
            Cell.FINITE,
        )
    return kinds.astype(np.uint8)


def has_value(kinds: np.ndarray) -> np.ndarray:
    """Bool: points that have a finite value, clipped or not."""
    return kinds <= Cell.BELOW


def count_cells(kinds: np.ndarray) -> dict[Cell, int]:
    """How many points are of each kind; every kind is present."""
    counts = np.bincount(kinds.ravel(), minlength=len(Cell))
    return {cell: int(counts[cell]) for cell in Cell}


def cell_edges(coordinates: np.ndarray, *, open_ends: bool = False) -> np.ndarray:
    """Edges of the cells along one axis, shape (n + 1,): midpoints between samples.

    The outer cells end at the outer samples, or with ``open_ends`` reach as far beyond them as within.

    Example:
        >>> cell_edges(np.array([0.0, 1.0, 3.0]))
        array([0. , 0.5, 2. , 3. ])
    """
    middle = (coordinates[:-1] + coordinates[1:]) / 2
    first, last = coordinates[0], coordinates[-1]
    if open_ends:
        first, last = 2 * first - middle[0], 2 * last - middle[-1]
    return np.concatenate([[first], middle, [last]])


def nearest_cell(coordinates: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Index of the sample whose cell holds each of ``at``."""
    return np.searchsorted(cell_edges(coordinates)[1:-1], at, side="right")


def cell_outlines(x: np.ndarray, y: np.ndarray, mask: np.ndarray, *, open_ends: bool = False) -> list[np.ndarray]:
    """Rectangles, each (4, 2), that cover the cells of ``mask`` (n_y, n_x) exactly, merged where they line up."""
    ex, ey = cell_edges(x, open_ends=open_ends), cell_edges(y, open_ends=open_ends)
    boxes: dict[tuple[int, int], list[list[int]]] = {}
    for row, first, last in _runs(mask):
        stack = boxes.setdefault((first, last), [])
        if stack and stack[-1][1] == row:
            stack[-1][1] = row + 1
        else:
            stack.append([row, row + 1])
    return [
        np.array([(ex[i], ey[j]), (ex[k], ey[j]), (ex[k], ey[m]), (ex[i], ey[m])])
        for (i, k), stack in boxes.items()
        for j, m in stack
    ]


def runs_of(mask: np.ndarray) -> list[list[int]]:
    """Runs of True in a flat mask as pairs of first index and length.

    Example:
        >>> runs_of(np.array([True, True, False, True]))
        [[0, 2], [3, 1]]
    """
    return [[first, last - first] for _, first, last in _runs(mask[None])]


def fill_from_nearest(values: np.ndarray, known: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``values`` (n_y, n_x) with every unknown point given the value of a nearby known one (0 if there is none).

    The nearest known point of each row is found first, then the nearest over rows by Euclidean distance with the axes
    scaled to their range: exact, in O(n_x n_y²) at worst, and only for columns that need it.
    """
    if known.all():
        return values
    if not known.any():
        return np.zeros_like(values)
    sx, sy = x / np.ptp(x), y / np.ptp(y)
    column = _nearest_in_row(known, sx)  # (n_y, n_x), -1 where a row has none
    distance = np.where(column < 0, np.inf, (sx[None, :] - sx[np.maximum(column, 0)]) ** 2)
    filled = values.copy()
    for row in np.flatnonzero(~known.all(axis=1)):
        holes = np.flatnonzero(~known[row])
        best = np.argmin(distance[:, holes] + ((sy - sy[row]) ** 2)[:, None], axis=0)
        filled[row, holes] = values[best, column[best, holes]]
    return filled


def _below(values: np.ndarray, scale: Scale) -> np.ndarray:
    return (values <= 0) if scale.kind == "log" else np.zeros(values.shape, bool)


def _nearest_in_row(known: np.ndarray, x: np.ndarray) -> np.ndarray:
    index = np.arange(known.shape[1])
    left = np.maximum.accumulate(np.where(known, index, -1), axis=1)
    right = np.minimum.accumulate(np.where(known, index, len(x))[:, ::-1], axis=1)[:, ::-1]
    to_left = np.where(left < 0, np.inf, x[None] - x[np.maximum(left, 0)])
    to_right = np.where(right >= len(x), np.inf, x[np.minimum(right, len(x) - 1)] - x[None])
    nearest = np.where(to_left <= to_right, left, right)
    return np.where(np.isinf(np.minimum(to_left, to_right)), -1, nearest)


def _runs(mask: np.ndarray) -> list[tuple[int, int, int]]:
    change = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(change == 1)
    ends = np.nonzero(change == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))
