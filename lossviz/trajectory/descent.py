"""Run an optimizer of ``torch.optim`` on a problem and record where it goes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lossviz.errors import ProblemError, StoppedError, UnsavedError, UsageError
from lossviz.problem.blame import blamed_on_derivative, is_out_of_memory
from lossviz.problem.data.batch import Batch
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.loss_call import weighted_loss
from lossviz.problem.problem import Problem
from lossviz.problem.stand import put_params
from lossviz.records.watch import QUIET, Watch
from lossviz.space.params import Params
from lossviz.trajectory.recorder import TrajectoryRecorder

_PASS = 1024  # examples a forward pass where all of them make one step


@dataclass(frozen=True)
class Descent:
    """What an optimizer is told.

    Attributes:
        optimizer: Name of a class of ``torch.optim``, in any case: ``"sgd"``, ``"adamw"``.
        settings: Its keyword arguments: ``{"lr": 0.1, "momentum": 0.9}``.
        scheduler: Name of a class of ``torch.optim.lr_scheduler``, in any case; None leaves the rate alone. It steps
            after each step of the optimizer.
        scheduler_settings: Its keyword arguments.
        steps: Steps of the optimizer.
        batch_size: Examples a step; 0 takes all of them, 1 one at a time.
        seed: Of the order of examples.
        every: Steps between snapshots.
        average: ``"ema"`` or ``"swa"`` records an average beside the path, as a series of its own.
        decay: Of the exponential average, a step.
        average_from: Share of the steps after which the equal average (swa) begins.
        train_mode: Train with dropout on and BatchNorm by batch statistics, which is another loss than a surface
            shows; otherwise the optimizer goes down the very loss that is drawn.
    """

    optimizer: str = "sgd"
    settings: Mapping[str, Any] = field(default_factory=lambda: {"lr": 0.1})
    scheduler: str | None = None
    scheduler_settings: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 200
    batch_size: int = 0
    seed: int = 0
    every: int = 1
    average: Literal["ema", "swa"] | None = None
    decay: float = 0.9
    average_from: float = 0.75
    train_mode: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise UsageError(f"--decay is {self.decay:g}; it must be from 0 to 1, for example 0.9.")
        if not 0 <= self.average_from < 1:
            raise UsageError(
                f"--average-from is {self.average_from:g}; it must be a share of the steps, from 0 to under 1."
            )


def descend(
    problem: Problem,
    descent: Descent,
    folder: Path | str,
    *,
    start: Params | None = None,
    split: str = "train",
    watch: Watch = QUIET,
) -> int:
    """Run an optimizer from ``start`` on the problem's loss, and record its snapshots in ``folder``.

    The loss is the mean of the first quantity over the examples of a step, weighted as the surface weighs it. The
    problem's own model is left alone. A path that leaves the finite numbers is recorded up to there.

    Args:
        problem: Model, loss and examples.
        descent: What the optimizer is told.
        folder: For the snapshots; made if need be.
        start: Where to begin; None takes the checkpoint.
        split: Examples to train on.
        watch: Told of each step, and asked after it whether to stop.

    Returns:
        Steps taken; fewer than asked for where the loss was no longer finite.

    Raises:
        UsageError: If there is no such optimizer or scheduler, or it does not take these settings.
        ProblemError: If the loss cannot be differentiated, or the optimizer fails on it.
        StoppedError: If ``watch.stop`` says so; what is recorded stays.
        UnsavedError: If a snapshot could not be saved.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> problem = Problem.make(nn.Linear(1, 1), (torch.ones(4, 1),), lambda m, b: m(b[0]).squeeze(1) ** 2)
        >>> with TemporaryDirectory() as folder:
        ...     descend(problem, Descent("sgd", {"lr": 0.1}, steps=3), folder)
        3
    """
    model = _trainable(problem, start, train_mode=descent.train_mode)
    moved = [dict(model.named_parameters())[name] for name in problem.params]
    optimizer = make_optimizer(descent, moved)
    scheduler = make_scheduler(descent, optimizer)
    averaged = _average(descent, model)
    batches, count = _steps_of(problem, split, descent), problem.examples[split].count
    with (
        preserved_globals(seed=descent.seed),
        _recording(folder, model, optimizer, descent.every) as record,
    ):
        for step in range(1, descent.steps + 1):
            loss = _step(problem, model, optimizer, moved, next(batches))
            finite = loss is None or math.isfinite(loss)
            if not finite or not all(bool(torch.isfinite(p).all()) for p in moved):
                record.mark("diverged", "not finite")
                record.step(loss=loss)
                return step
            _schedule(scheduler, loss)
            if averaged is not None and _update(averaged, model, descent, step):
                record.mark("average", descent.average or "")
            size = descent.batch_size or count
            shown = {descent.average: averaged.module} if averaged is not None and descent.average else {}
            record.step(loss=loss, epoch=step * size / count, averages=shown if _begun(averaged) else None)
            watch.stage("tracing", step, descent.steps)
            if watch.stop():
                raise StoppedError(f"Stopped after {step} of {descent.steps} steps; their snapshots are in {folder}.")
    return descent.steps


@contextmanager
def _recording(
    folder: Path | str, model: nn.Module, optimizer: torch.optim.Optimizer, every: int
) -> Iterator[TrajectoryRecorder]:
    """A recorder that, unlike one in a training loop, does not let a snapshot be lost with a warning alone."""
    with TrajectoryRecorder(folder, model, optimizer, every=every) as record:
        yield record
    if record.failures:
        raise UnsavedError(f"{len(record.failures)} snapshots for {folder} could not be saved: {record.failures[0]}")


def make_optimizer(descent: Descent, moved: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Find and make the optimizer.

    Raises:
        UsageError: If there is none of that name, or it does not take the settings.
    """
    table = _classes(torch.optim, torch.optim.Optimizer)
    return _make(table, descent.optimizer, "--optimizer", moved, dict(descent.settings))


