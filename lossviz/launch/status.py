"""How far a run is: points counted from file and journals, which works with no Slurm at all, and the queue's word."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossviz.errors import LaunchError, StoreError
from lossviz.launch.division import share
from lossviz.launch.lives import Life, read_lives, seconds_per_point
from lossviz.launch.rounds import Round, logs_folder, read_rounds
from lossviz.launch.slurm import JobState, is_here, job_states
from lossviz.records.surface import Surface
from lossviz.store.schema import canonical_path
from lossviz.store.surface_file import peek_plan

Ask = Callable[[list[str]], dict[str, JobState]]
State = Literal["complete", "running", "stopped"]
EXIT_STATUS: Mapping[State, int] = {"complete": 0, "running": 3, "stopped": 4}
_LOG_BYTES = 8192
_EMPTY_WORDS = re.compile(
    r'{"saved"|srun: (launch/slurm: |Force Terminated |Terminating |Job step aborted|forcing |got SIG)'
    r"|srun: .*: Exited with exit code "
)


@dataclass(frozen=True)
class Task:
    """One task of a round that is not done.

    Attributes:
        number: In the round, from 1.
        job: ``ARRAYJOB_TASK``.
        state: What the queue says; empty where it has forgotten.
        missing: Points of its share that are not evaluated.
        log: Its log, if there is one.
        said: The log's last words.
    """

    number: int
    job: str
    state: str
    missing: int
    log: Path | None
    said: str


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        path: The run's file.
        total: Grid points, N.
        done: Points evaluated in every split.
        left: Points that are asked for and missing.
        point_s: Mean seconds a point, over all splits; None where nothing is known.
        lives: Processes whose segments are still there.
        round: The last submission, if there was one.
        queue: States of its tasks, and how many have each; empty without Slurm.
        waits: Why the first of those that wait does so.
        tasks: Tasks that have ended and left points missing.
        merge: State of the merge job; empty where there is none.
        note: What could not be asked.
        asks_more: Whether the last round is whole, and its values ask for more points, as with ``plan.refine``.
    """

    path: Path
    total: int
    done: int
    left: int
    point_s: float | None
    lives: tuple[Life, ...] = ()
    round: Round | None = None
    queue: Mapping[str, int] = field(default_factory=dict)
    waits: str = ""
    tasks: tuple[Task, ...] = ()
    merge: str = ""
    note: str = ""
    asks_more: bool = False

    @property
    def jobs_alive(self) -> bool:
        """Whether a job of the last round runs or waits."""
        states = [*self.queue, *([self.merge] if self.merge else [])]
        return any(JobState(state).alive for state in states)

    @property
    def workers(self) -> int:
        """Processes that evaluate now."""
        return self.queue.get("RUNNING", 0) or sum(life.alive for life in self.lives)

    @property
    def state(self) -> State:
        """In one word."""
        if self.jobs_alive or (self.left and any(life.alive for life in self.lives)):
            return "running"
        return "stopped" if self.left else "complete"

    @property
    def cancelled(self) -> bool:
        """Whether the last round was cancelled."""
        return bool((self.round and self.round.cancelled) or "CANCELLED" in self.queue)

    @property
    def left_s(self) -> float | None:
        """Seconds until the last point, at the present speed; None where nothing runs or nothing is known."""
        rate = sum(life.points / life.span_s for life in self.lives if life.alive and life.span_s > 0)
        if rate > 0:
            return self.left / rate
        return self.left * self.point_s / self.workers if self.point_s and self.workers else None

    @property
    def wasted(self) -> float | None:
        """Share of the processes' time that went into starting, dropped points and points evaluated twice."""
        spent = sum(max(life.span_s, life.useful_s) for life in self.lives)
        return 1 - sum(life.useful_s for life in self.lives) / spent if spent else None

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "file": str(self.path),
            "state": self.state,
            "points": self.total,
            "done": self.done,
            "left": self.left,
            "seconds_per_point": self.point_s,
            "seconds_left": self.left_s,
            "workers": self.workers,
            "lives": len(self.lives),
            "wasted": self.wasted,
            "round": self.round.number if self.round else None,
            "jobs": self.round.jobs if self.round else [],
            "queue": dict(self.queue),
            "merge": self.merge,
            "cancelled": self.cancelled,
            "unfinished_tasks": [
                {"task": t.number, "job": t.job, "state": t.state, "missing": t.missing,
                 "log": str(t.log) if t.log else None, "said": t.said}
                for t in self.tasks
            ],
            "note": self.note,
        }  # fmt: skip


