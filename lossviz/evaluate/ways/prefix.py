"""What no moved parameter enters is computed once a batch and kept, so that each point runs the rest of the model only.

The model's graph says exactly which results depend on a parameter that moves. Those that do not are the prefix; what it
hands to the rest is kept for each batch, and used again only where the inputs are the very same and nothing that the
prefix reads has changed.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_map

from lossviz.errors import UsageError
from lossviz.evaluate.ways.graph import trace
from lossviz.problem.problem import Problem

LARGEST_BYTES = 4 << 30  # of all that is kept; batches beyond are computed at every point
_IN_PLACE = {function for name, function in vars(operator).items() if name in operator.__all__ and name[0] == "i"} - {
    operator.is_, operator.is_not, operator.indexOf, operator.inv, operator.invert, operator.itemgetter, operator.index,
}  # fmt: skip


def with_cached_prefix(problem: Problem, moved: Collection[str]) -> Problem:
    """The same problem, whose loss sees a model that keeps what no parameter of ``moved`` enters.

    Raises:
        UsageError: If BatchNorm's statistics are not fixed, the model's graph cannot be read, or there is no such part.
    """
    if problem.statistics is not None:
        raise UsageError("With BatchNorm statistics computed at every point no part of the model stays the same.")
    cached, loss = CachedPrefix(problem.model, moved), problem.loss

    def cached_loss(model: nn.Module, batch: Any) -> Any:
        cached.begin(batch)
        return loss(cached, batch)

    return replace(problem, loss=cached_loss)


@dataclass
class _Kept:
    """One call's inputs and what the prefix made of them."""

    inputs: list[Any]
    versions: list[int]
    structure: Any
    stamp: tuple[int, ...]
    results: tuple[Any, ...]

    def is_of(self, inputs: Sequence[Any], structure: Any, stamp: tuple[int, ...]) -> bool:
        """Whether it would come out the same now, to the last bit."""
        unchanged = self.versions == [value._version for value in self.inputs if isinstance(value, Tensor)]
        if not unchanged or stamp != self.stamp or structure != self.structure:
            return False
        return all(_same(one, other) for one, other in zip(self.inputs, inputs, strict=True))


class CachedPrefix(nn.Module):
    """A model that keeps, for each batch, what its frozen part makes of it.

    Args:
        model: Its modules and parameters are shared, not copied.
        moved: Names of the parameters that will change between calls.
        largest_bytes: Room for what is kept.

    Raises:
        UsageError: If the graph cannot be read or cut, or nothing with parameters stands before what moves.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> cached, batch = CachedPrefix(model, ["2.weight", "2.bias"]), torch.ones(4, 2)
        >>> for _ in range(3):
        ...     cached.begin(batch)
        ...     same = torch.equal(cached(batch), model(batch))
        >>> same, cached.runs
        (True, 1)
    """

    def __init__(self, model: nn.Module, moved: Collection[str], largest_bytes: int = LARGEST_BYTES) -> None:
        super().__init__()
        graph = trace(model)
        frozen = _frozen_nodes(graph, moved)
        _check_order(graph, frozen)
        frontier = [node for node in frozen if any(user not in frozen for user in node.users)]
        self.prefix, self.rest = _first_part(graph, frozen, frontier), _second_part(graph, frozen, frontier)
        self.runs, self.bytes, self.largest_bytes = 0, 0, largest_bytes
        self._model = (model,)  # unregistered: its parameters are registered in the two parts
        self._read = [*self.prefix.parameters(), *self.prefix.buffers()]
        self._kept: dict[int, tuple[Any, list[_Kept]]] = {}
        self._calls: list[_Kept] = []
        self._number = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._model[0], name)

    def begin(self, batch: Any) -> None:
        """Say which batch the next calls are about."""
        batch_of, self._calls = self._kept.setdefault(id(batch), (batch, []))
        assert batch_of is batch  # held here, so that its id is no other's
        self._number = 0

    def forward(self, *args: Any, **words: Any) -> Any:
        """What the model gives."""
        inputs, structure = tree_flatten((args, words))
        stamp = tuple(tensor._version for tensor in self._read)
        number, self._number = self._number, self._number + 1
        known = self._calls[number] if number < len(self._calls) else None
        if known is None or not known.is_of(inputs, structure, stamp):
            known = self._keep(number, inputs, structure, stamp, self.prefix(*args, **words))
        # copies, for what follows may change them in place
        return self.rest(*tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, known.results))

    def _keep(
        self, number: int, inputs: list[Any], structure: Any, stamp: tuple[int, ...], results: tuple[Any, ...]
    ) -> _Kept:
        self.runs += 1
        versions = [value._version for value in inputs if isinstance(value, Tensor)]
        made = _Kept(inputs, versions, structure, stamp, results)
        size = sum(v.numel() * v.element_size() for v in tree_flatten(results)[0] if isinstance(v, Tensor))
        if number < len(self._calls):
            self._calls[number] = made
        elif number == len(self._calls) and self.bytes + size <= self.largest_bytes:
            self._calls.append(made)
            self.bytes += size
        return made


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or (one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other))
    return type(one) is type(other) and bool(one == other)


def _frozen_nodes(graph: fx.GraphModule, moved: Collection[str]) -> dict[fx.Node, None]:
    """The nodes that no moved parameter enters, in order."""
    named = dict(graph.named_parameters(remove_duplicate=False))
    moving = {id(parameter) for name, parameter in named.items() if name in moved}
    modules, frozen, saved = dict(graph.named_modules()), dict[fx.Node, None](), 0
    for node in graph.graph.nodes:
        own = list(modules[node.target].parameters()) if node.op == "call_module" else []
        if node.op == "get_attr":
            own = [named[node.target]] if node.target in named else []
        depends = any(source not in frozen for source in node.all_input_nodes)
        if node.op != "output" and not depends and not any(id(parameter) in moving for parameter in own):
            frozen[node] = None
            saved += node.op == "call_module" and bool(own)
    if not saved or not moving:
        raise UsageError("No part of the model with parameters stands before those that move.")
    return frozen


def _check_order(graph: fx.GraphModule, frozen: Mapping[fx.Node, None]) -> None:
    """Refuse a graph where one part changes in place what the other reads: their order would matter."""
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        for changed in node.all_input_nodes if _is_in_place(node, modules) else ():
            if changed in frozen and any((user in frozen) != (node in frozen) for user in changed.users):
                raise UsageError(f"The model's graph cannot be cut: {node.name} changes {changed.name} in place.")


def _is_in_place(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    marked = name.endswith("_") and not name.endswith("__")
    return node.target in _IN_PLACE or marked or bool(node.kwargs.get("inplace")) or "out" in node.kwargs


def _first_part(graph: fx.GraphModule, frozen: Collection[fx.Node], frontier: Sequence[fx.Node]) -> fx.GraphModule:
    part, copies = fx.Graph(), {}
    for node in frozen:
        copies[node] = part.node_copy(node, lambda source: copies[source])
    part.output(tuple(copies[node] for node in frontier))
    return fx.GraphModule(graph, part)


def _second_part(graph: fx.GraphModule, frozen: Collection[fx.Node], frontier: Sequence[fx.Node]) -> fx.GraphModule:
    part, copies = fx.Graph(), {}
    for number, node in enumerate(frontier):
        copies[node] = part.placeholder(f"kept_{number}")
    for node in graph.graph.nodes:
        if node not in frozen:
            copies[node] = part.node_copy(node, lambda source: copies[source])
    return fx.GraphModule(graph, part)
