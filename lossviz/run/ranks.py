"""Ranks that torchrun started on one run: groups of as many as a point takes, each with a share of the points.

The ranks of a point divide its examples, each with the whole model, or the model, see
:mod:`lossviz.evaluate.ranks.divided`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lossviz.errors import UsageError
from lossviz.evaluate.ranks.divided import follow
from lossviz.evaluate.ranks.group import Group, joined
from lossviz.evaluate.ranks.served import serve
from lossviz.launch.ranks import Ranks
from lossviz.problem.device import choose_device
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.records.watch import QUIET, Watch
from lossviz.run.join import load_stored
from lossviz.run.load import load_divided
from lossviz.run.settings import DEFAULT, Report, Settings
from lossviz.run.worker import work
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface

T = TypeVar("T")


def work_as_rank(
    out: Path,
    plan: Plan,
    part: tuple[int, int],
    ranks: Ranks,
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    **how: Any,
) -> Report | None:
    """Take this process's place among the ranks that evaluate a run's points together.

    The first rank of every group of ``plan.ranks_per_point`` decides, saves and is told to stop. The others hold a
    copy of the model and sum their part of the examples whenever it says so; or hold their part of the model, and run
    it beside the first. All ranks of the world call this at once. A point that is begun is finished, or lost with the
    process: it is not interrupted by a stop.

    Args:
        out: The prepared run's HDF5 file.
        plan: Its plan.
        part: Share I of N of the points that all ranks take together, I counting from 1.
        ranks: This process among them.
        settings: Device of this process, and intervals.
        watch: Who is told, and who may stop it.
        how: The rest, as for :func:`lossviz.run.worker.work`.

    Returns:
        What the group's first rank did; None for the others.

    Raises:
        UsageError: If the ranks do not make whole groups.
        LossvizError: As for :func:`lossviz.run.worker.work`.
    """
    groups, whole = ranks.groups_of(plan.ranks_per_point, str(out)), replace(watch, interruptible=nullcontext)
    if plan.ranks_divide == "model":
        return lead(
            lambda group: work(out, groups.part_of(part), settings, whole, group=group, **how),
            plan, ranks, settings.device, watch.stop,
        )  # fmt: skip
    with joined(ranks, plan.ranks_per_point) as group:
        if group.rank:
            serve(group, lambda: _load(out, plan, settings.device))
            return None
        try:
            return work(out, groups.part_of(part), settings, whole, group=group, **how)
        finally:
            group.tell(None)


def lead(
    command: Callable[[Group], T], plan: Plan, ranks: Ranks, device: str, stop: Callable[[], bool] = QUIET.stop
) -> T | None:
    """Run a command on a model that ranks divide: the first of a group does, the others carry out its orders.

    Args:
        command: What the first rank runs.
        plan: Of the run.
        ranks: This process among them, in whole groups of ``plan.ranks_per_point``.
        device: Of this process.
        stop: Whether this process was told to end.

    Returns:
        What the command returned; None for the ranks that followed.

    Raises:
        UsageError: If torch cannot divide a model among devices of this kind.
    """
    own = choose_device(device)
    if own.type not in ("cpu", "cuda"):
        raise UsageError(f"--ranks-divide model runs on CUDA devices or the CPU; --device is {own.type}.")
    with joined(ranks, plan.ranks_per_point, device=own) as group:
        if group.rank:
            follow(group, lambda: load_divided(plan, str(own), group), stop)
            return None
        try:
            return command(group)
        finally:
            group.tell(None)


def _load(out: Path, plan: Plan, device: str) -> tuple[Problem, Plane]:
    made = load_stored(out, plan, read_surface(out), device)
    return made.problem, made.plane
