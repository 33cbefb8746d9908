"""The plain way to evaluate one point: the oracle that every fast strategy must agree with."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from lossviz.evaluate.batchnorm import refresh_statistics
from lossviz.problem.blame import blamed_on_loss
from lossviz.problem.data.batch import bare
from lossviz.problem.halving import halved
from lossviz.problem.isolation import outside_inference_mode, passes_on
from lossviz.problem.loss_call import habits_of
from lossviz.problem.outcome import read_outcome
from lossviz.problem.problem import Problem
from lossviz.records.point import Point
from lossviz.space.params import Params, as_real


def evaluate_params(problem: Problem, params: Params, split: str, *, index: int = 0, batch_size: int = 128) -> Point:
    """Evaluate every quantity at ``params``, batch after batch, each value brought to the host as it comes.

    Slow on purpose: one loop, no tricks, and sums made by numpy in float64 after the fact. The model is left with the
    parameters it had. Where memory does not suffice the batches are halved.

    Returns:
        The sums over the D examples of ``split``, in the units of the loss (nats per example for cross-entropy).

    Raises:
        ProblemError: If the loss raises, or not even one example fits into memory.
    """
    own = [problem.examples[split]]
    return halved(lambda size: _evaluate(problem, params, split, index, size), batch_size, own)


def _evaluate(problem: Problem, params: Params, split: str, index: int, batch_size: int) -> Point:
    values: dict[str, list[np.ndarray]] = {}
    weights: list[np.ndarray] = []
    averaged: set[str] = set()
    habits = habits_of(problem)
    with (
        blamed_on_loss(),
        outside_inference_mode(),
        torch.no_grad(),
        passes_on(problem.device),
        _placed_at(problem, params),
    ):
        refresh_statistics(problem)
        for parameter in (_named(problem)[name] for name in problem.params if habits.differentiates):
            parameter.requires_grad_(True)
        for batch in problem.examples[split].batches(batch_size):
            own = copy.deepcopy(batch) if habits.writes else batch
            with torch.set_grad_enabled(habits.differentiates):
                outcome = read_outcome(problem.loss(problem.model, bare(own)), batch)
            size = outcome.examples
            weight = np.ones(size) if outcome.weight is None else outcome.weight.detach().double().cpu().numpy()
            weights.append(weight)
            averaged |= {name for name, value in outcome.values.items() if not value.ndim}
            for name, value in outcome.values.items():
                each = np.broadcast_to(value.detach().double().cpu().numpy(), size)
                values.setdefault(name, []).append(np.where(weight != 0, each, 0.0))  # even 0/0 counts nothing
    w, x = np.concatenate(weights), {name: np.concatenate(parts) for name, parts in values.items()}
    with np.errstate(invalid="ignore", over="ignore"):
        sums = {name: float((w * value).sum()) for name, value in x.items()}
        m2 = {name: float((w**2 * (value - sums[name] / w.sum()) ** 2).sum()) for name, value in x.items()}
        m2 |= dict.fromkeys(averaged, math.nan)  # nothing is known about single examples
    return Point(index, split, len(w), float(w.sum()), sums, m2)


@contextmanager
def _placed_at(problem: Problem, params: Params) -> Iterator[None]:
    """The model with other parameters for the time of the block; then everything in it is put back by hand."""
    if problem.layout.mover is not None:
        problem.layout.mover.put(params)
        try:
            yield
        finally:
            problem.layout.mover.restore()
        return
    named = _named(problem)
    before = {name: as_real(named[name].detach()).clone() for name in params}
    buffers = {name: (buffer, buffer.clone()) for name, buffer in problem.model.named_buffers()}
    python = [m for m in problem.model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    own: list[dict[str, Any]] = [table for m in python for table in (vars(m), m._parameters, m._buffers)]
    tables = [(table, dict(table)) for table in own]
    lists = [(value, list(value)) for _, entries in tables for value in entries.values() if type(value) is list]
    modes = {module: module.training for module in problem.model.modules()}
    try:
        for name, tensor in params.items():
            as_real(named[name].detach()).copy_(tensor)
        yield
    finally:
        for table, entries in tables:  # attributes and buffers that forward has put anew
            table.clear()
            table.update(entries)
        for value, entries in lists:
            value[:] = entries
        for name, tensor in before.items():
            as_real(named[name].detach()).copy_(tensor)
        for name in problem.params:
            named[name].requires_grad_(False)
        for buffer, value in buffers.values():
            buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode


def _named(problem: Problem) -> dict[str, nn.Parameter]:
    return dict(problem.model.named_parameters(remove_duplicate=False))
