"""The difference of two surfaces on one grid, or the log of their ratio, on a diverging scale symmetric about 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.surface import Surface
from lossviz.records.traits import is_share
from lossviz.render.values.ends import FREE, Ends
from lossviz.render.values.key import Key, scale_words
from lossviz.render.values.resolution import find_resolution
from lossviz.render.values.scale import choose_symmetric
from lossviz.render.values.view import View, relative_rounding
from lossviz.render.words.colours import DIVERGING
from lossviz.render.words.quantity import quantity_label


@dataclass(frozen=True, eq=False)
class DifferenceView(View):
    """A view of the first surface less the second.

    Attributes:
        other: What is subtracted.
        ratio: Whether it is log10 of the first over the second instead, NaN where one of them is not positive.
    """

    other: View
    ratio: bool = False

    @property
    def other_name(self) -> str:
        """The second surface, by its problem and plan."""
        plan = self.other.surface.plan
        return f"the second file ({self.other.surface.subject}, seed {plan.plane.seed}, run {plan.digest()[:10]})"

    @property
    def measure(self) -> str:
        """What is taken of the two values."""
        return "log10 of " if self.ratio else ""

    @property
    def against(self) -> str:
        """How the second surface stands to the first."""
        return "over that of" if self.ratio else super().against

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that both surfaces have."""
        return tuple(name for name in super().names if name in self.other.names)

    def of(self, name: str) -> DifferenceView:
        """The same difference of another quantity."""
        return replace(self, name=name, other=self.other.of(name))

    def values(self) -> np.ndarray:
        """First less second, inf less inf being NaN; or log10 of the ratio."""
        first, second = super().values(), self.other.values()
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            if self.ratio:
                return np.where((first > 0) & (second > 0), np.log10(first) - np.log10(second), np.nan)
            return first - second

    def stderr(self) -> np.ndarray:
        """Unknown: both means come from the same examples, and their covariance was not kept."""
        return np.full(super().values().shape, np.nan)

    def rounding(self) -> float:
        """That of both."""
        if self.ratio:  # relative errors of a ratio add
            return (relative_rounding(self.surface) + relative_rounding(self.other.surface)) / np.log(10)
        return super().rounding() + self.other.rounding()

    def evaluated(self) -> np.ndarray:
        """Where both are."""
        return super().evaluated() & self.other.evaluated()


def subtract_views(views: Sequence[View], surfaces: Sequence[Surface], *, ratio: bool = False) -> list[View]:
    """For each view of the first surface, its difference or ratio to the same view of the second.

    Raises:
        UsageError: If there are not two surfaces, or their grids differ.
    """
    option = "--ratio" if ratio else "--diff"
    if len(surfaces) != 2:
        raise UsageError(f"{option} takes two files, {len(surfaces)} were given.")
    first, second = surfaces
    if first.plan.grid != second.plan.grid:
        raise UsageError(
            f"{option} needs one grid; the first file has {first.plan.grid}, the second {second.plan.grid}. "
            "Compute both with the same --grid."
        )
    mine, theirs = ([view for view in views if view.source == i] for i in (0, 1))
    return [
        DifferenceView(view.surface, 0, view.name, view.axes, view.at, other, ratio)
        for view, other in zip(mine, theirs, strict=True)
    ]


def make_difference_key(views: Sequence[View], *, scale: str, clip: str | float, ends: Ends = FREE) -> Key:
    """The key of differences: symmetric about 0, diverging colours."""
    values = np.concatenate([view.values()[view.evaluated()].ravel() for view in views])
    words = quantity_label(views[0].name, views[0].split)
    ratio = any(isinstance(view, DifferenceView) and view.ratio for view in views)
    percent = is_share(views[0].quantity) and not ratio
    label = f"log₁₀ ratio of {words}" if ratio else f"difference of {words}"
    chosen = ends.put(choose_symmetric(values, scale=scale, clip=clip, resolution=find_resolution(views)), values)
    return Key(label + scale_words(chosen, percent=percent), chosen, DIVERGING[0], percent=percent, ends=ends)
