"""Sums of a point by stratum, gathered batch by batch, and what they say about the mean over all examples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lossviz.evaluate.moments import MomentSums
from lossviz.evaluate.strata import Strata
from lossviz.problem.outcome import Outcome, weigh, widened

MIN_EXAMPLES = 256  # fewer say too little about the spread to stop on
# a point stops sooner where its sample happens to spread less, so that one standard error promises too much
MARGIN = 1.15
_LOOK = 1.05  # how many times the examples of the last look the next one waits for: each waits for the device


@dataclass
class StratifiedSums:
    """Sums of the first n examples of the common order, and the mean over all D that they stand for.

    With R the mean by the combined ratio estimator ``Σ_h (N_h/n_h) Σ w x / Σ_h (N_h/n_h) Σ w``, its variance is
    ``Σ_h N_h² (1 − n_h/N_h) s_h² / n_h`` of ``w (x − R)`` over the square of the denominator (Cochran 1977, section
    6.11). Once all examples are in, the sums are the plain ones and nothing is left to be known.

    Args:
        strata: Of the split's examples.
    """

    strata: Strata
    plain: MomentSums = field(default_factory=MomentSums)
    _shift: Tensor | None = None
    _sums: Tensor | None = None  # (5, Q, H): Σ a, Σ a², Σ a w, Σ |w x|, Σ w, with a = w (x − shift)
    _squares: Tensor | float = 0.0  # (H,): Σ w²
    _looked: int = 0

    @property
    def count(self) -> int:
        """Examples taken, n."""
        return self.plain.count

    @property
    def names(self) -> tuple[str, ...]:
        """As :attr:`MomentSums.names`."""
        return self.plain.names

    @property
    def taken(self) -> np.ndarray:
        """Examples taken of each stratum, int64 (H,)."""
        first = self.strata.member[self.strata.order[: self.count]]
        return np.bincount(first, minlength=len(self.strata.levels))

    def add(self, outcome: Outcome) -> None:
        """Add the next batch of the common order."""
        start = self.count
        self.plain.add(outcome)
        if self.plain.examples is None or self.plain.means:
            return  # of batch means nothing is known about single examples, so that all are taken
        values = widened(torch.stack([outcome.values[name] for name in self.plain.examples.names]))  # (Q, B)
        weight = torch.ones_like(values[0]) if outcome.weight is None else widened(outcome.weight)
        if self._shift is None:
            self._shift = self.plain.examples.shift.unsqueeze(-1)
        deviation = weigh(values - self._shift, weight)
        rows = torch.stack([deviation, deviation**2, weigh(deviation, weight), weigh(values, weight).abs(),
                            weight.expand_as(values)])  # fmt: skip
        member = self.strata.member[self.strata.order[start : self.count]]
        columns = torch.from_numpy(member.astype(np.int64)).to(values.device)
        one_hot = torch.nn.functional.one_hot(columns, len(self.strata.levels)).to(values.dtype)  # (B, H)
        summed = rows @ one_hot
        self._sums = summed if self._sums is None else self._sums + summed
        self._squares = self._squares + (weight**2) @ one_hot

    def is_known(self, relative_error: float) -> bool:
        """Whether the first quantity's mean over all examples is known to ``relative_error`` of itself."""
        least = max(MIN_EXAMPLES, self.strata.least, math.ceil(_LOOK * self._looked))
        if self._sums is None or self.plain.means or not least <= self.count < len(self.strata.member):
            return False
        self._looked = self.count
        _, mean, error = self._estimate()
        value, known_to = torch.stack([mean[0], error[0]]).tolist()  # waits for the device
        return math.isfinite(value) and known_to <= relative_error * abs(value)

    def packed(self) -> Tensor:
        """As :meth:`MomentSums.packed`, such that the standard error of the row is that of the stopping rule."""
        if self.count >= len(self.strata.member):
            row = self.plain.packed().clone()
            row[2::2] *= 0.0  # nothing is left to be known; NaN stays NaN
            return row
        weight, mean, error = self._estimate()
        m2 = (error * weight) ** 2 * (self.count - 1) / self.count
        return torch.cat([weight.reshape(1), torch.stack([mean * weight, m2], dim=-1).flatten()])

    def _estimate(self) -> tuple[Tensor, Tensor, Tensor]:
        """The sum of all weights (), and by quantity (Q,) the mean and its stated error."""
        assert self._sums is not None and self._shift is not None
        taken = torch.from_numpy(self.taken).to(self._sums)
        sizes = torch.from_numpy(self.strata.sizes).to(self._sums)
        first, second, mixed, held, weights = self._sums  # (Q, H) each
        each = sizes / taken
        weight = (each * weights[0]).sum()
        offset = (each * first).sum(-1, keepdim=True) / weight  # R − shift
        rest = first - offset * weights  # Σ w (x − R)
        squares = second - 2 * offset * mixed + offset**2 * self._squares
        spread = (squares - rest**2 / taken).clamp_min(0.0) / (taken - 1).clamp_min(1.0)
        variance = (sizes**2 * (1 - taken / sizes) * spread / taken).sum(-1) / weight**2
        unseen = self.strata.unseen(self.taken) * (each * held).sum(-1) / weight
        # two stated errors are to cover what may be unseen
        return weight, (self._shift + offset).squeeze(-1), (MARGIN**2 * variance + (unseen / 2) ** 2).sqrt()
