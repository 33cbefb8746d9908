"""The bare call of the user's loss, and what the loss does besides returning values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lossviz.problem.blame import is_out_of_memory
from lossviz.problem.data.batch import Batch, bare, map_tensors, tensors
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.outcome import Outcome, read_outcome

Loss = Callable[[nn.Module, Batch], Any]
OUT_OF_MEMORY = "out of memory"


@dataclass
class Habits:
    """Found out by trying a loss once, and shared by all forms of a problem.

    Attributes:
        known: Whether it was tried.
        differentiates: Whether it takes derivatives itself, by inputs or by parameters, and so needs gradients on.
        writes: Whether it changes the tensors of its batch in place, and so needs a copy of them.
        remembers: Whether it leaves something in attributes of the model.
        switched: A BatchNorm layer that it runs in another mode than it was left in; empty where there is none.
        switched_to_training: Into which.
        narrow: Name of the narrowest floating-point type it computes in; empty for float32 and wider.
    """

    known: bool = False
    differentiates: bool = False
    writes: bool = False
    remembers: bool = False
    switched: str = ""
    switched_to_training: bool = False
    narrow: str = ""


class Types(TorchDispatchMode):
    """Notes the narrow floating-point types in which operations give their results.

    Example:
        >>> with Types() as types:
        ...     _ = torch.ones(2).bfloat16().float()
        >>> types.narrow
        'bfloat16'
    """

    def __init__(self) -> None:
        super().__init__()
        self.narrow = ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler at the first operation, which takes longer than many a run

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at its result."""
        found = func(*args, **(kwargs or {}))
        for dtype in (torch.float16, torch.bfloat16):
            if isinstance(found, Tensor) and found.dtype == dtype:
                self.narrow = str(dtype).removeprefix("torch.")
        return found


def returned_by(loss: Loss, model: nn.Module, batch: Batch, *, copied: bool = False) -> Any:
    """What the user's loss returns, as it is; with ``copied`` it may write into its batch, for it gets a copy."""
    return loss(model, bare(map_tensors(torch.clone, batch) if copied else batch))


def try_loss(loss: Loss, model: nn.Module, batch: Batch, habits: Habits) -> Outcome | str:
    """What the loss gives for a copy of a batch, or why it fails; the global random states stay as they are."""
    own = map_tensors(torch.clone, batch)
    versions = [tensor._version for tensor in tensors(own)]
    try:
        with preserved_globals():
            outcome = read_outcome(returned_by(loss, model, own), own).detached()
    except Exception as error:  # of user code: the call that follows blames it
        return OUT_OF_MEMORY if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
    habits.writes |= versions != [tensor._version for tensor in tensors(own)]
    return outcome
