"""Several processes on one run: prepare it once, let each fill its share, merge what they saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lossviz.compute import Progress, Report, Update, evaluate_asked, is_finished, until_dropped
from lossviz.errors import StoppedError, StoreError, UsageError
from lossviz.evaluate.checks import check_stored
from lossviz.evaluate.derivatives import find_derivatives
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.precision import in_precision
from lossviz.evaluate.way import Way
from lossviz.prepare import (
    Settings,
    Stop,
    find_directions,
    load_plan_problem,
    open_existing,
    open_run,
    prepare,
    prepare_facts,
    prepare_plane,
)
from lossviz.records.doubts import agree
from lossviz.records.order import coarse_to_fine
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.other_run import find_other
from lossviz.store.run import Run
from lossviz.store.surface_file import peek_plan, read_surface

Warn = Callable[[str], None]


def parse_part(text: str) -> tuple[int, int]:
    """Read a share ``I/N``, I counting from 1.

    Raises:
        UsageError: If it is anything else.

    Example:
        >>> parse_part("3/8")
        (3, 8)
    """
    first, slash, last = text.partition("/")
    if slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last):
        return int(first), int(last)
    raise UsageError(f"--part is {text!r}; write I/N with I from 1 to N, for example --part 3/8.")


def share_of(surface: Surface, split: str, part: tuple[int, int]) -> np.ndarray:
    """Flat indices still missing in ``split`` of a share: every N-th point of the coarse-to-fine order, from the I-th.

    Shares are fixed by the grid alone, so that processes that never speak to each other take disjoint ones.
    """
    index, count = part
    mine = coarse_to_fine(surface.plan.grid, np.arange(surface.plan.grid.size))[index - 1 :: count]
    return np.intersect1d(mine, surface.pending(split))


def prepare_only(
    out: Path,
    plan: Plan,
    settings: Settings,
    *,
    plane_from: Path | None = None,
    warn: Warn = lambda message: None,
    stop: Stop = lambda: False,
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
        run, engine = prepare(out, plan, run, settings, warn, stop=stop, other=other)
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
    device: str = "auto",
    sync_interval_s: float = 1.0,
    disk_wait_s: float = 600.0,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Warn = lambda message: None,
) -> Report:
    """Evaluate what is missing of one share of a prepared run; any number of processes may do so at once.

    Args:
        out: The run's HDF5 file, made by :func:`prepare_only` or by a run that was stopped.
        part: Share I of N, I counting from 1.
        device: As for :func:`lossviz.compute.compute`.
        sync_interval_s: Most work a power cut may take.
        disk_wait_s: How long to wait for room on a full disk.
        progress: Called after points were saved.
        stop: Asked between chunks.
        warn: Called with sentences that do not stop the run.

    Raises:
        StoreError: If there is no prepared run at ``out``.
        StoppedError: If ``stop`` says so; everything evaluated is saved then.
    """
    plan = peek_plan(out)
    if plan is None or not read_surface(out).facts.get("engine"):
        raise StoreError(f"There is no prepared run {out}. Make it with: lossviz compute … --out {out} --prepare-only")
    settings = Settings(device, sync_interval_s=sync_interval_s, disk_wait_s=disk_wait_s)
    with open_run(out, plan, settings, warn, stop, role="worker", part=f"{part[0]}/{part[1]}") as run:
        engine = join_run(out, plan, run.surface, device, warn)
        pending = {split: share_of(run.surface, split, part) for split in run.surface.splits}
        evaluated = _fill_share(run, engine, pending, progress, stop)
        return Report(run.surface, out, sum(seconds for seconds in evaluated), len(evaluated))


def join_run(out: Path, plan: Plan, surface: Surface, device: str, warn: Warn = lambda message: None) -> Engine:
    """An engine for a run that exists, in its own way, after checking that values come out here as they did there.

    Raises:
        ProblemError: If the centre's loss is another one here.
        PlanError: If stored points come out otherwise.
    """
    problem = load_plan_problem(plan, device)
    plane = prepare_plane(plan, problem, find_directions(plan, problem, out, warn, stored=True))
    derivatives = find_derivatives(plan, problem, plane)
    problem = in_precision(problem, surface.facts["precision"]["used"])
    way = Way.from_json(surface.facts["engine"]["way"])
    engine = Engine(problem, plane, way=way, relative_error=plan.relative_error, derivatives=derivatives)
    found = prepare_facts(plan, problem, plane, engine)
    for name, value in surface.facts["origin"].items():
        count = surface.facts["examples"][surface.split_of(name)]
        if not agree(name, found["origin"][name], value, count):
            raise StoreError(f"{name} at the checkpoint is {found['origin'][name]:.7g} here and {value:.7g} in {out}.")
    check_stored(surface, engine.exhaustive() if derivatives else engine)
    return engine


def recompute(out: Path, *, device: str = "auto") -> Callable[[list[int]], list[Point]]:
    """A function that evaluates points of a run again, in every split, for ``lossviz verify --recompute``."""
    surface = read_surface(out)
    engine = join_run(out, surface.plan, surface, device)
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
