"""The one way to take the user's ``loss(model, batch)``: read, blamed by file and line, and summed by weight.

A loss may do more than return values. One of a physics-informed network differentiates by its inputs, one of
meta-learning by the parameters; both need gradients on, which cost memory that other losses should not pay. Some write
into their batch, some switch the model to training mode. So each loss is tried once, with gradients off and on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossviz.errors import ProblemError
from lossviz.problem.blame import blame_loss
from lossviz.problem.data.batch import Batch, map_tensors
from lossviz.problem.data.examples import Examples, columns
from lossviz.problem.habits import OUT_OF_MEMORY, Habits, Types, returned_by, try_loss
from lossviz.problem.isolation import untracked
from lossviz.problem.kept import Attributes
from lossviz.problem.outcome import Outcome, read_outcome
from lossviz.problem.problem import Problem
from lossviz.problem.stand import standing

TRIED = 8  # examples


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
    model, habits = problem.model if model is None else model, habits_of(problem)
    try:
        if habits.writes:
            batch = map_tensors(torch.clone, batch)
        if torch.is_grad_enabled() or not habits.differentiates:
            return call_loss(problem, batch, model)
        with gradients_on(model, problem.params):
            return call_loss(problem, batch, model).detached()
    except Exception as error:
        blame_loss(error)


def call_loss(problem: Problem, batch: Batch, model: nn.Module) -> Outcome:
    """The bare call, for programs that are traced: what it raises is the caller's to blame."""
    return read_outcome(returned_by(problem.loss, model, batch), batch)


def habits_of(problem: Problem) -> Habits:
    """What the problem's loss does beside returning values, tried on a few examples the first time."""
    habits = problem.habits
    if not habits.known:
        habits.known = True
        if problem.layout.mover is None and problem.examples:  # a divided model's ranks all run with gradients off
            _try(problem, habits)
    return habits


def check_modes(problem: Problem) -> None:
    """Refuse a loss that runs BatchNorm in another mode than the plan says.

    Raises:
        ProblemError: If it does, with what to do.
    """
    habits = habits_of(problem)
    if not habits.switched:
        return
    if habits.switched_to_training:
        raise ProblemError(
            f"loss() runs the BatchNorm layer {habits.switched} in training mode (model.train()?), so that it "
            "normalizes with each batch's own statistics, which the result would not say. Pass --batchnorm batch, "
            "which says it; or leave these layers in evaluation mode: set model.training = True alone where forward "
            "asks for it."
        )
    raise ProblemError(
        f"loss() runs the BatchNorm layer {habits.switched} in evaluation mode (model.eval()?), which undoes "
        "--batchnorm batch: take that out of loss(), for the mode is set before it is called; or leave --batchnorm out."
    )


@contextmanager
def gradients_on(model: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Gradient mode and the gradient flags of the parameters ``names`` on for the time of the block."""
    named = dict(model.named_parameters(remove_duplicate=False))
    off = [named[name] for name in names if not named[name].requires_grad]
    try:
        for parameter in off:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for parameter in off:
            parameter.requires_grad_(False)


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


def _try(problem: Problem, habits: Habits) -> None:
    """Call the loss with gradients off and on, from the same random state, and compare."""
    batch = next(iter(problem.examples.values())).batches(TRIED)[0]
    with standing(problem.model), _watched_modes(problem.model, habits):
        with untracked():
            for parameter in problem.model.parameters():  # a caller may have turned the flags on
                parameter.requires_grad_(False)
            before = Attributes(problem.model)
            plain = try_loss(problem.loss, problem.model, batch, habits)
            habits.remembers = before.changed()
            before.put_back()
        if not _is_narrow(problem.model):
            with gradients_on(problem.model, problem.params), Types() as types:
                try_loss(problem.loss, problem.model, batch, Habits())
            before.put_back()
            habits.narrow = types.narrow
        with gradients_on(problem.model, problem.params):
            tracked = try_loss(problem.loss, problem.model, batch, habits)
    if isinstance(tracked, str) or isinstance(plain, str):
        # where both fail, with gradients on it says what is really wrong
        habits.differentiates = isinstance(plain, str) and plain != tracked and tracked != OUT_OF_MEMORY
    else:
        habits.differentiates = not _same(plain, tracked)


def _is_narrow(model: nn.Module) -> bool:
    """Whether the model itself is narrower than float32."""
    return any(p.is_floating_point() and p.dtype.itemsize < 4 for p in model.parameters())


def _same(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes are the same up to rounding, for fused kernels may run with gradients off alone."""
    if one.values.keys() != other.values.keys():
        return False
    for name, value in one.values.items():
        slack = max(1e-5, 10 * torch.finfo(value.dtype).eps)
        finite = value[torch.isfinite(value)].abs()  # examples cancel, so that the largest says what rounding is
        largest = float(finite.max()) if finite.numel() else 0.0
        if not torch.allclose(value, other.values[name], rtol=slack, atol=slack * largest, equal_nan=True):
            return False
    return True


@contextmanager
def _watched_modes(model: nn.Module, habits: Habits) -> Iterator[None]:
    """Note the first BatchNorm layer that runs in another mode than it is in now."""
    handles = []
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None:

            def note(module: nn.Module, _: object, name: str = name, expected: bool = layer.training) -> None:
                if module.training != expected and not habits.switched:
                    habits.switched, habits.switched_to_training = name, module.training

            handles.append(layer.register_forward_pre_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _counted_examples(batch: Batch, counted: Tensor) -> Batch:
    if any(len(column) != len(counted) for column in columns(batch)):
        raise ProblemError(
            "An example of weight 0 has a loss that is not finite, which has no derivative, and a batch of this form "
            'cannot be taken without it. Let loss() divide by the number of targets .clamp(min=1) before "weight" '
            "leaves the example out."
        )
    return Examples([batch], recuttable=True).taken(counted.nonzero().flatten().cpu().numpy())