def read_status(path: Path, ask: Ask | None = None) -> RunStatus:
    """Look at a run; takes no lock and writes nothing.

    Args:
        path: The run's file.
        ask: Gives the states of jobs; None asks the queue.

    Raises:
        StoreError: If there is no run at ``path``, or it is damaged.
    """
    ask = ask or Queue()
    path, rounds = canonical_path(path), read_rounds(path)
    plan = peek_plan(path) or peek_plan(path)  # again, as a publication may tidy the segments away meanwhile
    if plan is None and not rounds:
        raise StoreError(
            f"There is no run {path}. Make one with: lossviz submit PROBLEM.py … --out {shlex.quote(str(path))}"
        )
    if plan is None:  # submitted, and made by its job
        return _with_queue(RunStatus(path, rounds[-1].size, 0, rounds[-1].size, None, (), rounds[-1]), ask, None)
    surface, lives = read_lives(path, plan)
    done, left = int(surface.evaluated().sum()), len(surface.pending())
    found = RunStatus(
        path, plan.grid.size, done, left, seconds_per_point(surface), lives, rounds[-1] if rounds else None
    )
    whole = bool(rounds and left and surface.evaluated().ravel()[rounds[-1].points].all())
    return _with_queue(replace(found, asks_more=whole), ask, surface)


def _with_queue(found: RunStatus, ask: Ask, surface: Surface | None) -> RunStatus:
    """The same with what the queue says of the last round's jobs."""
    last = found.round
    if last is None:
        return found
    try:
        states, note = dict(ask(last.jobs)), ""
    except LaunchError as error:
        states, note = {}, f"Counted from the journals alone: {error}"
    mine = {task: states.get(last.job_of(task)) for task in range(1, last.tasks + 1) if states}
    waiting = (state.reason for state in mine.values() if state and state.state == "PENDING")
    return replace(
        found,
        queue=Counter(state.state for state in mine.values() if state),
        waits=next(filter(None, waiting), ""),
        tasks=_unfinished(found, last, surface, mine),
        merge=states.get(last.merge or "", JobState("")).state,
        note=note,
    )


class Queue:
    """Asks for the states of jobs, and remembers the answers: once for all runs of one array."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[str, JobState]] = {}

    def __call__(self, jobs: list[str]) -> dict[str, JobState]:
        """The states, see :func:`~lossviz.launch.slurm.job_states`.

        Raises:
            LaunchError: If Slurm is not here, or does not answer.
        """
        if not is_here():
            raise LaunchError("Slurm is not on this machine.")
        if tuple(jobs) not in self._known:
            self._known[tuple(jobs)] = job_states(jobs)
        return self._known[tuple(jobs)]


def _unfinished(
    found: RunStatus, last: Round, surface: Surface | None, mine: Mapping[int, JobState | None]
) -> tuple[Task, ...]:
    """Tasks that have ended, or that nobody knows of, with points of theirs missing."""
    pending = np.zeros(found.total, bool)
    pending[last.points if surface is None else surface.pending()] = True
    if not pending[last.points].any():
        return ()
    if surface is None:
        shares = iter([last.points])
    else:
        shares = (share(surface.plan.grid, (task, last.tasks), last.points) for task in range(1, last.tasks + 1))
    folder = Path(last.logs) if last.logs else logs_folder(found.path)
    return tuple(
        _task(task, last.job_of(task), mine.get(task), int(pending[points].sum()), folder)
        for task, points in enumerate(shares, 1)
        if pending[points].any() and not _is_alive(mine.get(task))
    )


def _is_alive(state: JobState | None) -> bool:
    return state is not None and state.alive


def _task(number: int, job: str, state: JobState | None, missing: int, folder: Path) -> Task:
    log = folder / f"{job}.out"
    there = log if job and log.exists() else None
    return Task(number, job, state.state if state else "", missing, there, last_words(there))


def last_words(log: Path | None) -> str:
    """The last line of a log that says something: no saved point, nor how srun ends a step and its exit status."""
    if log is None:
        return ""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip() and not _EMPTY_WORDS.match(line)), "")
    return ""
