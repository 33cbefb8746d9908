"""What of a surface a panel shows: a plane of a grid, or a line through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossviz.errors import UsageError, join_mistakes
from lossviz.records.quantity import SECOND_DIFFERENCE, derived_names, with_derived
from lossviz.records.surface import Surface
from lossviz.render.words.easels import Easel
from lossviz.render.words.plane_text import axis_symbol, eigenvalues_text
from lossviz.render.words.quantity import format_coordinate, quantity_label

UNTOLD = ("problem", "model")  # names of files that say nothing of what is in them
FLOAT64 = 8 * float(np.finfo(np.float64).eps)  # a mean in float64, some roundings long
MOST_SLICES = 5
MOST_LIVE_SLICES = 15  # of the interactive page, which shows one at a time


@dataclass(frozen=True, eq=False)
class View:
    """A part of one quantity of one surface.

    Attributes:
        surface: Where it comes from.
        source: Which of the surfaces given, from 0.
        name: Quantity with its split, such as ``train_loss``.
        axes: Grid axes along x and, for a plane, y; 0 is alpha.
        at: For every other axis of the grid, the index of the coordinate held fixed.
    """

    surface: Surface
    source: int
    name: str
    axes: tuple[int, ...]
    at: tuple[tuple[int, int], ...]

    @property
    def split(self) -> str:
        """The part of the data."""
        return _split_of(self.surface, self.name)

    @property
    def quantity(self) -> str:
        """The quantity without its split."""
        return self.name.removeprefix(f"{self.split}_")

    @property
    def measure(self) -> str:
        """What is taken of the quantity, in words before its name; empty for the quantity itself."""
        return ""

    @property
    def against(self) -> str:
        """Words between the quantity and :attr:`other_name`."""
        return "less that of"

    @property
    def other_name(self) -> str:
        """What is subtracted, in words; empty unless it is a difference."""
        return ""

    @property
    def planar(self) -> bool:
        """Whether it is a plane rather than a line."""
        return len(self.axes) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that it could show."""
        return tuple(self.surface.names) or (self.name,)

    def of(self, name: str) -> View:
        """The same view of another quantity."""
        return replace(self, name=name)

    def coordinates(self, position: int) -> np.ndarray:
        """Coordinates along x (position 0) or y (1)."""
        axis = self.axes[position]
        return self.surface.plan.grid.axes[axis].coordinates[self._part(axis)]

    def values(self) -> np.ndarray:
        """Values, (n_y, n_x) or (n_x,), NaN and inf as they are."""
        return self._cut(self.surface.values(self.name)) if self.name in self.surface.sums else self._nothing()

    def stderr(self) -> np.ndarray:
        """Standard errors of :meth:`values`, NaN where unknown."""
        return self._cut(self.surface.stderr(self.name)) if self.name in self.surface.sums else self._nothing()

    def evaluated(self) -> np.ndarray:
        """Which points have been evaluated."""
        return self._cut(self.surface.evaluated(self.split))

    def rounding(self) -> float:
        """The difference up to which two values are equal but for rounding, as the verdict on the run measured it."""
        table = self.surface.values(self.name) if self.name in self.surface.sums else np.zeros(0)
        if not self.quantity.startswith(SECOND_DIFFERENCE):
            return relative_rounding(self.surface) * _largest(table)
        axis = next(a for a in self.surface.plan.grid.axes if self.quantity.endswith(a.name))
        loss = _largest(self.surface.values(f"{self.split}_loss"))
        return 4 * relative_rounding(self.surface) * loss / float(np.diff(axis.coordinates).min()) ** 2

    def fixed_text(self) -> str:
        """The coordinates held fixed, such as ``γ = −0.5``; empty for a whole plane."""
        axes = self.surface.plan.grid.axes
        return ", ".join(
            f"{axis_symbol(self.surface, a)} = {format_coordinate(axes[a].coordinates[i])}" for a, i in self.at
        )

    def holds_origin(self) -> bool:
        """Whether the origin of the plane lies on the view: every coordinate held fixed is 0."""
        axes = self.surface.plan.grid.axes
        return all(axes[a].coordinates[i] == 0.0 for a, i in self.at)

    def _cut(self, table: np.ndarray) -> np.ndarray:
        index: list[slice | int] = [self._part(axis) for axis in reversed(range(table.ndim))]
        for axis, i in self.at:
            index[table.ndim - 1 - axis] = i
        return table[tuple(index)]

    def _part(self, axis: int) -> slice:
        """Where on an axis the quantity is: a second difference needs neighbours on both sides."""
        inner = self.quantity == f"{SECOND_DIFFERENCE}{self.surface.plan.grid.axes[axis].name}"
        return slice(1, -1) if inner else slice(None)

    def _nothing(self) -> np.ndarray:
        return self._cut(np.full(self.surface.plan.grid.shape, np.nan))


