"""The large-batch loop: move the private model to a point, run all batches, go on; nothing waits inside a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lossviz.evaluate.batchnorm import refresh_statistics
from lossviz.evaluate.moments import MomentSums, transfer
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.stratified import StratifiedSums
from lossviz.problem.loss_call import take_loss
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.problem.stand import placement_of, walking
from lossviz.records.point import Point
from lossviz.space.plane import Plane

FIRST_BATCH = 512  # of a point that may stop early
Forward = Callable[[Any], Outcome]


class Loop:
    """Evaluate points one after another, each over all batches of its splits.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        batch_size: Examples a forward pass, B.
        sampling: When to stop at a point and split, the problem's examples being in its order; None takes all.
        lean: Whether the plane lies on the host, see :class:`~lossviz.problem.stand.LeanPlacement`.

    Attributes:
        batches: What a point is evaluated over, by split: all examples, unless some of them are put here.
    """

    name = "loop"

    def __init__(
        self,
        problem: Problem,
        plane: Plane,
        *,
        batch_size: int,
        sampling: Sampling | None = None,
        lean: bool = False,
    ) -> None:
        self.problem, self.batch_size, self.sampling = problem, batch_size, sampling
        self.placement = placement_of(problem, plane, lean=lean)
        self.batches: Mapping[str, Sequence[Any]] = {
            # a point can stop after a batch, so that the first ones are small
            split: examples.growing_batches(FIRST_BATCH, batch_size) if sampling else examples.batches(batch_size)
            for split, examples in problem.examples.items()
        }

    def forward(self, batch: Any) -> Outcome:
        """One forward pass and the loss of its examples."""
        return take_loss(self.problem, batch)

    def evaluate(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points, ``coordinates`` (K, k), in ``splits``; one transfer to the host at the end."""
        gathered = self.gather(indices, coordinates, splits)
        rows = transfer([sums.packed() for _, _, sums in gathered])
        counts = {split: self.problem.examples[split].count for split in splits}
        return [
            as_point(i, split, sums, row, partial=sums.count < counts[split])
            for (i, split, sums), row in zip(gathered, rows, strict=True)
        ]

    def gather(
        self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]
    ) -> list[tuple[int, str, MomentSums | StratifiedSums]]:
        """Sums over :attr:`batches` at every point and split, left on the device."""
        gathered: list[tuple[int, str, MomentSums | StratifiedSums]] = []
        with walking(self.problem, self.placement) as go:
            for index, coordinate in zip(indices, coordinates, strict=True):
                go(coordinate.tolist())
                refresh_statistics(self.problem)
                for split in splits:
                    sums = self._sample(split, self.sampling) if self.sampling else self._sum(split)
                    gathered.append((index, split, sums))
        return gathered

    def _sum(self, split: str) -> MomentSums:
        sums = MomentSums()
        for batch in self.batches[split]:
            sums.add(self.forward(batch))
        return sums

    def _sample(self, split: str, sampling: Sampling) -> StratifiedSums:
        sums = StratifiedSums(sampling.strata[split])
        for batch in self.batches[split]:
            sums.add(self.forward(batch))
            if sums.is_known(sampling.relative_error):
                break
        return sums


def as_point(
    index: int, split: str, sums: MomentSums | StratifiedSums, row: Sequence[float], *, partial: bool = False
) -> Point:
    """Name the numbers of a packed row."""
    numbers = list(row)
    return Point(
        index=int(index),
        split=split,
        count=sums.count,
        weight=numbers[0],
        sums=dict(zip(sums.names, numbers[1::2], strict=True)),
        m2=dict(zip(sums.names, numbers[2::2], strict=True)),
        partial=partial,
    )
