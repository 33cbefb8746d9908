"""Numbers of a sampled surface itself. Two surfaces compare by them only at equal range and normalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lossviz.records.grid import Grid
from lossviz.records.refinement import excluded_share
from lossviz.records.surface import Surface
from lossviz.records.traits import is_higher_better
from lossviz.records.whole import complete

CAUTION = "These numbers compare only between surfaces of equal range and normalization."
LEVELS = (0.01, 0.1, 1.0)
RADII = (0.25, 0.5, 1.0)
_ANGLES = 64  # an even number, so that opposite points are a pair


@dataclass(frozen=True)
class Rise:
    """How much worse a quantity is than at the centre, on a circle around it: on average, and at most."""

    mean: float | None
    largest: float | None


@dataclass(frozen=True)
class Shape:
    """Numbers of one quantity of a surface; None where not known.

    Attributes:
        centre: Value at the trained point.
        minimum: Lowest value, at the coordinates ``minimum_at``.
        maximum: Highest value, at ``maximum_at``.
        rise: By radius: over the centre (where more is better the fall below it), on both sides in one dimension, on
            the three great circles in three; linear between points.
        share: By level: of the grid's area, what is worse than the centre by less than that, each point with the cell
            around it; None where a point is neither evaluated nor interpolated.
        volume: The same as a length, an area or a volume, in units of the directions.
        anisotropy: Largest over smallest rise at the largest radius that fits, opposite points averaged, where that is
            positive.
        second_differences: Per axis, see :func:`second_differences`.
        interpolated: How many points were left out and count with interpolated values.
        interpolation_error: Relative, the largest at the points where ``--refine`` tested it, failed tests too.
        interpolation_failing: The share of them that its tests exclude to be off by more than its tolerance, with 95 %
            confidence.
        caution: What these numbers compare with.
        minima: How many the grid has, with ``saddles`` between them; ``minima_above_noise``: the deeper ones.
    """

    centre: float | None
    minimum: float | None
    minimum_at: list[float] | None
    maximum: float | None
    maximum_at: list[float] | None
    rise: Mapping[str, Rise]
    share: Mapping[str, float | None]
    volume: Mapping[str, float | None]
    anisotropy: float | None
    second_differences: list[float | None]
    interpolated: int
    interpolation_error: float | None
    interpolation_failing: float | None = None
    caution: str = CAUTION
    minima: int | None = None
    saddles: int | None = None
    minima_above_noise: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Shift:
    """How far the lowest point of one quantity lies from that of another, in units of the directions.

    Attributes:
        start: The quantity that it is told from.
        end: The other one.
        shift: Per direction.
        distance: Its length.
        one_step: Largest step of the grid, below which a shift says nothing.
    """

    start: str
    end: str
    shift: list[float]
    distance: float
    one_step: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        words = {"start": "from", "end": "to"}
        return {words.get(name, name): value for name, value in asdict(self).items()}


def describe_shape(
    surface: Surface, name: str, *, radii: Sequence[float] = RADII, levels: Sequence[float] = LEVELS
) -> Shape:
    """Centre, extremes, rise, volume and anisotropy of a quantity.

    Args:
        surface: Finished or not.
        name: Of the quantity, ``train_loss`` for example.
        radii: Where the rise is told, in units of the directions.
        levels: Rises whose share of the grid is told, in units of the quantity.

    Example:
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> surface = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5")))
        >>> describe_shape(surface, "train_loss")
        Traceback (most recent call last):
            ...
        lossviz.errors.UsageError: There is no quantity 'train_loss' in this surface; it holds nothing yet.
    """
    grid = surface.plan.grid
    values = surface.values(name)
    finite = np.where(np.isfinite(values), values, np.nan)
    index = grid.origin_index
    centre = float(finite[grid.position(index)]) if index is not None else np.nan
    lowest = int(np.nanargmin(finite)) if np.isfinite(finite).any() else None
    whole = complete(surface, name)
    filled = whole.values
    worse = (centre - filled) if is_higher_better(name) else filled - centre
    circles = {radius: ring(grid, worse, radius) for radius in radii}
    fitting = [rises for rises in circles.values() if len(rises) and np.isfinite(rises).all()]
    area = cell_sizes(grid)
    known, has_area = area[~np.isnan(filled)].sum(), np.isfinite(centre) and whole.complete
    return Shape(
        centre=_plain(centre),
        minimum=None if lowest is None else float(finite.flat[lowest]),
        minimum_at=None if lowest is None else grid.coordinates([lowest])[0].tolist(),
        maximum=None if lowest is None else float(np.nanmax(finite)),
        maximum_at=None if lowest is None else grid.coordinates([int(np.nanargmax(finite))])[0].tolist(),
        rise={
            f"{radius:g}": Rise(_plain(rises.mean() if len(rises) else np.nan), _plain(rises.max(initial=-np.inf)))
            for radius, rises in circles.items()
        },
        share={f"{level:g}": _plain(area[worse <= level].sum() / known) if has_area else None for level in levels},
        volume={f"{level:g}": _plain(area[worse <= level].sum()) if has_area else None for level in levels},
        anisotropy=_plain(_anisotropy(fitting[-1])) if fitting else None,
        second_differences=[_plain(d) for d in second_differences(grid, values)],
        interpolated=int(whole.guessed.sum()),
        interpolation_error=_plain(whole.error) if whole.guessed.any() else None,
        interpolation_failing=_failing(surface) if whole.guessed.any() else None,
    )


def minimum_shifts(surface: Surface) -> list[Shift]:
    """How far the lowest point of each further split's loss lies from the first's."""
    losses = [f"{split}_loss" for split in surface.splits if f"{split}_loss" in surface.sums]
    lowest = {}
    for name in losses:
        finite = np.where(np.isfinite(surface.values(name)), surface.values(name), np.nan)
        if np.isfinite(finite).any():
            lowest[name] = surface.plan.grid.coordinates([int(np.nanargmin(finite))])[0]
    if len(lowest) < 2:
        return []
    (first, start), *others = lowest.items()
    step = max(float(np.diff(axis.coordinates).max()) for axis in surface.plan.grid.axes)
    return [Shift(first, name, (at - start).tolist(), float(np.linalg.norm(at - start)), step) for name, at in others]


def second_differences(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Second difference along each axis at the centre, (k,), in units of the quantity per squared coordinate.

    It is the mean curvature along one direction over one grid step: at most the largest and at least the smallest
    eigenvalue of the Hessian, times the direction's squared length, and an eigenvalue of nothing. NaN where the centre
    or a neighbour is not known.

    Example:
        >>> grid = Grid.parse("-1:1:5,-2:2:3")
        >>> x, y = grid.axes[0].coordinates, grid.axes[1].coordinates[:, None]
        >>> second_differences(grid, 3 * x**2 - y**2)
        array([ 6., -2.])
    """
    if grid.origin_index is None:
        return np.full(grid.dimension, np.nan)
    at = grid.position(grid.origin_index)
    return np.array([second_differences_at(grid, values, axis)[at] for axis in range(grid.dimension)])


