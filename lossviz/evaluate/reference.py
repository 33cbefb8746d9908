"""The plain way to evaluate one point: the oracle that every fast strategy must agree with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from lossviz.evaluate.batchnorm import refresh_statistics, restore_statistics
from lossviz.problem.blame import blamed_on_loss
from lossviz.problem.outcome import read_outcome
from lossviz.problem.problem import Problem
from lossviz.records.point import Point
from lossviz.space.params import Params


def evaluate_params(problem: Problem, params: Params, split: str, *, index: int = 0, batch_size: int = 128) -> Point:
    """Evaluate every quantity at ``params``, batch after batch, each value brought to the host as it comes.

    Slow on purpose: one loop, no tricks, and sums made by numpy in float64 after the fact. The model is left with the
    parameters it had.

    Returns:
        The sums over the D examples of ``split``, in the units of the loss (nats per example for cross-entropy).
    """
    values: dict[str, list[np.ndarray]] = {}
    weights: list[np.ndarray] = []
    averaged: set[str] = set()
    with blamed_on_loss(), torch.no_grad(), _placed_at(problem, params):
        try:
            refresh_statistics(problem)
            for batch in problem.examples[split].batches(batch_size):
                outcome = read_outcome(problem.loss(problem.model, batch), batch)
                size = outcome.examples
                weight = np.ones(size) if outcome.weight is None else outcome.weight.double().cpu().numpy()
                weights.append(weight)
                averaged |= {name for name, value in outcome.values.items() if not value.ndim}
                for name, value in outcome.values.items():
                    each = np.broadcast_to(value.double().cpu().numpy(), size)
                    values.setdefault(name, []).append(np.where(weight != 0, each, 0.0))  # even 0/0 counts nothing
        finally:
            restore_statistics(problem)
    w, x = np.concatenate(weights), {name: np.concatenate(parts) for name, parts in values.items()}
    with np.errstate(invalid="ignore", over="ignore"):
        sums = {name: float((w * value).sum()) for name, value in x.items()}
        m2 = {name: float((w**2 * (value - sums[name] / w.sum()) ** 2).sum()) for name, value in x.items()}
        m2 |= dict.fromkeys(averaged, math.nan)  # nothing is known about single examples
    return Point(index, split, len(w), float(w.sum()), sums, m2)


@contextmanager
def _placed_at(problem: Problem, params: Params) -> Iterator[None]:
    """The model with other parameters for the time of the block."""
    if problem.mover is not None:
        problem.mover.put(params)
        try:
            yield
        finally:
            problem.mover.restore()
        return
    model_params = dict(problem.model.named_parameters(remove_duplicate=False))
    before = {name: model_params[name].detach().to(params[name].device, copy=True) for name in params}
    try:
        for name, tensor in params.items():
            model_params[name].copy_(tensor)
        yield
    finally:
        for name, tensor in before.items():
            model_params[name].copy_(tensor)
