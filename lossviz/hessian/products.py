"""Products of the Hessian and the Gauss–Newton matrix with a direction, over all examples of a split.

The Hessian of the mean loss is never made; its product with a direction costs about two gradients (Pearlmutter, Neural
Computation 1994). The Gauss–Newton matrix ``Σ w Jᵀ H_out J / Σ w`` (Schraudolph, Neural Computation 2002), with J the
Jacobian of what the model returns and H_out the Hessian of the loss in it, leaves out the curvature of the network
itself and is positive semidefinite for convex losses.

The products are our own, not curvlinops' or hessian-eigenthings': those take a model, a loss module and a loader and
average over batches or examples, while ours differentiate ``loss(model, batch)`` with the very weights that the surface
is made with (counted targets, a short last batch, batch means) and choose the method by what the model can do. On plain
classifiers curvlinops gives the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from lossviz.errors import ProblemError
from lossviz.hessian.objective import GradientSums, Objective, differentiate
from lossviz.problem.blame import blamed_on_derivative
from lossviz.problem.data.batch import Batch, map_tensors
from lossviz.space.params import Params, as_held, as_real, norm

Kind = Literal["hessian", "gauss-newton"]
Method = Literal["double-backward", "forward-over-reverse", "finite-differences"]


def hessian_product(objective: Objective, direction: Params) -> Params:
    """Product of the Hessian with a direction by differentiating twice: exact but for rounding, float64 (P entries).

    Args:
        objective: The mean loss and the point.
        direction: With the names and shapes of the moving parameters.
    """
    sums = GradientSums(objective)
    with objective.active() as parameters, twice_differentiable():
        vector = laid_out(direction, objective)
        for summed, weight in objective.weighted_sums():
            gradient = differentiate(summed, parameters, create_graph=True)
            sums.add(differentiate(inner(gradient, vector), parameters), weight)
    return sums.mean()


def hessian_difference(objective: Objective, direction: Params, shrink: float = 1.0) -> Params:
    """Product of the Hessian with a direction by central differences of gradients, float64 (P entries).

    For models that cannot be differentiated twice. The step has the length that balances truncation and rounding,
    ``eps^(1/3)`` of the point's norm times ``shrink``, so that some 4 digits are right in float32 and 10 in float64.
    Kinks between the two points (ReLU) add curvature that no Hessian has.
    """
    step = shrink * difference_step(objective, direction)
    if step == 0.0:
        return {name: torch.zeros_like(t, dtype=torch.float64) for name, t in objective.problem.params.items()}
    _, ahead = objective.gradient(moved(objective.point, step, direction))
    _, behind = objective.gradient(moved(objective.point, -step, direction))
    return {name: (ahead[name] - behind[name]) / (2 * step) for name in ahead}


def hessian_forward(objective: Objective, direction: Params) -> Params:
    """Product of the Hessian with a direction by pushing the gradient forward along it, float64 (P entries).

    One pass of dual numbers through the gradient (Pearlmutter 1994) keeps no graph of the gradient, so that it takes
    less memory than differentiating twice; not every operation has such a derivative.
    """
    sums = GradientSums(objective)
    with objective.active() as parameters, twice_differentiable():
        vector = laid_out(direction, objective)
        for batch in objective.batches:
            with dual_numbers(parameters, vector) as duals:
                summed, weight = call_with(objective, duals, lambda batch=batch: objective.weighted_sum(batch))
                pushed = [forward_ad.unpack_dual(part).tangent for part in differentiate(summed, duals)]
            like = [as_real(parameter.detach()) for parameter in parameters]
            sums.add([torch.zeros_like(p) if t is None else t for t, p in zip(pushed, like, strict=True)], weight)
    return sums.mean()


def gauss_newton_product(objective: Objective, direction: Params) -> Params:
    """Product of the Gauss–Newton matrix with a direction, ``J v`` by differentiating twice, float64 (P entries).

    Raises:
        ProblemError: If the loss cannot be told apart from the model: see :func:`cut_outputs`.
    """
    sums = GradientSums(objective)
    with objective.active() as parameters, twice_differentiable():
        vector = laid_out(direction, objective)
        for batch in objective.batches:
            summed, weight, outputs, leaves = cut_outputs(objective, batch)
            # J v is the derivative, by u, of vᵀ Jᵀ u
            dummies = [torch.zeros_like(output, requires_grad=True) for output in outputs]
            pulled = differentiate(inner(outputs, dummies), parameters, create_graph=True)
            pushed = differentiate(inner(pulled, vector), dummies)
            sums.add(_pull_curvature(summed, outputs, leaves, pushed, parameters), weight)
    return sums.mean()


def gauss_newton_forward(objective: Objective, direction: Params) -> Params:
    """Product of the Gauss–Newton matrix, ``J v`` by pushing the outputs forward, float64 (P entries)."""
    sums = GradientSums(objective)
    with objective.active() as parameters, twice_differentiable():
        vector = laid_out(direction, objective)
        for batch in objective.batches:
            with torch.no_grad(), dual_numbers(parameters, vector) as duals:
                cut = call_with(objective, duals, lambda batch=batch: cut_outputs(objective, batch))[2]
                tangents = [forward_ad.unpack_dual(output).tangent for output in cut]
            summed, weight, outputs, leaves = cut_outputs(objective, batch)
            pushed = [torch.zeros_like(o) if t is None else t for t, o in zip(tangents, outputs, strict=True)]
            sums.add(_pull_curvature(summed, outputs, leaves, pushed, parameters), weight)
    return sums.mean()


def gauss_newton_difference(objective: Objective, direction: Params, shrink: float = 1.0) -> Params:
    """Product of the Gauss–Newton matrix, ``J v`` by central differences of outputs, float64 (P entries)."""
    sums, step = GradientSums(objective), shrink * difference_step(objective, direction)
    for batch in objective.batches:
        with objective.active(moved(objective.point, step, direction)), torch.no_grad():
            ahead = cut_outputs(objective, batch)[2]
        with objective.active(moved(objective.point, -step, direction)), torch.no_grad():
            behind = cut_outputs(objective, batch)[2]
        pushed = [(a - b) / (2 * step) if step else torch.zeros_like(a) for a, b in zip(ahead, behind, strict=True)]
        with objective.active() as parameters:
            summed, weight, outputs, leaves = cut_outputs(objective, batch)
            sums.add(_pull_curvature(summed, outputs, leaves, pushed, parameters), weight)
    return sums.mean()


DIFFERENCES = {"hessian": hessian_difference, "gauss-newton": gauss_newton_difference}
PRODUCTS = {
    ("hessian", "double-backward"): hessian_product,
    ("hessian", "forward-over-reverse"): hessian_forward,
    ("hessian", "finite-differences"): hessian_difference,
    ("gauss-newton", "double-backward"): gauss_newton_product,
    ("gauss-newton", "forward-over-reverse"): gauss_newton_forward,
    ("gauss-newton", "finite-differences"): gauss_newton_difference,
}


def cut_outputs(objective: Objective, batch: Batch) -> tuple[Tensor, float | Tensor, list[Tensor], list[Tensor]]:
    """Evaluate a batch with a cut between model and loss.

    Returns:
        ``Σ w x`` as a function of the leaves, ``Σ w``, what the model returned, and the leaves in its place.

    Raises:
        ProblemError: If the loss does not call the model as a whole, or depends on the parameters around its outputs.
    """
    outputs: list[Tensor] = []
    leaves: list[Tensor] = []

    def cut(output: Tensor) -> Tensor:
        if not output.is_floating_point():
            return output
        outputs.append(output)
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    def hook(module: torch.nn.Module, args: Any, returned: Any) -> Any:
        return map_tensors(cut, returned)

    handle = objective.problem.model.register_forward_hook(hook)
    try:
        summed, weight = objective.weighted_sum(batch)
    finally:
        handle.remove()
    if not outputs:
        raise ProblemError(
            "The Gauss-Newton matrix needs a loss that calls model(...) itself; this one calls parts of it. Use "
            "--operator hessian, or let loss() call the model as a whole."
        )
    return summed, weight, outputs, leaves


def check_cut(objective: Objective, batch: Batch) -> None:
    """Demand that the loss is a function of the model's outputs alone, and a curved one.

    Raises:
        ProblemError: If it depends on the parameters beside them, or linearly on them.
    """
    with objective.active() as parameters:
        summed, _, _, leaves = cut_outputs(objective, batch)
        gradients = differentiate(summed, leaves, create_graph=True)
        with blamed_on_derivative():
            beside = torch.autograd.grad(summed, parameters, retain_graph=True, allow_unused=True)
    if any(tensor is not None for tensor in beside):
        raise ProblemError(
            "The loss depends on the parameters beside what the model returns (a penalty on them, or a part of the "
            "model called by itself), which the Gauss-Newton matrix does not hold. Use --operator hessian."
        )
    if not any(gradient.requires_grad for gradient in gradients):
        raise ProblemError(
            "The loss is linear in what the model returns, so the Gauss-Newton matrix is zero. If the model computes "
            "the loss itself, let it return logits and compute the loss in loss(); or use --operator hessian."
        )


def check_twice_differentiable(objective: Objective) -> None:
    """Let torch say if a function of the model has no second derivative.

    A backward pass towards chosen inputs skips the node that would complain, and the product would be silently wrong;
    one towards all leaves meets it.

    Raises:
        RuntimeError: Torch's own.
    """
    with objective.active() as parameters, twice_differentiable():
        try:
            for summed, _ in objective.weighted_sums():
                value = inner(differentiate(summed, parameters, create_graph=True), [as_real(p) for p in parameters])
                if value.requires_grad:  # it does not where the loss is linear
                    with blamed_on_derivative():
                        value.backward()
        finally:
            for parameter in parameters:
                parameter.grad = None


def _pull_curvature(
    summed: Tensor, outputs: Sequence[Tensor], leaves: Sequence[Tensor], pushed: Sequence[Tensor],
    parameters: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    """``Jᵀ H_out`` of J v."""
    gradient = differentiate(summed, leaves, create_graph=True)
    curved = differentiate(inner(gradient, pushed), leaves)
    return differentiate(inner(outputs, curved), parameters)


@contextmanager
def dual_numbers(values: Sequence[Tensor], tangents: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Dual numbers, whose tangents every operation in this block carries along."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        # torch's own use of its older compiler, the first time
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        pairs = zip(values, tangents, strict=True)
        yield [forward_ad.make_dual(value, as_held(tangent, value)) for value, tangent in pairs]


class _Call(nn.Module):
    """A function of the model as a module, so that tensors can be handed in for its parameters."""

    def __init__(self, model: nn.Module, function: Callable[[], Any]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self) -> Any:
        return self.function()


def call_with(objective: Objective, tensors: Sequence[Tensor], function: Callable[[], Any]) -> Any:
    """What ``function`` returns while ``tensors`` stand for the moving parameters of the model."""
    placed = {f"model.{name}": tensor for name, tensor in zip(objective.names, tensors, strict=True)}
    return functional_call(_Call(objective.problem.model, function), placed, ())


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product of two lists of tensors as a differentiable scalar."""
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def laid_out(direction: Params, objective: Objective) -> list[Tensor]:
    """A direction in the order, type and device of the model's parameters, pairs for complex ones."""
    named = dict(objective.problem.model.named_parameters(remove_duplicate=False))
    return [direction[name].to(as_real(named[name].detach())) for name in objective.names]


def moved(point: Params, step: float, direction: Params) -> Params:
    """``point + step · direction``, in float64 where there is one, cast to the point's type."""
    return {
        name: (t.double() + step * direction[name].double()).to(t)
        if t.device.type != "mps"
        else t + step * direction[name].to(t)
        for name, t in point.items()
    }


def difference_step(objective: Objective, direction: Params) -> float:
    """The coefficient of ``direction`` in a central difference at the objective's point; 0 for a zero direction."""
    length = norm(direction)
    real = [as_real(p.detach()) for p in objective.problem.model.parameters()]
    narrowest = min((p.dtype for p in real if p.is_floating_point()), key=_digits)
    scale = norm(objective.point) or 1.0
    return torch.finfo(narrowest).eps ** (1 / 3) * scale / length if length else 0.0


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Attention by plain products, for its fused kernels have no second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def _digits(dtype: torch.dtype) -> float:
    return -torch.finfo(dtype).eps
