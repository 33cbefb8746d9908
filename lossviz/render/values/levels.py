"""Contour levels that a reader can name: 1-2-5 numbers, enough of them, none too close on paper.

On a log scale the mantissas come from a ladder that grows coarser with the range; the basin is guarded (at least two
levels lie below the 2 % area quantile), lines that would fall within 0.75 mm of each other on paper are thinned,
decades surviving first, and gaps wider than 6 mm are filled. On a linear scale the steps are 1, 2, 2.5 or 5 times a
power of ten.
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from lossviz.render.values.scale import Scale

FEWEST, MOST = 8, 14
CLOSEST_MM, WIDEST_MM = 0.75, 6.0
TICKS_APART = 0.045  # of the colour bar
LADDER = (
    (0.35, (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9)),
    (0.8, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
    (1.8, (1, 1.5, 2, 3, 5, 7)),
    (3.4, (1, 2, 5)),
    (6.5, (1, 3)),
    (14.0, (1,)),
)
STRIDES = (2, 3, 5, 10, 20, 50, 100)  # in decades, beyond the ladder


def choose_levels(values: np.ndarray, scale: Scale, *, width_mm: float = 55.0) -> tuple[float, ...]:
    """Levels for all panels that share a scale.

    Args:
        values: Values at points spread evenly over the area of every panel, any shape.
        scale: Kind and ends; no level lies outside.
        width_mm: Width of one panel on paper.

    Returns:
        Increasing levels strictly inside the range of the values; empty if the surface is constant.

    Example:
        >>> choose_levels(np.geomspace(0.01, 100, 1000), Scale("log", 0.01, 100.0))
        (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
    """
    ordered = np.sort(values[np.isfinite(values)], axis=None)
    if scale.constant is not None or not len(ordered) or scale.low >= scale.high:
        return ()
    if scale.kind == "linear":
        return _even_levels(*scale.display_ends, scale)
    if scale.kind == "symlog":
        return _mirrored_levels(scale)
    rung = _choose_rung(scale)
    if rung == 0 and len(_rung_levels(rung, scale)) < FEWEST:  # a range too narrow for mantissas of two digits
        return _even_levels(scale.low, scale.high, None)
    levels = _guard_basin(_rung_levels(rung, scale), rung, ordered, scale)
    levels = _fill(_thin(levels, ordered, width_mm), rung, ordered, scale, width_mm)
    return tuple(float(level) for level in levels)


def is_major(level: float, scale: Scale) -> bool:
    """Whether a level is a decade of a log scale, drawn as a heavier line.

    Example:
        >>> is_major(0.1, Scale("log", 0.01, 1.0)), is_major(0.3, Scale("log", 0.01, 1.0))
        (True, False)
    """
    return scale.kind != "linear" and rank(abs(level)) == 0


def rank(level: float) -> int:
    """0 for a power of ten, 1 for 2, 3 and 5 times one, 2 for the rest: the order in which lines survive thinning."""
    if level <= 0:
        return 2
    mantissa = float(f"{level:.6e}".split("e")[0])
    return 0 if mantissa == 1.0 else 1 if mantissa in (2.0, 3.0, 5.0) else 2


def spread_ticks(levels: tuple[float, ...], scale: Scale, apart: float = TICKS_APART) -> tuple[float, ...]:
    """The levels that get a number on the colour bar: at least ``apart`` of its length apart, decades first."""
    kept: list[float] = []
    for level in sorted(levels, key=lambda value: (_importance(value, scale), -value)):
        place = float(scale.position(level))
        if all(abs(place - float(scale.position(other))) >= apart for other in kept):
            kept.append(level)
    return tuple(sorted(kept))


def even_decades(scale: Scale, apart: float) -> tuple[float, ...]:
    """Powers of ten, every one or every second and so on, ``apart`` of a log axis' length; empty if fewer than three.

    Example:
        >>> even_decades(Scale("log", 0.02, 400.0), 0.2), even_decades(Scale("log", 0.02, 400.0), 0.4)
        ((0.1, 1.0, 10.0, 100.0), ())
    """
    if scale.kind != "log":
        return ()
    low, high = scale.display_ends
    every = max(1, int(np.ceil(apart * (high - low) - 1e-9)))
    exponents = [e for e in range(int(np.ceil(low - 1e-9)), int(np.floor(high + 1e-9)) + 1) if e % every == 0]
    return tuple(float(f"1e{e}") for e in exponents) if len(exponents) >= 3 else ()


def _even_levels(low: float, high: float, scale: Scale | None) -> tuple[float, ...]:
    inside = np.array([])
    for intervals in (12, 13, 14, 15):
        ticks = np.asarray(MaxNLocator(nbins=intervals, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
        inside = ticks[(ticks > low) & (ticks < high)]
        if FEWEST <= len(inside) <= MOST:
            break
    return tuple(dict.fromkeys((scale.inverse(inside) if scale else inside).tolist()))


def _importance(level: float, scale: Scale) -> int:
    """Which numbers come first where not all have room: decades on a log scale, 0 on a symmetric one."""
    return -1 if level == 0 else rank(abs(level)) if scale.kind != "linear" else 0


def _mirrored_levels(scale: Scale) -> tuple[float, ...]:
    """Of a symmetric log scale: the same levels on both sides, and 0."""
    side = Scale("log", scale.core / 1.1, scale.high)
    rungs = range(_choose_rung(side), len(LADDER) + len(STRIDES))
    sizes = next(found for rung in rungs if len(found := _rung_levels(rung, side)) <= FEWEST).tolist()
    return (*(-size for size in reversed(sizes)), 0.0, *sizes)


def _decades(scale: Scale) -> float:
    low, high = scale.display_ends
    return high - low


def _choose_rung(scale: Scale) -> int:
    decades = _decades(scale)
    rung = next((i for i, (widest, _) in enumerate(LADDER) if decades <= widest), len(LADDER) - 1)
    while rung > 0 and len(_rung_levels(rung, scale)) < FEWEST:
        rung -= 1
    while rung < len(LADDER) + len(STRIDES) - 1 and len(_rung_levels(rung, scale)) > MOST:
        rung += 1
    return rung


def _rung_levels(rung: int, scale: Scale) -> np.ndarray:
    low, high = scale.display_ends
    first, last = int(np.floor(low)) - 1, int(np.ceil(high)) + 1
    if rung < len(LADDER):
        texts = [f"{mantissa}e{exponent}" for exponent in range(first, last) for mantissa in LADDER[rung][1]]
    else:
        stride = STRIDES[rung - len(LADDER)]
        texts = [f"1e{exponent}" for exponent in range(first, last) if exponent % stride == 0]
    levels = np.array([float(text) for text in texts])
    return levels[(levels > 1.02 * scale.low) & (levels < scale.high)]


def _guard_basin(levels: np.ndarray, rung: int, ordered: np.ndarray, scale: Scale) -> np.ndarray:
    basin = ordered[int(0.02 * (len(ordered) - 1))]
    missing = 2 - int((levels < basin).sum())
    finer, finest = np.array([]), max(rung - 2, 0)
    while missing > len(finer) and rung > finest:
        rung -= 1
        finer = np.setdiff1d(_rung_levels(rung, scale), levels)
        finer = finer[finer < basin]
    if missing <= 0 or not len(finer):
        return levels
    if len(finer) > 3:
        finer = finer[np.linspace(0, len(finer) - 1, 3).round().astype(int)]
    return np.union1d(levels, finer)


def _radius_mm(level: float, ordered: np.ndarray, width_mm: float) -> float:
    # radius of the disc with the area below the level: what separates two closed lines on paper
    return width_mm * float(np.sqrt(np.searchsorted(ordered, level) / len(ordered) / np.pi))


def _thin(levels: np.ndarray, ordered: np.ndarray, width_mm: float) -> np.ndarray:
    kept: list[float] = []
    for level in sorted(levels.tolist(), key=lambda value: (rank(value), -value)):
        radius = _radius_mm(level, ordered, width_mm)
        if all(abs(radius - _radius_mm(other, ordered, width_mm)) > CLOSEST_MM for other in kept):
            kept.append(level)
    return np.sort(np.array(kept))


def _fill(levels: np.ndarray, rung: int, ordered: np.ndarray, scale: Scale, width_mm: float) -> np.ndarray:
    if rung == 0 or not len(levels):
        return levels
    radii = [_radius_mm(level, ordered, width_mm) for level in levels]
    finer = _rung_levels(min(rung, len(LADDER)) - 1, scale)
    added = []
    for i in range(len(levels) - 1):
        between = [v for v in finer.tolist() if levels[i] < v < levels[i + 1]]
        middle = (radii[i] + radii[i + 1]) / 2
        if radii[i + 1] - radii[i] > WIDEST_MM and between:
            best = min(between, key=lambda v: abs(_radius_mm(v, ordered, width_mm) - middle))
            if min(abs(_radius_mm(best, ordered, width_mm) - r) for r in radii) > CLOSEST_MM:
                added.append(best)
    room = max(0, MOST - len(levels))
    return np.union1d(levels, added[:room])
