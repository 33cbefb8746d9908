"""Before the first point: load the problem, make the plane, choose a way, check the centre, say it in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossviz.directions.make import norm_ratios
from lossviz.directions.stored import (
    Directions,
    StoreDirections,
)
from lossviz.errors import PlanError
from lossviz.evaluate.anchors import find_sampling
from lossviz.evaluate.batchnorm import batchnorm_layers, statistics_examples
from lossviz.evaluate.carried import check_other, doubts_of_other, enter_carried
from lossviz.evaluate.checks import check_centre, check_facts, check_stored
from lossviz.evaluate.derivatives import find_derivatives
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.precision import in_precision, settle_precision
from lossviz.evaluate.probes import probe_problem
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.ways.choice import default_way
from lossviz.problem.device import session_facts
from lossviz.problem.problem import Problem
from lossviz.problem.rules import rule_table
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.verdict import verdict_of
from lossviz.render.trial import find_drawing_fault
from lossviz.run.load import Warn, choose_way, find_directions, find_rules, load_plan_problem, prepare_plane
from lossviz.run.reuse import check_modules
from lossviz.run.settings import Settings, Stop, Tell
from lossviz.space.params import state_sha256
from lossviz.space.plane import Plane
from lossviz.store.other_run import OtherRun
from lossviz.store.run import Role, Run, check_writable
from lossviz.store.schema import directions_path, journal_folder
from lossviz.store.trust import remember

REREAD_S = 2.0  # data read in less are read twice before a new run


def open_run(
    out: Path, plan: Plan, settings: Settings, warn: Warn, stop: Stop = lambda: False, *, role: Role = "filler",
    **session: Any,
) -> Run:  # fmt: skip
    """Take the run's lock, read what is there, and compare the plans; ``session`` is added to its provenance."""
    return Run.open(
        out,
        plan,
        session={**session_facts(settings.device), **session},
        warn=warn,
        role=role,
        sync_interval_s=settings.sync_interval_s,
        disk_wait_s=settings.disk_wait_s,
        stopped=stop,
    )


def open_existing(out: Path, plan: Plan, settings: Settings, warn: Warn, stop: Stop = lambda: False) -> Run | None:
    """The run at ``out``, locked and its plan compared before any model is loaded; None where there is none yet.

    Raises:
        UnwritableError: If nothing can be written there.
        PlanError: If the run has another plan.
    """
    check_writable(out)
    remember(plan.problem)
    return open_run(out, plan, settings, warn, stop) if out.exists() or journal_folder(out).exists() else None


def prepare(
    out: Path,
    plan: Plan,
    run: Run | None,
    settings: Settings,
    warn: Warn,
    *,
    stop: Stop = lambda: False,
    tell: Tell = lambda checks: None,
    other: OtherRun | None = None,
    group: Group | None = None,
) -> tuple[Run, Engine]:
    """Make everything ready to evaluate points; a new run is opened only after all checks passed.

    Args:
        out: The HDF5 file.
        plan: What determines the values; with ``other`` as :meth:`OtherRun.plan_on` gives it.
        run: The run if it exists, as :func:`open_existing` gives it.
        settings: How to carry it out.
        warn: Called with sentences that do not stop the run.
        stop: Asked while a full disk is waited for.
        tell: Called with the verdict of the self-check of a new run.
        other: A run whose plane, and points where they are the same, this one takes.
        group: The ranks that the model is divided among, this process leading them.

    Returns:
        The run, whose file now says how it is made, and the engine to fill it.

    Raises:
        LossvizError: For bad input; then nothing was written.
    """
    known = run.surface.facts if run is not None else {}
    check_modules(out, known.get("modules_sha256", {}), plan)
    extends = other is not None and not other.reasons_against(plan) and other.surface is not None
    settled = known or (dict(other.facts) if other is not None and extends else {})
    # 1. the problem, the plane, and the way to evaluate
    low_memory = settings.low_memory or bool(settled.get("engine", {}).get("way", {}).get("lean"))
    problem = load_plan_problem(plan, settings.device, low_memory=low_memory, reread_s=0.0 if known else REREAD_S,
                                for_new_plane=not known, group=group)  # fmt: skip
    directions = find_directions(plan, problem, out, warn, stored=bool(known), other=other)
    plane = prepare_plane(plan, problem, directions, on_host=low_memory)
    way = choose_way(
        problem, settled, strategy=settings.strategy, batch_size=settings.batch_size, low_memory=settings.low_memory
    )
    precision = settled.get("precision") or settle_precision(
        plan, problem, plane, (way or default_way(problem, settings.batch_size)).batch_size
    )
    derivatives = find_derivatives(plan, problem, plane)
    problem = in_precision(problem, precision["used"])
    engine = Engine(problem, plane, way=way, batch_size=settings.batch_size, derivatives=derivatives)
    # 2. checks at the centre, and of what is stored
    facts = {**prepare_facts(plan, problem, plane, engine), "precision": precision}
    if not known:
        rules = find_rules(plan, problem)
        facts["probes"] = probe_problem(plan, problem, plane, rules, precision["used"], engine.way.batch_size)
        tell(verdict_of(plan, facts))
    if sampling := find_sampling(plan, problem, plane, settled, batch_size=engine.way.batch_size):
        engine = engine.stopping(sampling)
        facts |= {"engine": engine.settings, "sampling": sampling.to_json()}
    if "request" in directions.recipe:
        facts.update(plane_facts(directions.recipe))
    carried: list[Point] = []
    if other is not None:
        carried = check_other(other, plan, facts, engine)
        facts["plane_from"] = other.describe(plan, carried)
        facts["warnings"] += doubts_of_other(other, plan, facts)
    # figures come after hours, so one is drawn now; that one cannot be drawn here need not stop the run
    faults = [fault] if not known and (fault := find_drawing_fault(plan)) else []
    for warning in [*facts["warnings"], *faults] if not known else []:
        warn(warning)
    facts["warnings"] += directions.recipe.get("warnings", [])  # said when the plane was made
    # 3. the run itself
    if run is None:
        run = open_run(out, plan, settings, warn, stop)
    store_facts(run, facts, directions, engine, settings.store_directions)
    enter_carried(run, carried)
    return run, engine


