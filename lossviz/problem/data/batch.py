"""A batch: whatever the user's loss takes, a tree of tuples, lists, dicts and the like with tensors at its leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError

Batch = Any
TakeApart = Callable[[Any], Sequence[Any]]
PutTogether = Callable[[Any, Sequence[Any]], Any]
_registered: dict[type, tuple[TakeApart, PutTogether]] = {}


def register_batch(kind: type, take_apart: TakeApart, put_together: PutTogether) -> None:
    """Say how batches of a class of your own are read, moved to a device, counted and hashed.

    Tuples, lists, dicts, dataclasses and objects with a ``to`` method need no rule. Call it in the problem file.

    Args:
        kind: The class; its subclasses follow it.
        take_apart: Of a batch: what it holds, tensors or further containers; the first tensor's first axis counts
            examples.
        put_together: Of a batch and a list as ``take_apart`` gave it: a new batch that holds the list.

    Example:
        >>> class Pair:
        ...     def __init__(self, left, right):
        ...         self.left, self.right = left, right
        >>> register_batch(Pair, lambda pair: [pair.left, pair.right], lambda pair, held: Pair(*held))
        >>> map_tensors(lambda t: t + 1, Pair(torch.zeros(2), "text")).left
        tensor([1., 1.])
    """
    _registered[kind] = (take_apart, put_together)


def children(node: Any) -> list[Any]:
    """What a node of a batch holds; empty for tensors and for anything that is not a container."""
    if rule := _rule(node):
        return list(rule[0](node))
    if isinstance(node, Mapping):
        return list(node.values())
    if isinstance(node, (tuple, list)):
        return list(node)
    if is_dataclass(node) and not isinstance(node, type):
        return [getattr(node, field.name) for field in fields(node)]
    return []


def rebuild(node: Any, held: list[Any]) -> Any:
    """A node of the same type as ``node`` holding ``held`` in place of its :func:`children`."""
    if rule := _rule(node):
        return rule[1](node, held)
    if isinstance(node, Mapping):
        return _rebuild_mapping(node, held)
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return type(node)(*held)
    if isinstance(node, (tuple, list)):
        return tuple(held) if isinstance(node, tuple) else held
    if is_dataclass(node) and not isinstance(node, type):
        clone = copy.copy(node)
        for field, value in zip(fields(node), held, strict=True):
            object.__setattr__(clone, field.name, value)
        return clone
    return node


def map_tensors(function: Callable[[Tensor], Any], batch: Batch) -> Batch:
    """The same tree with every tensor replaced by ``function`` of it.

    Example:
        >>> map_tensors(lambda t: t + 1, {"x": torch.zeros(2), "kind": "text"})
        {'x': tensor([1., 1.]), 'kind': 'text'}
    """
    if isinstance(batch, Tensor):
        return function(batch)
    held = children(batch)
    return rebuild(batch, [map_tensors(function, child) for child in held]) if held else batch


def tensors(batch: Batch) -> Iterator[Tensor]:
    """Every tensor of a batch, in order."""
    if isinstance(batch, Tensor):
        yield batch
    else:
        for child in children(batch):
            yield from tensors(child)


def count_examples(batch: Batch) -> int:
    """Number of examples B: the leading dimension of the first tensor that has one.

    Raises:
        ProblemError: If the batch holds no such tensor.

    Example:
        >>> count_examples((torch.zeros(5, 2), torch.zeros(5)))
        5
    """
    for tensor in tensors(batch):
        if tensor.ndim:
            return tensor.shape[0]
    raise ProblemError(
        f"A batch of type {type(batch).__name__} holds no tensor with a leading dimension, so its examples cannot be "
        "counted. Make batches of tensors (in tuples, lists, dicts or dataclasses) whose first axis is the example."
    )


def move(batch: Batch, device: torch.device, dtype: torch.dtype) -> Batch:
    """A batch on ``device`` with its floating-point tensors in ``dtype``; NumPy arrays become tensors.

    Objects with a ``to`` method of their own (packed sequences, graphs) are moved by it, for they know which of their
    tensors must stay where they are.
    """
    if isinstance(batch, np.ndarray):
        batch = torch.from_numpy(batch)
    if isinstance(batch, Tensor):
        moved = batch.detach().to(device, dtype if batch.is_floating_point() else None)
        return moved.clone() if moved.is_inference() else moved  # or it could not be differentiated by
    if callable(getattr(batch, "to", None)) and not _rule(batch):
        return map_tensors(lambda t: t.to(dtype) if t.is_floating_point() else t, batch.to(device))
    held = children(batch)
    return rebuild(batch, [move(child, device, dtype) for child in held]) if held else batch


def _rule(node: Any) -> tuple[TakeApart, PutTogether] | None:
    return (
        next((_registered[kind] for kind in type(node).__mro__ if kind in _registered), None) if _registered else None
    )


def _rebuild_mapping(node: Mapping[Any, Any], held: list[Any]) -> Any:
    changed = dict(zip(node, held, strict=True))
    if type(node) is dict or not hasattr(node, "__setitem__"):
        return changed
    clone: Any = copy.copy(node)
    for key, value in changed.items():
        clone[key] = value
    return clone
