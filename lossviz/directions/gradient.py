"""The gradient of the mean loss as a direction: where the loss rises fastest."""

from __future__ import annotations

import torch

from lossviz.errors import ProblemError
from lossviz.problem.outcome import read_outcome
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
    named = dict(problem.model.named_parameters(remove_duplicate=False))
    moved = [named[name] for name in problem.params]
    totals = {name: torch.zeros(tensor.shape, dtype=torch.float64) for name, tensor in problem.params.items()}
    weight = 0.0
    try:
        for parameter in moved:
            parameter.requires_grad_(True)
        for batch in problem.examples[split].batches(batch_size):
            with torch.enable_grad():
                outcome = read_outcome(problem.loss(problem.model, batch), batch)
                values = next(iter(outcome.values.values())).double()
                w = torch.ones(outcome.examples) if outcome.weight is None else outcome.weight
                w = w.double().to(values.device)
                summed = (values * w).sum()
            gradients = torch.autograd.grad(summed, moved, allow_unused=True)
            weight += float(w.sum())
            for name, gradient in zip(totals, gradients, strict=True):
                if gradient is not None:
                    totals[name] += gradient.double().cpu()
    except RuntimeError as error:
        raise ProblemError(f"The gradient of the loss cannot be taken: {str(error).splitlines()[0]}") from error
    finally:
        for parameter in moved:
            parameter.requires_grad_(False)
    found = {name: total / weight for name, total in totals.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in found.values()):
        raise ProblemError("The gradient of the loss at the checkpoint is not finite.")
    if not any(bool(tensor.any()) for tensor in found.values()):
        raise ProblemError("The gradient of the loss at the checkpoint is exactly zero; take another --plane.")
    return found
