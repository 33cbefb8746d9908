"""Quantities made of the loss's derivatives at grid points: eigenvalues of the Hessian, and the gradient's norm.

Points are taken in an order in which neighbours follow each other, each search begun where the last one ended. How a
point was reached changes its eigenvalues by less than their residuals, which are stored beside them: a run that was
stopped and goes on, or one that several processes share, agrees with a straight one within these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lossviz.errors import PlanError
from lossviz.evaluate.batchnorm import refresh_statistics
from lossviz.hessian.extremes import MOST, SETTLE, TOLERANCE, Extremes
from lossviz.hessian.operator import Operator
from lossviz.problem.problem import Problem
from lossviz.problem.stand import standing
from lossviz.records.facts import DerivativeFacts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.quantity import split_quantities
from lossviz.records.remark import Remark, distinct, texts
from lossviz.space.plane import Plane


class Derivatives:
    """Adds quantities made of derivatives to evaluated points, over all examples of each split.

    Derivatives are taken in the parameters that move, in float32 or wider whatever the type of the forward passes.
    BatchNorm statistics that are computed at every point count as constants there.

    Args:
        problem: In the type that derivatives are taken in.
        plane: Origin and directions, on the problem's device.
        names: Which of :data:`~lossviz.records.quantity.DERIVATIVES`.
        splits: On which.

    Raises:
        ProblemError: If the loss cannot be differentiated.
    """

    def __init__(self, problem: Problem, plane: Plane, names: Sequence[str], splits: Sequence[str]) -> None:
        # what is summed and searched lies beside the model, where --low-memory keeps the origin on the host
        here = {name: tensor.to(problem.device) for name, tensor in problem.params.items()}
        problem = problem if problem.layout.placement else replace(problem, params=here)
        self.problem, self.names = problem, tuple(names)
        self._plane = plane
        self._ends = {split: Extremes(Operator(problem, split), names) for split in splits}

    @property
    def facts(self) -> DerivativeFacts:
        """How they are found."""
        methods = {split: ends.operator.method for split, ends in self._ends.items()}
        notes = tuple(texts(self.remarks))
        return DerivativeFacts(tolerance=TOLERANCE, most=MOST, settle=SETTLE, method=methods, notes=notes)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What a careful reader should know of how they are found."""
        return distinct(remark for ends in self._ends.values() for remark in ends.operator.remarks)

    def extend(self, points: Sequence[Point], coordinates: Mapping[int, np.ndarray]) -> list[Point]:
        """The points with their derivatives, which have no standard error; ``coordinates`` (k,) by flat index."""
        return [self._extended(point, coordinates[point.index]) for point in points]

    def _extended(self, point: Point, coordinates: np.ndarray) -> Point:
        here = self._plane.point(coordinates)
        with standing(self.problem.model, here):
            refresh_statistics(self.problem)
            found = self._ends[point.split].evaluate(here)
        sums = {name: value * point.weight for name, value in found.items()}
        unknown = dict.fromkeys(found, float("nan"))
        return replace(point, sums={**point.sums, **sums}, m2={**point.m2, **unknown})


def find_derivatives(plan: Plan, problem: Problem, plane: Plane) -> Derivatives | None:
    """What the plan wants of derivatives; None where it wants nothing.

    Raises:
        PlanError: If points are to be stopped early or divided among ranks, which derivatives are not.
        ProblemError: If the loss cannot be differentiated.
    """
    _, names = split_quantities(plan.quantities)
    if names and plan.relative_error is not None:
        raise PlanError(
            f"--relative-error stops points early, but {', '.join(names)} takes all examples: leave one of them out, "
            "or take fewer examples everywhere with --samples."
        )
    if names and plan.ranks_per_point > 1:
        raise PlanError(
            f"--ranks-per-point divides the {plan.ranks_divide}, but {', '.join(names)} takes all in one process: "
            "leave one of them out."
        )
    return Derivatives(problem, plane, names, plan.splits) if names else None
