"""Several processes on one run: prepare it once, let each fill its share, merge what they saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from lossviz.errors import PointDropped, StoppedError, StoreError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ranks.group import Group
from lossviz.launch.division import share
from lossviz.launch.ranks import Ranks
from lossviz.launch.requeue import place_of
from lossviz.launch.rounds import read_points
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Update, Watch
from lossviz.run.compute import until_dropped
from lossviz.run.join import join_run
from lossviz.run.prepare import open_run
from lossviz.run.settings import DEFAULT, Report, Settings
from lossviz.store.run import Run
from lossviz.store.surface_file import peek_plan, read_surface
from lossviz.store.trust import trusted_plan

T = TypeVar("T")


def share_of(surface: Surface, split: str, part: tuple[int, int], points: np.ndarray | None = None) -> np.ndarray:
    """Flat indices still missing in ``split`` of a share of ``points``, see :func:`~lossviz.launch.division.share`."""
    return np.intersect1d(share(surface.plan.grid, part, points), surface.pending(split))


def work(
    out: Path,
    part: tuple[int, int],
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    *,
    round_number: int | None = None,
    group: Group | None = None,
    trust_problem: bool = False,
    trust_pickle: bool = False,
) -> Report:
    """Evaluate what is missing of one share of a prepared run; any number of processes may do so at once.

    Args:
        out: The run's HDF5 file, made by :func:`~lossviz.run.compute.prepare_only` or by a run that was stopped.
        part: Share I of N, I counting from 1.
        settings: Device and intervals; the way of evaluating is the run's own.
        watch: Who is told, and who may stop it.
        round_number: Of the submission whose points are shared; None shares the whole grid.
        group: The ranks that this process leads, for a run with several ranks a point; see :mod:`lossviz.run.ranks`.
        trust_problem: Run what the file names, whoever made it.
        trust_pickle: Python objects in its checkpoint too.

    Raises:
        UntrustedError: If this user has neither computed nor trusted the problem.
        UsageError: If the run's points take several ranks each and there is no group.
        StoreError: If there is no prepared run at ``out``.
        StoppedError: If ``watch.stop`` says so; everything evaluated is saved then.
    """
    plan = peek_plan(out)
    if plan is None or not read_surface(out).facts.engine:
        raise StoreError(f"There is no prepared run {out}. Make it with: lossviz compute … --out {out} --prepare-only")
    plan = trusted_plan(out, plan, trust_problem=trust_problem, trust_pickle=trust_pickle)
    if group is None:
        Ranks().groups_of(plan.ranks_per_point, str(out))
    points = read_points(out, round_number, plan.grid.size, watch.warn)
    with open_run(
        out, plan, settings, watch, role="worker", part=f"{part[0]}/{part[1]}", **place_of(os.environ)
    ) as run:
        pending = {split: share_of(run.surface, split, part, points) for split in run.surface.splits}
        if not any(map(len, pending.values())):
            return Report(run.surface, out, 0.0, 0)
        engine = unless_dropped(lambda: join_run(out, plan, run.surface, settings.device, watch, group), watch)
        if engine is None:
            raise StoppedError("Stopped while the problem was loaded; nothing is lost. Run the same command to go on.")
        engine.recall(run.surface, share(plan.grid, part, points))
        evaluated = _fill_share(run, engine, pending, watch)
        engine.check_state()
        for remark in engine.remarks:
            if remark.level == "doubt" and remark.text not in run.surface.facts.engine.doubts:
                watch.warn(remark)
        return Report(run.surface, out, sum(seconds for seconds in evaluated), len(evaluated))


def run_task(
    run: Path | str, index: int, count: int, *, device: str = "auto", trust_problem: bool = False,
    trust_pickle: bool = False,
) -> int:  # fmt: skip
    """Evaluate what is missing of one of ``count`` shares of a prepared run: the whole of a task for any scheduler.

    Any number of processes may do so at once, on any machines that see the file; :func:`lossviz.store.merge.merge`
    publishes what they saved. It installs no signal handlers, and a task that was killed goes on when it is run again.

    Args:
        run: The run's HDF5 file, made by ``lossviz compute … --prepare-only``.
        index: Which share, from 0.
        count: How many there are.
        device: Where to evaluate.
        trust_problem: Run what the file names, whoever made it.
        trust_pickle: Python objects in its checkpoint too.

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
    report = work(
        Path(run), (index + 1, count), Settings(device), trust_problem=trust_problem, trust_pickle=trust_pickle
    )
    return report.evaluated


def unless_dropped(make: Callable[[], T], watch: Watch) -> T | None:
    """What ``make`` returns; None if it was interrupted."""
    try:
        with watch.interruptible():
            return make()
    except PointDropped:
        return None


def _fill_share(run: Run, engine: Engine, pending: dict[str, np.ndarray], watch: Watch) -> list[float]:
    seconds, total = [], run.surface.plan.grid.size

    def tell(saved: list[Point]) -> None:
        if saved:
            watch.progress(Update(saved, int(run.surface.evaluated().sum()), total))

    for points in until_dropped(engine.evaluate(run.surface.plan.grid, pending), watch):
        tell(run.save(points))
        seconds += [point.seconds for point in points]
        if watch.stop():
            break
    tell(run.sync())
    if len(seconds) < sum(map(len, pending.values())):
        raise StoppedError(f"Stopped after {len(seconds)} points; all are saved. Run the same command to go on.")
    return seconds
