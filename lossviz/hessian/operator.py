"""A symmetric matrix that is known by its products alone, at a point that can be moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from lossviz.errors import ProblemError, UsageError
from lossviz.hessian.objective import Objective, check_one_device, wide_dtype
from lossviz.hessian.probe import uniform_direction
from lossviz.hessian.products import DIFFERENCES, PRODUCTS, Kind, Method, check_cut, check_twice_differentiable
from lossviz.problem.blame import is_unsupported
from lossviz.problem.data.examples import Examples
from lossviz.problem.float64 import in_float64
from lossviz.problem.problem import Problem
from lossviz.problem.stand import put
from lossviz.records.remark import Remark, doubt, ignore
from lossviz.space.params import Params, as_real, check_layout, norm, subtract

PROBED_EXAMPLES, PROBED_DIRECTIONS = 4, 3  # a kink between two points spoils a difference, but not all of them
SUSPICIOUS = 0.02
# of the step that balances errors in float64: still shorter ones meet fewer kinks, and rounding is still far away
SHRINKS = (1.0, 1 / 8, 1 / 64, 1 / 512)


class Operator:
    """The Hessian or the Gauss–Newton matrix of the mean loss of a split.

    Args:
        problem: Model, loss and resident examples.
        split: Which part of the data.
        kind: ``"hessian"`` or ``"gauss-newton"``.
        method: ``"double-backward"``, ``"forward-over-reverse"``, ``"finite-differences"``, or ``"auto"``: the first of
            them that torch can do with this model.
        quantity: Which of the values that the loss returns.
        batch_size: Examples per pass; halved where memory does not suffice.

    Attributes:
        method: The method in use.
        products: How many products were made.
        on_product: Called before each; may raise to stop.
        remarks: What a careful reader should know.

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
        self.problem, self.objective = problem, Objective(problem, split, quantity=quantity, batch_size=batch_size)
        self.kind: Kind = kind
        self.products, self.remarks = 0, list[Remark]()
        self.on_product: Callable[[], None] = ignore
        if kind == "gauss-newton":
            self.objective.fitting(lambda: check_cut(self.objective, self.objective.batches[0]))
        self.method: Method = self._choose() if method == "auto" else method
        if self.method == "finite-differences":
            self._widen()

    @property
    def precision(self) -> str:
        """The type in which products are made."""
        return _dtype_of(self.objective)

    @property
    def size(self) -> int:
        """Rows of the matrix, P."""
        return self.objective.size

    def move_to(self, params: Params) -> None:
        """Take the matrix at ``params``, and at the buffers that the problem's model has there, from now on."""
        self.objective.move_to(params)
        if self.objective.problem is not self.problem:
            wide, own = (dict(p.model.named_buffers()) for p in (self.objective.problem, self.problem))
            put([wide[name] for name in own], list(own.values()))

    def product(self, direction: Params) -> Params:
        """The matrix times a direction: float64, names and shapes of the moving parameters.

        Raises:
            LayoutError: If the direction has other names or shapes.
            ProblemError: If memory does not suffice for one example.
        """
        check_layout(direction, self.objective.problem.params)
        self.on_product()
        self.products += 1
        before = self.objective.batch_size
        made = self.objective.fitting(lambda: PRODUCTS[self.kind, self.method](self.objective, direction))
        if self.objective.batch_size != before:
            self._doubt(f"Out of memory; batches of {self.objective.batch_size} are used.")
        return made

    def doubt(self, vector: Tensor, product: Tensor) -> float:
        """How far a product (P,) with a unit vector (P,) may be off; 0 but for differences, and but for rounding.

        A difference with half the step is off by a quarter as much where truncation counts, and by another amount
        where rounding or kinks do.
        """
        if self.method != "finite-differences":
            return 0.0
        half = self.flatten(DIFFERENCES[self.kind](self.objective, self.unflatten(vector), 0.5))
        return 4 / 3 * float((product - half).norm())

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

    def _doubt(self, sentence: str) -> None:
        self.remarks += doubt("derivatives", [sentence])

    def _choose(self) -> Method:
        """Differentiate twice where torch can, and doubt it where differences of gradients say something else."""
        small = _few_examples(self.objective)
        try:
            check_twice_differentiable(small)
        except RuntimeError as error:
            if not is_unsupported(error):
                raise
            reason = str(error).strip().splitlines()[0]
            if self._goes_forward(small):
                self._doubt(
                    "Products are made by forward derivatives of the gradient, since the model cannot be "
                    f"differentiated twice backwards ({reason})."
                )
                return "forward-over-reverse"
            self._doubt(
                f"Products are finite differences of gradients, since the model cannot be differentiated twice "
                f"({reason}). How far they may be off is part of every residual."
            )
            return "finite-differences"
        differing = self._disagreement(small)
        if differing > SUSPICIOUS:
            self._doubt(
                f"Differentiating twice and differences of gradients differ by {differing:.0%} on a few examples, "
                "though differences with several steps agree with each other: a custom autograd function may hide its "
                "second derivative. --method finite-differences gives the other."
            )
        return "double-backward"

    def _goes_forward(self, small: Objective) -> bool:
        """Whether forward derivatives of the gradient exist, and are not what differences refute."""
        try:
            return self._disagreement(small, "forward-over-reverse") <= SUSPICIOUS
        except (RuntimeError, ProblemError):  # the loss may say it in words of its own
            return False

    def _disagreement(self, small: Objective, method: Method = "double-backward") -> float:
        """How far a method's products are from differences of gradients, relatively; 0 where these decide nothing.

        Differences decide where two steps give the same: near kinks (ReLU) and where the model does not run in float64
        they do not. The smallest over some directions.
        """
        wide, found = _widened(small), list[float]()
        for number in range(PROBED_DIRECTIONS):
            direction = uniform_direction(self.objective.problem.params, 0, number)
            exact = PRODUCTS[self.kind, method](wide or small, direction)
            found.append(_refuted_by(exact, wide, direction, self.kind) if wide else 0.0)
        return min(found)

    def _widen(self) -> None:
        """Take differences on a copy in float64, where rounding does not count."""
        wide = _widened(self.objective)
        if wide is not None:
            self.objective = wide
            return
        self._doubt(
            f"The model does not run in float64, so that differences are taken in {_dtype_of(self.objective)} and are "
            "right to a few digits; what two steps differ by is part of every residual."
        )


