"""The self-check alone: load a problem, make its plane, measure, and give a verdict; nothing is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from lossviz.errors import LayoutError, ProblemError
from lossviz.evaluate.anchors import find_sampling
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.precision import in_precision, settle_precision
from lossviz.evaluate.probes import probe_problem
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.records.verdict import Check, verdict_of
from lossviz.run.load import find_directions, find_rules, load_plan_problem, prepare_plane
from lossviz.run.prepare import prepare_facts
from lossviz.store.other_run import OtherRun


def check_plan(
    plan: Plan, *, device: str = "auto", plane_from: Path | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> list[Check]:  # fmt: skip
    """Check the problem and plane of a plan as ``compute`` does before its first point, the data read twice.

    Args:
        plan: What would be computed.
        device: As for :func:`lossviz.run.compute.compute`.
        plane_from: The same.
        warn: Called with sentences about model and data.

    Returns:
        The verdict; where the loss at the centre is not finite or not repeatable, that alone.

    Raises:
        LossvizError: If the problem cannot be loaded.
    """
    other = OtherRun.read(plane_from) if plane_from else None
    plan = other.plan_on(plan) if other else plan
    problem = load_plan_problem(plan, device, reread_s=math.inf, for_new_plane=True)
    for warning in problem.warnings:
        warn(warning)
    try:
        return _verdict(plan, problem, other, warn)
    except (ProblemError, LayoutError) as error:
        return [Check("centre", "wrong", str(error))]


def _verdict(plan: Plan, problem: Problem, other: OtherRun | None, warn: Callable[[str], None]) -> list[Check]:
    plane = prepare_plane(plan, problem, find_directions(plan, problem, Path(), warn, stored=False, other=other))
    batch_size = Engine(problem, plane).way.batch_size
    precision = settle_precision(plan, problem, plane, batch_size)
    problem = in_precision(problem, precision["used"])
    engine = Engine(problem, plane)
    facts = {**prepare_facts(plan, problem, plane, engine), "precision": precision}
    facts["probes"] = probe_problem(plan, problem, plane, find_rules(plan, problem), precision["used"], batch_size)
    find_sampling(plan, problem, plane, {}, batch_size=batch_size)
    return verdict_of(plan, facts)
