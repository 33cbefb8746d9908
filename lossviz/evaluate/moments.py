"""Sums over examples, gathered batch by batch on the device without waiting for it.

Mean batches of unequal size wrongly and the last short batch counts too much; here every example has its own weight.
Sums are float64. The squared deviations are taken about the first batch's mean and moved to the true mean at the end,
so that one pass suffices and nothing cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lossviz.problem.outcome import Outcome


@dataclass
class QuantitySums:
    """Running sums of one quantity over its examples; each tensor is float64 of the leading shape (K,) or ()."""

    shift: Tensor
    total: Tensor  # Σ w x
    first: Tensor  # Σ w² (x − shift)
    second: Tensor  # Σ w² (x − shift)²


@dataclass
class MomentSums:
    """Sums of all quantities of one split at one point, or at K points at once when values have a leading axis.

    Example:
        >>> sums = MomentSums()
        >>> sums.add(Outcome({"loss": torch.tensor([1.0, 3.0])}, None, 2))
        >>> sums.add(Outcome({"loss": torch.tensor([5.0])}, None, 1))
        >>> sums.count, sums.names, sums.packed().tolist()
        (3, ('loss',), [3.0, 9.0, 8.0])
    """

    stacked: bool = False  # values have a leading axis of K points
    count: int = 0
    weight: Tensor | None = None  # Σ w
    squares: Tensor | None = None  # Σ w²
    quantities: dict[str, QuantitySums] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities, in the order :meth:`packed` has them."""
        return tuple(self.quantities)

    def add(self, outcome: Outcome) -> None:
        """Add one batch: values (…, B) per example, or (…) where the loss gives the batch's mean."""
        values = {name: _double(value) for name, value in outcome.values.items()}
        weight = self._add_weight(outcome, next(iter(values.values())))  # (B,) or (K, B)
        for name, value in values.items():
            if value.dim() == 1 + self.stacked:
                self._add_examples(name, value, weight)
            else:
                self._add_mean(name, value, weight)

    def packed(self) -> Tensor:
        """One float64 row: the weight, then sum and m2 of every quantity; shape (…, 1 + 2·quantities)."""
        assert self.weight is not None
        assert self.squares is not None
        columns = [self.weight]
        for sums in self.quantities.values():
            offset = sums.total / self.weight - sums.shift
            m2 = sums.second - 2 * offset * sums.first + offset**2 * self.squares
            columns += [sums.total, m2.clamp_min(0.0)]
        return torch.stack(torch.broadcast_tensors(*columns), dim=-1)

    def _add_weight(self, outcome: Outcome, like: Tensor) -> Tensor:
        weight = outcome.weight
        weight = like.new_ones(outcome.examples) if weight is None else _double(weight)  # (…, B)
        total, squares = weight.sum(-1), (weight * weight).sum(-1)
        self.count += outcome.examples
        self.weight = total if self.weight is None else self.weight + total
        self.squares = squares if self.squares is None else self.squares + squares
        return weight

    def _add_examples(self, name: str, value: Tensor, weight: Tensor) -> None:
        if name not in self.quantities:
            shift, zero = value.mean(-1), value.new_zeros(value.shape[:-1])
            self.quantities[name] = QuantitySums(shift, zero, zero, zero)
        sums, squared = self.quantities[name], weight * weight
        deviation = value - sums.shift.unsqueeze(-1)
        sums.total = sums.total + (weight * value).sum(-1)
        sums.first = sums.first + (squared * deviation).sum(-1)
        sums.second = sums.second + (squared * deviation * deviation).sum(-1)

    def _add_mean(self, name: str, value: Tensor, weight: Tensor) -> None:
        if name not in self.quantities:
            unknown = torch.full_like(value, torch.nan)
            self.quantities[name] = QuantitySums(unknown, torch.zeros_like(value), unknown, unknown)
        # a batch's mean of zero weight (no counted target) adds nothing, even where it is 0/0
        total = weight.sum(-1)
        self.quantities[name].total = self.quantities[name].total + torch.where(total > 0, value * total, 0.0)


def transfer(rows: Sequence[Tensor]) -> list[list[float]]:
    """Bring packed rows of shape (n_i,) to the host in one copy."""
    flat = torch.cat(list(rows)).cpu().tolist()
    ends = torch.tensor([len(row) for row in rows]).cumsum(0).tolist()
    return [flat[end - len(row) : end] for row, end in zip(rows, ends, strict=True)]


def _double(value: Tensor) -> Tensor:
    # Apple's device has no float64: there the sums are kept on the host
    return value.to("cpu", torch.float64) if value.device.type == "mps" else value.to(torch.float64)
