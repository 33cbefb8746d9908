"""A copy of a model that is whole: its hooks and replaced methods use the copy too, where they knew the original.

``copy.deepcopy`` copies modules and bound methods, and leaves functions as they are. A hook, or a ``forward`` put on an
instance, that has the model in its closure (``old = net.forward; net.forward = lambda x: old(x) * 2``) would go on with
the original's parameters, which nothing moves.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError


def copy_model(model: nn.Module) -> nn.Module:
    """Copy a model so that nothing of the copy uses the original.

    Raises:
        ProblemError: If a function on it uses the model by a global name.
        Exception: What ``copy.deepcopy`` raises.

    Example:
        >>> def doubled(net):
        ...     old = net.forward
        ...     net.forward = lambda x: 2 * old(x)
        ...     return net
        >>> copied = copy_model(doubled(nn.Linear(1, 1)))
        >>> _ = nn.init.zeros_(copied.weight), nn.init.zeros_(copied.bias)
        >>> copied(torch.ones(1)).item()
        0.0
    """
    memo: dict[int, Any] = {}
    clone = copy.deepcopy(model, memo)
    owned = {id(part): memo[id(part)] for part in _parts(model) if id(part) in memo}
    rebound = _Rebound(owned)
    for name, module in clone.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        where = f"layer {name}" if name else "the model"
        for table in (vars(module), *(value for value in vars(module).values() if isinstance(value, dict))):
            for key, value in list(table.items()):
                if callable(value) and (new := rebound.of(value, where)) is not value:
                    table[key] = new
        rebound.check_globals(type(module).forward, where)
    return clone


def _parts(model: nn.Module) -> Iterator[Any]:
    """What a function may know of a model: modules and tensors."""
    yield from model.modules()
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))


class _Rebound:
    """Functions with what they know of a model replaced.

    Args:
        owned: The copy of each part of the model, by the identity of the original.
    """

    def __init__(self, owned: Mapping[int, Any]) -> None:
        self._owned, self._made = owned, dict[int, Any]()

    def of(self, value: Any, where: str) -> Any:
        """The same value, or one in its place that knows the copy."""
        if id(value) in self._owned:
            return self._owned[id(value)]
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, FunctionType):
            return self._function(value, where)
        if isinstance(value, MethodType):
            function, owner = self.of(value.__func__, where), self.of(value.__self__, where)
            same = function is value.__func__ and owner is value.__self__
            return value if same else MethodType(function, owner)
        if isinstance(value, functools.partial):
            parts = [value.func, *value.args, *value.keywords.values()]
            new = [self.of(part, where) for part in parts]
            if all(a is b for a, b in zip(parts, new, strict=True)):
                return value
            count = len(value.args) + 1
            return functools.partial(*new[:count], **dict(zip(value.keywords, new[count:], strict=True)))
        if type(value) in (list, tuple, dict):
            return self._container(value, where)
        return value

    def check_globals(self, function: Any, where: str) -> None:
        """Refuse a function that finds a part of the model by a global name.

        Raises:
            ProblemError: Naming it.
        """
        if not isinstance(function, FunctionType):
            return
        for name in _names(function.__code__):
            if id(function.__globals__.get(name)) in self._owned:
                raise ProblemError(
                    f"A function of {where} ({function.__qualname__}) uses the global {name}, which is a part of the "
                    "model, and a copy of the model is moved. Let it use the module that it is called with, or make "
                    "the model within model()."
                )

    def _function(self, value: FunctionType, where: str) -> Any:
        self._made[id(value)] = value  # it may know itself
        self.check_globals(value, where)
        cells = value.__closure__ or ()
        known = [_contents(cell) for cell in cells]
        new = [self.of(part, where) for part in known]
        defaults = self.of(value.__defaults__, where) if value.__defaults__ else value.__defaults__
        words = self.of(value.__kwdefaults__, where) if value.__kwdefaults__ else value.__kwdefaults__
        same = all(a is b for a, b in zip(known, new, strict=True))
        if same and defaults is value.__defaults__ and words is value.__kwdefaults__:
            return value
        closure = tuple(
            cell if old is part else CellType(part) for cell, old, part in zip(cells, known, new, strict=True)
        )
        made = FunctionType(value.__code__, value.__globals__, value.__name__, defaults, closure)
        functools.update_wrapper(made, value)
        made.__kwdefaults__ = words
        self._made[id(value)] = made
        return made

    def _container(self, value: Any, where: str) -> Any:
        parts = list(value.values()) if isinstance(value, dict) else list(value)
        new = [self.of(part, where) for part in parts]
        if all(a is b for a, b in zip(parts, new, strict=True)):
            return value
        return dict(zip(value, new, strict=True)) if isinstance(value, dict) else type(value)(new)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _names(code: CodeType) -> set[str]:
    """Global names of a function and of those defined within it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))
