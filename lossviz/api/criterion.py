"""From what a training script calls its loss to ``loss(model, batch)``: a criterion, or the function itself."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError, UsageError
from lossviz.problem.blame import is_out_of_memory
from lossviz.problem.data.batch import map_tensors
from lossviz.problem.habits import Loss
from lossviz.problem.losses import IGNORED, ClassWeights, classify, outputs_and_targets, shapes_in_words

FORMS = (
    "a criterion of output and target, such as nn.CrossEntropyLoss() or torch.nn.functional.mse_loss, or a function "
    "loss(model, batch) that returns one value per example"
)
_FUNCTIONAL = frozenset(id(value) for value in vars(nn.functional).values() if callable(value))


def loss_of(given: Any) -> Loss:
    """Make ``loss(model, batch)`` of a criterion; a function of model and batch stays what it is.

    A criterion is applied to the model's output and the batch's target, per example where it has a ``reduction``, so
    that a short last batch, class weights and ignored targets weigh exactly. Cross-entropy brings the error rate too.

    Raises:
        UsageError: If it is neither.

    Example:
        >>> loss = loss_of(nn.MSELoss())
        >>> loss(nn.Identity(), (torch.zeros(3, 2), torch.ones(3, 2)))
        tensor([1., 1., 1.])
    """
    criterion, words = (given.func, given.keywords) if isinstance(given, functools.partial) else (given, {})
    if isinstance(criterion, nn.CrossEntropyLoss):
        return _cross_entropy(criterion.weight, criterion.ignore_index, criterion.label_smoothing)
    if criterion is nn.functional.cross_entropy:
        return _cross_entropy(
            words.get("weight"), words.get("ignore_index", IGNORED), words.get("label_smoothing", 0.0)
        )
    if isinstance(criterion, nn.Module):
        return _applied(_each_of_module(criterion))
    if id(criterion) in _FUNCTIONAL:
        return _applied(_each_of_function(criterion, words))
    if callable(given) and not inspect.isclass(given) and _takes_two(given):
        return given
    raise UsageError(f"The loss is {_kind(given)}; give {FORMS}.")


def _cross_entropy(weight: Tensor | None, ignore_index: int, label_smoothing: float) -> Loss:
    weights = None if weight is None else ClassWeights(weight.tolist())

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        return classify(*outputs_and_targets(model, batch), ignore_index, weights, label_smoothing)

    return loss


def _applied(each: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    placed: dict[torch.device, Callable[[Tensor, Tensor], Tensor]] = {}

    def loss(model: nn.Module, batch: Any) -> Tensor:
        output, target = outputs_and_targets(model, batch, autoencoder=True)
        if output.device not in placed:
            placed[output.device] = _on(output.device, each)
        try:
            value = placed[output.device](output, target)
        except (RuntimeError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise ProblemError(
                f"The criterion does not take the model's output {shapes_in_words(output)} {output.dtype} with targets "
                f"{shapes_in_words(target)} {target.dtype}: {error}"
            ) from error
        return value.flatten(1).mean(1) if value.dim() > 1 else value

    return loss


def _each_of_module(criterion: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The criterion per example; as it is, a batch's mean, where it has no reduction to switch off."""
    if not isinstance(getattr(criterion, "reduction", None), str):
        return criterion
    each = copy.deepcopy(criterion)
    each.__dict__["reduction"] = "none"
    return each


def _each_of_function(function: Callable[..., Tensor], words: dict[str, Any]) -> Callable[[Tensor, Tensor], Tensor]:
    if "reduction" not in inspect.signature(function).parameters:
        return functools.partial(function, **words)
    return functools.partial(function, **{**words, "reduction": "none"})


def _on(device: torch.device, each: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A criterion with the weights it holds on a device."""
    if isinstance(each, nn.Module):
        return copy.deepcopy(each).to(device) if any(True for _ in each.buffers()) else each
    if isinstance(each, functools.partial):
        words = {name: map_tensors(lambda tensor: tensor.to(device), word) for name, word in each.keywords.items()}
        return functools.partial(each.func, **words)
    return each


def _takes_two(given: Callable[..., Any]) -> bool:
    try:
        inspect.signature(given).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def _kind(given: Any) -> str:
    if isinstance(given, Tensor):
        return "a tensor, a value already computed"
    if inspect.isclass(given):
        return f"the class {given.__name__}, not an object of it (add parentheses)"
    if callable(given):
        return f"a function of {inspect.signature(given)}"
    return f"of type {type(given).__name__}" if not isinstance(given, torch.dtype) else "a dtype"
