"""What a loss returned for one batch, checked by shape and type alone, so that no device is waited for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossviz.errors import ProblemError, join_mistakes
from lossviz.problem.data.batch import Batch, count_examples

WEIGHT = "weight"
QUANTITY_NAME = re.compile(r"\w[\w.\-]*")
NEEDED = (
    "loss(model, batch) must return one value per example, a tensor of shape ({b},); or the batch mean, shape (); or a "
    'dict of such tensors with an optional "weight" of shape ({b},).'
)


@dataclass(frozen=True)
class Outcome:
    """The quantities of one batch.

    Attributes:
        values: Per quantity its values, floating point: shape (B,) one per example, or () the batch mean.
        weight: Shape (B,), the number of counted targets of each example; None weighs all alike.
        examples: Number of examples, B.
    """

    values: dict[str, Tensor]
    weight: Tensor | None
    examples: int

    def detached(self) -> Outcome:
        """The same numbers, cut from what they were computed from."""
        weight = None if self.weight is None else self.weight.detach()
        return Outcome({name: value.detach() for name, value in self.values.items()}, weight, self.examples)

    @property
    def total_weight(self) -> Tensor | float:
        """Σ w over the examples; the number of examples where nothing is weighed."""
        return float(self.examples) if self.weight is None else widened(self.weight.detach()).sum(-1)

    def weighted_sum(self, name: str) -> Tensor:
        """Σ w x of a quantity, float64: over examples x, or a batch's mean x times the total weight.

        Example:
            >>> Outcome({"loss": torch.tensor([2.0, torch.nan])}, torch.tensor([3, 0]), 2).weighted_sum("loss").item()
            6.0
        """
        value = widened(self.values[name])
        if not value.ndim:
            return weigh(value, self.total_weight)
        return sum_weighted(value, None if self.weight is None else widened(self.weight.detach()))


def read_outcome(returned: Any, batch: Batch) -> Outcome:
    """Check what ``loss(model, batch)`` returned and give it one form; a bare tensor is the quantity ``"loss"``.

    Only shapes and types are looked at, so nothing waits for the device.

    Raises:
        ProblemError: If it is not a tensor or dict of tensors of shape (B,) or (), with every mistake.

    Example:
        >>> outcome = read_outcome({"loss": torch.rand(5), "error": torch.rand(())}, batch=torch.zeros(5, 2))
        >>> list(outcome.values), outcome.weight, outcome.examples
        (['loss', 'error'], None, 5)
    """
    examples = count_examples(batch)
    named = dict(returned) if isinstance(returned, Mapping) else {"loss": returned}
    weight = named.pop(WEIGHT, None)
    mistakes = [text for name, value in named.items() if (text := _value_mistake(name, value, examples))]
    if not named:
        mistakes.append("The loss returned a dict without any quantity.")
    if weight is not None and (text := _weight_mistake(weight, examples)):
        mistakes.append(text)
    if mistakes:
        raise ProblemError(f"{join_mistakes(mistakes)}\n{NEEDED.format(b=examples)}")
    return Outcome(named, weight, examples)


def weigh(values: Tensor, weight: Tensor | float | None) -> Tensor:
    """``w x``, and 0 where the weight is 0: what counts nothing adds nothing, even where it is 0/0.

    Args:
        values: Shape (…, B), or (…) for means of batches.
        weight: Of a shape that broadcasts to it; None weighs all alike.

    Example:
        >>> weigh(torch.tensor([torch.nan, 2.0]), torch.tensor([0.0, 3.0])).tolist()
        [0.0, 6.0]
    """
    if weight is None:
        return values
    if not isinstance(weight, Tensor):
        return values * weight
    return torch.where(weight != 0, weight * values, 0.0)


def sum_weighted(values: Tensor, weight: Tensor | float | None) -> Tensor:
    """``Σ w x`` over the last axis, as :func:`weigh` multiplies."""
    return weigh(values, weight).sum(-1)


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float64, for sums; on the host if it lies on Apple's device, which has no float64."""
    return tensor.to("cpu", torch.float64) if tensor.device.type == "mps" else tensor.to(torch.float64)


def _value_mistake(name: Any, value: Any, examples: int) -> str | None:
    """What is wrong with one quantity; None when nothing is."""
    if not isinstance(name, str) or not QUANTITY_NAME.fullmatch(name):
        return f"A quantity is named {name!r}; a name is made of letters, digits, '_', '-' and '.'."
    if not isinstance(value, Tensor):
        hint = "; return the tensor itself, without .item() or .numpy()" if _is_number(value) else ""
        return f"The {name} of a batch of {examples} examples is of type {type(value).__name__}, not a tensor{hint}."
    if not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.")
        hint = "add .float()" if not value.is_complex() else "take its real part or its modulus"
        return f"The {name} is of type {kind}, expected floating point: {hint}."
    if value.ndim and value.shape != (examples,):
        return f"The {name} of a batch of {examples} examples has shape {tuple(value.shape)}{_hint(value, examples)}"
    return None


def _weight_mistake(weight: Any, examples: int) -> str | None:
    if not isinstance(weight, Tensor):
        return f'The "weight" is of type {type(weight).__name__}, not a tensor.'
    if weight.is_complex() or weight.dtype == torch.bool:
        return f'The "weight" is of type {str(weight.dtype).removeprefix("torch.")}; it must be a real number.'
    if weight.shape != (examples,):
        return f'The "weight" of a batch of {examples} examples has shape {tuple(weight.shape)}.'
    return None


def _hint(value: Tensor, examples: int) -> str:
    if value.numel() == examples:
        return ": add .flatten()."
    if value.shape[0] == examples:
        return ': take the mean over the other axes; if it counts tokens, return their number as "weight".'
    return "."


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str)
