"""What a forward pass may change of a model beside its parameters, put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_OWN = ("_parameters", "_buffers", "_modules")  # tables of a module, each with entries of its own
_FILLED = (list, dict, set)


class Kept:
    """What a forward pass may change of a model beside its parameters: buffers, modes, gradient flags, attributes.

    Args:
        model: As it is to be left.
        trusted: Whether torch's count of writes says which buffers changed; BatchNorm in training mode is not counted.
        attributes: Whether plain attributes are put back too, a look at each of them.

    Example:
        >>> model = nn.BatchNorm1d(2).eval()
        >>> kept = Kept(model)
        >>> _ = model.train()(torch.ones(3, 2))
        >>> kept.put_back()
        >>> model.training, model.running_mean.tolist()
        (False, [0.0, 0.0])
    """

    def __init__(self, model: nn.Module, *, trusted: bool = False, attributes: bool = True) -> None:
        self._attributes = Attributes(model) if attributes else None
        self._trusted, modules = trusted, list(model.modules())
        self._modes = [(module, module.training) for module in modules]
        self._flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        named = [(m, name, b) for m in modules for name, b in m._buffers.items() if b is not None]
        self._buffers = [(module, name, buffer, buffer.detach().clone()) for module, name, buffer in named]
        self._versions = [_version(buffer) for *_, buffer, _ in self._buffers]

    def put_back(self) -> None:
        """Leave the model as it was found."""
        if self._attributes is not None:
            self._attributes.put_back()
        for module, mode in self._modes:
            if module.training != mode:
                module.training = mode
        for parameter, flag in self._flags:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
        for place, (module, name, buffer, value) in enumerate(self._buffers):
            if module._buffers[name] is not buffer:
                setattr(module, name, buffer)
            if not self._trusted or _version(buffer) != self._versions[place]:
                with torch.no_grad():
                    buffer.copy_(value)
                self._versions[place] = _version(buffer)


class Attributes:
    """The attributes of every module of a model as they are now, to be put back after calls of ``forward``.

    A counter or a list that grows would make values depend on how many points came before. Tensors are kept by
    reference: what is written *into* one is not seen here.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 1))
        >>> net.calls, net.seen = 0, []
        >>> kept = Attributes(net)
        >>> net.calls += 1
        >>> net.seen.append("a batch")
        >>> kept.changed(), kept.put_back(), net.calls, net.seen
        (True, None, 0, [])
    """

    def __init__(self, model: nn.Module) -> None:
        self._tables = [(table, dict(table)) for table in _tables(model)]
        self._filled = [
            (value, value.copy()) for _, kept in self._tables for value in kept.values() if _is_filled(value)
        ]

    def changed(self) -> bool:
        """Whether an attribute is another object than it was, or a list, dict or set of them has other entries."""
        return not all(map(_same, self._tables)) or not all(map(_same_entries, self._filled))

    def put_back(self) -> None:
        """Leave all attributes as they were found."""
        for table, kept in self._tables:
            if not _same((table, kept)):
                table.clear()
                table.update(kept)
        for value, kept in self._filled:
            if not _same_entries((value, kept)):
                value.clear()
                value.extend(kept) if isinstance(value, list) else value.update(kept)


def _tables(model: nn.Module) -> Iterator[dict[str, Any]]:
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):  # its attributes are not Python's
            continue
        own = vars(module)
        yield own
        yield from (own[name] for name in _OWN)


def _is_filled(value: Any) -> bool:
    return type(value) in _FILLED


def _same(pair: tuple[dict[str, Any], dict[str, Any]]) -> bool:
    now, kept = pair
    return now.keys() == kept.keys() and [*map(id, now.values())] == [*map(id, kept.values())]


def _same_entries(pair: tuple[Any, Any]) -> bool:
    now, kept = pair
    if isinstance(now, dict):
        return _same(pair)
    return len(now) == len(kept) and [*map(id, now)] == [*map(id, kept)]


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to, as far as torch counts."""
    return None if tensor.is_inference() else tensor._version
