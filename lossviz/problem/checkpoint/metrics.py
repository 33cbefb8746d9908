"""Numbers that a checkpoint holds beside its parameters: the epoch, the accuracy or loss it was saved with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

SHOWN = 8


def metric_notes(content: Any, place: str) -> list[str]:
    """A note on the numbers beside the state dict at ``place``, for the user to compare with.

    Example:
        >>> metric_notes({"net": {}, "acc": 91.0, "epoch": 30, "args": {"lr": 0.1}}, "net")
        ['The checkpoint says: acc 91, epoch 30.']
    """
    found = dict(_numbers_beside(content, place))
    said = [f"{name} {value:.6g}" for name, value in found.items()]
    more = f" and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return [f"The checkpoint says: {', '.join(said[:SHOWN])}{more}."] if said else []


def _numbers_beside(content: Any, place: str) -> Iterator[tuple[str, float]]:
    """Plain numbers at the top and at every level down to ``place``, and those of dicts of numbers called metrics."""
    node, words = content, place.split(".") if place else []
    while isinstance(node, Mapping):
        for name, value in node.items():
            if (number := _number(value, tensors=bool(words))) is not None:
                yield str(name), number
            elif words and name in ("metrics", "results", "scores") and isinstance(value, Mapping):
                yield from ((str(key), n) for key, v in value.items() if (n := _number(v, tensors=True)) is not None)
        if not words:
            return
        node = node.get(words.pop(0))


def _number(value: Any, *, tensors: bool) -> float | None:
    """A plain number, or one in an array without axes; a state dict's own ones are its counters."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        if not tensors or value.ndim or (isinstance(value, Tensor) and value.is_complex()):
            return None
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
