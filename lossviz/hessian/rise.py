"""How far the loss rises near a point: at worst, on average, and where it has risen by a stated amount."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lossviz.errors import UsageError
from lossviz.hessian.objective import Objective
from lossviz.hessian.probe import uniform_direction
from lossviz.hessian.products import moved
from lossviz.space.params import Params, dot, norm

_GROWTH = 1.25  # a dip narrower than this along the way may be stepped over


@dataclass(frozen=True)
class AverageRise:
    """The mean rise at a distance over random directions.

    Attributes:
        rises: float64 (n,), the loss at each point less that at the centre.
        mean: Their mean.
        stderr: Its standard error over directions.
        interval: Student's 95 % confidence interval of the mean.
    """

    rises: np.ndarray
    mean: float
    stderr: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class WorstRise:
    """The largest rise that ascent found in a ball; the true one is at least this.

    Attributes:
        rise: Loss at the worst point less that at the centre.
        displacement: From the centre to that point.
        rises: float64 (restarts,), what each start found: their spread says how far to trust the largest.
        radius: Of the ball, in parameter units.
        steps: Of the ascent, a gradient and a loss each.
        step_size: Length of a step as a share of the radius.
        seed: Of the starts.
    """

    rise: float
    displacement: Params
    rises: np.ndarray
    radius: float
    steps: int
    step_size: float
    seed: int


def average_rise(objective: Objective, directions: Iterable[Params], radius: float = 1.0) -> AverageRise:
    """Mean rise at ``point + radius · direction`` over directions, with its confidence interval.

    With filter-normalized random directions, radius 1 displaces every filter by its own length; the same seeds make
    the numbers of different networks comparable.

    Args:
        objective: The mean loss and the centre.
        directions: At least two, independent.
        radius: In units of the directions.

    Raises:
        UsageError: For fewer than two directions.
    """
    centre = objective.loss()
    rises = np.array([objective.loss(moved(objective.point, radius, d)) - centre for d in directions])
    if len(rises) < 2:
        raise UsageError(f"{len(rises)} directions give no confidence interval; take at least 2, better 20.")
    mean, stderr = float(rises.mean()), float(rises.std(ddof=1) / math.sqrt(len(rises)))
    reach = student_quantile(len(rises) - 1) * stderr
    return AverageRise(rises, mean, stderr, (mean - reach, mean + reach))


def worst_rise(
    objective: Objective, radius: float, *, steps: int = 20, restarts: int = 3, step_size: float = 0.5, seed: int = 0
) -> WorstRise:
    """Climb inside the ball of a radius by projected gradient ascent from several starts (Keskar et al., ICLR 2017).

    Args:
        objective: The mean loss and the centre.
        radius: Of the ball, in parameter units.
        steps: A start.
        restarts: Starts, random points on the sphere.
        step_size: Length of a step as a share of the radius.
        seed: Of the starts.

    Raises:
        UsageError: If the radius is not positive.
    """
    if not radius > 0 or restarts < 1:
        raise UsageError(f"The radius is {radius:g} with {restarts} starts; both must be above 0.")
    centre, best, found = objective.loss(), ({}, -math.inf), []
    for number in range(restarts):
        displacement = _onto_sphere(uniform_direction(objective.problem.params, seed, number), radius)
        highest = -math.inf
        for step in range(steps + 1):
            loss, gradient = objective.gradient(moved(objective.point, 1.0, displacement))
            if not loss <= highest:  # NaN, too, is as bad as it gets
                highest = loss
                if not loss - centre <= best[1]:
                    best = displacement, loss - centre
            length = norm(gradient)
            if step == steps or not math.isfinite(length) or length == 0:
                break
            share = step_size * radius / length
            displacement = _into_ball({n: t + share * gradient[n] for n, t in displacement.items()}, radius)
        found.append(highest - centre)
    return WorstRise(best[1], best[0], np.array(found), radius, steps, step_size, seed)


def rise_radius(
    objective: Objective, direction: Params, rise: float, *, smallest: float = 1e-3, largest: float = 10.0
) -> float:
    """The least coordinate along a direction where the loss is ``rise`` above the centre, to 0.1 %; inf if none.

    Looked for outwards from ``smallest`` in steps of a quarter, then between the last two by halving.

    Args:
        objective: The mean loss and the centre.
        direction: Coordinates are in its units.
        rise: In units of the loss.
        smallest: Where to begin; returned where the rise is reached there already.
        largest: Where to give up.
    """
    level = objective.loss() + rise

    def risen(coordinate: float) -> bool:
        return not objective.loss(moved(objective.point, coordinate, direction)) < level

    low = high = smallest
    while not risen(high):
        if high >= largest:
            return math.inf
        low, high = high, min(high * _GROWTH, largest)
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if risen(middle) else (middle, high)
    return high


def student_quantile(freedom: int) -> float:
    """Student's 97.5 % quantile, to 1 % from two degrees of freedom (Hill, CACM 1970, algorithm 396).

    Example:
        >>> round(student_quantile(19), 2), round(student_quantile(1), 1)
        (2.09, 12.7)
    """
    p = 0.05
    if freedom == 1:
        return math.cos(p * math.pi / 2) / math.sin(p * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    # the expansion in 1 / freedom about the normal quantile (Fisher & Cornish 1960)
    z, n = 1.959963984540054, float(freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n ** (k + 1) for k, term in enumerate(terms))


def _onto_sphere(direction: Params, radius: float) -> Params:
    length = norm(direction)
    return {name: tensor * (radius / length) for name, tensor in direction.items()}


def _into_ball(direction: Params, radius: float) -> Params:
    return _onto_sphere(direction, radius) if dot(direction, direction) > radius**2 else direction
