"""A surface with interpolated values at the points that were left out, for the numbers that are made of all points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossviz.records.surface import Surface
from lossviz.records.unfinished import guess_missing


@dataclass(frozen=True, eq=False)
class Whole:
    """Values of one quantity over a grid.

    Attributes:
        values: Evaluated ones as they are, else interpolated; NaN where neither is known.
        stderr: Standard errors; at interpolated points the largest error measured by ``--refine``, NaN if none was.
        guessed: Bool: which points are interpolated.
        complete: Whether every point is evaluated or interpolated.
        error: Largest relative error that interpolation had where it was tested, NaN if it was not.
    """

    values: np.ndarray
    stderr: np.ndarray
    guessed: np.ndarray
    complete: bool
    error: float


def complete(surface: Surface, name: str) -> Whole:
    """Interpolate a quantity as pictures do: monotonically, on a log scale where all values are positive."""
    values, stderr, done = surface.values(name), surface.stderr(name), surface.evaluated(surface.split_of(name))
    finite = values[done & np.isfinite(values)]
    log = bool(finite.size) and bool((finite > 0).all())
    if done.all() or values.ndim > 2:
        guesses = np.full(values.shape, np.nan)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            display = np.log(values) if log else values
        axes = [axis.coordinates for axis in reversed(surface.plan.grid.axes)]
        guesses = guess_missing(np.where(np.isfinite(display), display, np.nan), done, axes)
        guesses = np.exp(guesses) if log else guesses
    guessed = np.isfinite(guesses)
    largest = surface.facts.refinement.largest
    error = np.nan if largest is None else float(largest)
    return Whole(
        values=np.where(guessed, guesses, values),
        stderr=np.where(guessed, np.abs(guesses) * error, stderr),
        guessed=guessed,
        complete=bool((done | guessed).all()),
        error=error,
    )
