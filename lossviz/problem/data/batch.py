"""A batch: whatever the user's loss takes, a tree of tuples, lists, dicts and objects with tensors at its leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError

Batch = Any
TakeApart = Callable[[Any], Sequence[Any]]
PutTogether = Callable[[Any, Sequence[Any]], Any]
_registered: dict[type, tuple[TakeApart, PutTogether]] = {}


class Counted(NamedTuple):
    """A batch whose examples are counted by what made it, and not by its tensors, such as the nodes of graphs.

    The loss gets the batch alone, see :func:`bare`.

    Example:
        >>> nodes_of_two_graphs = Counted(torch.zeros(7, 3), 2)
        >>> count_examples(nodes_of_two_graphs), bare(nodes_of_two_graphs).shape
        (2, torch.Size([7, 3]))
    """

    batch: Batch
    examples: int


def bare(batch: Batch) -> Batch:
    """The batch as the loss takes it."""
    return batch.batch if isinstance(batch, Counted) else batch


def register_batch(kind: type, take_apart: TakeApart, put_together: PutTogether) -> None:
    """Say how batches of a class of your own are read, moved to a device, counted and hashed.

    Tuples, lists, dicts, dataclasses and objects with tensors among their attributes need no rule. Call it in the
    problem file.

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
    return list(attributes(node).values())


def attributes(node: Any) -> dict[str, Any]:
    """What a dataclass or an object holds by name; empty for an object without a tensor, or that holds itself."""
    if is_dataclass(node) and not isinstance(node, type):
        return {field.name: getattr(node, field.name) for field in fields(node)}
    try:
        return dict(vars(node)) if _is_object(node) and _holds_tensors(node) else {}
    except RecursionError:  # it holds itself
        return {}


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
    clone = copy.copy(node)
    for name, value in zip(attributes(node), held, strict=True):
        object.__setattr__(clone, name, value)
    return clone


def map_tensors(function: Callable[[Tensor], Any], batch: Batch) -> Batch:
    """The same tree with every tensor replaced by ``function`` of it.

    Example:
        >>> map_tensors(lambda t: t + 1, {"x": torch.zeros(2), "kind": "text"})
        {'x': tensor([1., 1.]), 'kind': 'text'}
    """
    if isinstance(batch, Tensor):
        return function(batch)
    if _maps_itself(batch):
        clone = copy.copy(batch)
        applied = clone.apply(function)
        return clone if applied is None else applied
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
    """Number of examples B: what the batch itself says, or the leading dimension of the first tensor that has one.

    An object says it by ``num_graphs`` or ``batch_size``, as batches of graphs do.

    Raises:
        ProblemError: If the batch neither says it nor holds such a tensor.

    Example:
        >>> count_examples((torch.zeros(5, 2), torch.zeros(5)))
        5
    """
    count = find_count(batch)
    if count is None:
        raise ProblemError(
            f"A batch of type {type(batch).__name__} holds no tensor with a leading dimension, so its examples cannot "
            "be counted. Make batches of tensors (in tuples, lists, dicts or objects) whose first axis is the example, "
            "give the class an attribute num_graphs, or name its parts with lossviz.register_batch."
        )
    return count


def find_count(node: Batch) -> int | None:
    """As :func:`count_examples`; None where nothing says it."""
    if isinstance(node, Counted):
        return node.examples
    if isinstance(node, Tensor):
        return node.shape[0] if node.ndim else None
    if said := _said_count(node):
        return said
    return next((count for child in children(node) if (count := find_count(child)) is not None), None)


def is_uneven(batches: Sequence[Batch]) -> bool:
    """Whether batches that are counted by their first tensor hold others that would weigh them otherwise.

    Example:
        >>> is_uneven([(torch.zeros(7, 3), torch.zeros(2)), (torch.zeros(9, 3), torch.zeros(2))])
        True
    """
    rows = [[tensor.shape[0] for tensor in tensors(batch) if tensor.ndim] for batch in batches]
    said = [isinstance(b, Counted) or not own or find_count(b) != own[0] for b, own in zip(batches, rows, strict=True)]
    if any(said) or len({len(own) for own in rows}) > 1:
        return False
    return any(own[0] * one != rows[0][0] * count for own in rows for count, one in zip(own, rows[0], strict=True))


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


def _said_count(node: Any) -> int:
    """The number of examples that an object of its own class names; 0 where it names none."""
    if not _is_object(node) or _rule(node):
        return 0
    for name in ("num_graphs", "batch_size"):
        said = getattr(node, name, None)
        if isinstance(said, (tuple, list)) and said:  # the leading dimensions of a tensor dict
            said = said[0]
        if isinstance(said, int) and said > 0:
            return said
    return 0


def _maps_itself(node: Any) -> bool:
    """Whether an object moves and maps its own tensors, as graphs and tensor dicts do."""
    return _is_object(node) and not _rule(node) and all(callable(getattr(node, name, None)) for name in ("to", "apply"))


def _is_object(node: Any) -> bool:
    if isinstance(node, (Tensor, nn.Module, type, Mapping, tuple, list)):
        return False
    return hasattr(node, "__dict__")


def _holds_tensors(node: Any) -> bool:
    if isinstance(node, (Tensor, np.ndarray)):
        return True
    held = list(vars(node).values()) if _is_object(node) and not _rule(node) else children(node)
    return any([_holds_tensors(child) for child in held])  # noqa: C419 (every child, or a cycle would be missed)
