"""The conductor: prepare a run, fill its surface, and doubt the result.

``compute`` is the whole job; the three steps are public, since resuming, a second worker and an array task of a cluster
are the same act: open the run, fill what is not evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from lossviz.directions.stored import StoreDirections
from lossviz.errors import PointDropped, StoppedError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ranks.group import Group
from lossviz.records.doubts import closing_facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.run.prepare import open_existing, prepare
from lossviz.run.reuse import check_reused
from lossviz.run.settings import Progress, Report, Settings, Stop, Tell, Update, Warn
from lossviz.store.other_run import find_other
from lossviz.store.run import Run


def compute(
    plan: Plan,
    out: Path,
    *,
    device: str = "auto",
    strategy: str = "auto",
    batch_size: int | None = None,
    low_memory: bool = False,
    plane_from: Path | None = None,
    store_directions: StoreDirections = "auto",
    sync_interval_s: float = 1.0,
    disk_wait_s: float = 600.0,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Callable[[str], None] = lambda message: None,
    tell: Tell = lambda checks: None,
    group: Group | None = None,
) -> Report:
    """Evaluate the surface of ``plan`` and save it in ``out``; go on where an earlier run of the same plan stopped.

    Args:
        plan: Everything that determines the result.
        out: The HDF5 file to make; its folder must exist.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        strategy: How points are evaluated: ``"auto"`` measures and chooses, or the name of a
            :data:`~lossviz.evaluate.ways.way.Strategy`. A run that goes on keeps the way it began with.
        batch_size: Examples a forward pass; None takes the device's default.
        low_memory: Keep origin, directions and examples on the host; the device holds the model and a batch.
        plane_from: Another run, or its directions file, whose plane is used in place of the plan's. Where the plans
            differ in grid, splits and quantities only, the points it has on the new grid are carried over.
        store_directions: ``"auto"`` stores them up to 4 GiB and above that only their recipe; ``"always"``;
            ``"recipe"``.
        sync_interval_s: Most work a power cut may take.
        disk_wait_s: How long to wait for room on a full disk.
        progress: Called after points were saved.
        stop: Asked between chunks; when it says True the run is saved and ends with :class:`StoppedError`. If it has
            a context manager ``while_evaluating``, that is entered for each chunk and may raise :class:`PointDropped`.
        warn: Called with sentences that do not stop the run.
        tell: Called with the verdict of the self-check of a new run, before its first point.
        group: The ranks that the model is divided among, this process leading them; see :mod:`lossviz.run.ranks`.

    Returns:
        The surface, and what is doubtful about it.

    Raises:
        LossvizError: Bad input (exit status 2), damaged files (65), an output that cannot be written (73, 74), or a
            stop that the same call continues (75).
    """
    settings = Settings(device, strategy, batch_size, low_memory, store_directions, sync_interval_s, disk_wait_s)
    other = find_other(plane_from, out)
    plan = other.plan_on(plan) if other else plan
    run = open_existing(out, plan, settings, warn, stop)
    try:
        if run is not None and is_finished(run.surface):
            check_reused(out, run.surface, plan, settings, warn)
            return Report(run.surface, out, 0.0, 0, run.surface.facts["doubts"])
        run, engine = prepare(out, plan, run, settings, warn, stop=stop, tell=tell, other=other, group=group)
        surface, seconds, evaluated = fill(run, engine, progress=progress, stop=stop)
        return Report(surface, out, seconds, evaluated, surface.facts["doubts"])
    finally:
        if run is not None:
            run.close("done" if is_finished(run.surface) else "stopped")


def is_finished(surface: Surface) -> bool:
    """Whether every point is evaluated and the closing doubts were asked."""
    return surface.facts.get("doubts") is not None and not len(surface.pending())


def fill(run: Run, engine: Engine, *, progress: Progress, stop: Stop) -> tuple[Surface, float, int]:
    """Evaluate what is not evaluated, saving as it goes, and publish the file.

    Returns:
        The surface, the seconds it took, and the number of points evaluated.

    Raises:
        StoppedError: If ``stop`` says so; everything evaluated is saved then.
    """
    surface, grid = run.surface, run.surface.plan.grid
    total, start, evaluated = grid.size, time.perf_counter(), 0

    def tell(saved: Sequence[Point]) -> None:
        if saved:
            progress(Update(saved, int(surface.evaluated().sum()), total))

    for points in until_dropped(evaluate_asked(engine, surface), stop):
        tell(run.save(points))
        if engine.settled and engine.settings != surface.facts.get("engine"):
            # a later session must go on in the same way, or values would depend on who computed them
            surface.facts["engine"] = engine.settings
            run.publish()
        evaluated += len({point.index for point in points})
        run.publish_when_due()
        if stop():
            break
    tell(run.sync())
    if len(surface.pending()):
        run.publish()
        done = int(surface.evaluated().sum())
        raise StoppedError(f"Stopped at {done} of {total} points; all are saved. Run the same command to go on.")
    seconds = time.perf_counter() - start
    surface.facts["engine"] = engine.settings
    surface.facts.update(closing_facts(surface))
    run.publish(final=True)
    return surface, seconds, evaluated


def evaluate_asked(engine: Engine, surface: Surface) -> Iterator[list[Point]]:
    """Chunks of points until nothing is pending; with ``plan.refine`` each round of values may ask for more.

    Every chunk must be put into ``surface`` before the next one is taken.
    """
    while len(surface.pending()):
        pending = {split: surface.pending(split) for split in surface.splits}
        yield from engine.evaluate(surface.plan.grid, pending)


def until_dropped(chunks: Iterator[list[Point]], stop: Stop) -> Iterator[list[Point]]:
    """The chunks; no more of them once ``stop`` gives up on one."""
    while_evaluating = getattr(stop, "while_evaluating", nullcontext)
    while True:
        try:
            with while_evaluating():
                points = next(chunks, None)
        except PointDropped:
            return
        if points is None:
            return
        yield points


def prepare_only(
    out: Path,
    plan: Plan,
    settings: Settings,
    *,
    plane_from: Path | None = None,
    warn: Warn = lambda message: None,
    stop: Stop = lambda: False,
    tell: Tell = lambda checks: None,
    group: Group | None = None,
) -> Surface:
    """Make the run with everything its workers need, and settle the way that all of them evaluate in.

    Points evaluated while measuring are saved. Arguments are as for :func:`lossviz.run.compute.compute`.

    Raises:
        LossvizError: As for :func:`lossviz.run.compute.compute`.
    """
    other = find_other(plane_from, out)
    plan = other.plan_on(plan) if other else plan
    run = open_existing(out, plan, settings, warn, stop)
    try:
        if run is not None and is_finished(run.surface):
            check_reused(out, run.surface, plan, settings, warn)
            return run.surface
        run, engine = prepare(out, plan, run, settings, warn, stop=stop, tell=tell, other=other, group=group)
        for points in until_dropped(evaluate_asked(engine, run.surface), stop):
            run.save(points)
            if engine.settled or stop():
                break
        run.surface.facts["engine"] = engine.settings
        run.publish()
        if stop() and not engine.settled:
            raise StoppedError(f"Stopped while {out} was prepared; nothing is lost. Run the same command to go on.")
        return run.surface
    finally:
        if run is not None:
            run.close("prepared")
