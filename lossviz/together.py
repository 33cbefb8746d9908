"""Ranks that torchrun started on one run: groups of as many as a point takes, each with a share of the points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lossviz.compute import Report
from lossviz.evaluate.group import joined
from lossviz.evaluate.precision import in_precision
from lossviz.evaluate.served import serve
from lossviz.join import load_stored
from lossviz.launch.ranks import Ranks
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface
from lossviz.work import Stop, Warn, work


def work_as_rank(
    out: Path,
    plan: Plan,
    part: tuple[int, int],
    ranks: Ranks,
    *,
    device: str = "auto",
    stop: Stop = lambda: False,
    warn: Warn = lambda message: None,
    **how: Any,
) -> Report | None:
    """Take this process's place among the ranks that evaluate a run's points together.

    The first rank of every group of ``plan.ranks_per_point`` decides, saves and is told to stop; the others hold a
    copy of the model and sum their part of the examples whenever it says so. All ranks of the world call this at once.
    A point that is begun is finished, or lost with the process: it is not dropped for a ``stop``.

    Args:
        out: The prepared run's HDF5 file.
        plan: Its plan.
        part: Share I of N of the points that all ranks take together, I counting from 1.
        ranks: This process among them.
        device: Of this process.
        stop: Asked between chunks.
        warn: Called with sentences that do not stop the run.
        how: The rest, as for :func:`lossviz.work.work`.

    Returns:
        What the group's first rank did; None for the others.

    Raises:
        UsageError: If the ranks do not make whole groups.
        LossvizError: As for :func:`lossviz.work.work`.
    """
    groups = ranks.groups_of(plan.ranks_per_point, str(out))
    with joined(ranks, plan.ranks_per_point) as group:
        if group.rank:
            serve(group, lambda: _load(out, plan, device))
            return None
        try:
            return work(out, groups.part_of(part), device=device, stop=lambda: stop(), warn=warn, group=group, **how)
        finally:
            group.tell(None)


def _load(out: Path, plan: Plan, device: str) -> tuple[Problem, Plane]:
    surface = read_surface(out)
    problem, plane = load_stored(out, plan, surface, device)
    return in_precision(problem, surface.facts["precision"]["used"]), plane
