"""What sampling leaves unknown: ribbons around contour lines, and levels kept apart by them.

A value is a mean over n examples and has a standard error; where only some of a split's examples were evaluated, a
contour line may lie anywhere in its ribbon ``|L − level| ≤ 2 SE``. Levels whose ribbons would overlap are thinned,
decades surviving first. All points are evaluated on the same examples, so differences between points are better known
than the ribbons say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lossviz.records.interpolation import interpolate_grid
from lossviz.render.values.cells import fill_from_nearest
from lossviz.render.values.key import Key
from lossviz.render.values.levels import rank
from lossviz.render.values.panel import Panel
from lossviz.render.values.scale import Scale

REACH = 2.0  # standard errors on either side of a line
FEWEST_LEVELS = 4
NEAREST = 200  # fine points taken as lying on a line


def samples_some(panel: Panel) -> bool:
    """Whether the panel's values come from a part of the examples, with known standard errors."""
    return panel.view.surface.plan.samples is not None and bool((panel.stderr > 0).any())


def error_field(panel: Panel) -> np.ndarray:
    """Standard errors on the fine grid of the panel's field, (m_y, m_x), in the quantity's units."""
    field = panel.field
    assert field is not None and panel.y is not None
    known = np.isfinite(panel.stderr)
    errors = fill_from_nearest(np.where(known, panel.stderr, 0.0), known, panel.x, panel.y)
    return np.maximum(interpolate_grid(panel.x, panel.y, errors, field.x, field.y), 0.0)


def ribbon(panel: Panel, errors: np.ndarray, level: float, scale: Scale) -> np.ndarray:
    """``|L − level| / (2 SE) − 1`` on the fine grid: at most 0 where the level may lie, NaN where masked."""
    assert panel.field is not None
    values = np.where(panel.field.masked.mask, np.nan, scale.inverse(panel.field.display))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.minimum(np.abs(values - level) / (REACH * errors), 4.0) - 1.0


def separate(key: Key, panels: Sequence[Panel], errors: Sequence[np.ndarray]) -> tuple[Key, str | None]:
    """Thin the levels until no two ribbons overlap.

    Args:
        key: With its levels.
        panels: All panels of the key.
        errors: For each of them :func:`error_field`.

    Returns:
        The key with the levels that can be told apart, and, if they are fewer than four, a sentence saying how many
        examples would do.
    """
    at = {level: _error_at(level, key.scale, panels, errors) for level in key.levels}
    kept: list[float] = []
    for level in sorted(key.levels, key=lambda v: (rank(v) if key.scale.kind == "log" else 0, -v)):
        if all(abs(level - other) >= REACH * (at[level] + at[other]) for other in kept):
            kept.append(level)
    caution = None
    if len(kept) < min(FEWEST_LEVELS, len(key.levels)):
        caution = _too_few(key, at, panels)
    return replace(key, levels=tuple(sorted(kept))), caution


def _error_at(level: float, scale: Scale, panels: Sequence[Panel], errors: Sequence[np.ndarray]) -> float:
    """Median standard error of the fine points nearest to a level."""
    drawn = [(p.field, e, ~np.ma.getmaskarray(p.field.masked)) for p, e in zip(panels, errors, strict=True) if p.field]
    distance = np.concatenate([np.abs(field.display[known] - scale.forward(level)) for field, _, known in drawn])
    error = np.concatenate([e[known] for _, e, known in drawn])
    if not len(distance):
        return 0.0
    return float(np.median(error[np.argsort(distance, kind="stable")[:NEAREST]]))


def _too_few(key: Key, at: dict[float, float], panels: Sequence[Panel]) -> str:
    wanted = np.array(key.levels)[np.linspace(0, len(key.levels) - 1, min(FEWEST_LEVELS, len(key.levels))).astype(int)]
    pairs = zip(wanted[:-1].tolist(), wanted[1:].tolist(), strict=True)
    overlap = [REACH * (at[a] + at[b]) / (b - a) for a, b in pairs]
    count = max(int(panel.view.surface.splits[panel.view.split].count.max()) for panel in panels)
    needed = float(f"{count * max(overlap) ** 2:.1g}")
    return f"Too few examples for contours: {count} a point leave most levels unknown; about {needed:g} are needed."
