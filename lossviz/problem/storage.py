"""Parameters that share their memory: tied without being one object, as by ``b.weight.data = a.weight.data``.

A copy in another type would give each its own memory, and the network would no longer be the one that was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError


def tie_shared(model: nn.Module, like: nn.Module | None = None) -> None:
    """Make one parameter of those that have the same memory, in place, so that they are cast and moved as one.

    Args:
        model: Changed in place.
        like: The model that it is a copy of, for copies have memory of their own; None looks at ``model`` itself.

    Raises:
        ProblemError: If two tensors share a part of their memory, or in another shape: they cannot be moved as one.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        >>> net[1].weight.data = net[0].weight.data
        >>> tie_shared(net)
        >>> net[1].weight is net[0].weight
        True
    """
    seen = like or model
    if isinstance(seen, torch.jit.ScriptModule):  # its parameters cannot be replaced
        return
    parameters, buffers = dict(seen.named_parameters()), dict(seen.named_buffers())
    _check_attributes(seen, parameters)
    for one, other in _sharing({**parameters, **buffers}):
        if one in buffers and other in buffers:
            continue
        if other in buffers:
            raise ProblemError(
                f"The buffer {other} shares its memory with the parameter {one}, and buffers do not move: clone() it "
                "in model()."
            )
        first, second = parameters[one], parameters[other]
        if not _same_place(first, second):
            raise ProblemError(
                f"The parameters {one} {tuple(first.shape)} and {other} {tuple(second.shape)} share a part of their "
                "memory, so that they cannot be moved as one. Let forward() compute one from the other, for example "
                "with weight.T, or clone() it in model()."
            )
        _replace(model, model.get_parameter(other), model.get_parameter(one))


def tied_names(model: nn.Module) -> list[list[str]]:
    """All names of each parameter that has several."""
    groups: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _check_attributes(model: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Refuse plain attributes that have the memory of a parameter: the copy that moves would leave them behind."""
    known, attributes = set(map(id, parameters.values())), dict[str, Tensor]()
    for place, module in model.named_modules():
        for name, value in vars(module).items():
            within = value if type(value) in (list, tuple) else value.values() if type(value) is dict else [value]
            if name not in ("_parameters", "_buffers"):
                found = [t for t in within if isinstance(t, Tensor) and id(t) not in known]
                attributes |= {f"{place}.{name}.{k}".lstrip("."): tensor for k, tensor in enumerate(found)}
    for one, other in _sharing({**parameters, **attributes}):
        if one in parameters and other in attributes:
            raise ProblemError(
                f"The attribute {other.rpartition('.')[0]} shares its memory with the parameter {one}, and would not "
                "follow it where that is moved: use the parameter itself in forward(), or clone() it in model()."
            )


def _sharing(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose tensors have bytes in common."""
    groups: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.layout == torch.strided and not tensor.is_meta and tensor.numel():
            groups.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    for place, names in groups.items():
        for one, other in combinations(names, 2) if place else ():
            (low, high), (start, end) = _span(tensors[one]), _span(tensors[other])
            if low < end and start < high:
                yield one, other


def _span(tensor: Tensor) -> tuple[int, int]:
    """First byte of a tensor, and the one behind its last."""
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _same_place(one: Tensor, other: Tensor) -> bool:
    return (one.data_ptr(), one.shape, one.stride(), one.dtype) == (
        other.data_ptr(), other.shape, other.stride(), other.dtype,
    )  # fmt: skip


def _replace(model: nn.Module, old: Tensor, new: Tensor) -> None:
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is old:
                setattr(module, name, new)
