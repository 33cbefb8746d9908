"""A whole picture of an unfinished run: guesses between the points that are there, never taken for results.

Points are evaluated coarse to fine: early in a run the edges and every fourth row and column around the centre are
there, later every second. From the finest such sub-grid that is complete, guesses go down to the grid level by level,
by the monotone rule of the pictures, and at every level the points that are there replace them. Nothing is guessed
outside the sub-grid or beside a point without a finite value, and nothing at all where no regular sub-grid is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.records.interpolation import interpolate

FEWEST = 3  # points of a sub-grid along an axis


def guess_missing(display: np.ndarray, evaluated: np.ndarray, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Interpolated display values of points that are not evaluated.

    Args:
        display: Display values, NaN or infinite where there is none to be shown; of one or two dimensions.
        evaluated: Bool of the same shape.
        axes: Coordinates along each array axis.

    Returns:
        float64 of the same shape: guesses, NaN at evaluated points and where nothing can be guessed.

    Example:
        >>> done = np.array([True, False, True, False, True])
        >>> guess_missing(np.where(done, [0.0, 9.0, 2.0, 9.0, 4.0], np.nan), done, [np.arange(5.0)])
        array([nan,  1., nan,  3., nan])
    """
    known = evaluated & np.isfinite(display)
    stride = 0 if evaluated.all() else finest_stride(evaluated)
    if not stride:
        return np.full(display.shape, np.nan)
    table = np.where(known, display, np.nan)
    at = places_of(display.shape, stride)
    coarse = table[np.ix_(*at)]
    while stride > 1:
        stride //= 2
        finer = places_of(display.shape, stride)
        fine = coarse
        for axis in range(display.ndim):
            fine = _spread(fine, axes[axis], at[axis], finer[axis], axis)
        own = np.ix_(*finer)
        coarse, at = np.where(evaluated[own], table[own], fine), finer
    return np.where(evaluated, np.nan, coarse)


def finest_stride(evaluated: np.ndarray) -> int:
    """Distance in cells between the rows and columns of the finest complete sub-grid around the centre; 0 if none.

    Example:
        >>> finest_stride(np.arange(9) % 4 == 0), finest_stride(np.zeros(9, bool))
        (4, 0)
    """
    strides = 2 ** np.arange(int(np.log2(max(evaluated.shape))) + 1)
    enough = strides if min(evaluated.shape) >= FEWEST else []
    return next((int(s) for s in enough if evaluated[np.ix_(*places_of(evaluated.shape, int(s)))].all()), 0)


def places_of(shape: tuple[int, ...], stride: int) -> list[np.ndarray]:
    """Indices along each axis of a sub-grid: the edges, and what is a multiple of ``stride`` away from the centre.

    Example:
        >>> places_of((12,), 4)
        [array([ 0,  2,  6, 10, 11])]
    """
    return [np.unique([0, *range((n // 2) % stride, n, stride), n - 1]) for n in shape]


def _spread(table: np.ndarray, x: np.ndarray, at: np.ndarray, finer: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate along one axis from the places ``at`` to ``finer``; NaN outside them and beside a NaN."""
    table = np.moveaxis(table, axis, 0)
    finite = np.isfinite(table)
    filled = _filled(table, finite, x[at])
    inside = (finer >= at[0]) & (finer <= at[-1])
    wide = np.full((len(finer), *table.shape[1:]), np.nan)
    k = np.clip(np.searchsorted(at, finer[inside], side="right") - 1, 0, len(at) - 2)
    on_first, on_last = finer[inside] == at[k], finer[inside] == at[k + 1]
    shape = (-1,) + (1,) * (table.ndim - 1)
    sound = (finite[k] | on_last.reshape(shape)) & (finite[k + 1] | on_first.reshape(shape))
    wide[inside] = np.where(sound, interpolate(x[at], filled, x[finer[inside]], axis=0), np.nan)
    return np.moveaxis(wide, 0, axis)


def _filled(table: np.ndarray, finite: np.ndarray, x: np.ndarray) -> np.ndarray:
    # what stands in for a hole bends the curve beside it a little and is shown nowhere
    if finite.all():
        return table
    flat, known = table.reshape(len(table), -1).copy(), finite.reshape(len(table), -1)
    for column in np.flatnonzero(~known.all(axis=0)):
        here = known[:, column]
        flat[~here, column] = np.interp(x[~here], x[here], flat[here, column]) if here.any() else 0.0
    return flat.reshape(table.shape)
