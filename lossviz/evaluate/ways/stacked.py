"""Several grid points in one forward pass, stacked with ``torch.func``.

Small networks are bound by the cost of launching their operations, not by arithmetic; K points at once share it. Wider
convolutions lose, since weights of their own for each point turn them into grouped convolutions: hence measure first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lossviz.evaluate.moments import MomentSums, transfer
from lossviz.evaluate.ways.loop import as_point
from lossviz.problem.data.batch import count_examples
from lossviz.problem.loss_call import call_loss
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.problem.stand import pinned, standing
from lossviz.records.point import Point
from lossviz.space.params import as_held
from lossviz.space.plane import Plane


class _LossModule(nn.Module):
    """The loss as a module, so that its parameters can be handed in by name."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.model, self.problem = problem.model, problem

    def forward(self, batch: Any) -> dict[str, Tensor]:
        outcome = call_loss(self.problem, batch, self.model)
        return outcome.values if outcome.weight is None else {**outcome.values, "weight": outcome.weight}


class Stacked:
    """Evaluate ``points`` grid points a forward pass.

    Not every model can be stacked: one that branches on values or calls ``.item()`` refuses with an error of torch's,
    and recurrent layers may keep using weights handed in earlier. The engine therefore compares values before it trusts
    this strategy.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        batch_size: Examples a forward pass, B.
        points: Grid points a forward pass, K.
    """

    name = "stacked"

    def __init__(self, problem: Problem, plane: Plane, *, batch_size: int, points: int) -> None:
        self.problem, self.plane, self.batch_size, self.points = problem, plane, batch_size, points
        self.batches = {split: examples.batches(batch_size) for split, examples in problem.examples.items()}
        self._moved = Plane(plane.kind, *_only(plane))
        module, self._held = _LossModule(problem), dict(problem.model.named_parameters())
        self._call = vmap(lambda params, batch: functional_call(module, params, (batch,)), in_dims=(0, None))

    def evaluate(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points, ``coordinates`` (K, k), in ``splits``; one transfer to the host at the end."""
        gathered: list[tuple[list[int], str, MomentSums]] = []
        device = self.problem.device
        # tied modules and attributes are left with the tensors of many points
        with standing(self.problem.model), torch.no_grad():
            where = pinned(torch.from_numpy(np.array(coordinates, np.float64)), device).to(device, non_blocking=True)
            for start in range(0, len(coordinates), self.points):
                part = slice(start, start + self.points)
                stacked = self._moved.points(where[part])
                params = {f"model.{name}": as_held(tensor, self._held[name]) for name, tensor in stacked.items()}
                gathered += [(list(indices[part]), split, self._sum(params, split)) for split in splits]
        rows = transfer([row for where, _, sums in gathered for row in sums.packed().expand(len(where), -1)])
        owners = [(index, split, sums) for where, split, sums in gathered for index in where]
        return [as_point(i, split, sums, row) for (i, split, sums), row in zip(owners, rows, strict=True)]

    def _sum(self, params: dict[str, Tensor], split: str) -> MomentSums:
        sums = MomentSums(stacked=True)
        for batch in self.batches[split]:
            values = self._call(params, batch)
            weight = values.pop("weight", None)
            sums.add(Outcome(values, weight, count_examples(batch)))
        return sums


def _only(plane: Plane) -> tuple[dict[str, Tensor], tuple[dict[str, Tensor], ...]]:
    """Origin and directions without the parameters that nothing moves."""
    origin = {name: plane.origin[name] for name in plane.moved}
    return origin, tuple({name: d[name] for name in plane.moved} for d in plane.directions)
