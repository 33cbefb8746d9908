"""The loss of every example at a few anchors of the plane, and the strata made of them before the first point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lossviz.errors import PlanError, ProblemError
from lossviz.evaluate.batchnorm import refresh_statistics
from lossviz.evaluate.precision import probe_coordinates
from lossviz.evaluate.sampling import RULE, Sampling
from lossviz.evaluate.strata import Strata, shares
from lossviz.evaluate.stratified import StratifiedSums
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.halving import halved
from lossviz.problem.outcome import Outcome, weigh
from lossviz.problem.problem import Problem
from lossviz.problem.stand import walking
from lossviz.records.facts import Facts
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan
from lossviz.space.plane import Plane

HELD_OUT, ROUNDS = 4, 3  # points at which the strata are tried, and how often they are made again with these
TOLERATED = 4.0  # stated errors by which a point held out may be off


def find_sampling(plan: Plan, problem: Problem, plane: Plane, stored: Facts, *, batch_size: int) -> Sampling | None:
    """How points of a plan stop early: as ``stored`` in the facts of its run, or made anew; None if they do not.

    Raises:
        PlanError: If the run was begun by a rule that missed rare examples, or examples depend on their batch.
        ProblemError: If no strata foresee the examples that matter.
    """
    if plan.relative_error is None:
        return None
    if plan.batchnorm == "batch":
        raise PlanError(
            "--relative-error takes the examples that matter most first, and with --batchnorm batch the loss of an "
            "example depends on which others share its batch: leave one of them out, or take --batchnorm recompute."
        )
    before = stored.sampling
    if stored and before.get("rule") != RULE:
        raise PlanError(
            "This run was begun with --relative-error by another version of lossviz, which chose examples differently "
            "and could miss rare ones: its points would not join those of this version. Write to another --out file."
        )
    sampling = Sampling.from_json(plan.relative_error, before) if before else None
    missing = [split for split in problem.examples if sampling is None or split not in sampling.strata]
    if not missing:
        return sampling
    made = stratify(problem, plane, plan.grid, plan.relative_error, seed=plan.plane.seed, batch_size=batch_size,
                    splits=missing)  # fmt: skip
    return made if sampling is None else Sampling(plan.relative_error, {**sampling.strata, **made.strata}, made.anchors)


def stratify(
    problem: Problem, plane: Plane, grid: Grid, relative_error: float, *, seed: int = 0, batch_size: int = 256,
    splits: Sequence[str] | None = None,
) -> Sampling:  # fmt: skip
    """Make strata from the checkpoint, the corners and the edge middles of a grid, and try them at other points.

    Where the stopping rule is off by more than ``TOLERATED`` of its stated errors at a point held out, that point
    becomes an anchor too.

    Raises:
        ProblemError: If it is off still after some rounds, or the batches are ready-made.
    """
    for examples in problem.examples.values():
        examples.check_mixable()

    def values_at(coordinates: np.ndarray, split: str) -> list[Outcome]:
        own = [problem.examples[split]]
        return halved(lambda size: _values(Loop(problem, plane, batch_size=size), coordinates, split), batch_size, own)

    middle = np.zeros((1, grid.dimension))
    anchors = np.unique(np.concatenate([middle, _few(probe_coordinates(grid))]), axis=0)
    strata: dict[str, Strata] = {}
    for split in splits or problem.examples:
        values, worst = values_at(anchors, split), 0.0
        for tried in range(ROUNDS):
            strata[split] = _strata_of(values, seed)
            held_out = _random_points(grid, seed, tried)
            found = values_at(held_out, split)
            worst = max(_off_by(outcome, strata[split], relative_error) for outcome in found)
            if worst <= TOLERATED:
                break
            values += found
        else:
            raise ProblemError(
                f"--relative-error {relative_error:g} would state errors that are too small: at a point of the "
                f"{split} split that was tried, a sample was off by {worst:.1f} of them. The examples that hold the "
                "loss there hold little of it at the checkpoint, the corners and the edge middles of the grid. Leave "
                "--relative-error out, or take a fixed subset with --samples."
            )
    return Sampling(relative_error, strata, tuple(tuple(point) for point in anchors.tolist()))


def _strata_of(values: Sequence[Outcome], seed: int) -> Strata:
    """Strata of examples by what they held of every quantity at every anchor."""
    held = [
        weigh(value, outcome.weight).numpy() for outcome in values for value in outcome.values.values() if value.ndim
    ]
    count = values[0].examples
    return Strata.by_share(*shares(np.array(held) if held else np.ones((1, count))), seed)


def _values(loop: Loop, coordinates: np.ndarray, split: str) -> list[Outcome]:
    """The values of all examples at each point, float64 on the host, as one batch."""
    found: list[Outcome] = []
    with walking(loop.problem, loop.placement) as go:
        for coordinate in coordinates:
            go(coordinate.tolist())
            refresh_statistics(loop.problem)
            found.append(_joined([loop.forward(batch) for batch in loop.batches[split]]))
    return found


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    def host(tensors: Iterator[torch.Tensor]) -> torch.Tensor:
        several = list(tensors)
        return (torch.cat(several) if several[0].ndim else torch.stack(several).mean()).cpu().double()

    values = {name: host(o.values[name] for o in outcomes) for name in outcomes[0].values}
    weights = [o.weight for o in outcomes if o.weight is not None]
    return Outcome(values, host(iter(weights)) if weights else None, sum(o.examples for o in outcomes))


def _off_by(outcome: Outcome, strata: Strata, relative_error: float) -> float:
    """By how many of its stated errors a sample of known values is off where the rule stops; 0 if it takes all."""
    sums, step = StratifiedSums(strata), 128
    order = torch.from_numpy(strata.order)
    for start in range(0, outcome.examples, step):
        part = order[start : start + step]
        values = {name: value[part] if value.ndim else value for name, value in outcome.values.items()}
        sums.add(Outcome(values, None if outcome.weight is None else outcome.weight[part], len(part)))
        if sums.is_known(relative_error):
            break
    else:
        return 0.0
    weight, summed, m2 = sums.packed()[:3].tolist()
    first = next(iter(outcome.values.values()))
    weights = torch.ones_like(first) if outcome.weight is None else outcome.weight
    error = float(np.sqrt(m2 * sums.count / (sums.count - 1)) / weight)
    off = abs(summed / weight - float(weigh(first, weights).sum() / weights.sum()))
    return off / error if error else (np.inf if off else 0.0)


def _few(points: np.ndarray) -> np.ndarray:
    """Corners and middle alone where edge middles would be many: each point is a pass over all examples."""
    middle = points[len(points) // 2]
    whole = np.all((points == points.min(0)) | (points == points.max(0)), axis=1) | np.all(points == middle, axis=1)
    return points if len(points) <= 9 else points[whole]


def _random_points(grid: Grid, seed: int, number: int) -> np.ndarray:
    """Points inside the window, float64 (HELD_OUT, k)."""
    low, high = (np.array([axis.coordinates[end] for axis in grid.axes]) for end in (0, -1))
    words = np.random.Philox(key=seed, counter=1 + number).random_raw(HELD_OUT * grid.dimension)
    return low + (high - low) * (words.reshape(HELD_OUT, -1) >> np.uint64(11)) * 2.0**-53
