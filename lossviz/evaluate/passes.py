"""The floating-point type of forward passes: float32, TF32 or narrower, entered around the user's loss.

Origin and directions stay float32 and the sum at a point is made there; narrower types are entered by autocasting the
forward pass, which keeps normalization and losses in float32. float32 means float32: TF32 is off unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lossviz.problem.float32 import float32_as
from lossviz.problem.habits import Loss
from lossviz.problem.problem import Problem

NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def in_precision(problem: Problem, precision: str, *, error: float = 0.0) -> Problem:
    """The same problem with its loss evaluated in ``precision``; float64 is a matter of loading."""
    if precision == "float64":
        return problem
    return replace(problem, loss=InPrecision(problem.loss, precision, problem.device.type, error), precision=precision)


@dataclass(frozen=True)
class InPrecision:
    """A loss whose passes run in a precision.

    Attributes:
        loss: As the user wrote it.
        precision: Of the passes.
        device: Kind of device they run on.
        error: How far that is from float32, relative to the value, as it was measured; 0 where it was not.
    """

    loss: Loss
    precision: str
    device: str
    error: float = 0.0

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        """The loss of a batch."""
        # a compiled program drops the switches of TF32 that are turned in it: they are turned around it
        if torch.compiler.is_compiling():
            with _autocast(self.precision, self.device):
                return self.loss(model, batch)
        with passes_in(self.precision, self.device):
            return self.loss(model, batch)


def in_float32(problem: Problem) -> Problem | None:
    """A problem in a narrow precision as it is in float32; None where its passes are that wide already."""
    if not isinstance(problem.loss, InPrecision) or problem.precision == "float32":
        return None
    return in_precision(replace(problem, loss=problem.loss.loss), "float32")


def rounding_error(problem: Problem) -> float:
    """How far the plain loop is from float32, relative to the value, as far as that was measured."""
    return problem.loss.error if isinstance(problem.loss, InPrecision) else 0.0


def precision_now(device: str) -> str:
    """The precision that :func:`in_precision` has entered on a kind of device; float64 counts as float32."""
    if torch.is_autocast_enabled(device):
        return next(name for name, dtype in NARROW.items() if dtype == torch.get_autocast_dtype(device))
    return "tf32" if device == "cuda" and torch.backends.cuda.matmul.allow_tf32 else "float32"


@contextmanager
def passes_in(precision: str, device: str) -> Iterator[None]:
    """Forward passes in ``precision`` for the time of the block."""
    with switches_of(precision), _autocast(precision, device):
        yield


def switches_of(precision: str) -> AbstractContextManager[None]:
    """Torch's switches for a precision, beside those of :func:`~lossviz.problem.isolation.passes_on`."""
    return float32_as("tf32") if precision == "tf32" else nullcontext()


def _autocast(precision: str, device: str) -> torch.autocast:
    # the cache of cast parameters would outlive a move to the next point, and CUDA graphs cannot hold it
    return torch.autocast(device, NARROW.get(precision), enabled=precision in NARROW, cache_enabled=False)
