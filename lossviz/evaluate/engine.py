"""From pending grid points to evaluated ones, as a generator of chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lossviz.errors import ProblemError
from lossviz.evaluate.blame import blamed_on_loss
from lossviz.evaluate.loop import Loop
from lossviz.evaluate.order import coarse_to_fine
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.point import Point
from lossviz.space.plane import Plane

CHUNK_S = 0.25  # a chunk lasts about this long: progress moves, signals are heard, and transfers cost nothing


class Engine:
    """Evaluates points of one plane of one problem, and says with which settings.

    Settings change speed and the last bits of a value, never its meaning.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        batch_size: Examples a forward pass, B; halved when memory does not suffice. None takes the device's default.
    """

    def __init__(self, problem: Problem, plane: Plane, *, batch_size: int | None = None) -> None:
        self.problem, self.plane = problem, plane
        self._loop = Loop(problem, plane, batch_size=batch_size or default_batch_size(problem.device))

    @property
    def settings(self) -> dict[str, Any]:
        """What was chosen, as JSON values for the file."""
        return {"strategy": self._loop.name, "batch_size": self._loop.batch_size, "threads": torch.get_num_threads()}

    def evaluate(self, grid: Grid, pending: Mapping[str, np.ndarray]) -> Iterator[list[Point]]:
        """Evaluate the ``pending`` flat indices of every split, coarse to fine, and yield them chunk by chunk.

        All splits in which a point is pending are evaluated while the model stands there.

        Raises:
            ProblemError: If not even one example at a time fits into memory.
        """
        size = 1
        for splits, indices in _group(pending):
            left = coarse_to_fine(grid, indices)
            while len(left):
                chunk, start = left[:size], time.perf_counter()
                points = self.evaluate_points(chunk.tolist(), grid.coordinates(chunk), splits)
                seconds = time.perf_counter() - start
                left, size = left[len(chunk) :], next_chunk_size(len(chunk), seconds)
                yield [replace(point, seconds=seconds / len(points)) for point in points]

    def evaluate_points(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points at ``coordinates`` (K, k), with smaller batches when memory does not suffice."""
        while True:
            try:
                with blamed_on_loss():
                    return self._loop.evaluate(indices, coordinates, splits)
            except (RuntimeError, MemoryError) as error:
                self._loop = self._with_smaller_batches(error)

    def _with_smaller_batches(self, error: Exception) -> Loop:
        size = self._loop.batch_size
        if size == 1 or not all(examples.recuttable for examples in self.problem.examples.values()):
            raise ProblemError(
                f"Memory does not suffice for batches of {size}: {str(error).splitlines()[0]} "
                "Use a device with more memory, --device cpu, or smaller ready-made batches."
            ) from error
        if self.problem.device.type == "cuda":
            torch.cuda.empty_cache()
        return Loop(self.problem, self.plane, batch_size=size // 2)


def default_batch_size(device: torch.device) -> int:
    """Examples a forward pass when nothing is asked for: what fits a CPU's cache, or what fills a GPU."""
    return 256 if device.type == "cpu" else 4096


def next_chunk_size(size: int, seconds: float) -> int:
    """Points for the next chunk so that it lasts about ``CHUNK_S``; grows at most fourfold.

    Example:
        >>> next_chunk_size(4, 0.125), next_chunk_size(4, 100.0), next_chunk_size(4, 1e-9)
        (8, 1, 16)
    """
    return max(1, min(4 * size, int(size * CHUNK_S / max(seconds, 1e-9))))


def _group(pending: Mapping[str, np.ndarray]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Indices by the set of splits they are pending in, the largest set first."""
    wanted: dict[int, list[str]] = {}
    for split, indices in pending.items():
        for index in np.asarray(indices).tolist():
            wanted.setdefault(index, []).append(split)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, splits in wanted.items():
        groups.setdefault(tuple(splits), []).append(index)
    for splits in sorted(groups, key=len, reverse=True):
        yield splits, np.array(groups[splits], np.int64)
