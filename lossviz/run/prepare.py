"""Before the first point: load the problem, make the plane, choose a way, check the centre, say it in the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lossviz.directions.make import norm_ratios
from lossviz.directions.stored import StoreDirections
from lossviz.errors import PlanError
from lossviz.evaluate.batchnorm import batchnorm_layers, statistics_examples
from lossviz.evaluate.carried import check_other, doubts_of_other, enter_carried
from lossviz.evaluate.checks import check_centre, check_facts, check_stored
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.probes import probe_problem
from lossviz.evaluate.ranks.group import Group
from lossviz.problem.data.classes import count_classes
from lossviz.problem.device import session_facts
from lossviz.problem.rules import rule_table
from lossviz.problem.source.file import import_folders
from lossviz.problem.source.local_modules import hash_modules
from lossviz.records.expected import compare_expected, demand_expected
from lossviz.records.facts import Facts, ProbeFacts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.recipe import Recipe
from lossviz.records.remark import doubt, texts
from lossviz.records.verdict import verdict_of
from lossviz.records.watch import Watch
from lossviz.render.trial import find_drawing_fault
from lossviz.run.assembly import Assembly, Source, assemble
from lossviz.run.settings import Settings
from lossviz.space.params import as_real
from lossviz.store.run import Role, Run, check_writable
from lossviz.store.schema import directions_path, journal_folder
from lossviz.store.trust import remember

REREAD_S = 2.0  # data read in less are read twice before a new run
TRIAL_FROM_S = 10.0  # before a run expected to take longer a figure is drawn, lest it fail after hours


def open_run(out: Path, plan: Plan, settings: Settings, watch: Watch, *, role: Role = "filler", **session: Any) -> Run:
    """Take the run's lock, read what is there, and compare the plans; ``session`` is added to its provenance."""
    return Run.open(
        out,
        plan,
        session={**session_facts(settings.device), **session},
        warn=watch.warn,
        role=role,
        sync_interval_s=settings.sync_interval_s,
        disk_wait_s=settings.disk_wait_s,
        stopped=watch.stop,
    )


def open_existing(out: Path, plan: Plan, settings: Settings, watch: Watch) -> Run | None:
    """The run at ``out``, locked and its plan compared before any model is loaded; None where there is none yet.

    Raises:
        UnwritableError: If nothing can be written there.
        PlanError: If the run has another plan.
    """
    check_writable(out)
    remember(plan.problem)
    return open_run(out, plan, settings, watch) if out.exists() or journal_folder(out).exists() else None


def prepare(
    plan: Plan, run: Run | None, source: Source, settings: Settings, watch: Watch, *, group: Group | None = None
) -> tuple[Run, Engine]:
    """Make everything ready to evaluate points; a new run is opened only after all checks passed.

    Args:
        plan: What determines the values; with ``source.other`` as :meth:`OtherRun.plan_on` gives it.
        run: The run if it exists, as :func:`open_existing` gives it.
        source: Where problem and plane come from.
        settings: How to carry it out.
        watch: Warned of what does not stop the run, and told the verdict of a new run's self-check.
        group: The ranks that the model is divided among, this process leading them.

    Returns:
        The run, whose file now says how it is made, and the engine to fill it.

    Raises:
        LossvizError: For bad input; then nothing was written.
    """
    before = set(sys.modules)
    made = assemble(plan, source, settings, watch, group=group)
    # 1. checks at the centre, and of what is taken from another run
    facts = prepare_facts(made)
    late = hash_modules([], import_folders(plan.problem), before)  # those that loss() imports
    facts = facts.evolve(modules_sha256={**facts.modules_sha256, **late})
    expected = compare_expected(settings.expect, facts.origin)
    if not source.known:
        facts = facts.evolve(probes=probe(made))
        watch.tell([*verdict_of(plan, facts), *expected])
    demand_expected(expected)
    engine = made.engine
    if sampling := made.sampling():
        engine = engine.stopping(sampling)
        facts = facts.evolve(engine=engine.facts, sampling=sampling.to_json())
    recipe = made.directions.recipe
    if recipe.request:
        facts |= plane_facts(recipe)
    carried: list[Point] = []
    if source.other is not None:
        carried = check_other(source.other, plan, facts, engine)
        warnings = (*facts.warnings, *doubts_of_other(source.other, plan, facts))
        facts = facts.evolve(plane_from=source.other.describe(plan, carried), warnings=warnings)
    if not source.known:
        fault = find_drawing_fault(plan) if (facts.point_s or 0.0) * plan.grid.size > TRIAL_FROM_S else ""
        for remark in [*doubt("problem", facts.warnings), *doubt("figure", [fault] if fault else [])]:
            watch.warn(remark)
    facts = facts.evolve(warnings=(*facts.warnings, *recipe.warnings))  # said when the plane was made
    # 2. the run itself
    if run is None:
        run = open_run(source.out, plan, settings, watch)
    store_facts(run, facts, made, engine, settings.store_directions)
    enter_carried(run, carried)
    return run, engine


