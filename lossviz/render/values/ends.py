"""Ends of a scale that were asked for, in place of those that follow from the values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lossviz.errors import UsageError
from lossviz.render.values.scale import Scale
from lossviz.render.words.easels import Easel


@dataclass(frozen=True)
class Ends:
    """The lowest and the highest value of a scale; None leaves an end to the values.

    Attributes:
        low: Values below it have the lowest colour, and lie on the ground.
        high: Values above it are clipped.
    """

    low: float | None = None
    high: float | None = None

    @classmethod
    def read(
        cls, easel: Easel, clip: str | float, vmin: float | None, vmax: float | None, zlim: tuple[float, float] | None
    ) -> Ends:
        """The ends that words name: of colours by ``vmin`` and ``vmax``, of heights and profiles by ``zlim``.

        Raises:
            UsageError: If two words name one end, or one of them means nothing for this kind.

        Example:
            >>> from lossviz.render.words.easels import EASELS
            >>> Ends.read(EASELS["surface"], "auto", None, None, (0.0, 2.0))
            Ends(low=0.0, high=2.0)
        """
        if vmax is not None and clip != "auto":
            raise UsageError("--vmax and --clip both name the highest value shown; give one of them.")
        if zlim is None:
            return cls(vmin, vmax)
        if easel.planar and not easel.raised:
            raise UsageError(f"--zlim is for surface, line and html; a map ({easel.kind}) has --vmin and --vmax.")
        if (vmin, vmax) != (None, None) or clip != "auto":
            raise UsageError("--zlim names both ends of colours and heights; leave out --vmin, --vmax and --clip.")
        return cls(*zlim)

    def kind(self, scale: str) -> str:
        """The kind of scale to ask for: linear where an end that is named has no logarithm."""
        return "linear" if scale == "auto" and self.low is not None and self.low <= 0 else scale

    def put(self, scale: Scale, values: np.ndarray) -> Scale:
        """The scale between these ends, which says whether values lie beyond them.

        Args:
            scale: That follows from the values.
            values: All that are shown, any shape.

        Raises:
            UsageError: If the ends are in the wrong order, have no logarithm, or do not suit a scale symmetric about 0.

        Example:
            >>> scale = Ends(low=0.5).put(Scale("linear", 0.0, 1.0), np.array([0.0, 1.0]))
            >>> scale.low, scale.high, scale.clipped, scale.below
            (0.5, 1.0, False, True)
        """
        if self == FREE:
            return scale
        low, high = self._both(scale)
        if scale.kind == "log" and low <= 0:
            raise UsageError(f"A scale from {low:g} has no logarithm; use --scale linear, or an end above 0.")
        if not low < high:
            raise UsageError(f"The scale would go from {low:.4g} to {high:.4g}; --vmin must be below --vmax.")
        finite = values[np.isfinite(values)]
        sizes = np.abs(finite) if scale.symmetric else finite
        beyond, below = bool((sizes > high).any()), bool((finite < low).any())
        return replace(scale, low=low, high=high, clipped=beyond, below=below, constant=None, merged="")

    def _both(self, scale: Scale) -> tuple[float, float]:
        if not scale.symmetric:
            return scale.low if self.low is None else self.low, scale.high if self.high is None else self.high
        low, high = (-self.high if self.low is None and self.high is not None else self.low), self.high
        high = -low if high is None and low is not None else high
        if low is None or high is None or low != -high:
            raise UsageError(f"This scale is symmetric about 0; from {low:g} to {high:g} is not. Give --vmax alone.")
        return low, high


FREE = Ends()
