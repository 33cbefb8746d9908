"""Several processes on one run: prepare it once, let each fill its share, merge what they saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from lossviz.compute import Progress, Report, Update, evaluate_asked, is_finished, until_dropped
from lossviz.errors import PointDropped, StoppedError, StoreError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.group import Group
from lossviz.evaluate.way import cpu_threads
from lossviz.join import join_run
from lossviz.launch.division import share
from lossviz.launch.local import Workers, threads_each
from lossviz.launch.ranks import Ranks
from lossviz.launch.requeue import place_of
from lossviz.launch.rounds import read_points
from lossviz.prepare import Settings, Stop, Tell, open_existing, open_run, prepare
from lossviz.records.doubts import closing_facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.other_run import find_other
from lossviz.store.run import Run
from lossviz.store.surface_file import peek_plan, read_surface

Warn = Callable[[str], None]
T = TypeVar("T")
LOOK_S = 0.25


def share_of(surface: Surface, split: str, part: tuple[int, int], points: np.ndarray | None = None) -> np.ndarray:
    """Flat indices still missing in ``split`` of a share of ``points``, see :func:`~lossviz.launch.division.share`."""
    return np.intersect1d(share(surface.plan.grid, part, points), surface.pending(split))


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

    Points evaluated while measuring are saved. Arguments are as for :func:`lossviz.compute.compute`.

    Raises:
        LossvizError: As for :func:`lossviz.compute.compute`.
    """
    other = find_other(plane_from, out)
    plan = other.plan_on(plan) if other else plan
    run = open_existing(out, plan, settings, warn, stop)
    try:
        if run is not None and is_finished(run.surface):
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


def work(
    out: Path,
    part: tuple[int, int],
    *,
    round_number: int | None = None,
    device: str = "auto",
    sync_interval_s: float = 1.0,
    disk_wait_s: float = 600.0,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Warn = lambda message: None,
    group: Group | None = None,
) -> Report:
    """Evaluate what is missing of one share of a prepared run; any number of processes may do so at once.

    Args:
        out: The run's HDF5 file, made by :func:`prepare_only` or by a run that was stopped.
        part: Share I of N, I counting from 1.
        round_number: Of the submission whose points are shared; None shares the whole grid.
        device: As for :func:`lossviz.compute.compute`.
        sync_interval_s: Most work a power cut may take.
        disk_wait_s: How long to wait for room on a full disk.
        progress: Called after points were saved.
        stop: Asked between chunks.
        warn: Called with sentences that do not stop the run.
        group: The ranks that this process leads, for a run with several ranks a point; see :mod:`lossviz.together`.

    Raises:
        UsageError: If the run's points take several ranks each and there is no group.
        StoreError: If there is no prepared run at ``out``.
        StoppedError: If ``stop`` says so; everything evaluated is saved then.
    """
    plan = peek_plan(out)
    if plan is None or not read_surface(out).facts.get("engine"):
        raise StoreError(f"There is no prepared run {out}. Make it with: lossviz compute … --out {out} --prepare-only")
    if group is None:
        Ranks().groups_of(plan.ranks_per_point, str(out))
    settings = Settings(device, sync_interval_s=sync_interval_s, disk_wait_s=disk_wait_s)
    points = read_points(out, round_number, plan.grid.size, warn)
    with open_run(
        out, plan, settings, warn, stop, role="worker", part=f"{part[0]}/{part[1]}", **place_of(os.environ)
    ) as run:
        pending = {split: share_of(run.surface, split, part, points) for split in run.surface.splits}
        if not any(map(len, pending.values())):
            return Report(run.surface, out, 0.0, 0)
        engine = unless_dropped(lambda: join_run(out, plan, run.surface, device, warn, group), stop)
        if engine is None:
            raise StoppedError("Stopped while the problem was loaded; nothing is lost. Run the same command to go on.")
        evaluated = _fill_share(run, engine, pending, progress, stop)
        return Report(run.surface, out, sum(seconds for seconds in evaluated), len(evaluated))


def compute_with_workers(
    out: Path,
    plan: Plan,
    settings: Settings,
    devices: Sequence[str],
    *,
    plane_from: Path | None = None,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Warn = lambda message: None,
    tell: Tell = lambda checks: None,
) -> Report:
    """As :func:`lossviz.compute.compute`, with a worker process for each of ``devices``; this process publishes.

    Raises:
        LossvizError: As for :func:`lossviz.compute.compute`.
        LaunchError: If a worker failed; what was saved is kept.
    """
    # one process makes the run and settles the way that all evaluate in, with the threads that each will have
    settings = replace(settings, device=devices[0])
    with cpu_threads(threads_each(len(devices)) if "OMP_NUM_THREADS" not in os.environ else None):
        prepare_only(out, plan, settings, plane_from=plane_from, warn=warn, stop=stop, tell=tell)
    return fill_with_workers(out, devices, settings, progress=progress, stop=stop, warn=warn)


