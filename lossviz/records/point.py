"""One evaluated grid point: the sums from which its mean values and standard errors follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """What is known about a grid point; the only word on whether it was evaluated."""

    NOT_COMPUTED = 0
    DONE = 1
    PARTIAL = 2  # stopped before all of the plan's examples; the standard error says how well it is known
    FAILED = 3  # evaluated, and some value is NaN or infinite; the value is a result and is kept


@dataclass(frozen=True)
class Point:
    """Sums over the examples of one split at one grid point.

    With ``x_i`` the value of example i and ``w_i`` its weight (1 unless the loss counts targets, tokens say), the mean
    is ``Σ w x / Σ w`` and its standard error, by the usual ratio estimator, ``√(n/(n−1) · m2) / Σ w``. Of a point that
    stopped early the sums are estimates of those over all examples, and m2 is what gives the standard error of these.

    Attributes:
        index: Flat index into the grid.
        split: Which part of the data.
        count: Examples evaluated, n.
        weight: ``Σ w_i``.
        sums: Per quantity ``Σ w_i x_i``, float64.
        m2: Per quantity ``Σ w_i² (x_i − mean)²``; NaN where the loss returns only batch means.
        seconds: Time spent on the point and split.

    Example:
        >>> point = Point(3, "train", count=4, weight=4.0, sums={"loss": 2.0}, m2={"loss": 3.0})
        >>> point.mean("loss"), point.stderr("loss"), point.status.name
        (0.5, 0.5, 'DONE')
    """

    index: int
    split: str
    count: int
    weight: float
    sums: Mapping[str, float]
    m2: Mapping[str, float]
    seconds: float = 0.0
    partial: bool = False

    @property
    def status(self) -> Status:
        """FAILED when a sum is not finite, else PARTIAL or DONE."""
        if not all(math.isfinite(value) for value in self.sums.values()):
            return Status.FAILED
        return Status.PARTIAL if self.partial else Status.DONE

    def mean(self, quantity: str) -> float:
        """Mean of a quantity over the examples, in the loss's own units (nats per example for cross-entropy)."""
        return self.sums[quantity] / self.weight if self.weight else math.nan

    def deviation(self, quantity: str) -> float:
        """How far single examples lie from the mean, root mean square; 0 where only batch means are known.

        Example:
            >>> Point(3, "train", count=4, weight=4.0, sums={"loss": 8.0}, m2={"loss": 16.0}).deviation("loss")
            2.0
        """
        m2 = self.m2.get(quantity, math.nan)
        return math.sqrt(self.count * m2) / abs(self.weight) if self.weight and math.isfinite(m2) else 0.0

    def stderr(self, quantity: str) -> float:
        """Standard error of :meth:`mean`, over the population the examples were drawn from.

        Where points may stop early it is that of the mean over all examples.
        """
        if self.count < 2 or not self.weight:
            return math.nan
        return math.sqrt(self.count / (self.count - 1) * self.m2[quantity]) / self.weight
