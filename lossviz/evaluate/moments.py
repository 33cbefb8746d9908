"""Sums over examples, gathered batch by batch on the device without waiting for it.

Means of batches of unequal size, averaged, count the last short batch too much; here every example has its own weight.
Sums are float64. The squared deviations are taken about the first batch's mean and moved to the true mean at the end,
so that one pass suffices and nothing cancels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lossviz.problem.outcome import Outcome, sum_weighted, weigh, widened


@dataclass
class ExampleSums:
    """Running sums of Q quantities that have a value per example; float64 (…, Q), a leading axis for stacked points."""

    names: tuple[str, ...]
    shift: Tensor
    total: Tensor  # Σ w x
    first: Tensor  # Σ w² (x − shift)
    second: Tensor  # Σ w² (x − shift)²

    def add(self, values: Tensor, weight: Tensor | None) -> None:
        """Add a batch: values (…, Q, B), weights (…, 1, B) or None for ones."""
        deviation = weigh(values - self.shift.unsqueeze(-1), weight)
        self.total = self.total + sum_weighted(values, weight)
        self.first = self.first + sum_weighted(deviation, weight)
        self.second = self.second + (deviation * deviation).sum(-1)

    def add_sums(self, other: ExampleSums, squares: Tensor | float) -> None:
        """Add the sums of other examples, whose Σ w² is ``squares``."""
        moved = other.shift - self.shift
        self.total = self.total + other.total
        self.first = self.first + (other.first + moved * squares)
        self.second = self.second + (other.second + 2 * moved * other.first + moved**2 * squares)


@dataclass
class MomentSums:
    """Sums of all quantities of one split at one point, or at K points at once when ``stacked``.

    Example:
        >>> sums = MomentSums()
        >>> sums.add(Outcome({"loss": torch.tensor([1.0, 3.0])}, None, 2))
        >>> sums.add(Outcome({"loss": torch.tensor([5.0])}, None, 1))
        >>> sums.count, sums.names, sums.packed().tolist()
        (3, ('loss',), [3.0, 9.0, 8.0])
    """

    stacked: bool = False  # values have a leading axis of K points
    count: int = 0
    weight: Tensor | float = 0.0  # Σ w
    squares: Tensor | float = 0.0  # Σ w²
    examples: ExampleSums | None = None
    means: dict[str, Tensor] = field(default_factory=dict)  # Σ w x of quantities that come as batch means

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities, in the order :meth:`packed` has them."""
        return (*(self.examples.names if self.examples else ()), *self.means)

    def add(self, outcome: Outcome) -> None:
        """Add one batch: values (…, B) per example, or (…) where the loss gives the batch's mean."""
        weight = None if outcome.weight is None else widened(outcome.weight)  # (B,) or (K, B)
        self.count += outcome.examples
        self.weight = self.weight + (outcome.examples if weight is None else weight.sum(-1))
        self.squares = self.squares + (outcome.examples if weight is None else (weight * weight).sum(-1))
        each = {name: v for name, v in outcome.values.items() if v.dim() == 1 + self.stacked}
        if each:
            self._add_examples(each, weight)
        for name, value in outcome.values.items():
            if name not in each:
                total = weigh(widened(value), float(outcome.examples) if weight is None else weight.sum(-1))
                self.means[name] = self.means[name] + total if name in self.means else total

    def packed(self) -> Tensor:
        """One float64 row: the weight, then sum and m2 of every quantity; shape (1 + 2·quantities,) or (K, …)."""
        columns: list[Tensor] = []
        if self.examples:
            sums, weight = self.examples, _column(self.weight)
            offset = sums.total / weight - sums.shift
            m2 = sums.second - 2 * offset * sums.first + offset**2 * _column(self.squares)
            columns = list(torch.stack([sums.total, m2.clamp_min(0.0)], dim=-1).flatten(-2).unbind(-1))
        for total in self.means.values():
            columns += [total, torch.full_like(total, torch.nan)]
        weight = self.weight if isinstance(self.weight, Tensor) else torch.full_like(columns[0], self.weight)
        return torch.stack(torch.broadcast_tensors(weight, *columns), dim=-1)

    def on_host(self) -> MomentSums:
        """The same sums in the host's memory, free of what they were summed on."""
        examples = self.examples
        if examples is not None:
            tensors = (examples.shift, examples.total, examples.first, examples.second)
            examples = ExampleSums(examples.names, *(tensor.cpu() for tensor in tensors))
        weight, squares = (n.cpu() if isinstance(n, Tensor) else n for n in (self.weight, self.squares))
        means = {name: total.cpu() for name, total in self.means.items()}
        return MomentSums(self.stacked, self.count, weight, squares, examples, means)

    @classmethod
    def of_slices(cls, slices: Sequence[MomentSums]) -> MomentSums:
        """Sums over all slices of the examples, added in the order given.

        Squared deviations are moved from each slice's shift to the first one's, with no approximation: with δ between
        the two, ``Σ w² (x − s + δ)² = second + 2 δ first + δ² Σ w²``.

        Example:
            >>> slices = [MomentSums(), MomentSums()]
            >>> slices[0].add(Outcome({"loss": torch.tensor([1.0, 3.0])}, None, 2))
            >>> slices[1].add(Outcome({"loss": torch.tensor([5.0])}, None, 1))
            >>> MomentSums.of_slices(slices).packed().tolist()
            [3.0, 9.0, 8.0]
        """
        whole = slices[0].on_host()
        for other in slices[1:]:
            if whole.examples is not None and other.examples is not None:
                whole.examples.add_sums(other.examples, _column(other.squares))
            for name, total in other.means.items():
                whole.means[name] = whole.means[name] + total
            whole.count += other.count
            whole.weight, whole.squares = whole.weight + other.weight, whole.squares + other.squares
        return whole

    def _add_examples(self, each: dict[str, Tensor], weight: Tensor | None) -> None:
        values = widened(torch.stack(list(each.values()), dim=-2))  # (…, Q, B)
        weight = None if weight is None else weight.unsqueeze(-2)
        if self.examples is None:
            zero = values.new_zeros(values.shape[:-1])
            counted = weigh(values, None if weight is None else weight != 0)
            self.examples = ExampleSums(tuple(each), counted.mean(-1), zero, zero, zero)
        self.examples.add(values, weight)


def transfer(rows: Sequence[Tensor]) -> list[list[float]]:
    """Bring packed rows of shape (n_i,) to the host in one copy."""
    flat = iter(torch.cat(list(rows)).cpu().tolist())
    return [list(itertools.islice(flat, len(row))) for row in rows]


def _column(number: Tensor | float) -> Tensor | float:
    return number.unsqueeze(-1) if isinstance(number, Tensor) else number
