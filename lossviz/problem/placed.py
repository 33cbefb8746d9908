"""Models that model() itself laid on several devices, as ``device_map`` does: they stay where and what they are."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from lossviz.errors import ProblemError
from lossviz.problem.shards import is_divided


def is_placed(model: nn.Module) -> bool:
    """Whether a model lies on several devices, or has hooks that move its inputs between them.

    Example:
        >>> is_placed(nn.Linear(2, 3))
        False
    """
    devices = {parameter.device for parameter in model.parameters()}
    # accelerate's hooks hold the module they were put on, so that a copy would run the original
    hooked = any(hasattr(module, "_hf_hook") for module in model.modules())
    return len(devices) > 1 or hooked or any(map(is_divided, model.parameters()))


def check_placed(model: nn.Module, dtype: torch.dtype) -> list[str]:
    """Refuse a placed model that cannot be moved through a plane; else what should be known of it.

    Args:
        model: That :func:`is_placed` says is.
        dtype: Type that the plan wants passes in.

    Raises:
        ProblemError: If values are kept away from its tensors, or it is not as wide as the plan wants.
    """
    if any(map(is_divided, model.parameters())):
        raise ProblemError(
            "model() returned DTensors. Let it return the whole model on the CPU and divide it in "
            "parallelize(model, mesh), which is called once the checkpoint is in it; start that with --ranks-divide "
            "model --ranks-per-point N under torchrun."
        )
    tensors = [*model.named_parameters(), *model.named_buffers()]
    if away := [name for name, tensor in tensors if tensor.is_meta]:
        raise ProblemError(
            f"device_map left {len(away)} tensors ({away[0]}) on disk or in an offload folder and fetches them for "
            "every pass, so lossviz cannot move them. Use devices that hold the whole model."
        )
    own = type_of(model, dtype)
    if dtype == torch.float64 and own != dtype:
        raise ProblemError(
            f"The model was placed by model() as {_name(own)} and is not cast: make it float64 there, or leave "
            "--precision float64 out."
        )
    return [] if own == dtype else [f"The model was placed by model() and runs in its own type, {_name(own)}."]


def type_of(model: nn.Module, otherwise: torch.dtype) -> torch.dtype:
    """The one floating-point type of a model's parameters; ``otherwise`` where they have several."""
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else otherwise


def describe_devices(model: nn.Module) -> str:
    """Where a model's parameters lie.

    Example:
        >>> describe_devices(nn.Linear(2, 3))
        '2 parameters on cpu'
    """
    counts = Counter(str(parameter.device) for parameter in model.parameters())
    first, *rest = (f"{count} on {device}" for device, count in counts.items())
    return ", ".join([first.replace(" on", " parameters on", 1), *rest])


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