def fill_with_workers(
    out: Path,
    devices: Sequence[str],
    settings: Settings | None = None,
    *,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Warn = lambda message: None,
) -> Report:
    """Fill a prepared run with a worker process for each of ``devices``; this process publishes.

    Raises:
        StoppedError: If ``stop`` says so; everything evaluated is saved then.
        LaunchError: If a worker failed; what was saved is kept.
    """
    settings = settings or Settings(devices[0])
    plan = read_surface(out).plan
    run = open_run(out, plan, settings, warn, stop)
    surface, start, before = run.surface, time.perf_counter(), int(run.surface.evaluated().sum())
    try:
        # 1. workers fill it; with plan.refine their values may ask for more
        while len(surface.pending()) and not stop():
            with Workers(out, devices, settings.sync_interval_s, settings.disk_wait_s) as workers:
                while workers.alive and not stop():
                    time.sleep(LOOK_S)
                    if saved := run.take_in():
                        progress(Update(saved, int(surface.evaluated().sum()), plan.grid.size))
                    run.publish_when_due()
                workers.end()
                run.take_in()
                for warning in workers.warnings:
                    warn(warning)
                if not stop():
                    workers.check()
        # 2. what they saved, published whole
        run.take_in_whole()
        if left := len(surface.pending()):
            run.publish()
            raise StoppedError(
                f"Stopped with {left} of {plan.grid.size} points left; all others are saved. Run the same command to "
                "go on."
            )
        surface.facts.update(closing_facts(surface))
        run.publish(final=True)
    finally:
        run.close("done" if is_finished(surface) else "stopped")
    done = int(surface.evaluated().sum())
    return Report(surface, out, time.perf_counter() - start, done - before, surface.facts["doubts"])


def devices_of(name: str, workers: int | None) -> list[str]:
    """A device for each worker process: ``"cuda:all"`` is every GPU, any other name is one.

    Raises:
        UsageError: If there is no GPU.

    Example:
        >>> devices_of("cpu", 2), devices_of("auto", None)
        (['cpu', 'cpu'], ['auto'])
    """
    names = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if name == "cuda:all" else [name]
    if not names:
        raise UsageError("--device cuda:all: torch sees no GPU here. Use --device cpu --workers N for N processes.")
    return [names[k % len(names)] for k in range(workers or len(names))]


def run_task(run: Path | str, index: int, count: int, *, device: str = "auto") -> int:
    """Evaluate what is missing of one of ``count`` shares of a prepared run: the whole of a task for any scheduler.

    Any number of processes may do so at once, on any machines that see the file; :func:`lossviz.store.merge.merge`
    publishes what they saved. It installs no signal handlers, and a task that was killed goes on when it is run again.

    Args:
        run: The run's HDF5 file, made by ``lossviz compute … --prepare-only``.
        index: Which share, from 0.
        count: How many there are.
        device: As for :func:`lossviz.compute.compute`.

    Returns:
        How many evaluations this call added.

    Raises:
        UsageError: If ``index`` is not below ``count``.
        StoreError: If there is no prepared run.

    Example:
        With submitit: ``executor.map_array(functools.partial(lossviz.run_task, "net.h5", count=8), range(8))``.
    """
    if not 0 <= index < count:
        raise UsageError(f"index is {index} and count {count}; index runs from 0 to count - 1.")
    return work(Path(run), (index + 1, count), device=device).evaluated


def unless_dropped(make: Callable[[], T], stop: Stop) -> T | None:
    """What ``make`` returns; None if ``stop`` gives up on it meanwhile."""
    try:
        with getattr(stop, "while_evaluating", nullcontext)():
            return make()
    except PointDropped:
        return None


def recompute(out: Path, *, device: str = "auto", group: Group | None = None) -> Callable[[list[int]], list[Point]]:
    """A function that evaluates points of a run again, in every split, for ``lossviz verify --recompute``."""
    surface = read_surface(out)
    engine = join_run(out, surface.plan, surface, device, group=group)
    grid, splits = surface.plan.grid, surface.plan.splits
    return lambda indices: engine.evaluate_points(indices, grid.coordinates(indices), splits)


def _fill_share(
    run: Run, engine: Engine, pending: dict[str, np.ndarray], progress: Progress, stop: Stop
) -> list[float]:
    seconds, total = [], run.surface.plan.grid.size

    def tell(saved: list[Point]) -> None:
        if saved:
            progress(Update(saved, int(run.surface.evaluated().sum()), total))

    for points in until_dropped(engine.evaluate(run.surface.plan.grid, pending), stop):
        tell(run.save(points))
        seconds += [point.seconds for point in points]
        if stop():
            break
    tell(run.sync())
    if len(seconds) < sum(map(len, pending.values())):
        raise StoppedError(f"Stopped after {len(seconds)} points; all are saved. Run the same command to go on.")
    return seconds
