"""One point in N slices of its examples, summed one after another or by a rank each; the sums are the same bit for bit.

The slices are cut by their number alone and added in their order, in float64 on the host: which process summed a slice,
and when it was done, has no way into the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lossviz.errors import ProblemError
from lossviz.evaluate.moments import MomentSums
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.ranks.orders import Failure, Order
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.ways.loop import Loop, as_point
from lossviz.evaluate.ways.way import Evaluator, Way
from lossviz.problem.problem import Problem
from lossviz.records.point import Point
from lossviz.space.plane import Plane


def build_evaluator(
    way: Way, problem: Problem, plane: Plane, sampling: Sampling | None = None, *, group: Group | None = None
) -> Evaluator:
    """Make the evaluator of a way; it sums in slices where the problem's examples are divided.

    Args:
        way: A strategy and its settings.
        problem: Model, loss and examples.
        plane: On the problem's device.
        sampling: As for :meth:`Way.build`.
        group: The ranks that take a slice each; None takes all slices here.

    Raises:
        UsageError: As for :meth:`Way.build`.
    """
    evaluator = way.build(problem, plane, sampling)
    if problem.layout.slices == 1:
        return evaluator
    assert isinstance(evaluator, Loop)  # build refuses the others
    return Sliced(evaluator, way, group)


class Sliced:
    """Evaluate points as sums over the slices of their examples.

    Args:
        loop: Evaluates points over the batches it is given.
        way: In which that was made.
        group: The ranks that take a slice each; None takes all slices here, one after another.

    Raises:
        ProblemError: If there are more slices than examples, or than ready-made batches.
    """

    def __init__(self, loop: Loop, way: Way, group: Group | None = None) -> None:
        self._loop, self._way, self._group = loop, way, group
        problem, count = loop.problem, loop.problem.layout.slices
        slices = {split: examples.slices(count) for split, examples in problem.examples.items()}
        mine = range(count) if group is None else [group.rank]
        self._batches = {k: {split: slices[split][k].batches(loop.batch_size) for split in slices} for k in mine}

    def evaluate(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points, ``coordinates`` (K, k), in ``splits``."""
        if self._group is None:
            slices = [self.sums_of(k, indices, coordinates, splits) for k in self._batches]
        else:
            slices = self._ask(self._group, Order(self._way, indices, coordinates, splits))
        named = [(index, split) for index in indices for split in splits]
        return [_point(index, split, of) for (index, split), *of in zip(named, *slices, strict=True)]

    def sums_of(
        self, number: int, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]
    ) -> list[MomentSums]:
        """Sums of one slice, given by its ``number``, at every point and split, on the host."""
        self._loop.batches = self._batches[number]
        gathered = self._loop.gather(indices, coordinates, splits)
        return [sums.on_host() for _, _, sums in gathered if isinstance(sums, MomentSums)]  # none is sampled

    def _ask(self, group: Group, order: Order) -> list[list[MomentSums]]:
        group.tell(order)
        raised: list[Exception] = []
        try:
            own: Any = self.sums_of(0, order.indices, order.coordinates, order.splits)
        except Exception as error:
            raised, own = [error], None
        answers = group.gather(own)  # before anything is raised, or the others would wait
        if raised:
            raise raised[0]
        for rank, answer in enumerate(answers):
            if isinstance(answer, Failure):
                kind = torch.OutOfMemoryError if answer.of_memory else ProblemError
                raise kind(f"Rank {rank} of {group.count} at a point: {answer.text}")
        return answers


def _point(index: int, split: str, slices: Sequence[MomentSums]) -> Point:
    sums = MomentSums.of_slices(slices)
    return as_point(index, split, sums, sums.packed().tolist())
