"""The mean loss of one split as a differentiable function of the moving parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.blame import blamed_on_derivative
from lossviz.problem.data.batch import Batch
from lossviz.problem.halving import halved
from lossviz.problem.isolation import outside_inference_mode
from lossviz.problem.loss_call import check_modes, weighted_loss
from lossviz.problem.problem import Problem
from lossviz.problem.stand import standing
from lossviz.space.params import Params, as_real, check_layout, entries

T = TypeVar("T")


class Objective:
    """The mean of a quantity over the D examples of a split, ``Σ w x / Σ w``, at a point of parameter space.

    Every example counts with its own weight, so that cutting the examples into batches, the last one short, changes
    rounding alone. The weights count as constants.

    Args:
        problem: Model, loss and resident examples.
        split: Which part of the data.
        quantity: Which of the values that the loss returns; None takes the first.
        batch_size: Examples per pass, B; None takes 256 on a CPU and 2048 elsewhere.

    Attributes:
        parameters: The model's own that move, where derivatives arise.
        point: Where derivatives are taken: the checkpoint unless :meth:`move_to` says otherwise.

    Example:
        >>> net, data = torch.nn.Linear(1, 1, bias=False), (torch.ones(5, 1),)
        >>> _ = torch.nn.init.constant_(net.weight, 3.0)
        >>> problem = Problem.make(net, data, lambda model, batch: model(batch[0]).square().flatten())
        >>> value, gradient = Objective(problem, "train", batch_size=2).gradient()
        >>> value, gradient["weight"].tolist()
        (9.0, [[6.0]])
    """

    def __init__(
        self, problem: Problem, split: str, *, quantity: str | None = "loss", batch_size: int | None = None
    ) -> None:
        if split not in problem.examples:
            known = ", ".join(problem.examples)
            raise ProblemError(f"The data have no split {split!r}; choose one of {known} with --split.")
        check_modes(problem)
        self.problem, self.split, self.quantity = problem, split, quantity
        self.batch_size = batch_size or (256 if problem.device.type == "cpu" else 2048)
        named = dict(problem.model.named_parameters(remove_duplicate=False))
        self.parameters = [named[name] for name in problem.params]
        self.point = problem.params

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the moving parameters."""
        return tuple(self.problem.params)

    @property
    def size(self) -> int:
        """Entries of the moving parameters, P."""
        return entries(self.problem.params)

    @property
    def batches(self) -> Sequence[Batch]:
        """All examples, cut into views."""
        return self.problem.examples[self.split].batches(self.batch_size)

    def move_to(self, params: Params) -> None:
        """Take derivatives at ``params`` from now on; the model itself moves only while it is used."""
        check_layout(params, self.problem.params)
        self.point = {name: tensor.to(self.problem.params[name].dtype) for name, tensor in params.items()}

    def fitting(self, run: Callable[[], T]) -> T:
        """What ``run()`` returns, with smaller batches from now on where memory does not suffice for these.

        Raises:
            ProblemError: If not even one example, or a ready-made batch, fits.
        """

        def run_in(batch_size: int) -> T:
            self.batch_size = batch_size
            return run()

        return halved(run_in, self.batch_size, [self.problem.examples[self.split]])

    @contextmanager
    def active(self, point: Params | None = None) -> Iterator[list[nn.Parameter]]:
        """Put the model at ``point``, by default :attr:`point`, with gradients on; leave it as it was found."""
        here = {name: (point or self.point)[name] for name in self.names}
        with (
            standing(self.problem.model, here),
            torch.enable_grad(),
            _differentiable_recurrence(self.problem.model),
        ):
            for parameter in self.parameters:
                parameter.requires_grad_(True)
            yield self.parameters

    def weighted_sum(self, batch: Batch) -> tuple[Tensor, float | Tensor]:
        """``Σ w x`` of a batch as a differentiable scalar, and ``Σ w``, from the model where it stands.

        Raises:
            ProblemError: If the loss raises, or does not return the quantity.
        """
        return weighted_loss(self.problem, batch, self.quantity)

    def weighted_sums(self) -> Iterator[tuple[Tensor, float | Tensor]]:
        """:meth:`weighted_sum` of every batch.

        Raises:
            ProblemError: At the end, if gradients are on and no batch depends differentiably on the parameters.
        """
        differentiable = not torch.is_grad_enabled()
        for batch in self.batches:
            summed, weight = self.weighted_sum(batch)
            differentiable |= summed.requires_grad
            yield summed, weight
        if not differentiable:
            raise ProblemError(
                f"The {self.quantity or 'loss'} does not depend differentiably on the parameters: is it computed under "
                "no_grad, detached, or a count of wrong answers?"
            )

    def loss(self, point: Params | None = None) -> float:
        """The mean loss at a point."""
        return self.fitting(lambda: self._loss(point))

    def _loss(self, point: Params | None) -> float:
        total, weight = 0.0, 0.0
        with self.active(point), torch.no_grad():
            for summed, weighed in self.weighted_sums():
                total, weight = total + summed, weight + weighed
        return float(total / weight)

    def gradient(self, point: Params | None = None) -> tuple[float, Params]:
        """The mean loss at a point and its gradient there, float64.

        Raises:
            ProblemError: If the loss does not depend differentiably on any moving parameter.
        """
        return self.fitting(lambda: self._gradient(point))

    def _gradient(self, point: Params | None) -> tuple[float, Params]:
        sums, total = GradientSums(self), 0.0
        with self.active(point) as parameters:
            for summed, weight in self.weighted_sums():
                total = total + summed.detach()
                sums.add(differentiate(summed, parameters), weight)
        return float(total / sums.weight), sums.mean()


def check_one_device(problem: Problem) -> None:
    """Refuse a model on several devices, whose parameters cannot be laid out as one row.

    Raises:
        ProblemError: If it is one.
    """
    if len({tensor.device for tensor in problem.params.values()}) > 1:
        raise ProblemError(
            f"Derivatives are taken of a model on one device, and model() laid this one on several "
            f"({problem.layout.placement}): let it return the model on one."
        )


@contextmanager
def _differentiable_recurrence(model: nn.Module) -> Iterator[None]:
    """Recurrent layers without cuDNN, which goes backwards in training mode only."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
        yield


class GradientSums:
    """Float64 sums over batches of tensors laid out like the parameters, and of the weights."""

    def __init__(self, objective: Objective) -> None:
        self._names = objective.names
        with outside_inference_mode():
            self._sums = [torch.zeros_like(t, dtype=wide_dtype(t)) for t in map(as_real, objective.parameters)]
        self.weight: float | Tensor = 0.0

    def add(self, tensors: Sequence[Tensor], weight: float | Tensor) -> None:
        """Add a batch's."""
        for total, tensor in zip(self._sums, tensors, strict=True):
            total += tensor.detach()
        self.weight = self.weight + weight

    def mean(self) -> Params:
        """Sums divided by the sum of weights."""
        weight = float(self.weight)
        return {name: total / weight for name, total in zip(self._names, self._sums, strict=True)}


def differentiate(value: Tensor, inputs: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Derivatives of a scalar by each of ``inputs``, complex ones as pairs; zeros where it does not depend on one."""
    if not value.requires_grad:
        return [torch.zeros_like(as_real(tensor)) for tensor in inputs]
    with blamed_on_derivative():
        found = torch.autograd.grad(
            value, list(inputs), create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
    return [as_real(tensor) for tensor in found]


def wide_dtype(tensor: Tensor) -> torch.dtype:
    """float64, but for Apple's device, which has none."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
