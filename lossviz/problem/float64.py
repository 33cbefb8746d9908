"""A copy of a problem in float64, to measure what narrower types cost and to take differences without rounding."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lossviz.errors import ProblemError
from lossviz.problem.problem import Problem, cast


def in_float64(problem: Problem) -> Problem:
    """The same problem with a copy of the model, its origin and the examples in float64.

    Raises:
        ProblemError: If the model must not be copied, or its device has no float64.

    Example:
        >>> problem = Problem.make(torch.nn.Linear(2, 1), (torch.ones(3, 2),), lambda m, b: m(b[0]).flatten())
        >>> in_float64(problem).params["weight"].dtype, problem.params["weight"].dtype
        (torch.float64, torch.float32)
    """
    if problem.device.type == "mps":
        raise ProblemError("Apple's device has no float64; take --device cpu.")
    return replace(
        problem,
        model=cast(problem.copied_model(), torch.float64),
        examples={name: part.mapped(_widened) for name, part in problem.examples.items()},
        params={name: _widened(tensor) for name, tensor in problem.params.items()},
        buffers={name: _widened(buffer) for name, buffer in problem.buffers.items()},
    )


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
