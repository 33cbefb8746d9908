"""A symmetric matrix that is known by its products alone, at a point that can be moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from lossviz.curvature.objective import Objective, check_one_device, wide_dtype
from lossviz.curvature.probe import uniform_direction
from lossviz.curvature.products import PRODUCTS, Kind, Method, check_cut, check_twice_differentiable
from lossviz.errors import ProblemError, UsageError
from lossviz.problem.blame import is_out_of_memory, is_unsupported
from lossviz.problem.data.examples import Examples
from lossviz.problem.problem import Problem
from lossviz.space.params import Params, check_layout, norm, subtract

PROBED_EXAMPLES, PROBED_DIRECTIONS = 4, 3  # a kink between two points spoils a difference, but not all of them
SUSPICIOUS = {True: 0.02, False: 0.5}  # in float64, and in narrower types, whose long steps meet many kinks


class Operator:
    """The Hessian or the Gauss–Newton matrix of the mean loss of a split.

    Args:
        problem: Model, loss and resident examples.
        split: Which part of the data.
        kind: ``"hessian"`` or ``"gauss-newton"``.
        method: ``"double-backward"``, ``"forward-over-reverse"``, ``"finite-differences"``, or ``"auto"``: the first of
            them that torch can do with this model.
        quantity: Which of the values that the loss returns.
        batch_size: Examples a pass; halved where memory does not suffice.

    Attributes:
        method: The method in use.
        products: How many products were made.
        on_product: Called before each; may raise to stop.
        notes: What a careful reader should know, a sentence each.

    Raises:
        ProblemError: If the loss cannot be differentiated, or cut from the model.

    Example:
        >>> net, data = torch.nn.Linear(1, 1, bias=False), (torch.ones(5, 1),)
        >>> problem = Problem.make(net, data, lambda model, batch: model(batch[0]).square().flatten())
        >>> operator = Operator(problem, "train")
        >>> operator.product({"weight": torch.tensor([[3.0]])})["weight"].tolist(), operator.method
        ([[6.0]], 'double-backward')
    """

    def __init__(
        self,
        problem: Problem,
        split: str,
        *,
        kind: Kind = "hessian",
        method: Method | Literal["auto"] = "auto",
        quantity: str = "loss",
        batch_size: int | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise UsageError(f"--operator is {kind!r}; choose one of {', '.join(get_args(Kind))}.")
        if method != "auto" and method not in get_args(Method):
            raise UsageError(f"--method is {method!r}; choose auto or one of {', '.join(get_args(Method))}.")
        check_one_device(problem)
        self.objective = Objective(problem, split, quantity=quantity, batch_size=batch_size)
        self.kind, self.products, self.notes = kind, 0, list[str]()
        self.on_product: Callable[[], None] = lambda: None
        if kind == "gauss-newton":
            check_cut(self.objective, self.objective.batches[0])
        self.method: Method = self._choose() if method == "auto" else method

    @property
    def size(self) -> int:
        """Rows of the matrix, P."""
        return self.objective.size

    def move_to(self, params: Params) -> None:
        """Take the matrix at ``params`` from now on."""
        self.objective.move_to(params)

    def product(self, direction: Params) -> Params:
        """The matrix times a direction: float64, names and shapes of the moving parameters.

        Raises:
            LayoutError: If the direction has other names or shapes.
            ProblemError: If memory does not suffice for one example.
        """
        check_layout(direction, self.objective.problem.params)
        self.on_product()
        self.products += 1
        while True:
            try:
                return PRODUCTS[self.kind, self.method](self.objective, direction)
            except RuntimeError as error:
                if not is_out_of_memory(error) or not self.objective.halve_batches():
                    raise
                self.notes.append(f"Memory did not suffice; batches of {self.objective.batch_size} are used.")

    def apply(self, vector: Tensor) -> Tensor:
        """The same on one row: float64 (P,) to float64 (P,), entries in the order of :meth:`flatten`."""
        return self.flatten(self.product(self.unflatten(vector)))

    def flatten(self, direction: Params) -> Tensor:
        """A direction as one row (P,), float64."""
        return torch.cat([direction[name].to(wide_dtype(direction[name])).flatten() for name in self.objective.names])

    def unflatten(self, vector: Tensor) -> Params:
        """The inverse of :meth:`flatten`."""
        params = self.objective.problem.params
        parts = vector.split([params[name].numel() for name in self.objective.names])
        return {name: part.view(params[name].shape) for name, part in zip(self.objective.names, parts, strict=True)}

    def _choose(self) -> Method:
        """Differentiate twice where torch can, and doubt it where differences of gradients say something else."""
        small = _few_examples(self.objective)
        try:
            check_twice_differentiable(small)
            differing = min(self._disagreement(small, number) for number in range(PROBED_DIRECTIONS))
        except RuntimeError as error:
            if not is_unsupported(error):
                raise
            if self._goes_forward(small):
                self.notes.append(
                    "Products are made by forward derivatives of the gradient, since the model cannot be "
                    f"differentiated twice backwards ({str(error).strip().splitlines()[0]})."
                )
                return "forward-over-reverse"
            self.notes.append(
                f"Products are finite differences, since the model cannot be differentiated twice "
                f"({str(error).strip().splitlines()[0]}); --precision float64 makes them accurate."
            )
            return "finite-differences"
        if differing > SUSPICIOUS[_is_double(self.objective)]:
            self.notes.append(
                f"Differentiating twice and differences of gradients differ by {differing:.0%} on a few examples: does "
                "a custom autograd function hide its second derivative? --method finite-differences gives the other."
            )
        return "double-backward"

    def _goes_forward(self, small: Objective) -> bool:
        """Whether forward derivatives of the gradient exist, and are what differences say."""
        try:
            differing = min(
                self._disagreement(small, number, "forward-over-reverse") for number in range(PROBED_DIRECTIONS)
            )
        except (RuntimeError, ProblemError):  # the loss may say it in words of its own
            return False
        return differing <= SUSPICIOUS[_is_double(self.objective)]

    def _disagreement(self, small: Objective, number: int, method: Method = "double-backward") -> float:
        """Relative difference of a method's and finite differences' products with one direction."""
        direction = uniform_direction(self.objective.problem.params, 0, number)
        exact = PRODUCTS[self.kind, method](small, direction)
        other = PRODUCTS[self.kind, "finite-differences"](small, direction)
        scale = max(norm(exact), norm(other))
        return norm(subtract(exact, other)) / scale if scale else 0.0


def _few_examples(objective: Objective) -> Objective:
    """The same objective over a few examples, to try methods on."""
    problem, batch = objective.problem, objective.problem.examples[objective.split]
    few = Examples(batch.batches(min(PROBED_EXAMPLES, batch.largest_batch))[:1], recuttable=batch.recuttable)
    return Objective(replace(problem, examples={objective.split: few}), objective.split, quantity=objective.quantity)


def _is_double(objective: Objective) -> bool:
    return all(tensor.dtype == torch.float64 for tensor in objective.problem.params.values())
