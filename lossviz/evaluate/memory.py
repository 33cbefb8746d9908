"""How much memory a run will take on its device, measured on a few examples before it begins."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossviz.evaluate.ways.way import Way
from lossviz.problem.data.batch import tensors as tensors_of
from lossviz.problem.loss_call import habits_of, take_loss
from lossviz.problem.problem import Problem
from lossviz.records.units import format_bytes

PROBED = (4, 12)  # examples of the two passes that the cost of one more is read from


@dataclass(frozen=True)
class Peak:
    """Expected peak of device memory, in bytes, part by part.

    Attributes:
        model: Parameters and buffers of the model.
        plane: Origin and directions, or what of them lies on the device at a time.
        data: Examples, or what of them lies on the device at a time.
        activations: What one forward pass of a batch holds at once, values in between included.
    """

    model: int
    plane: int
    data: int
    activations: int

    @property
    def total(self) -> int:
        """All of it; libraries' own workspaces are not part of it."""
        return self.model + self.plane + self.data + self.activations

    def __str__(self) -> str:
        parts = {"model": self.model, "plane": self.plane, "data": self.data, "a batch": self.activations}
        shown = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
        return f"{format_bytes(self.total)} ({shown})"


def expected_peak(problem: Problem, dimension: int, way: Way) -> Peak:
    """Say what memory a way will take at its highest.

    Args:
        problem: Loaded; a few of its examples are run through the model.
        dimension: Number of directions, k.
        way: In batches of what size, how many points at once, and whether the plane stays on the host.

    Raises:
        ProblemError: If the loss raises.
    """
    tensors = [*problem.model.parameters(), *problem.model.buffers()]
    moved = list(problem.params.values())
    largest_batch, split = max((min(way.batch_size, e.largest_batch), s) for s, e in problem.examples.items())
    activations = activation_bytes(problem, split, largest_batch)
    plane, data = (1 + dimension) * _bytes(moved), sum(e.nbytes for e in problem.examples.values())
    if way.lean and problem.device.type != "cpu":  # there the host is the device
        plane = 2 * max(tensor.nbytes for tensor in moved)
        data = 2 * largest_batch * data // sum(e.count for e in problem.examples.values())
    if way.points > 1:
        activations = way.points * (activations + _bytes(moved))
    return Peak(_bytes(tensors), plane, data, activations)


def activation_bytes(problem: Problem, split: str, batch_size: int) -> int:
    """Bytes that a forward pass of ``batch_size`` examples holds at its fullest, beside parameters and data.

    Measured on two small batches and continued along a straight line; a ready-made batch is measured as it is.
    """
    examples = problem.examples[split]
    if not examples.recuttable:
        return max(_pass_bytes(problem, batch) for batch in examples.batches(None))
    sizes = sorted({min(size, batch_size, examples.count) for size in PROBED})
    measured = [_pass_bytes(problem, examples.batches(size)[0]) for size in sizes]
    if sizes[-1] == batch_size or len(sizes) == 1:
        return measured[-1]
    slope = (measured[1] - measured[0]) / (sizes[1] - sizes[0])
    return int(measured[1] + slope * (batch_size - sizes[1]))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made while it is entered, and how many lived at once.

    Example:
        >>> x = torch.zeros(1000)
        >>> with LiveBytes() as live:
        ...     y = ((x + 1) * 2).sum()
        >>> live.peak
        8000
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count the storages it made."""
        known = {tensor.untyped_storage()._cdata for tensor in tensors_of(list(args)) if _is_plain(tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_of(result if isinstance(result, (tuple, list)) else [result]):
            if _is_plain(tensor) and tensor.untyped_storage()._cdata not in known | self._seen:
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def _pass_bytes(problem: Problem, batch: Any) -> int:
    habits_of(problem)  # tried apart, or the trial would be counted
    with torch.no_grad(), LiveBytes() as live:
        take_loss(problem, batch)
    return live.peak


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and type(tensor) in (Tensor, torch.nn.Parameter)


def _bytes(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors)
