"""The conductor: prepare a run, fill its surface, and doubt the result.

``compute`` is the whole job; its steps are public, since resuming, a second worker and an array task of a cluster are
the same act: open the run, fill what is not evaluated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lossviz.errors import LossvizError, PlanError, PointDropped, StoppedError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ranks.group import Group
from lossviz.problem.problem import Problem
from lossviz.records.doubts import closing_facts
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.remark import doubt
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Update, Watch
from lossviz.run.assembly import Source
from lossviz.run.load import load_plan_problem
from lossviz.run.prepare import REREAD_S, open_existing, prepare
from lossviz.run.reuse import check_reused, modules_now
from lossviz.run.settings import DEFAULT, Report, Settings
from lossviz.store.other_run import find_other
from lossviz.store.run import Run


def compute(
    plan: Plan,
    out: Path,
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    *,
    plane_from: Path | None = None,
    problem: Problem | None = None,
    group: Group | None = None,
) -> Report:
    """Evaluate the surface of ``plan`` and save it in ``out``; go on where an earlier run of the same plan stopped.

    Args:
        plan: Everything that determines the result.
        out: The HDF5 file to make; its folder must exist.
        settings: How to carry it out.
        watch: Who is told, and who may stop it.
        plane_from: A run, or a directions file, whose plane this one takes in place of the plan's; points of a run are
            carried over where the plans differ in range, grid, splits or quantities alone.
        problem: One that is in memory already, in place of what the plan names.
        group: The ranks that the model is divided among, this process leading them; see
            :func:`lossviz.run.ranks.lead`.

    Returns:
        The surface with all values, and what is doubtful about it.

    Raises:
        LossvizError: Bad input (exit status 2), damaged files (65), an output that cannot be written (73, 74), or a
            stop that the same call continues (75).
    """
    other = find_other(plane_from, out)
    plan = other.plan_on(plan) if other else plan
    try:
        run = open_existing(out, plan, settings, watch)
    except PlanError as error:
        raise PlanError(_with_other_mistakes(error, plan, settings, problem or group)) from error
    try:
        if run is not None and is_finished(run.surface):
            check_reused(out, run.surface, plan, settings, watch)
            return Report(run.surface, out, 0.0, 0, doubt("run", run.surface.facts.doubts or ()))
        source = Source(out, run.surface.facts if run else Facts(), other, problem, REREAD_S)
        run, engine = prepare(plan, run, source, settings, watch, group=group)
        surface, seconds, evaluated = fill(run, engine, watch)
        return Report(surface, out, seconds, evaluated, doubt("run", surface.facts.doubts or ()))
    finally:
        if run is not None:
            run.close("done" if is_finished(run.surface) else "stopped")


def _with_other_mistakes(error: PlanError, plan: Plan, settings: Settings, given: Any) -> str:
    """What else is wrong, said first: a wrong device or split is not hidden by a file of another plan."""
    said = f"{error} Or start a new run there with 'lossviz compute --force', which keeps the old files beside it."
    if given is not None:
        return said
    try:
        load_plan_problem(plan, settings.device, low_memory=settings.low_memory)
    except LossvizError as other:
        return f"{other}\n{said}"
    return said


def is_finished(surface: Surface) -> bool:
    """Whether every point is evaluated and the closing doubts were asked."""
    return surface.facts.doubts is not None and not len(surface.pending())


def fill(run: Run, engine: Engine, watch: Watch) -> tuple[Surface, float, int]:
    """Evaluate what is not evaluated, saving as it goes, and publish the file.

    Returns:
        The surface, the seconds it took, and the number of points evaluated.

    Raises:
        StoppedError: If ``watch.stop`` says so; everything evaluated is saved then.
    """
    surface, grid = run.surface, run.surface.plan.grid
    total, start, evaluated, before = grid.size, time.perf_counter(), 0, set(sys.modules)
    engine.recall(surface)

    def tell(saved: Sequence[Point]) -> None:
        if saved:
            watch.progress(Update(saved, int(surface.evaluated().sum()), total))

    for points in until_dropped(evaluate_asked(engine, surface), watch):
        tell(run.save(points))
        if engine.settled and engine.facts != surface.facts.engine:
            # a later session must go on in the same way, or values would depend on who computed them
            surface.facts = surface.facts.evolve(engine=engine.facts)
            run.publish()
        evaluated += len({point.index for point in points})
        run.publish_when_due()
        if watch.stop():
            break
    tell(run.sync())
    if len(surface.pending()):
        run.publish()
        done = int(surface.evaluated().sum())
        raise StoppedError(f"Stopped at {done} of {total} points; all are saved. Run the same command to go on.")
    seconds = time.perf_counter() - start
    engine.check_state()
    modules, changed = modules_now(surface, before)
    engine.remarks += doubt("modules", changed)
    surface.facts = surface.facts.evolve(engine=engine.facts, modules_sha256=modules)
    surface.facts = closing_facts(surface)
    run.publish(final=True)
    return surface, seconds, evaluated


def evaluate_asked(engine: Engine, surface: Surface) -> Iterator[list[Point]]:
    """Chunks of points until nothing is pending; with ``plan.refine`` each round of values may ask for more.

    Every chunk must be put into ``surface`` before the next one is taken.
    """
    while len(surface.pending()):
        pending = {split: surface.pending(split) for split in surface.splits}
        yield from engine.evaluate(surface.plan.grid, pending)


def until_dropped(chunks: Iterator[list[Point]], watch: Watch) -> Iterator[list[Point]]:
    """The chunks; no more of them once one was interrupted."""
    while True:
        try:
            with watch.interruptible():
                points = next(chunks, None)
        except PointDropped:
            return
        if points is None:
            return
        yield points


def prepare_only(
    out: Path,
    plan: Plan,
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    *,
    plane_from: Path | None = None,
    group: Group | None = None,
) -> Surface:
    """Make the run with everything its workers need, and settle the way that all of them evaluate in.

    Points evaluated while measuring are saved. Arguments are as for :func:`compute`.

    Raises:
        LossvizError: As for :func:`compute`.
    """
    other = find_other(plane_from, out)
    plan = other.plan_on(plan) if other else plan
    run = open_existing(out, plan, settings, watch)
    try:
        if run is not None and is_finished(run.surface):
            check_reused(out, run.surface, plan, settings, watch)
            return run.surface
        source = Source(out, run.surface.facts if run else Facts(), other, reread_s=REREAD_S)
        run, engine = prepare(plan, run, source, settings, watch, group=group)
        for points in until_dropped(evaluate_asked(engine, run.surface), watch):
            run.save(points)
            if engine.settled or watch.stop():
                break
        # the points of a way that is settled now, or was given, are compared before others go on with it
        for points in until_dropped(engine.compare(run.surface.plan.grid), watch):
            run.save(points)
        run.surface.facts = run.surface.facts.evolve(engine=engine.facts)
        run.publish()
        if watch.stop() and not engine.settled:
            raise StoppedError(f"Stopped while {out} was prepared; nothing is lost. Run the same command to go on.")
        return run.surface
    finally:
        if run is not None:
            run.close("prepared")