def relative_rounding(surface: Surface) -> float:
    """Share of a value that is rounding: of float64 sums, of a repeated evaluation, or of the precision used."""
    facts = surface.facts
    measured = (facts.repeat_noise, facts.precision.error, facts.probes.float64_error)
    return max([FLOAT64, *(share for share in measured if share is not None and np.isfinite(share))])


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def make_views(surfaces: Sequence[Surface], names: Sequence[str], easel: Easel) -> list[View]:
    """The views of a figure, those of one quantity together.

    A plane is one view; a 3-D grid gives three to five slices along gamma (the page all of up to 15), γ = 0 among them
    where it is sampled; lines go through the point nearest the origin, one along each axis.

    Raises:
        UsageError: If the kind cannot show the grid.
    """
    views = []
    for name in names:
        for source, surface in enumerate(surfaces):
            dimension = surface.plan.grid.dimension
            if not easel.planar:
                views += [
                    View(surface, source, name, (axis,), _through_origin(surface, axis)) for axis in range(dimension)
                ]
            elif dimension == 1:
                raise UsageError(f"A 1-D grid cannot be drawn with --kind {easel.kind}; use --kind line.")
            elif dimension == 2:
                views.append(View(surface, source, name, (0, 1), ()))
            else:
                views += [View(surface, source, name, (0, 1), ((2, i),)) for i in _slices(surface, easel)]
    for view in views:
        if min(len(view.coordinates(position)) for position in range(len(view.axes))) < 2:
            raise UsageError(f"{view.name} needs at least 4 points along that axis of the grid to be drawn.")
    return views


def derive(
    surfaces: Sequence[Surface], wanted: str | Sequence[str] | None
) -> tuple[Sequence[Surface], tuple[str, ...] | None]:
    """The surfaces with what is wanted of them and follows from what they hold; and its names, each with a split.

    ``convexity_ratio`` stands for ``train_convexity_ratio`` where ``train`` is the first split that has it.
    """
    if not wanted:
        return surfaces, None
    wanted = [name.strip() for name in wanted.split(",")] if isinstance(wanted, str) else wanted
    known = [name for surface in surfaces for name in (*surface.names, *derived_names(surface))]
    splits = [split for surface in surfaces for split in surface.splits]
    full = []
    for name in wanted:
        candidates = [name, *(f"{split}_{name}" for split in splits)]
        full.append(next((c for c in candidates if c in known), name))
    return [with_derived(surface, full) for surface in surfaces], tuple(full)


def choose_names(surfaces: Sequence[Surface], wanted: Sequence[str] | None, *, every: bool = False) -> tuple[str, ...]:
    """The quantities to draw: those asked for, or the first loss, or with ``every`` all that every surface has.

    Raises:
        UsageError: If a surface lacks one; the message lists what it holds.
    """
    present = surfaces[0].names
    if not wanted:
        if every and (shared := [name for name in present if all(name in s.names for s in surfaces)]):
            return tuple(shared)
        losses = [name for name in present if name.endswith("_loss")]
        return (next(iter([*losses, *present, f"{surfaces[0].plan.splits[0]}_loss"])),)
    mistakes = []
    for number, surface in enumerate(surfaces, 1):
        missing = [name for name in wanted if surface.names and name not in surface.names]
        if missing:
            which = f"File {number}" if len(surfaces) > 1 else "The file"
            made = f", from which {', '.join(derived)} follow" if (derived := derived_names(surface)) else ""
            mistakes.append(f"{which} has no quantity {', '.join(missing)}; it holds {', '.join(surface.names)}{made}.")
    if mistakes:
        raise UsageError(join_mistakes(mistakes))
    return tuple(dict.fromkeys(wanted))


def title_views(
    views: Sequence[View], surfaces: Sequence[Surface], titles: Sequence[str] | None, easel: Easel
) -> list[str]:
    """A title for each view: the surface's, the quantity where there are several, and the coordinates held fixed."""
    several = len({view.name for view in views}) > 1
    own = list(titles) if titles else _own_titles(surfaces)
    result = []
    for view in views:
        parts = [own[view.source]] if titles or len(surfaces) > 1 or not several else []
        if several:
            words = quantity_label(view.name, view.split)
            parts.append(words if parts else words[:1].upper() + words[1:])
        if easel.planar:
            parts.append(view.fixed_text())
            parts += [eigenvalues_text(view.surface)] * (len(surfaces) > 1)  # only the first column has a label of β
        result.append(", ".join(part for part in parts if part))
    return result


def _own_titles(surfaces: Sequence[Surface]) -> list[str]:
    own = [_subject(surface) for surface in surfaces]
    if len(set(own)) == len(own):
        return own
    return [f"{text or 'surface'} {number}" for number, text in enumerate(own, 1)]


def _subject(surface: Surface) -> str:
    """What a surface is of: its problem's name, or its model's where the file is just called ``problem.py``."""
    problem, model = (name or "" for name in (surface.facts.problem, surface.facts.model))
    return model if model and problem in UNTOLD else problem


def _split_of(surface: Surface, name: str) -> str:
    fitting = [split for split in surface.splits if name.startswith(f"{split}_")]
    return max(fitting, key=len) if fitting else next(iter(surface.splits))


def _through_origin(surface: Surface, along: int) -> tuple[tuple[int, int], ...]:
    axes = surface.plan.grid.axes
    return tuple((a, int(np.argmin(np.abs(axes[a].coordinates)))) for a in range(len(axes)) if a != along)


def _slices(surface: Surface, easel: Easel) -> list[int]:
    gamma = surface.plan.grid.axes[2].coordinates
    count = len(gamma)
    if easel.live and count <= MOST_LIVE_SLICES:
        return list(range(count))
    shown = np.linspace(0, count - 1, min(count, MOST_SLICES if count >= MOST_SLICES else 3)).round().astype(int)
    for centre in np.flatnonzero(gamma == 0.0):  # what holds the trained point is not left out, nor are the ends
        inner = shown[1:-1] if centre not in shown else shown
        inner[np.abs(inner - centre).argmin()] = centre
    return shown.tolist()
