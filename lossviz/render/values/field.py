"""A panel's values between its grid points: on fine, even coordinates, in display units, with the cells' kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossviz.records.interpolation import interpolate_grid, refine
from lossviz.records.unfinished import guess_missing
from lossviz.render.values.cells import Cell, classify, fill_from_nearest, has_value, nearest_cell
from lossviz.render.values.scale import Scale


@dataclass(frozen=True, eq=False)
class Field:
    """Display values on a fine grid.

    Attributes:
        x: Fine coordinates, even, from the first sample to the last, shape (m_x,).
        y: The same along the other axis, shape (m_y,).
        display: :meth:`Scale.forward` of the values, finite everywhere (holes hold their nearest neighbour's), (m_y,
            m_x).
        kinds: uint8 :class:`Cell` of the same shape; FINITE and CLIPPED follow the interpolated value, the others the
            cell.
        guesses: At grid points that are not evaluated, the interpolated display values they hold instead; NaN
            elsewhere, (n_y, n_x).
    """

    x: np.ndarray
    y: np.ndarray
    display: np.ndarray
    kinds: np.ndarray
    guesses: np.ndarray

    @property
    def masked(self) -> np.ma.MaskedArray:
        """Display values, masked where there is no value, and where values are clipped or below the scale."""
        return np.ma.masked_array(self.display, mask=np.asarray(self.kinds != Cell.FINITE))

    def values(self, scale: Scale) -> np.ndarray:
        """Values where there are finite ones, NaN elsewhere."""
        return np.where(has_value(self.kinds), scale.inverse(self.display), np.nan)


def make_field(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    evaluated: np.ndarray,
    scale: Scale,
    *,
    fewest: int = 320,
    smooth: bool = True,
) -> Field:
    """Interpolate a panel for drawing.

    Args:
        x: Coordinates of the columns, shape (n_x,).
        y: Coordinates of the rows, shape (n_y,).
        values: Values with NaN and inf as they are, shape (n_y, n_x).
        evaluated: Bool of the same shape.
        scale: In whose display units to interpolate.
        fewest: At least so many fine points along each axis.
        smooth: False repeats each sample over its cell, and leaves points that are not evaluated open.
    """
    kinds = classify(values, evaluated, scale)
    known = has_value(kinds) & (kinds != Cell.BELOW)
    with np.errstate(invalid="ignore"):
        display = np.where(known, scale.forward(values), np.nan)
    guesses = guess_missing(display, evaluated, (y, x)) if smooth else np.full(display.shape, np.nan)
    guessed = np.isfinite(guesses)
    kinds = np.where(guessed, np.uint8(Cell.FINITE), kinds)
    display = np.where(guessed, guesses, np.where(known, display, 0.0))
    display = np.where(kinds == Cell.BELOW, scale.display_ends[0], display)
    display = fill_from_nearest(display, has_value(kinds), x, y)
    fine_x, fine_y = refine(x, fewest), refine(y, fewest)
    own = np.ix_(nearest_cell(y, fine_y), nearest_cell(x, fine_x))
    fine = interpolate_grid(x, y, display, fine_x, fine_y) if smooth else display[own]
    fine_kinds = np.where(np.isin(kinds, (Cell.FINITE, Cell.CLIPPED)), Cell.FINITE, kinds).astype(np.uint8)[own]
    top = scale.display_ends[1]
    above = (
        (fine_kinds == Cell.FINITE)
        & ((np.abs(fine) if scale.symmetric else fine) > top + 1e-12 * abs(top))
        & scale.clipped
    )
    return Field(fine_x, fine_y, fine, np.where(above, np.uint8(Cell.CLIPPED), fine_kinds), guesses)


def steep_share(values: np.ndarray, *, decades: float = 1.0) -> float:
    """Share of neighbouring pairs of positive finite values (n_y, n_x) that differ by more than ``decades``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log10(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    steps = np.concatenate([np.abs(np.diff(log, axis=axis)).ravel() for axis in range(log.ndim)])
    known = np.isfinite(steps)
    return float((steps[known] > decades).mean()) if known.any() else 0.0
