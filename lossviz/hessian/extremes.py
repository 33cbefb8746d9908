"""The ends of the spectrum at many points, each search begun where the last one ended; and planes along them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from lossviz.errors import ProblemError
from lossviz.hessian.lanczos import NotFiniteError, leading_eigenpairs
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import uniform_direction
from lossviz.records.quantity import DERIVATIVES, EIGENVALUES, RESIDUAL
from lossviz.space.params import Params, norm

# at ten times the tolerance some 2 % of searches end at the eigenvalue next to the outermost; here none of hundreds did
TOLERANCE, MOST, SETTLE = 1e-3, 200, 2
_FRESH = 0.3  # share of the start that is random, so that no eigenvector is missed


class Extremes:
    """Smallest and largest eigenvalue and the gradient's norm at points of parameter space.

    The search at a point starts from the eigenvectors found at the point before, which saves products where points are
    near, and from a random share, so that no eigenvector is missed. The tolerance decides when it ends, and must be met
    over some products, so that two searches of one point agree within their residuals from whatever start.

    Args:
        operator: The Hessian or the Gauss–Newton matrix; it is moved from point to point.
        names: Which of :data:`~lossviz.records.quantity.DERIVATIVES`; an eigenvalue brings its residual.
        tolerance: Largest residual, relative to the eigenvalue or to a hundredth of the larger one in size.
        most: Products a point, at most.
        seed: Of the random part of starts.

    Attributes:
        unconverged: At how many points ``most`` products were not enough.
    """

    def __init__(
        self, operator: Operator, names: Sequence[str] = DERIVATIVES, *, tolerance: float = TOLERANCE,
        most: int = MOST, seed: int = 0,
    ) -> None:  # fmt: skip
        self.operator, self.names, self.tolerance, self.most, self.seed = operator, tuple(names), tolerance, most, seed
        self.unconverged = 0
        self._last: Tensor | None = None

    def evaluate(self, params: Params) -> Mapping[str, float]:
        """The quantities at ``params``: loss units per parameter unit, squared for eigenvalues and their residuals.

        A residual is ``‖A v − λ v‖`` of the unit vector v whose Rayleigh quotient the eigenvalue is: an exact one lies
        no further from it. NaN where derivatives are not finite.
        """
        self.operator.move_to(params)
        found: dict[str, float] = {}
        if ends := [name for name in EIGENVALUES if name in self.names]:
            found |= dict.fromkeys([*ends, *(name + RESIDUAL for name in ends)], math.nan)
            with suppress(NotFiniteError):
                found |= self._search(ends)
        if "gradient_norm" in self.names:
            found["gradient_norm"] = norm(self.operator.objective.gradient()[1])
        return found

    def _search(self, ends: Sequence[str]) -> dict[str, float]:
        bottom, top = (int(name in ends) for name in EIGENVALUES)
        pairs = leading_eigenpairs(
            self.operator.apply, self._start, top=top, bottom=bottom,
            tolerance=self.tolerance, most=self.most, settle=SETTLE, doubt=self.operator.doubt,
        )  # fmt: skip
        self.unconverged += not pairs.converged
        self._last = pairs.vectors.sum(0)
        at = {"min_eigenvalue": -1, "max_eigenvalue": 0}
        values = {name: float(pairs.values[at[name]]) for name in ends}
        return values | {name + RESIDUAL: float(pairs.residuals[at[name]]) for name in ends}

    def _start(self, number: int) -> Tensor:
        operator = self.operator
        random = operator.flatten(uniform_direction(operator.objective.problem.params, self.seed, number))
        random = random / random.norm()
        if self._last is None or number:
            return random
        return self._last / self._last.norm() + _FRESH * random


@dataclass(frozen=True)
class EigenDirections:
    """Unit directions along eigenvectors.

    Attributes:
        directions: In the type of the parameters, orthogonal to each other, of a sign that only the seed decides.
        values: Eigenvalues, descending, in loss units per squared parameter unit: the second derivative of the loss by
            the coordinate along each direction.
        residuals: ``‖A v − λ v‖`` of each.
    """

    directions: tuple[Params, ...]
    values: tuple[float, ...]
    residuals: tuple[float, ...]


def eigen_directions(
    operator: Operator, top: int, bottom: int = 0, *, tolerance: float = 1e-3, most: int = 300, seed: int = 0
) -> EigenDirections:
    """Directions along the eigenvectors at the ends of the spectrum: what a plane through the steepest walls needs.

    Args:
        operator: At the point the plane is to pass through.
        top: How many of the largest eigenvalues.
        bottom: How many of the smallest, downhill at a saddle.
        tolerance: Largest residual, relative to the eigenvalue or to a hundredth of the largest in size.
        most: Products, at most.
        seed: Of the start and of the sign.

    Raises:
        ProblemError: If there are not as many, or they did not reach the tolerance.
    """
    like = operator.objective.problem.params
    if top + bottom > operator.size:
        raise ProblemError(
            f"{operator.size} parameter{'s' if operator.size > 1 else ''} that move have as many eigenvectors, not "
            f"{top + bottom}: ask for fewer, or let more parameters move."
        )

    def fresh(number: int) -> Tensor:
        return operator.flatten(uniform_direction(like, seed, number))

    pairs = leading_eigenpairs(
        operator.apply, fresh, top=top, bottom=bottom, tolerance=tolerance, most=most, ranked=True, doubt=operator.doubt
    )
    if not pairs.converged or len(pairs.values) < top + bottom:
        worst = float((pairs.residuals / pairs.values.abs()).max())
        raise ProblemError(
            f"The {top + bottom} eigenvectors for the plane were not found to a tolerance of {tolerance:g} in "
            f"{pairs.steps} products; the worst residual is {worst:.2g} of its eigenvalue. Ask for fewer of them."
        )
    start = fresh(0)
    signed = [v if float(v @ start) >= 0 else -v for v in pairs.vectors]
    directions = tuple({n: t.to(like[n]) for n, t in operator.unflatten(vector).items()} for vector in signed)
    return EigenDirections(directions, tuple(pairs.values.tolist()), tuple(pairs.residuals.tolist()))
