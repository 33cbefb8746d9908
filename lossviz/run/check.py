"""The self-check alone: put a run together, measure, and give a verdict; nothing is written."""

from __future__ import annotations

import math
from pathlib import Path

from lossviz.errors import LayoutError, ProblemError
from lossviz.records.expected import compare_expected
from lossviz.records.plan import Plan
from lossviz.records.remark import Remark
from lossviz.records.verdict import verdict_of
from lossviz.records.watch import QUIET, Watch
from lossviz.run.assembly import Assembly, Source, assemble
from lossviz.run.prepare import prepare_facts, probe
from lossviz.run.settings import DEFAULT, Settings
from lossviz.store.other_run import OtherRun


def check_plan(
    plan: Plan, settings: Settings = DEFAULT, watch: Watch = QUIET, *, plane_from: Path | None = None
) -> list[Remark]:
    """Check the problem and plane of a plan as ``compute`` does before its first point, the data read twice.

    Args:
        plan: What would be computed.
        settings: How it would be carried out.
        watch: Warned about model and data.
        plane_from: As for :func:`lossviz.run.compute.compute`.

    Returns:
        The verdict; where the loss at the centre is not finite or not repeatable, that alone.

    Raises:
        LossvizError: Whatever ``compute`` would refuse the plan for, but for what is wrong at the centre.
    """
    other = OtherRun.read(plane_from) if plane_from else None
    plan = other.plan_on(plan) if other else plan
    made = assemble(plan, Source(other=other, reread_s=math.inf), settings, watch)
    for remark in [remark for remark in made.problem.remarks if remark.level == "doubt"]:
        watch.warn(remark)
    try:
        return _verdict(made, settings)
    except (ProblemError, LayoutError) as error:
        return [Remark("wrong", "centre", str(error))]


def _verdict(made: Assembly, settings: Settings) -> list[Remark]:
    facts = prepare_facts(made).evolve(probes=probe(made))
    made.sampling()
    return [*verdict_of(made.plan, facts), *compare_expected(settings.expect, facts.origin)]
