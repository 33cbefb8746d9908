"""Passes over batches, with half as many examples a batch as often as memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from lossviz.errors import ProblemError
from lossviz.problem.blame import is_out_of_memory
from lossviz.problem.data.examples import Examples

T = TypeVar("T")


def halved(run: Callable[[int], T], batch_size: int, examples: Iterable[Examples]) -> T:
    """What ``run(batch_size)`` returns, with smaller batches where memory does not suffice for these.

    Args:
        run: Called with the size of its batches; what it raised must leave nothing behind.
        batch_size: The size to begin with.
        examples: What is cut into them.

    Raises:
        ProblemError: If not even one example, or a ready-made batch, fits.

    Example:
        >>> def run(size):
        ...     if size > 30:
        ...         raise torch.OutOfMemoryError("out of memory")
        ...     return size
        >>> halved(run, 256, [Examples([torch.zeros(100)], recuttable=True)])
        25
    """
    examples = list(examples)
    while True:
        try:
            return run(batch_size)
        except (RuntimeError, MemoryError) as error:
            batch_size = half_batch(error, batch_size, examples)


def half_batch(error: Exception, batch_size: int, examples: Iterable[Examples]) -> int:
    """The next smaller batch size, where memory did not suffice for batches of ``batch_size``.

    Raises:
        Exception: ``error`` itself, if it is about something else.
        ProblemError: If batches cannot be smaller.
    """
    if not is_out_of_memory(error):
        raise error
    parts = list(examples)
    size = min(batch_size, max(part.largest_batch for part in parts))
    if size < 2 or not all(part.recuttable for part in parts):
        raise out_of_memory(error, size, ready_made=size > 1) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2


def out_of_memory(error: Exception, batch_size: int, *, ready_made: bool = False) -> ProblemError:
    """What to do where memory does not suffice and nothing is left to halve."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    what = "smaller ready-made batches" if ready_made else "--low-memory"
    return ProblemError(
        f"Out of memory at batch size {batch_size}: {line} Use {what}, a device with more memory, or --device cpu."
    )
