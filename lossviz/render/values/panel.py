"""One panel of a scene: its values, what cannot be drawn of them, and its marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lossviz.records.traits import is_higher_better
from lossviz.records.unfinished import guess_missing
from lossviz.render.values.cells import Cell, classify, count_cells, has_value
from lossviz.render.values.field import Field
from lossviz.render.values.key import Key
from lossviz.render.values.scale import Scale
from lossviz.render.values.track import Path
from lossviz.render.values.view import View
from lossviz.render.words.plane_text import axis_label


@dataclass(frozen=True)
class Mark:
    """A place on the plane worth a sign: a checkpoint that it passes through, or the best grid point elsewhere."""

    kind: Literal["trained", "minimum", "maximum", "checkpoint B", "checkpoint C"]
    x: float
    y: float
    value: float


@dataclass(frozen=True, eq=False)
class Extremes:
    """Lowest and highest finite grid values with their coordinates along x and y."""

    low: float
    low_at: tuple[float, ...]
    high: float
    high_at: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel.

    Attributes:
        view: Where the values come from.
        title: Above the panel, possibly empty.
        x: Coordinates along x, (n_x,).
        y: Coordinates along y, (n_y,), or None for a line.
        z: Values (n_y, n_x) or (n_x,), masked where there is no finite value.
        stderr: Standard errors, of the same shape, NaN where unknown.
        kinds: uint8 :class:`Cell`, of the same shape.
        guesses: In a picture of an unfinished run, interpolated values at points that are not evaluated; NaN elsewhere.
        counts: How many points are of each kind.
        extremes: Of the finite values, or None if there are none.
        field: The values between the grid points, or None for a line.
        key: Index into the scene's keys.
        marks: Signs.
        x_label: With its unit.
        y_label: With its unit.
        paths: Optimization paths seen on it.
    """

    view: View
    title: str
    x: np.ndarray
    y: np.ndarray | None
    z: np.ma.MaskedArray
    stderr: np.ndarray
    kinds: np.ndarray
    guesses: np.ndarray
    counts: dict[Cell, int]
    extremes: Extremes | None
    field: Field | None
    key: int
    marks: tuple[Mark, ...]
    x_label: str
    y_label: str
    paths: tuple[Path, ...] = ()

    @property
    def guessed(self) -> np.ndarray:
        """Bool, of the grid's shape: not evaluated, and drawn with an interpolated value."""
        return np.isfinite(self.guesses)

    @property
    def shown_marks(self) -> tuple[Mark, ...]:
        """The marks, less the trained parameters where the sign of a path's end or start stands on them."""
        covered = self.ends_trained or self._meets_origin(0)
        return self.marks if not covered else tuple(mark for mark in self.marks if mark.kind != "trained")

    @property
    def ends_trained(self) -> bool:
        """Whether a path ends at the trained parameters."""
        return any(mark.kind == "trained" for mark in self.marks) and self._meets_origin(-1)

    def _meets_origin(self, at: int) -> bool:
        """Whether a path's snapshot ``at`` is the point that the plane passes through."""
        reach = 1e-6 * float(np.ptp(self.x) + np.ptp(self.y if self.y is not None else self.x))
        return any(len(p.x) > 0 and abs(p.x[at]) + abs(p.y[at]) <= reach for p in self.paths)

    @property
    def best(self) -> tuple[str, float]:
        """``"lowest"``, or ``"highest"`` where more is better, and that value; NaN where none is finite."""
        word = "highest" if is_higher_better(self.view.quantity) else "lowest"
        if self.extremes is None:
            return word, np.nan
        return word, self.extremes.high if word == "highest" else self.extremes.low

    @property
    def aspect(self) -> float:
        """Range of y in units of the range of x, of a plane."""
        assert self.y is not None
        return float(np.ptp(self.y) / np.ptp(self.x))

    @property
    def done(self) -> int:
        """Number of points that are evaluated."""
        return self.kinds.size - self.counts[Cell.NOT_EVALUATED]


def make_panel(
    view: View,
    title: str,
    index: int,
    key: Key,
    field: Field | None,
    *,
    smooth: bool = True,
    paths: tuple[Path, ...] = (),
) -> Panel:
    """Put together what a panel shows of a view; ``index`` is its key's place in the scene."""
    values = view.values()
    kinds = classify(values, view.evaluated(), key.scale)
    x, y = view.coordinates(0), view.coordinates(1) if view.planar else None
    guesses = field.guesses if field else _guesses(values, kinds, x, key, smooth=smooth)
    extremes = find_extremes(values, kinds, x, y)
    return Panel(
        view=view,
        title=title,
        x=x,
        y=y,
        z=np.ma.masked_array(values, mask=~has_value(kinds)),
        stderr=view.stderr(),
        kinds=kinds,
        guesses=key.scale.inverse(guesses),
        counts=count_cells(kinds),
        extremes=extremes,
        field=field,
        key=index,
        marks=_marks(view, values, x, y, None if _has_no_minimum(key.scale, kinds) else extremes),
        x_label=axis_label(view.surface, view.axes[0]),
        y_label=axis_label(view.surface, view.axes[1]) if y is not None else key.label,
        paths=paths,
    )


