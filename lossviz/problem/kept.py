"""What a forward pass may change of a model beside its parameters, put back."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Kept:
    """What a forward pass may change of a model beside its parameters: buffers, modes and gradient flags.

    Args:
        model: As it is to be left.
        trusted: Whether torch's count of writes says which buffers changed; BatchNorm in training mode is not counted.

    Example:
        >>> model = nn.BatchNorm1d(2).eval()
        >>> kept = Kept(model)
        >>> _ = model.train()(torch.ones(3, 2))
        >>> kept.put_back()
        >>> model.training, model.running_mean.tolist()
        (False, [0.0, 0.0])
    """

    def __init__(self, model: nn.Module, *, trusted: bool = False) -> None:
        self._trusted, modules = trusted, list(model.modules())
        self._modes = [(module, module.training) for module in modules]
        self._flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        named = [(m, name, b) for m in modules for name, b in m._buffers.items() if b is not None]
        self._buffers = [(module, name, buffer, buffer.detach().clone()) for module, name, buffer in named]
        self._versions = [_version(buffer) for *_, buffer, _ in self._buffers]

    def put_back(self) -> None:
        """Leave the model as it was found."""
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


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to, as far as torch counts."""
    return None if tensor.is_inference() else tensor._version