def _refuted_by(exact: Params, objective: Objective, direction: Params, kind: Kind) -> float:
    """By how much differences that agree with each other refute a product; 0 where none agree."""
    before, least = None, math.inf
    for shrink in SHRINKS:
        now = DIFFERENCES[kind](objective, direction, shrink)
        least = min(least, _relative(exact, now))
        if least <= SUSPICIOUS:
            return least
        if before is not None and _relative(before, now) <= SUSPICIOUS / 2:
            return _relative(exact, now)
        before = now
    return 0.0


def _relative(a: Params, b: Params) -> float:
    scale = max(norm(a), norm(b))
    return norm(subtract(a, b)) / scale if scale else 0.0


def _widened(objective: Objective) -> Objective | None:
    """The same objective in float64; None where the model has no such copy, or does not run in it."""
    if _dtype_of(objective) == "float64":
        return objective
    try:
        problem = in_float64(objective.problem)
        wide = Objective(problem, objective.split, quantity=objective.quantity, batch_size=objective.batch_size)
        wide.move_to(objective.point)
        with torch.no_grad():
            value = wide.weighted_sum(wide.batches[0])[0]
    except (RuntimeError, TypeError, ProblemError):
        return None
    return wide if value.dtype == torch.float64 else None


def _few_examples(objective: Objective) -> Objective:
    """The same objective over a few examples, to try methods on."""
    problem, batch = objective.problem, objective.problem.examples[objective.split]
    few = Examples(batch.batches(min(PROBED_EXAMPLES, batch.largest_batch))[:1], recuttable=batch.recuttable)
    return Objective(replace(problem, examples={objective.split: few}), objective.split, quantity=objective.quantity)


def _dtype_of(objective: Objective) -> str:
    """The narrowest type of the parameters that move in the model itself."""
    real = [as_real(p.detach()) for p in objective.problem.model.parameters()]
    types = {p.dtype for p in real if p.is_floating_point()}
    return str(min(types, key=lambda dtype: dtype.itemsize)).removeprefix("torch.")
