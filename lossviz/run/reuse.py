"""A finished file is used again only while the problem is what it was: code, parameters and examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lossviz.errors import PlanError
from lossviz.evaluate.checks import check_facts
from lossviz.evaluate.passes import in_precision
from lossviz.problem.source.file import import_folders
from lossviz.problem.source.local_modules import changed_modules, hash_modules
from lossviz.records.expected import compare_expected, demand_expected
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.remark import Remark
from lossviz.records.surface import Surface
from lossviz.records.watch import Watch
from lossviz.run.load import load_plan_problem
from lossviz.run.restore import restore_directions
from lossviz.run.settings import Settings
from lossviz.store.directions_file import WITHOUT_DIRECTIONS


def check_reused(out: Path, surface: Surface, plan: Plan, settings: Settings, watch: Watch) -> None:
    """Demand of a run that has nothing left to evaluate that the same would be evaluated today.

    Args:
        out: The run's file.
        surface: What it holds.
        plan: What is asked for now, with the same digest.
        settings: How to load the problem.
        watch: Warned where it cannot be compared.

    Raises:
        PlanError: If code, parameters or examples are not those that the file was made from.
    """
    facts = surface.facts
    demand_expected(compare_expected(settings.expect, facts.origin))
    check_modules(out, facts.modules_sha256, plan)
    if not facts.state_sha256 or plan.ranks_divide == "model":
        text = f"{out} was finished before; its parameters and examples were not compared with what is there now."
        watch.warn(Remark("doubt", "reuse", text))
        return
    lean = bool(facts.engine.way.lean)
    problem = load_plan_problem(plan, settings.device, low_memory=settings.low_memory or lean)
    if lost := restore_directions(out, facts, plan, problem, settings.store_directions, watch.warn):
        watch.warn(Remark("doubt", "directions", f"{lost}. {WITHOUT_DIRECTIONS}"))
    problem = in_precision(problem, facts.precision.used)
    found = Facts(
        state_sha256=problem.state_sha256(),
        dataset_sha256={split: examples.sha256() for split, examples in problem.examples.items()},
    )
    if mistakes := check_facts(facts, found):
        raise PlanError("\n".join([f"{out} is finished, and was made of something else:", *mistakes, _ADVICE]))


def check_modules(out: Path, stored: Mapping[str, str], plan: Plan) -> None:
    """Demand that the modules a problem imports from its own folders are those a file was made with.

    Raises:
        PlanError: Naming those that changed.
    """
    if changed := changed_modules(stored, import_folders(plan.problem)):
        raise PlanError(
            f"{out} was computed with other code: {', '.join(changed)} changed since, which the problem imports.\n"
            f"{_ADVICE}"
        )


def modules_now(surface: Surface, before: set[str]) -> tuple[dict[str, str], list[str]]:
    """The modules of the user's own that a run has used by its end, and a doubt where one changed meanwhile.

    Args:
        surface: Whose facts say what was known when it began.
        before: Names of the modules that were loaded then.
    """
    folders, stored = import_folders(surface.plan.problem), dict(surface.facts.modules_sha256)
    doubts = [
        f"{name} changed while the surface was computed; its values are those of the code as it was loaded."
        for name in changed_modules(stored, folders)
    ]
    return {**hash_modules([], folders, before), **stored}, doubts


_ADVICE = "Write to another --out file, or remove this one to compute it again."
