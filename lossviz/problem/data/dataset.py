"""Items of a dataset: read in order, found to be the same when read again, stacked into resident tensors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from lossviz.errors import ProblemError
from lossviz.problem.data.batch import children
from lossviz.problem.data.examples import columns, map_columns

ITEMS_AT_A_TIME = 256
PROBED_ITEMS = 8
ENDLESS = 10_000_000


def is_map_style(data: Any) -> bool:
    """Whether ``data`` has items by index and a length."""
    if isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__getitem__"):
        return False
    try:
        return len(data) >= 0
    except TypeError:
        return False


def fetch(items: Any, indices: np.ndarray) -> list[Any]:
    """The items at some indices, at once where the dataset can."""
    wanted = indices.tolist()
    return items.__getitems__(wanted) if hasattr(items, "__getitems__") else [items[i] for i in wanted]


def stack(items: Any, indices: np.ndarray, device: torch.device, dtype: torch.dtype, split: str) -> Any:
    """Items as one tree of columns on ``device``, stacked as ``default_collate`` stacks them, a few at a time.

    Each column is allocated once, at its full length, so that the peak is the data and one handful of items.

    Raises:
        ProblemError: If items cannot be stacked; the message says from which example on.
    """

    def room(column: Any) -> Any:
        if not isinstance(column, Tensor):
            return [""] * len(indices)
        kind = dtype if column.is_floating_point() else column.dtype
        return torch.empty(len(indices), *column.shape[1:], dtype=kind, device=device)

    resident: Any = None
    for start in range(0, len(indices), ITEMS_AT_A_TIME):
        chunk = _collate(fetch(items, indices[start : start + ITEMS_AT_A_TIME]), split, start)
        if resident is None:
            resident = map_columns(chunk, room)
        _fill(resident, chunk, start, split)
    return resident


def read_stream(dataset: Any, split: str) -> list[Any]:
    """All items of an iterable dataset, whose first items must come again when it is read again.

    Raises:
        ProblemError: If they do not, or there is no end to them.
    """
    first = iter(dataset)
    # a dataset that is its own iterator can be read only once, so nothing may be taken from it for a probe
    probe = [] if iter(dataset) is first else list(islice(first, PROBED_ITEMS))
    items = list(islice(dataset, ENDLESS))
    if len(items) == ENDLESS:
        raise ProblemError(f"The iterable dataset of split {split!r} does not end after {ENDLESS:,} examples.")
    if not _equal(probe, items[: len(probe)]):
        raise ProblemError(_unrepeatable(split))
    return items


def check_repeatable(items: Any, indices: np.ndarray, split: str) -> None:
    """Read a few items twice.

    Raises:
        ProblemError: If they differ, as they do under random augmentation.
    """
    probed = indices[np.unique(np.linspace(0, len(indices) - 1, PROBED_ITEMS).astype(int))]
    if not _equal(fetch(items, probed), fetch(items, probed)):
        raise ProblemError(_unrepeatable(split))


def _collate(items: list[Any], split: str, start: int) -> Any:
    try:
        return default_collate(items)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise ProblemError(_unstackable(split, start, str(error).splitlines()[0])) from error


def _fill(resident: Any, chunk: Any, start: int, split: str) -> None:
    for whole, part in zip(columns(resident), columns(chunk), strict=True):
        if isinstance(whole, Tensor) and whole.shape[1:] != part.shape[1:]:
            shapes = f"shapes {tuple(whole.shape[1:])} and {tuple(part.shape[1:])}"
            raise ProblemError(_unstackable(split, start, shapes))
        whole[start : start + len(part)] = part


def _unstackable(split: str, start: int, reason: str) -> str:
    return (
        f"The examples of split {split!r} cannot be stacked into tensors, from example {start} on: {reason}\n"
        "Let the dataset return tensors or numbers of one shape (an image needs a transform such as ToTensor), or "
        "return a DataLoader with a collate_fn that pads, or a list of ready-made batches."
    )


def _unrepeatable(split: str) -> str:
    return (
        f"The data of split {split!r} change when they are read again, so every run would see other examples. The "
        "likely reason is random augmentation (crops, flips, noise): use the transforms of evaluation in data()."
    )


def _equal(a: Any, b: Any) -> bool:
    """Whether two items hold the same numbers, texts and images, NaN being like NaN; other objects are not judged."""
    if isinstance(a, Tensor):
        return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, (int, float, str)):
        return a == b or (a != a and b != b)
    if hasattr(a, "tobytes"):  # NumPy arrays, PIL images
        return a.tobytes() == b.tobytes()
    mine, theirs = children(a), children(b)
    return len(mine) == len(theirs) and all(_equal(x, y) for x, y in zip(mine, theirs, strict=True))
