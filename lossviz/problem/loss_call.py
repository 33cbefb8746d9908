"""The one place that calls the user's ``loss(model, batch)``: read, blamed by file and line, and summed by weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.blame import blamed_on_loss
from lossviz.problem.data.batch import Batch
from lossviz.problem.data.examples import Examples, columns
from lossviz.problem.outcome import Outcome, read_outcome
from lossviz.problem.problem import Problem


def take_loss(problem: Problem, batch: Batch, model: nn.Module | None = None) -> Outcome:
    """The quantities of one batch, from the model where it stands.

    Args:
        problem: Its loss is called.
        batch: As the problem's examples are cut.
        model: In place of the problem's own, a copy of it.

    Raises:
        ProblemError: If the loss raises, with file and line, or returns what no loss may.

    Example:
        >>> problem = Problem.make(nn.Linear(2, 1), (torch.ones(5, 2),), lambda m, b: m(b[0]).squeeze(1))
        >>> take_loss(problem, problem.examples["train"].batches(3)[0]).values["loss"].shape
        torch.Size([3])
    """
    with blamed_on_loss():
        return call_loss(problem, batch, problem.model if model is None else model)


def call_loss(problem: Problem, batch: Batch, model: nn.Module) -> Outcome:
    """The bare call, for programs that are traced: what it raises is the caller's to blame."""
    return read_outcome(problem.loss(model, batch), batch)


def weighted_loss(
    problem: Problem, batch: Batch, quantity: str | None = None, model: nn.Module | None = None
) -> tuple[Tensor, Tensor | float]:
    """``Σ w x`` of a batch as a differentiable scalar, and ``Σ w``; the weights count as constants.

    What counts nothing adds nothing to derivatives either: 0/0 has no finite derivative, so examples of zero weight
    whose value is not finite are left out of the batch, and a mean over no counted target is a constant 0.

    Args:
        problem: Its loss is called.
        batch: As the problem's examples are cut.
        quantity: Which of the values that the loss returns; None takes the first.
        model: In place of the problem's own.

    Raises:
        ProblemError: As for :func:`take_loss`, or if the loss does not return the quantity.
    """
    outcome = take_loss(problem, batch, model)
    name = next(iter(outcome.values)) if quantity is None else quantity
    if name not in outcome.values:
        raise ProblemError(f"loss() returns {', '.join(outcome.values)}, but no {name!r} to differentiate.")
    if outcome.weight is None:
        return outcome.weighted_sum(name), outcome.total_weight
    value, counted = outcome.values[name].detach(), outcome.weight != 0
    if not bool(counted.any()):
        return outcome.weighted_sum(name).detach(), outcome.total_weight
    if value.ndim and not bool((counted | torch.isfinite(value)).all()):
        outcome = take_loss(problem, _counted_examples(batch, counted), model)
    return outcome.weighted_sum(name), outcome.total_weight


def _counted_examples(batch: Batch, counted: Tensor) -> Batch:
    if any(len(column) != len(counted) for column in columns(batch)):
        raise ProblemError(
            "An example of weight 0 has a loss that is not finite, which has no derivative, and a batch of this form "
            'cannot be taken without it. Let loss() divide by the number of targets .clamp(min=1) before "weight" '
            "leaves the example out."
        )
    return Examples([batch], recuttable=True).taken(counted.nonzero().flatten().cpu().numpy())
