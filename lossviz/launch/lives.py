"""The processes that have worked on a run, as the segments they left tell it: when, how long, and how well."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from lossviz.records.plan import Plan
from lossviz.records.session import Session
from lossviz.records.surface import SplitCounts, Surface
from lossviz.store.lock import is_locked
from lossviz.store.schema import host_of, life_name
from lossviz.store.segment import Segment, check_plan, enter_segment, read_segments
from lossviz.store.surface_file import read_published

SILENT_S = 600.0  # a writer on another host that has said nothing for so long is taken for dead


@dataclass(frozen=True)
class Life:
    """One process from its start to its end, as its segment tells it.

    Attributes:
        session: Who it was.
        points: Lines with a point that it saved.
        useful_s: Seconds it spent on points that count.
        span_s: Seconds from its start to the last it wrote.
        alive: It still writes, as far as can be seen from here.
        startup_s: Seconds from its start to its first point.
    """

    session: Session
    points: int
    useful_s: float
    span_s: float
    alive: bool
    startup_s: float


def read_lives(path: Path, plan: Plan) -> tuple[Surface, tuple[Life, ...]]:
    """All points of a run, and the processes that saved those that are not published for good."""
    segments = read_segments(path)  # before the file: what is tidied away meanwhile is in the file by then
    surface = read_published(path) if path.exists() else Surface.empty(plan)
    found = []
    for segment in segments:
        check_plan(segment, surface.plan)
        found.append((segment, enter_segment(surface, segment).points))
    useful = _useful_s(surface)
    ids = {session.id: row for row, session in enumerate(surface.sessions)}
    return surface, tuple(
        _life(segment, points, useful[ids[segment.session.id]]) for segment, points in found if points
    )


def seconds_per_point(surface: Surface) -> float | None:
    """Mean seconds a grid point takes a task, over all splits; None where no point is evaluated.

    Points of tasks count alone where there are any. Those that the run was prepared with took one process, maybe on
    another machine; where several ranks share a point's examples, each is expected to take its part of that time.
    """
    parts = surface.plan.ranks_per_point if surface.plan.ranks_divide == "examples" else 1
    by_task = np.array([bool(session.part) for session in surface.sessions] or [False])
    per_split = [
        _mean_s(counts, by_task[np.minimum(counts.session, len(by_task) - 1)]) or _mean_s(counts, np.True_) / parts
        for counts in surface.splits.values()
    ]
    return sum(per_split) or None


def _mean_s(counts: SplitCounts, which: np.ndarray | np.bool_) -> float:
    known = (counts.status != 0) & which
    return float(counts.seconds[known].mean()) if known.any() else 0.0


def measured_startup_s(lives: tuple[Life, ...]) -> float | None:
    """Median seconds from a task's start to its first point; None where none is known."""
    known = [life.startup_s for life in lives if life.startup_s > 0 and life.session.part]
    return float(np.median(known)) if known else None


def _useful_s(surface: Surface) -> np.ndarray:
    total = np.zeros(max(1, len(surface.sessions)))
    for counts in surface.splits.values():
        known = counts.status != 0
        rows = np.minimum(counts.session[known], len(total) - 1)
        total += np.bincount(rows, weights=counts.seconds[known].astype(float), minlength=len(total))
    return total


def _life(segment: Segment, points: int, useful_s: float) -> Life:
    started, name = segment.session.started, segment.path.stem
    try:
        written = segment.path.stat().st_mtime
        begun = datetime.fromisoformat(started).timestamp() if started else written - useful_s
        first = int(name.split("-")[0]) / 1e9  # a segment is made with its first points
    except (OSError, ValueError):
        return Life(segment.session, points, useful_s, useful_s, False, 0.0)
    alive = segment.ended is None and (
        is_locked(segment.path) or (host_of(name) != host_of(life_name()) and time.time() - written < SILENT_S)
    )
    span_s = max(written - begun, useful_s)
    return Life(segment.session, points, useful_s, span_s, alive, max(first - begun, 0.0))
