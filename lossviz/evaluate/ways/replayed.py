"""The loop with the whole sweep over the batches recorded once as a CUDA graph and replayed at every point."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossviz.evaluate.moments import MomentSums
from lossviz.evaluate.ways.compiled import Compiled
from lossviz.problem.problem import Problem
from lossviz.space.plane import Plane

WARM_UPS = 3  # sweeps on a side stream before recording, as torch's notes on CUDA graphs ask for


class Replayed(Compiled):
    """The compiled loop without its launches: one graph a split reads the parameters where they lie.

    Only the sweep is recorded; moving the parameters to a point stays outside, in the same stream, so that each replay
    sees the point's own. The graphs of several splits share their memory, since the row of each is copied before the
    next one is replayed.
    """

    name = "replayed"

    def __init__(self, problem: Problem, plane: Plane, **settings: Any) -> None:
        super().__init__(problem, plane, **settings)
        self._recorded: dict[str, tuple[torch.cuda.CUDAGraph, MomentSums, Tensor]] = {}
        self._pool: Any = None

    def _sum(self, split: str) -> MomentSums:
        if split not in self._recorded:
            self._recorded[split] = self._record(split)
        graph, sums, row = self._recorded[split]
        row.fill_(torch.nan)  # what a graph that recorded nothing would leave
        graph.replay()
        return ReplayedSums(sums, row.clone())

    def _record(self, split: str) -> tuple[torch.cuda.CUDAGraph, MomentSums, Tensor]:
        device = self.problem.device
        side, here = torch.cuda.Stream(device), torch.cuda.current_stream(device)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                super()._sum(split).packed()
        here.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph, pool=self._pool):
            sums = super()._sum(split)
            row = sums.packed()
        self._pool = self._pool or graph.pool()
        return graph, sums, row


class ReplayedSums(MomentSums):
    """The sums of one replay, already packed."""

    def __init__(self, like: MomentSums, row: Tensor) -> None:
        super().__init__(like.stacked, like.count, like.weight, like.squares, like.examples, like.means)
        self._row = row

    def packed(self) -> Tensor:
        """The row as the replay left it."""
        return self._row
