"""Points of another run that a new one takes over: do they join, and what should be said of them?"""

from __future__ import annotations

from collections.abc import Sequence

from lossviz.errors import PlanError
from lossviz.evaluate.checks import check_facts, check_stored
from lossviz.evaluate.engine import Engine
from lossviz.records.facts import Facts
from lossviz.records.plan import ALL_QUANTITIES, Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.other_run import OtherRun
from lossviz.store.run import Run

_PLANE_ALONE = (
    "the points of {0.path} would not join those of this run. To take its plane alone, "
    "name its directions: --plane-from {0.directions_file}"
)


def check_other(other: OtherRun, plan: Plan, facts: Facts, engine: Engine) -> list[Point]:
    """Demand that another run was made from the same parameters and examples, if its points are of this plan.

    Returns:
        The points to carry over.

    Raises:
        PlanError: If they would not join; the message says what differs.
    """
    if other.surface is None or other.reasons_against(plan):
        return []
    data = {split: other.facts.dataset_sha256.get(split, own) for split, own in facts.dataset_sha256.items()}
    if mistakes := check_facts(other.facts.evolve(dataset_sha256=data), facts):
        raise PlanError("\n".join([f"{other.path} cannot be extended:", *mistakes, _PLANE_ALONE.format(other)]))
    engine = engine.exhaustive() if engine.derivatives else engine
    check_stored(_in_common(other.surface, plan), engine, advice=_PLANE_ALONE.format(other))
    return other.points_for(plan)


def doubts_of_other(other: OtherRun, plan: Plan, facts: Facts) -> list[str]:
    """Whose norms the directions have, where that is not this network."""
    same = other.facts.state_sha256 == facts.state_sha256
    if plan.plane.kind != "file" or same or plan.plane.normalize == "none":
        return []
    low, high = (end(ratio) for end, ratio in zip((min, max), zip(*facts.norm_ratios, strict=True), strict=True))
    if max(1.0 - low, high - 1.0) < 1e-3:
        return []
    return [
        f"The directions were taken from {other.path.name} and have the norms of the network there, not of this one: "
        f"one unit is {low:.3g} to {high:.3g} filter norms here."
    ]


def enter_carried(run: Run, points: Sequence[Point]) -> None:
    """Save points of another run that are not here yet; they count as of this session."""
    missing = {split: set(run.surface.pending(split).tolist()) for split in run.surface.splits}
    run.save([point for point in points if point.index in missing[point.split]])
    run.sync()


def _in_common(old: Surface, plan: Plan) -> Surface:
    """What of an older surface a new plan evaluates too."""
    splits = {split: counts for split, counts in old.splits.items() if split in plan.splits}
    if plan.relative_error is not None and plan.quantities != old.plan.quantities:
        splits = {}  # another first quantity stops at another number of examples
    wanted = {f"{split}_{name}" for split in splits for name in plan.quantities}
    sums = {
        name: values
        for name, values in old.sums.items()
        if old.split_of(name) in splits and (plan.quantities == ALL_QUANTITIES or name in wanted)
    }
    return Surface(old.plan, splits, sums, {name: old.m2[name] for name in sums})
