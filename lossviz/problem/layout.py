"""How the model and the examples of a problem lie over devices and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from lossviz.problem.shards import Shards
from lossviz.space.params import Params
from lossviz.space.plane import Plane


class Mover(Protocol):
    """Moves a model that does not lie in this process alone."""

    device: torch.device

    def lay(self, plane: Plane) -> None:
        """Have the directions of a plane at hand."""
        ...

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,) of that plane."""
        ...

    def put(self, params: Params) -> None:
        """Put whole tensors into the model."""
        ...

    def restore(self) -> None:
        """Put the model back at the origin, exactly."""
        ...


@dataclass(frozen=True)
class Layout:
    """Where a model lies and how its examples are summed; by default whole, on one device, all examples at once.

    Attributes:
        slices: Number of slices in which the examples of a point are summed, see :meth:`Examples.slices`.
        placement: Where the parameters lie, if the user laid them out; empty where all are on one device. Such a
            model is never copied, cast or moved to another device.
        shards: What lies here of a model that is divided among ranks.
        state_sha256: Of such a model's parameters and buffers before it was divided.
        mover: What moves such a model, whose parameters are whole tensors on the host then.
    """

    slices: int = 1
    placement: str = ""
    shards: Shards | None = None
    state_sha256: str | None = None
    mover: Mover | None = None