def probe(made: Assembly) -> ProbeFacts:
    """What a new plane is tried for before its first point."""
    batch_size = made.engine.way.batch_size
    return probe_problem(made.plan, made.problem, made.plane, made.rules, made.precision.used, batch_size)


def prepare_facts(made: Assembly) -> Facts:
    """Check the problem at the centre, and gather what the file should say about model, data and plane."""
    plan, problem, plane, engine = made.plan, made.problem, made.plane, made.engine
    derived = engine.derivatives.remarks if engine.derivatives else ()
    facts = Facts(
        problem=problem.name,
        model=type(problem.model).__name__,
        parameters=sum(as_real(p.detach()).numel() for p in problem.model.parameters()),
        parameters_moved=sum(problem.params[name].numel() for name in plane.moved),
        tensors_moved=len(plane.moved),
        tensors=len(list(problem.model.parameters())),
        examples={split: examples.count for split, examples in problem.examples.items()},
        chance=dict(problem.chance),
        as_made=problem.as_made,
        classes={split: count for split, part in problem.examples.items() if (count := count_classes(part))},
        batchnorm_layers=len(batchnorm_layers(problem.model)),
        batchnorm_examples=statistics_examples(problem, plan.batchnorm),
        state_sha256=problem.state_sha256(),
        dataset_sha256={split: examples.sha256() for split, examples in problem.examples.items()},
        gram=tuple(map(tuple, plane.gram.tolist())),
        norm_ratios=tuple(norm_ratios(plane, made.rules)),
        rules=tuple(rule_table(made.rules, problem.params)),
        modules_sha256=dict(problem.modules),
        notes=tuple(texts(problem.remarks, "said")),
        warnings=tuple(texts([*problem.remarks, *derived], "doubt")),
        engine=engine.facts,
        precision=made.precision,
    )
    if problem.layout.placement:
        facts = facts.evolve(placement=problem.layout.placement)
    if engine.derivatives is not None:
        facts = facts.evolve(derivatives=engine.derivatives.facts)
    if plane.dimension > 1:
        facts = facts.evolve(cosine=plane.cosine())
    return facts | check_centre(plan, problem, engine.exhaustive())


def plane_facts(recipe: Recipe) -> Facts:
    """What a file says of a plane made for it: its recipe, and by direction its word and its share of the path."""
    facts = Facts(plane=recipe.without("request", "warnings"), plane_axes=recipe.axes)
    components = [int(word[3:]) - 1 if word.startswith("pca") else None for word in recipe.axes]
    for name in ("explained_variance", "random_walk_null"):
        if known := getattr(recipe, name):
            facts = facts.evolve(**{name: tuple(None if k is None else known[k] for k in components)})
    return facts


def store_facts(run: Run, facts: Facts, made: Assembly, engine: Engine, keep: StoreDirections) -> None:
    """Put the facts into the run, or check what an earlier session stored there; directions are saved first.

    Raises:
        PlanError: If model, data or directions are not those the file was made from.
    """
    if not run.surface.facts:
        fingerprint = made.directions.fingerprint(made.plane.origin)
        if run.path is not None:
            fingerprint = made.directions.write(directions_path(run.path), made.plane.origin, keep)
        run.surface.facts = facts.evolve(directions_sha256=fingerprint.sha256)
        run.publish()
    elif mistakes := check_facts(run.surface.facts, facts):
        raise PlanError("\n".join([f"{run.path} cannot be continued:", *mistakes, "Write to another --out file."]))
    else:
        check_stored(run.surface, engine.exhaustive() if engine.derivatives else engine)