def make_scheduler(descent: Descent, optimizer: torch.optim.Optimizer) -> Any:
    """Find and make the scheduler; None without.

    Raises:
        UsageError: If there is none of that name, or it does not take the settings.
    """
    if descent.scheduler is None:
        return None
    schedulers = torch.optim.lr_scheduler
    table = _classes(schedulers, schedulers.LRScheduler)
    return _make(table, descent.scheduler, "--scheduler", optimizer, dict(descent.scheduler_settings))


def _classes(module: Any, base: type) -> dict[str, type]:
    """Public subclasses of ``base`` by their names in small letters."""
    found = {name: value for name, value in vars(module).items() if inspect.isclass(value) and issubclass(value, base)}
    return {name.lower(): value for name, value in found.items() if value is not base and not name.startswith("_")}


def _make(table: Mapping[str, type], name: str, option: str, first: Any, settings: dict[str, Any]) -> Any:
    made = table.get(name.lower())
    if made is None:
        known = ", ".join(sorted(c.__name__ for c in {*table.values()} if c.__name__ != "LRScheduler"))
        raise UsageError(f"{option} {name!r} is none of torch's: {known}.")
    try:
        return made(first, **settings)
    except (TypeError, ValueError) as error:
        takes = ", ".join(list(inspect.signature(made.__init__).parameters)[2:])
        raise UsageError(f"{option} {made.__name__} does not take {settings}: {error}. It takes {takes}.") from None


def _trainable(problem: Problem, start: Params | None, *, train_mode: bool) -> nn.Module:
    model = problem.copied_model()
    named = dict(model.named_parameters())
    put_params(model, start or problem.params)
    for name in problem.params:
        named[name].requires_grad_(True)
    return model.train(train_mode)


def _steps_of(problem: Problem, split: str, descent: Descent) -> Iterator[Sequence[Batch]]:
    """For each step the batches whose examples make it, for ever; a new order each epoch."""
    examples = problem.examples[split]
    if not descent.batch_size:
        while True:
            yield examples.batches(_PASS)
    epoch = 0
    while True:
        order = examples.shuffled(descent.seed + epoch)
        yield from ([batch] for batch in order.batches(descent.batch_size))
        epoch += 1


def _step(
    problem: Problem,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    moved: Sequence[Tensor],
    batches: Sequence[Batch],
) -> float | None:
    """One step; returns the mean loss before it, or None where no example of the step counts."""
    seen: list[float | None] = []

    def closure() -> float:
        optimizer.zero_grad()
        summed, weight = _backward(problem, model, batches)
        for parameter in moved:
            if parameter.grad is not None:
                parameter.grad.div_(weight)
        seen.append(summed / weight if weight else None)
        return seen[-1] or 0.0

    try:
        optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        name = type(optimizer).__name__
        raise ProblemError(f"{name} fails on this problem: {str(error).splitlines()[0]}") from error
    return seen[0]


def _backward(problem: Problem, model: nn.Module, batches: Sequence[Batch]) -> tuple[float, float]:
    """Add the gradient of the weighted sum over batches to the parameters'; returns the sum, and the weight."""
    summed = weight = 0.0
    differentiable = False
    with torch.enable_grad(), blamed_on_derivative():
        for batch in batches:
            loss, counted = weighted_loss(problem, batch, model=model)
            if loss.requires_grad:
                loss.backward()
            differentiable |= loss.requires_grad
            summed, weight = summed + float(loss.detach()), weight + float(counted)
    if weight and not differentiable:
        raise ProblemError("The loss does not depend differentiably on the parameters, so no optimizer goes down it.")
    return summed, weight


def _schedule(scheduler: Any, loss: float | None) -> None:
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        if loss is not None:
            scheduler.step(loss)
    elif scheduler is not None:
        scheduler.step()


def _average(descent: Descent, model: nn.Module) -> AveragedModel | None:
    if descent.average is None:
        return None
    ema = get_ema_multi_avg_fn(descent.decay) if descent.average == "ema" else None
    return AveragedModel(model, multi_avg_fn=ema)


def _update(averaged: AveragedModel, model: nn.Module, descent: Descent, step: int) -> bool:
    """Take a step into the average; True at the first of an average that begins late."""
    if descent.average == "swa" and step <= descent.average_from * descent.steps:
        return False
    first = not _begun(averaged)
    averaged.update_parameters(model)
    return first and descent.average == "swa"


def _begun(averaged: AveragedModel | None) -> bool:
    return averaged is not None and bool(averaged.n_averaged > 0)
