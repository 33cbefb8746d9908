"""A worker process for each device on one run, and this process publishing what they save."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lossviz.errors import StoppedError, UsageError
from lossviz.evaluate.ways.way import cpu_threads
from lossviz.launch.local import Workers, threads_each
from lossviz.records.doubts import closing_facts
from lossviz.records.plan import Plan
from lossviz.records.remark import doubt
from lossviz.records.watch import QUIET, Update, Watch
from lossviz.run.compute import is_finished, prepare_only
from lossviz.run.prepare import open_run
from lossviz.run.settings import Report, Settings
from lossviz.store.surface_file import read_surface
from lossviz.store.trust import trust_options, trusted_plan

LOOK_S = 0.25


def compute_with_workers(
    out: Path,
    plan: Plan,
    settings: Settings,
    devices: Sequence[str],
    watch: Watch = QUIET,
    *,
    plane_from: Path | None = None,
) -> Report:
    """As :func:`lossviz.run.compute.compute`, with a worker process for each of ``devices``; this process publishes.

    Raises:
        LossvizError: As for :func:`lossviz.run.compute.compute`.
        LaunchError: If a worker failed; what was saved is kept.
    """
    # one process makes the run and settles the way that all evaluate in, with the threads that each will have
    settings = replace(settings, device=devices[0])
    with cpu_threads(threads_each(len(devices)) if "OMP_NUM_THREADS" not in os.environ else None):
        prepare_only(out, plan, settings, watch, plane_from=plane_from)
    return fill_with_workers(out, devices, settings, watch, trust=trust_options(plan.problem))


def fill_with_workers(
    out: Path,
    devices: Sequence[str],
    settings: Settings | None = None,
    watch: Watch = QUIET,
    *,
    trust: Sequence[str] = (),
) -> Report:
    """Fill a prepared run with a worker process for each of ``devices``; this process publishes.

    The workers run what the file names if this user computed it here before, or ``trust`` has the options for that.

    Raises:
        StoppedError: If ``watch.stop`` says so; everything evaluated is saved then.
        UntrustedError: If this user has neither computed nor trusted the problem.
        LaunchError: If a worker failed; what was saved is kept.
    """
    settings = settings or Settings(devices[0])
    plan = read_surface(out).plan
    trust = trust or trust_options(trusted_plan(out, plan).problem)
    run = open_run(out, plan, settings, watch)
    surface, start, before = run.surface, time.perf_counter(), int(run.surface.evaluated().sum())
    try:
        # 1. workers fill it; with plan.refine their values may ask for more
        while len(surface.pending()) and not watch.stop():
            with Workers(out, devices, settings.sync_interval_s, settings.disk_wait_s, trust) as workers:
                while workers.alive and not watch.stop():
                    time.sleep(LOOK_S)
                    if saved := run.take_in():
                        watch.progress(Update(saved, int(surface.evaluated().sum()), plan.grid.size))
                    run.publish_when_due()
                workers.end()
                run.take_in()
                for remark in doubt("worker", workers.warnings):
                    watch.warn(remark)
                if not watch.stop():
                    workers.check()
        # 2. what they saved, published whole
        run.take_in_whole()
        if left := len(surface.pending()):
            run.publish()
            raise StoppedError(
                f"Stopped with {left} of {plan.grid.size} points left; all others are saved. Run the same command to "
                "go on."
            )
        surface.facts = closing_facts(surface)
        run.publish(final=True)
    finally:
        run.close("done" if is_finished(surface) else "stopped")
    done = int(surface.evaluated().sum())
    return Report(surface, out, time.perf_counter() - start, done - before, doubt("run", surface.facts.doubts or ()))


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
