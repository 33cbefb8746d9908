"""The differences below which values say nothing: those of rounding, and those far below the standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.render.values.view import View

FAR_BELOW = 1e-4  # of the standard error: points share their examples, so that differences are known better than values


@dataclass(frozen=True)
class Resolution:
    """What can be told apart among the values of some views.

    Attributes:
        rounding: Differences up to this are rounding.
        stderr: Median standard error of the values, 0 where it is not known.
    """

    rounding: float = 0.0
    stderr: float = 0.0

    def merges(self, spread: float) -> str:
        """Why values that differ by ``spread`` are shown as one: ``"rounding"``, ``"sampling"``, or empty.

        Example:
            >>> Resolution(1e-12, 0.016).merges(2e-7), Resolution(1e-6, 0.016).merges(2e-7), Resolution().merges(2e-7)
            ('sampling', 'rounding', '')
        """
        if spread <= self.rounding:
            return "rounding"
        return "sampling" if spread < FAR_BELOW * self.stderr else ""


EXACT = Resolution()


def find_resolution(views: Sequence[View]) -> Resolution:
    """The resolution of the views of one quantity together: the coarsest rounding, the median standard error."""
    errors = np.concatenate([view.stderr().ravel() for view in views])
    errors = errors[np.isfinite(errors) & (errors > 0)]
    return Resolution(max(view.rounding() for view in views), float(np.median(errors)) if len(errors) else 0.0)