def prepare_facts(plan: Plan, problem: Problem, plane: Plane, engine: Engine) -> dict[str, Any]:
    """Check the problem at the centre, and gather what the file should say about model, data and plane."""
    rules = find_rules(plan, problem)
    facts = {
        "problem": problem.name,
        "model": type(problem.model).__name__,
        "parameters": sum(parameter.numel() for parameter in problem.model.parameters()),
        "parameters_moved": sum(problem.params[name].numel() for name in plane.moved),
        "tensors_moved": len(plane.moved),
        "tensors": len(list(problem.model.parameters())),
        "examples": {split: examples.count for split, examples in problem.examples.items()},
        "chance": dict(problem.chance),
        "batchnorm_layers": len(batchnorm_layers(problem.model)),
        "batchnorm_examples": statistics_examples(problem, plan.batchnorm),
        "state_sha256": problem.state_sha256 or state_sha256(dict(problem.model.state_dict())),
        "dataset_sha256": {split: examples.sha256() for split, examples in problem.examples.items()},
        "gram": plane.gram.tolist(),
        "norm_ratios": [list(pair) for pair in norm_ratios(plane, rules)],
        "rules": [list(row) for row in rule_table(rules, problem.params)],
        "modules_sha256": dict(problem.modules),
        "notes": list(problem.notes),
        "warnings": [*problem.warnings, *(engine.derivatives.notes if engine.derivatives is not None else ())],
        "engine": engine.settings,
    }
    if problem.placement:
        facts["placement"] = problem.placement
    if engine.derivatives is not None:
        facts["derivatives"] = engine.derivatives.facts
    if plane.dimension > 1:
        facts["cosine"] = plane.cosine()
    return {**facts, **check_centre(plan, problem, engine.exhaustive())}


def plane_facts(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a plane made for it: its recipe, and by direction its word and its share of the path."""
    facts: dict[str, Any] = {
        "plane": {name: value for name, value in recipe.items() if name not in ("request", "warnings")}
    }
    facts["plane_axes"] = list(recipe.get("axes", ()))
    components = [int(word[3:]) - 1 if word.startswith("pca") else None for word in facts["plane_axes"]]
    for name in ("explained_variance", "random_walk_null"):
        if known := recipe.get(name):
            facts[name] = [None if k is None else known[k] for k in components]
    return facts


def store_facts(run: Run, facts: dict[str, Any], directions: Directions, engine: Engine, keep: StoreDirections) -> None:
    """Put the facts into the run, or check what an earlier session stored there; directions are saved first.

    Raises:
        PlanError: If model, data or directions are not those the file was made from.
    """
    if not run.surface.facts:
        fingerprint = directions.write(directions_path(run.path), engine.plane.origin, keep)
        run.surface.facts.update(facts, directions_sha256=list(fingerprint.sha256))
        run.publish()
    elif mistakes := check_facts(run.surface.facts, facts):
        raise PlanError("\n".join([f"{run.path} cannot be continued:", *mistakes, "Write to another --out file."]))
    else:
        check_stored(run.surface, engine.exhaustive() if engine.derivatives else engine)
