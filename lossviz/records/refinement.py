"""Which points of a grid are worth evaluating, where interpolation does elsewhere; and how far it is off.

Points are asked for level by level. The coarsest two sub-grids are evaluated whole; below them a point is asked for
only where its neighbours of the level before were not foreseen: where interpolating them, in the very way in which
pictures are interpolated, was off by more than twice the tolerance (monotone cubics err by a quarter or less on half
the step). Where values of the finest level were not foreseen, what touches them is asked for too, and so on: where
values jump, a hole or a ridge one cell wide may go on beside them. In the end a random sample of the points left out is
evaluated, so that the error is measured and not hoped for; where such a test fails, its neighbours are asked for as
well, and theirs, until no test fails.

What is asked for follows from the values alone. A run that was stopped, or filled by several processes, goes on with
the same points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.records.facts import RefinementFacts
from lossviz.records.unfinished import guess_missing, places_of

COARSEST = 5  # points along each axis of the first sub-grid, at least
FLOOR = 1e-2  # of the median value: what an error is relative to where the value itself is nearly zero
FEWEST_TESTS, MOST_TESTS, TEST_SHARE = 16, 400, 0.02


@dataclass(frozen=True)
class Refinement:
    """What is asked for, and what the tests found.

    Attributes:
        asked: Bool of the grid's shape: points to evaluate, evaluated ones among them.
        tests: How many points left out were evaluated to measure the error.
        failed_tests: How many of these were off by more than the tolerance.
        failed: The same, with the points asked for on their account.
        median: Median error of the interpolation at the tests, relative to the value; NaN without tests.
        largest: Largest error at the tests, failed ones too; infinite where a value is not finite.
    """

    asked: np.ndarray
    tests: int = 0
    failed_tests: int = 0
    failed: int = 0
    median: float = float("nan")
    largest: float = float("nan")

    @property
    def facts(self) -> RefinementFacts:
        """The numbers that are known, for the file."""
        numbers = {name: getattr(self, name) for name in ("tests", "failed_tests", "failed", "median", "largest")}
        known = {name: value for name, value in numbers.items() if np.isfinite(value)}
        return RefinementFacts(asked=int(self.asked.sum()), **known)


def refine_grid(
    tables: Sequence[np.ndarray], evaluated: np.ndarray, axes: Sequence[np.ndarray], tolerance: float, seed: int = 0
) -> Refinement:
    """Say which points to evaluate next, given the values that are there.

    Args:
        tables: Values that must be met, each of the grid's shape; NaN where not evaluated.
        evaluated: Bool of the same shape.
        axes: Coordinates along each array axis.
        tolerance: Largest error of an interpolated value, relative to the value.
        seed: Of the sample of points that the error is measured at.

    Returns:
        What is asked for so far; when all of it is evaluated, nothing more will be.

    Example:
        >>> x = np.linspace(-1, 1, 33)
        >>> found = refine_grid([1 + x**2], np.ones(33, bool), [x], tolerance=0.01)
        >>> int(found.asked.sum()) < 33, found.largest < 0.01
        (True, True)
    """
    shape = evaluated.shape
    stride = _first_stride(shape)
    asked = _lattice(shape, stride)
    displayed = [_displayed(table, evaluated) for table in tables]
    while stride > 1:
        if not evaluated[asked].all():
            return Refinement(asked)
        level = asked & _lattice(shape, stride) & ~_lattice(shape, 2 * stride)
        errors = _errors(displayed, evaluated & asked & _lattice(shape, 2 * stride), axes)
        surprising = level & ~(errors <= 2 * tolerance)
        stride //= 2
        asked |= _lattice(shape, stride) & _near(surprising, 2 * stride)
    if evaluated[asked].all():
        asked = _followed(displayed, evaluated, asked, axes, tolerance)
    if not evaluated[asked].all() or asked.all():
        return Refinement(asked)
    return _test(displayed, evaluated, asked, axes, tolerance, seed)


def _followed(
    tables: Sequence[_Display], evaluated: np.ndarray, asked: np.ndarray, axes: Sequence[np.ndarray], tolerance: float
) -> np.ndarray:
    """What is asked for, and all that touches points of the last level that were not foreseen, and so on.

    Where values jump, a hole or a ridge one cell wide goes on beside them.
    """
    coarse = _lattice(asked.shape, 2)
    errors = _errors(tables, evaluated & asked & coarse, axes)
    while True:
        surprising = asked & evaluated & ~coarse & ~(errors <= 2 * tolerance)
        grown = asked | _near(surprising, 1)
        if (grown == asked).all():
            return asked
        asked = grown


def _test(
    tables: Sequence[_Display],
    evaluated: np.ndarray,
    base: np.ndarray,
    axes: Sequence[np.ndarray],
    tolerance: float,
    seed: int,
) -> Refinement:
    """Points left out, evaluated all the same; around a failure all that touches it, until none fails."""
    tests = _sample(~base, seed)
    errors = _errors(tables, base, axes)
    asked, failed = base | tests, np.zeros_like(base)
    while True:
        failing = asked & ~base & evaluated & ~(errors <= tolerance)
        if not (failing & ~failed).any():
            break
        failed = failing
        asked = asked | _near(failed, 1)
    known = errors[tests & evaluated]
    return Refinement(
        asked,
        int(tests.sum()),
        int((failed & tests).sum()),
        int(failed.sum()),
        float(np.median(known)) if known.size else float("nan"),
        float(known.max()) if known.size else float("nan"),
    )


def excluded_share(tests: int, failed: int) -> float:
    """The share of points that ``failed`` of so many random tests exclude with 95 % confidence (Clopper and Pearson).

    Example:
        >>> round(excluded_share(84, 0), 4), round(excluded_share(84, 3), 4), excluded_share(0, 0)
        (0.035, 0.0897, 1.0)
    """
    if failed >= tests:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        chance = sum(math.comb(tests, k) * share**k * (1 - share) ** (tests - k) for k in range(failed + 1))
        low, high = (share, high) if chance > 0.05 else (low, share)
    return high


def _first_stride(shape: tuple[int, ...]) -> int:
    """Stride of the finer of the two sub-grids that are evaluated whole."""
    longest = max(1, (min(shape) - 1) // (COARSEST - 1))
    return max(1, 2 ** int(np.log2(longest)) // 2)


def _lattice(shape: tuple[int, ...], stride: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[np.ix_(*places_of(shape, stride))] = True
    return mask


def _near(mask: np.ndarray, reach: int) -> np.ndarray:
    """What lies within ``reach`` cells of the mask along every axis."""
    for axis in range(mask.ndim):
        padded = np.pad(mask, [(reach, reach) if a == axis else (0, 0) for a in range(mask.ndim)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        mask = np.asarray(windows.any(axis=-1))
    return mask


def _sample(left: np.ndarray, seed: int) -> np.ndarray:
    indices = np.flatnonzero(left)
    wanted = min(len(indices), max(FEWEST_TESTS, min(MOST_TESTS, int(TEST_SHARE * left.size))))
    rank = np.random.Philox(key=seed).random_raw(left.size)[indices]
    chosen = np.zeros(left.size, bool)
    chosen[indices[np.argsort(rank, kind="stable")[:wanted]]] = True
    return chosen.reshape(left.shape)


@dataclass(frozen=True)
class _Display:
    """Values as pictures interpolate them: logarithms where all are positive."""

    values: np.ndarray
    log: bool
    floor: float

    def back(self, display: np.ndarray) -> np.ndarray:
        return np.exp(display) if self.log else display


def _displayed(table: np.ndarray, evaluated: np.ndarray) -> _Display:
    finite = table[evaluated & np.isfinite(table)]
    log = bool(finite.size) and bool((finite > 0).all())
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(table) if log else np.asarray(table, np.float64)
    values = np.where(np.isfinite(table), values, np.nan)
    return _Display(values, log, FLOOR * float(np.median(np.abs(finite))) if finite.size else 0.0)


def _errors(tables: Sequence[_Display], known: np.ndarray, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Largest error over the tables of values foreseen from the ``known`` points; infinite where none is foreseen."""
    worst = np.zeros(known.shape)
    for table in tables:
        foreseen = guess_missing(np.where(known, table.values, np.nan), known, axes)
        value = table.back(table.values)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = np.abs(table.back(foreseen) - value) / (np.abs(value) + table.floor)
        error = np.where(np.abs(table.back(foreseen) - value) == 0, 0.0, error)  # 0 of 0
        worst = np.maximum(worst, np.where(np.isnan(error), np.inf, error))
    return worst
