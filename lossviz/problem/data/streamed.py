"""Examples that stay on the host and come to the device batch by batch, the next one on its way while one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from lossviz.problem.data.batch import Batch, map_tensors, tensors
from lossviz.problem.data.examples import Examples


class StreamedExamples(Examples):
    """The same examples, batches of which are moved to ``device`` as they are asked for.

    For CUDA they lie in pinned memory, and a second stream fetches the next batch while the device computes.

    Args:
        examples: On the host.
        device: Where batches are to come.

    Example:
        >>> resident = Examples([torch.arange(5)], recuttable=True)
        >>> streamed = StreamedExamples(resident, torch.device("cpu"))
        >>> [batch.tolist() for batch in streamed.batches(2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, examples: Examples, device: torch.device) -> None:
        def pin(tensor: Tensor) -> Tensor:
            return tensor.pin_memory() if device.type == "cuda" else tensor

        parts = [map_tensors(pin, part) for part in examples.batches(None)]
        own, together = examples.own_size, examples.together
        super().__init__(parts, recuttable=examples.recuttable, own_size=own, together=together)
        self.device, self._place = device, examples._place

    def batches(self, batch_size: int | None) -> Sequence[Batch]:
        """All examples in their order, each batch moved when its turn comes, see :meth:`Examples.batches`."""
        return Ahead(super().batches(batch_size), self._move)

    def growing_batches(self, first: int, batch_size: int) -> Sequence[Batch]:
        """As :meth:`Examples.growing_batches`, each batch moved when its turn comes."""
        return Ahead(super().growing_batches(first, batch_size), self._move)

    def in_own_batches(self) -> Examples:
        """As :meth:`Examples.in_own_batches`, on the host too."""
        return StreamedExamples(Examples(super().batches(self.own_size)), self.device)

    def reordered(self, order: np.ndarray) -> Examples:
        """As :meth:`Examples.reordered`, on the host too."""
        return StreamedExamples(super().reordered(order), self.device)

    def slices(self, count: int) -> list[Examples]:
        """As :meth:`Examples.slices`, on the host too."""
        return [StreamedExamples(one, self.device) for one in super().slices(count)]

    def in_cuts(self, cuts: Sequence[np.ndarray]) -> Examples:
        """As :meth:`Examples.in_cuts`, on the host too."""
        return StreamedExamples(Examples([Examples.taken(self, cut) for cut in cuts]), self.device)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Examples:
        """As :meth:`Examples.mapped`, on the host too."""
        return StreamedExamples(super().mapped(function), self.device)

    def taken(self, indices: np.ndarray) -> Batch:
        """One batch on the device, see :meth:`Examples.taken`."""
        return map_tensors(lambda tensor: tensor.to(self.device), super().taken(indices))

    def _move(self, batch: Batch) -> Batch:
        return map_tensors(lambda tensor: tensor.to(self.device, non_blocking=True), batch)


class Ahead(Sequence[Any]):
    """A sequence whose items are moved one ahead of the one in use.

    Args:
        items: What is to be moved.
        move: Moves one; on a CUDA device it runs in a stream of its own.
    """

    def __init__(self, items: Sequence[Any], move: Callable[[Any], Any]) -> None:
        self._items, self._move_one = items, move

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """One item, moved, or a part of the sequence."""
        if isinstance(index, slice):
            return Ahead(self._items[index], self._move_one)
        return self._move_one(self._items[index])

    def __iter__(self) -> Iterator[Any]:
        stream, ahead = None, None
        for number, item in enumerate(self._items):
            now = ahead if number else self._move_one(item)
            if number == 0:
                stream = _stream_of(now)
            elif stream is not None:
                _arrived(now, stream)
            if number + 1 < len(self._items):
                with torch.cuda.stream(stream):  # without a stream this does nothing
                    ahead = self._move_one(self._items[number + 1])
            yield now


def _stream_of(batch: Batch) -> torch.cuda.Stream | None:
    first = next(tensors(batch), None)
    return torch.cuda.Stream(first.device) if first is not None and first.is_cuda else None


def _arrived(batch: Batch, stream: torch.cuda.Stream) -> None:
    """Let the computing stream wait for the copies, and keep their memory until it is done with them."""
    current = torch.cuda.current_stream(stream.device)
    current.wait_stream(stream)
    for tensor in tensors(batch):
        tensor.record_stream(current)
