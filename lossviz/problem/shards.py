"""A model divided among the ranks of a point by the user: what of each parameter lies here, as torch's DTensor says.

FSDP2 (``fully_shard``) and tensor parallelism (``parallelize_module``) both leave their parameters as DTensors, whose
local part shares its storage with the model. So a point of a plane is made shard by shard, with no word to the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.source.callables import Piece, blamed_on, kind_in_words
from lossviz.space.params import as_real


class Shards:
    """What of a divided model's parameters lies on this rank.

    Args:
        model: As the user divided it; what is no DTensor lies on every rank whole.
        names: Of the parameters that move.

    Attributes:
        model: The same.
        names: The same.
        local: By name this rank's part, which shares its storage with the model.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model, self.names = model, tuple(names)
        named = dict(model.named_parameters())
        self._placed = {name: named[name] for name in self.names}
        self.local = {name: as_real(own_part(tensor).detach()) for name, tensor in self._placed.items()}
        self._summary = _summary_of(model)

    def __str__(self) -> str:
        return self._summary

    def shape(self, name: str) -> torch.Size:
        """Of the whole parameter."""
        placed = self._placed[name]
        return torch.Size((*placed.shape, 2)) if placed.is_complex() else placed.shape

    def cut(self, name: str, whole: Tensor) -> Tensor:
        """This rank's part of a whole tensor of a parameter's shape, a copy on the parameter's device."""
        placed: Any = self._placed[name]
        if is_divided(placed):
            from torch.distributed.tensor import distribute_tensor

            # no source rank: everyone has the whole, nothing is sent
            whole = distribute_tensor(whole, placed.device_mesh, placed.placements, src_data_rank=None).to_local()
        device = self.local[name].device
        return whole.detach().to(device).clone(memory_format=torch.contiguous_format)

    def release(self) -> None:
        """Drop what FSDP gathered of whole parameters: it keeps some over to the next pass, as they were before."""
        for module in self.model.modules():
            if is_fsdp(module):
                module.reshard()  # pyright: ignore[reportCallIssue]


def divide(model: nn.Module, parallelize: Piece, mesh: Any, device: torch.device) -> nn.Module:
    """Let the user's ``parallelize(model, mesh)`` divide a whole model, and bring what it left whole to ``device``.

    Args:
        model: On the host, with the trained parameters in it; all ranks have the same.
        parallelize: The user's function; what it returns counts, or the model itself where it returns nothing.
        mesh: A one-dimensional mesh of the ranks of a point.
        device: Of this rank.

    Raises:
        ProblemError: If it raises, divides nothing, or changes the parameters' names; or if torch is too old.
    """
    _check_torch()
    before = [name for name, _ in model.named_parameters()]
    parallelize.check_arguments({}, given=2)
    with blamed_on(parallelize.path, parallelize.label):
        made = parallelize.call(model, mesh)
    made = model if made is None else made
    where = f"{parallelize.path}: {parallelize.label}"
    if not isinstance(made, nn.Module):
        raise ProblemError(f"{where} returned {kind_in_words(made)}, expected the divided model or nothing.")
    after = [name for name, _ in made.named_parameters()]
    if changed := [name for name in after if name not in before] or [name for name in before if name not in after]:
        raise ProblemError(
            f"{where} changed the parameters' names ({changed[0]}): divide the model in place, without wrapping it."
        )
    if not any(is_divided(parameter) for parameter in made.parameters()):
        raise ProblemError(
            f"{where} divided nothing, no parameter is a DTensor: call fully_shard(part, mesh=mesh) or "
            "parallelize_module(part, mesh, plan) in it, or leave --ranks-divide model out."
        )
    _bring(made, device)
    return made


def is_divided(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor; asked without importing torch.distributed."""
    return hasattr(tensor, "to_local")


def own_part(tensor: Any) -> Tensor:
    """What of a tensor lies here."""
    return tensor.to_local() if is_divided(tensor) else tensor


def is_fsdp(module: nn.Module) -> bool:
    """Whether ``fully_shard`` was called on a module."""
    return callable(getattr(module, "reshard", None)) and callable(getattr(module, "unshard", None))


def _check_torch() -> None:
    """Demand that torch can cut a tensor without sending it."""
    try:
        from torch.distributed.tensor import distribute_tensor
    except ImportError:
        known: Any = ()
    else:
        known = inspect.signature(distribute_tensor).parameters
    if "src_data_rank" not in known:
        raise ProblemError(f"--ranks-divide model needs torch 2.7 or newer; this is {torch.__version__}.")


def _bring(model: nn.Module, device: torch.device) -> None:
    """Put parameters and buffers that were not divided on a device, in place, so that tied ones stay tied."""
    for tensor in (*model.parameters(), *model.buffers()):
        if not is_divided(tensor) and tensor.device.type != device.type:
            tensor.data = tensor.data.to(device)


def _summary_of(model: nn.Module) -> str:
    parameters: list[Any] = list(model.parameters())
    divided = [p for p in parameters if is_divided(p) and not all(place.is_replicate() for place in p.placements)]
    meshes = [p.device_mesh for p in parameters if is_divided(p)]
    fsdp, most = any(map(is_fsdp, model.modules())), max(mesh.ndim for mesh in meshes)
    how = ("FSDP2 and tensor parallel" if most > 1 else "FSDP2") if fsdp else "tensor parallel"
    count = max(mesh.size() for mesh in meshes)
    return f"{how} over {count} ranks: {len(divided)} of {len(parameters)} parameters sharded"
