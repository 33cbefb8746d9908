"""Weight norm taken out of a model: the plane moves the weights that the layers really use.

Weight normalization (Salimans and Kingma, NeurIPS 2016) stores a weight as g · v / ‖v‖. Moved along v alone, the weight
turns but never changes its norm; a surface of g and v would not be that of the same network written with plain weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

PAIR = re.compile(r"(?P<name>.*?)(?:_g|\.original0)$")


def fold_weight_norm(model: nn.Module) -> list[str]:
    """Put plain weights in place of every weight-norm pair of ``model``, in place; its function stays the same.

    Returns:
        Names of the weights.

    Example:
        >>> layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
        >>> fold_weight_norm(nn.Sequential(layer)), type(layer.weight).__name__
        (['0.weight'], 'Parameter')
    """
    folded = []
    for place, module in list(model.named_modules()):
        for name in [*_hooked(module), *_parametrized(module)]:
            trained = any(p.requires_grad for n, p in module.named_parameters() if _belongs(n, name))
            _remove(module, name)
            weight = getattr(module, name).detach().clone()
            delattr(module, name)  # torch leaves a parameter or a bare tensor
            setattr(module, name, nn.Parameter(weight, requires_grad=trained))
            folded.append(f"{place}.{name}" if place else name)
    return folded


def fold_pairs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with every weight-norm pair, old names or new, replaced by its weight.

    Example:
        >>> pair = {"weight_g": torch.tensor([[10.0]]), "weight_v": torch.tensor([[3.0, 4.0]])}
        >>> fold_pairs(pair)
        {'weight': tensor([[6., 8.]])}
    """
    folded = dict(tensors)
    for name, gain in tensors.items():
        found = PAIR.match(name)
        partner = f"{found['name']}{'_v' if name.endswith('_g') else '.original1'}" if found else ""
        if not found or partner not in tensors:
            continue
        shape = tensors[partner].shape
        if gain.dim() not in (0, len(shape)) or any(n not in (1, m) for n, m in zip(gain.shape, shape, strict=False)):
            continue
        del folded[name], folded[partner]
        folded[found["name"].replace("parametrizations.", "")] = _weight(gain, tensors[partner])
    return folded


@contextmanager
def copyable(model: nn.Module) -> Iterator[None]:
    """Cut weights that old hooks computed from their gradient, with which they cannot be copied, for the block."""
    computed = [
        (vars(module), name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if any(isinstance(t, Tensor) and not t.is_leaf for t in (value if isinstance(value, list) else [value]))
    ]
    try:
        for table, name, value in computed:  # recurrent layers keep lists of their weights
            table[name] = [t.detach() for t in value] if isinstance(value, list) else value.detach()
        yield
    finally:
        for table, name, value in computed:
            table[name] = value


def _weight(gain: Tensor, direction: Tensor) -> Tensor:
    wide = direction.double()
    over = [axis for axis in range(wide.dim()) if gain.dim() == 0 or gain.shape[axis] == 1]
    length = torch.linalg.vector_norm(wide, dim=over, keepdim=True) if over else wide.abs()
    return (wide * (gain.double() / length)).to(direction.dtype)


def _hooked(module: nn.Module) -> list[str]:
    return [hook.name for hook in module._forward_pre_hooks.values() if _is_weight_norm(hook)]  # pyright: ignore


def _parametrized(module: nn.Module) -> list[str]:
    if not parametrize.is_parametrized(module):
        return []
    lists: Any = module.parametrizations
    return [name for name, made in lists.items() if len(made) == 1 and type(made[0]).__name__ == "_WeightNorm"]


def _is_weight_norm(hook: Any) -> bool:
    return type(hook).__name__ == "WeightNorm" and hasattr(hook, "remove")


def _belongs(parameter: str, weight: str) -> bool:
    return parameter in (f"{weight}_g", f"{weight}_v") or parameter.startswith(f"parametrizations.{weight}.")


def _remove(module: nn.Module, name: str) -> None:
    if name in _parametrized(module):
        kind = type(module)  # made by torch for this module, but shared with its copies
        module.__class__ = type(kind.__name__, kind.__bases__, dict(vars(kind)))  # pyright: ignore[reportAttributeAccessIssue]
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        return
    for key, hook in list(module._forward_pre_hooks.items()):
        if _is_weight_norm(hook) and hook.name == name:  # pyright: ignore[reportFunctionMemberAccess]
            hook.remove(module)  # pyright: ignore[reportFunctionMemberAccess]
            del module._forward_pre_hooks[key]
