"""A direction that the user saved, as a file of tensors by parameter name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lossviz.errors import UsageError, join_mistakes
from lossviz.space.params import Params, as_real


def read_direction(path: Path | str, origin: Params) -> Params:
    """Read a direction made by ``torch.save({name: tensor, …})``; parameters it does not name are not moved.

    Raises:
        UsageError: If it cannot be read, holds other tensors, or moves nothing.
    """
    path = Path(path)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"The direction {path} cannot be read: {reason}") from error
    held = content.items() if isinstance(content, Mapping) else ()
    tensors = {name: as_real(tensor) for name, tensor in held if isinstance(tensor, Tensor)}
    mistakes = [f"{path} moves {name}, which is no parameter that moves." for name in tensors if name not in origin]
    mistakes += [
        f"{path} has {name} of shape {tuple(tensor.shape)}, the model of {tuple(origin[name].shape)}."
        for name, tensor in tensors.items()
        if name in origin and tensor.shape != origin[name].shape
    ]
    if mistakes:
        raise UsageError(join_mistakes(mistakes[:6]))
    if not any(bool(tensor.any()) for tensor in tensors.values()):
        raise UsageError(f"{path} holds no direction: expected a dict of tensors by parameter name, not all zero.")
    return {name: tensors.get(name, torch.zeros(origin[name].shape)).float() for name in origin}
