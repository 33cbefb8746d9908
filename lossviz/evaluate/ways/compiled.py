"""The loop with its forward pass and loss compiled by ``torch.compile``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from lossviz.evaluate.passes import switches_of
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.data.batch import count_examples
from lossviz.problem.loss_call import call_loss
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.space.plane import Plane

RECOMPILE_LIMIT = 64  # of torch's: every plane and batch shape of a process counts


class Compiled(Loop):
    """The large-batch loop with one fused program per batch shape.

    Compiling takes seconds to a minute, once per shape; the parameters are inputs of the program, so that moving them
    between points compiles nothing again. Where the model cannot be compiled torch runs those parts as they are.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions.
        autotune: Whether the compiler times several versions of every operation, which takes it about five times as
            long.
        settings: As for :class:`~lossviz.evaluate.ways.loop.Loop`.
    """

    name = "compiled"

    def __init__(self, problem: Problem, plane: Plane, *, autotune: bool = False, **settings: Any) -> None:
        super().__init__(problem, plane, **settings)
        self._program = torch.compile(self._values, dynamic=False, options=autotuning() if autotune else None)

    def forward(self, batch: Any) -> Outcome:
        """One compiled forward pass and the loss of its examples."""
        # the program keeps no switch of torch's that is turned in it
        with switches_of(self.problem.precision), many_programs():
            values, weight = self._program(batch)
        return Outcome(values, weight, count_examples(batch))

    def _values(self, batch: Any) -> tuple[dict[str, Tensor], Tensor | None]:
        outcome = call_loss(self.problem, batch, self.problem.model)
        return outcome.values, outcome.weight


def autotuning() -> dict[str, Any]:
    """Options of torch's own mode for it, without the tables that it would print into the progress."""
    from torch import _inductor
    from torch._inductor import config

    quiet = "autotune_num_choices_displayed"
    options = dict(_inductor.list_mode_options("max-autotune-no-cudagraphs"))
    return options | ({quiet: 0} if hasattr(config, quiet) else {})


def many_programs() -> AbstractContextManager[None]:
    """Torch's limit of compiled programs a function raised, whatever this version of it calls that."""
    config: Any = torch._dynamo.config  # pyright: ignore[reportAttributeAccessIssue]
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # before torch 2.7
    return config.patch(**{name: RECOMPILE_LIMIT})