def second_differences_at(grid: Grid, values: np.ndarray, axis: int) -> np.ndarray:
    """Second difference along one axis at every point, of the grid's shape; NaN without neighbours on both sides."""
    x, place = grid.axes[axis].coordinates, grid.dimension - 1 - axis
    along = np.moveaxis(np.asarray(values, np.float64), place, -1)
    found = np.full(along.shape, np.nan)
    with np.errstate(invalid="ignore"):
        slopes = np.diff(along) / np.diff(x)
        found[..., 1:-1] = np.diff(slopes) / ((x[2:] - x[:-2]) / 2)
    return np.moveaxis(found, -1, place)


def ring(grid: Grid, values: np.ndarray, radius: float) -> np.ndarray:
    """Values at a distance from the centre, linear between grid points; empty where that leaves the grid.

    Two in one dimension, 64 on the circle in two, 192 on three great circles in three; opposite ones half way apart.
    """
    at = _circle(grid.dimension) * radius
    for column, axis in zip(at.T, grid.axes, strict=True):
        if column.min() < axis.coordinates[0] - 1e-12 or column.max() > axis.coordinates[-1] + 1e-12:
            return np.empty(0)
    return _interpolate(grid, values, at)


def cell_sizes(grid: Grid) -> np.ndarray:
    """Length, area or volume nearest to each point, of the grid's shape; they add up to the grid's extent."""
    size = np.ones(())
    for axis in grid.axes:
        x = axis.coordinates
        edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
        size = np.diff(edges).reshape(-1, *[1] * size.ndim) * size
    return size


def _circle(dimension: int) -> np.ndarray:
    if dimension == 1:
        return np.array([[1.0], [-1.0]])
    # half the circle and its mirror image, so that opposite points are opposite to the last bit
    half = np.pi * np.arange(_ANGLES // 2) / (_ANGLES // 2)
    arc = np.stack([np.cos(half), np.sin(half)], axis=1)
    planes = [(i, j) for i in range(dimension) for j in range(i + 1, dimension)]
    arcs = np.zeros((len(planes), len(half), dimension))
    for number, plane in enumerate(planes):
        arcs[number][:, plane] = arc
    half_points = arcs.reshape(-1, dimension)
    return np.concatenate([half_points, -half_points])


def _anisotropy(rises: np.ndarray) -> float:
    ahead, behind = np.split(rises, 2)
    pairs = (ahead + behind) / 2
    return float(pairs.max() / pairs.min()) if pairs.min() > 0 else np.nan


def _interpolate(grid: Grid, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Multilinear interpolation at coordinates (K, k)."""
    cells, shares = [], []
    for column, axis in zip(at.T, grid.axes, strict=True):
        x = axis.coordinates
        cell = np.clip(np.searchsorted(x, column, side="right") - 1, 0, len(x) - 2)
        cells.append(cell)
        shares.append(np.clip((column - x[cell]) / (x[cell + 1] - x[cell]), 0.0, 1.0))
    total = np.zeros(len(at))
    for corner in np.ndindex(*[2] * grid.dimension):
        weight = np.prod([s if c else 1 - s for c, s in zip(corner, shares, strict=True)], axis=0)
        found = values[tuple(cell + c for cell, c in zip(reversed(cells), reversed(corner), strict=True))]
        with np.errstate(invalid="ignore"):  # an infinite corner that has no share does not count
            total = total + np.where(weight > 0, weight * found, 0.0)
    return total


def _failing(surface: Surface) -> float | None:
    found = surface.facts.refinement
    return None if found.failed_tests is None or not found.tests else excluded_share(found.tests, found.failed_tests)


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
