"""The statistics BatchNorm normalizes with: the checkpoint's, new ones at every point, or each batch's own.

They make three different surfaces. With the checkpoint's running statistics a step in the weights is seen at once by
every later layer, and a plane through two solutions is wrong away from them; with statistics computed anew at each
point, or from each batch, BatchNorm takes out the scale of the weights before it, as it does in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossviz.errors import ProblemError
from lossviz.problem.blame import is_out_of_memory
from lossviz.problem.data.batch import count_examples
from lossviz.problem.data.examples import Examples, choose_subset
from lossviz.problem.habits import Habits
from lossviz.problem.kept import Attributes
from lossviz.problem.loss_call import habits_of, take_loss
from lossviz.problem.problem import Problem
from lossviz.records.plan import BatchNorm
from lossviz.records.remark import Remark

STATISTICS_BATCH = 256  # fixed, for the spread between batches does not enter their mean variance


def with_batchnorm(problem: Problem, mode: BatchNorm, examples: int | None, seed: int) -> Problem:
    """The same problem with its BatchNorm layers in ``mode``; the private model is changed in place.

    Args:
        problem: Freshly loaded, all examples in their final order.
        mode: ``"fixed"``, ``"recompute"`` or ``"batch"``.
        examples: How many examples the statistics are taken over at every point, or the size of the batches.
        seed: Chooses the examples for the statistics.

    Returns:
        For ``"recompute"`` a problem with :attr:`~lossviz.problem.problem.Problem.statistics`, taken from the split
        "train" where there is one; for ``"batch"`` one whose batches are cut once and for all.
    """
    if mode == "fixed" or examples is None:
        return problem
    layers = batchnorm_layers(problem.model)
    if not layers:
        nothing = f"--batchnorm {mode} changes nothing: the model has no BatchNorm layer."
        return replace(problem, remarks=(*problem.remarks, Remark("doubt", "BatchNorm", nothing)))
    if mode == "recompute":
        split = "train" if "train" in problem.examples else next(iter(problem.examples))
        subset = _subset(problem.examples[split], examples, seed)
        note = f"BatchNorm statistics are computed at every point over {subset.count} examples of {split!r}."
        return replace(problem, statistics=subset, remarks=(*problem.remarks, Remark("said", "BatchNorm", note)))
    problem = replace(problem, habits=Habits())  # tried anew in that mode
    for layer in layers:  # so torch takes the batch's statistics and leaves the running ones alone
        layer.train()
        layer.track_running_stats = False
    return replace(problem, examples={split: even_batches(e, examples) for split, e in problem.examples.items()})


def batchnorm_layers(model: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def even_batches(examples: Examples, size: int) -> Examples:
    """Examples cut once into batches as equal as can be, of ``size`` to twice as many; ready-made ones stay.

    Example:
        >>> [len(batch) for batch in even_batches(Examples([torch.zeros(23, 2)], recuttable=True), 5).batches(None)]
        [6, 6, 6, 5]
    """
    if not examples.recuttable:
        return examples
    cuts = np.array_split(np.arange(examples.count), max(1, examples.count // size))
    return examples.in_cuts(cuts)


def statistics_examples(problem: Problem, mode: BatchNorm) -> int | None:
    """How many examples statistics are taken over, in a batch at most; None with those of the checkpoint."""
    if mode == "batch":
        return max(examples.largest_batch for examples in problem.examples.values())
    return problem.statistics.count if problem.statistics is not None else None


def refresh_statistics(problem: Problem) -> None:
    """Give every BatchNorm layer the statistics of ``problem.statistics`` at the model's present parameters.

    The mean over batches of their means and unbiased variances, as ``torch.optim.swa_utils.update_bn`` takes it.
    """
    if problem.statistics is None:
        return
    remembers = habits_of(problem).remembers  # tried before calls are counted
    kept = Attributes(problem.model) if remembers else None
    layers = batchnorm_layers(problem.model)
    with torch.no_grad(), _gathering(layers):
        for batch in problem.statistics.batches(STATISTICS_BATCH):
            try:
                take_loss(problem, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise _too_large(count_examples(batch)) from error
            if not all(layer.training for layer in layers):
                raise ProblemError(
                    "loss() puts BatchNorm into evaluation mode (model.eval()?), which undoes --batchnorm recompute: "
                    "take that out of loss(), for the mode is set before it is called; or leave --batchnorm out."
                )
    if kept is not None:
        kept.put_back()


def _too_large(count: int) -> ProblemError:
    """What to do where a batch for the statistics does not fit, whose size is part of the surface's meaning."""
    return ProblemError(
        f"Out of memory while BatchNorm statistics are taken in batches of {count}: use --batchnorm-examples "
        f"{max(1, count // 2)}, a device with more memory, or --device cpu."
    )


class _Averaged:
    """Counts the calls of a layer, several in one pass where it is shared; with momentum None torch asks the GPU."""

    calls = 0

    def __call__(self, layer: Any, _: object) -> None:
        """Let the next call weigh as much as each before it."""
        self.calls += 1
        layer.momentum = 1.0 / self.calls


@contextmanager
def _gathering(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """BatchNorm layers in training mode, their statistics begun anew: a plain average over all calls of each."""
    momenta, handles = [layer.momentum for layer in layers], []
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
            handles.append(layer.register_forward_pre_hook(_Averaged()))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def _subset(examples: Examples, count: int, seed: int) -> Examples:
    if not examples.recuttable:
        parts, taken = examples.batches(None), 0
        for number, part in enumerate(parts, 1):
            taken += Examples([part]).count
            if taken >= count:
                return Examples(parts[:number])
        return examples
    chosen = choose_subset(examples.count, count, seed)
    return even_batches(Examples([examples.taken(chosen)], recuttable=True), min(STATISTICS_BATCH, len(chosen)))