def axes_agree(panels: Sequence[Panel]) -> tuple[bool, bool]:
    """Whether range, unit and name agree on all panels: along x, and along y."""
    x = {(float(panel.x[0]), float(panel.x[-1]), panel.x_label) for panel in panels}
    y = {(float(p.y[0]), float(p.y[-1]), p.y_label) for p in panels if p.y is not None}
    return len(x) <= 1, len(y) <= 1


def find_extremes(values: np.ndarray, kinds: np.ndarray, x: np.ndarray, y: np.ndarray | None) -> Extremes | None:
    """Lowest and highest finite values and where they are; the first in grid order where several are equal."""
    known = has_value(kinds)
    if not known.any():
        return None

    def place(index: np.intp) -> tuple[float, ...]:
        if y is None:
            return (float(x[index]),)
        row, column = divmod(int(index), len(x))
        return float(x[column]), float(y[row])

    low = np.argmin(np.where(known, values, np.inf))
    high = np.argmax(np.where(known, values, -np.inf))
    return Extremes(float(values.flat[low]), place(low), float(values.flat[high]), place(high))


def _guesses(values: np.ndarray, kinds: np.ndarray, x: np.ndarray, key: Key, *, smooth: bool) -> np.ndarray:
    shown = has_value(kinds) & (kinds != Cell.BELOW)
    if not smooth:
        return np.full(values.shape, np.nan)
    return guess_missing(np.where(shown, key.scale.forward(values), np.nan), kinds != Cell.NOT_EVALUATED, (x,))


def _has_no_minimum(scale: Scale, kinds: np.ndarray) -> bool:
    return scale.symmetric or scale.constant is not None or bool((kinds == Cell.MINUS_INF).any())


def _marks(
    view: View, values: np.ndarray, x: np.ndarray, y: np.ndarray | None, extremes: Extremes | None
) -> tuple[Mark, ...]:
    marks = []
    axes = (x,) if y is None else (x, y)
    inside = all(axis[0] <= 0.0 <= axis[-1] for axis in axes) and view.holds_origin()
    if inside and not view.surface.plan.problem.is_formula:
        marks.append(Mark("trained", 0.0, 0.0, _value_at(view, values, axes, (0.0, 0.0))))
    marks += _checkpoints(view, values, axes)
    if extremes is not None and extremes.low != extremes.high:
        higher = is_higher_better(view.quantity)
        best, value = (extremes.high_at, extremes.high) if higher else (extremes.low_at, extremes.low)
        if not (inside and all(c == 0.0 for c in best)):
            at = (*best, 0.0)
            marks.append(Mark("maximum" if higher else "minimum", at[0], at[1], value))
    return tuple(marks)


def _checkpoints(view: View, values: np.ndarray, axes: tuple[np.ndarray, ...]) -> list[Mark]:
    """The second and third checkpoint that the plane was laid through, where the window holds them."""
    whole = len(axes) == view.surface.plan.grid.dimension
    points = list(view.surface.facts.plane.points.values())[1:3] if whole else []
    marks = []
    for kind, point in zip(("checkpoint B", "checkpoint C"), points, strict=False):
        if all(axis[0] <= c <= axis[-1] for axis, c in zip(axes, point, strict=True)):
            at = (*point, 0.0)
            marks.append(Mark(kind, at[0], at[1], _value_at(view, values, axes, at)))
    return marks


def _value_at(view: View, values: np.ndarray, axes: tuple[np.ndarray, ...], point: tuple[float, ...]) -> float:
    """The value of a grid point; of the origin elsewhere the checkpoint's own, NaN where it is not known."""
    at = [np.flatnonzero(np.isclose(axis, c, rtol=0, atol=1e-9)) for axis, c in zip(axes, point, strict=False)]
    if all(len(index) for index in at):
        return float(values[tuple(int(index[0]) for index in reversed(at))])
    known = view.surface.facts.origin.get(view.name) if not any(point[: len(axes)]) else None
    return float(known) if known is not None else float("nan")
