"""The large-batch loop: move the private model to a point, run all batches, go on; nothing waits inside a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, _foreach_add_, _foreach_copy_  # pyright: ignore[reportPrivateImportUsage]

from lossviz.evaluate.batchnorm import refresh_statistics, restore_statistics
from lossviz.evaluate.moments import MomentSums, transfer
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.stratified import StratifiedSums
from lossviz.problem.loss_call import take_loss
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Mover, Problem
from lossviz.records.point import Point
from lossviz.space.plane import Plane

Forward = Callable[[Any], Outcome]


class Placement:
    """Moves a model's parameters to points of a plane: origin + Σ coordinate × direction, never accumulated steps.

    Three fused calls a point. The sum is made in the origin's type (float32 or wider) and cast to the model's.

    Args:
        params: The parameters that move, sharing storage with the model's.
        origin: Theirs.
        directions: k displacements of them.
    """

    def __init__(self, params: list[Tensor], origin: list[Tensor], directions: list[list[Tensor]]) -> None:
        self.params, self.origin, self.directions = params, origin, directions
        narrow = any(p.dtype != o.dtype for p, o in zip(self.params, self.origin, strict=True))
        self.sum = [torch.empty_like(o) for o in self.origin] if narrow else self.params

    @classmethod
    def of(cls, problem: Problem, plane: Plane) -> Placement:
        """For a model of this process and a plane on its devices."""
        named = dict(problem.model.named_parameters(remove_duplicate=False))
        moved = plane.moved
        directions = [[direction[name] for name in moved] for direction in plane.directions]
        return cls([named[name].detach() for name in moved], [plane.origin[name] for name in moved], directions)

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,)."""
        _foreach_copy_(self.sum, self.origin)
        for coordinate, direction in zip(coordinates, self.directions, strict=True):
            _foreach_add_(self.sum, direction, alpha=float(coordinate))
        if self.sum is not self.params:
            _foreach_copy_(self.params, self.sum)

    def restore(self) -> None:
        """Put the model back at the origin, exactly."""
        _foreach_copy_(self.params, self.origin)


class LeanPlacement:
    """The same moves with origin and directions on the host: one tensor of them lies on the device at a time.

    The sums are those of :class:`Placement` to the last bit. It costs a transfer of the whole plane at every point, so
    that a point should have many examples.
    """

    def __init__(self, problem: Problem, plane: Plane) -> None:
        named = dict(problem.model.named_parameters(remove_duplicate=False))
        self.params = [named[name].detach() for name in plane.moved]
        self.origin = [pinned(plane.origin[name], problem.device) for name in plane.moved]
        self.directions = [[pinned(d[name], problem.device) for name in plane.moved] for d in plane.directions]

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,)."""
        for i, param in enumerate(self.params):
            point = self.origin[i].to(param.device, non_blocking=True, copy=True)
            for coordinate, direction in zip(coordinates, self.directions, strict=True):
                point.add_(direction[i].to(param.device, non_blocking=True), alpha=float(coordinate))
            param.copy_(point)

    def restore(self) -> None:
        """Put the model back at the origin, exactly."""
        for param, origin in zip(self.params, self.origin, strict=True):
            param.copy_(origin)


class Loop:
    """Evaluate points one after another, each over all batches of its splits.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        batch_size: Examples a forward pass, B.
        sampling: When to stop at a point and split, the problem's examples being in its order; None takes all.
        lean: Whether the plane lies on the host, see :class:`LeanPlacement`.

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
            split: examples.batches(batch_size) for split, examples in problem.examples.items()
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
        with torch.no_grad():
            try:
                for index, coordinate in zip(indices, coordinates, strict=True):
                    self.placement.move_to(coordinate.tolist())
                    refresh_statistics(self.problem)
                    for split in splits:
                        sums = self._sample(split, self.sampling) if self.sampling else self._sum(split)
                        gathered.append((index, split, sums))
            finally:
                self.placement.restore()
                restore_statistics(self.problem)
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


def placement_of(problem: Problem, plane: Plane, *, lean: bool = False) -> Placement | LeanPlacement | Mover:
    """What moves a problem's model through a plane."""
    if problem.mover is not None:
        problem.mover.lay(plane)
        return problem.mover
    away = next(iter(plane.origin.values())).device != problem.device
    return LeanPlacement(problem, plane) if lean or away else Placement.of(problem, plane)


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor in memory that a CUDA ``device`` can fetch from while it computes; itself for other devices."""
    return tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor


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
