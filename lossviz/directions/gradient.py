"""The gradient of the mean loss as a direction: where the loss rises fastest."""

from __future__ import annotations

import torch

from lossviz.errors import ProblemError
from lossviz.hessian.objective import Objective
from lossviz.problem.problem import Problem
from lossviz.space.params import Params

_BATCH = 256


def mean_gradient(problem: Problem, split: str, *, batch_size: int = _BATCH) -> Params:
    """The gradient of the mean loss over all examples of ``split`` at the checkpoint, float64 on the CPU.

    The loss is the first quantity, weighted as the surface weighs it; the model is in evaluation mode and is left as it
    was.

    Raises:
        ProblemError: If the loss cannot be differentiated, or the gradient is zero or not finite.

    Example:
        >>> from torch import nn
        >>> net = nn.Linear(1, 1, bias=False)
        >>> problem = Problem.make(net, (torch.tensor([[1.0], [3.0]]),), lambda m, b: m(b[0]).squeeze(1))
        >>> mean_gradient(problem, "train")
        {'weight': tensor([[2.]], dtype=torch.float64)}
    """
    _, gradient = Objective(problem, split, quantity=None, batch_size=batch_size).gradient()
    found = {name: tensor.to("cpu", torch.float64) for name, tensor in gradient.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in found.values()):
        raise ProblemError("The gradient of the loss at the checkpoint is not finite.")
    if not any(bool(tensor.any()) for tensor in found.values()):
        raise ProblemError("The gradient of the loss at the checkpoint is exactly zero; take another --plane.")
    return found
