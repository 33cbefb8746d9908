"""A run handed to Slurm: its missing points divided, the scripts written beside it, one array and a merge behind it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from lossviz.errors import LaunchError, StoppedError, UnwritableError
from lossviz.launch import slurm
from lossviz.launch.division import Division, Speed
from lossviz.launch.rounds import Array, Round, logs_folder, next_number, read_rounds, round_path, write_round
from lossviz.launch.script import Job, Request, array_script, merge_script
from lossviz.records.remark import ignore
from lossviz.store.lock import RunLock
from lossviz.store.plain_file import write_plain
from lossviz.store.schema import canonical_path
from lossviz.store.trust import check_submitted

USUAL_SLOTS = 64
USUAL_LARGEST_ARRAY = 1000


@dataclass(frozen=True)
class Draft:
    """A round as it would be submitted.

    Attributes:
        run: The run's file.
        made: Its record, with no job yet.
        division: How its points are divided.
        indices: Tasks of one array.
        script: Of the tasks.
        merge: Of the merge job; None without one.
        request: What is asked of the cluster.
        ranks: Processes of a task, which evaluate each point together.
        refined: Whether the values decide what is asked for next.
    """

    run: Path
    made: Round
    division: Division
    indices: int
    script: str
    merge: str | None
    request: Request
    ranks: int = 1
    refined: bool = False

    @property
    def arrays(self) -> list[Array]:
        """The arrays it is submitted in, their job numbers still empty."""
        firsts = range(1, self.made.tasks + 1, self.indices)
        return [Array("", f, min(f + self.indices - 1, self.made.tasks), f - 1) for f in firsts]


def draft_round(
    run: Path,
    missing: np.ndarray,
    size: int,
    request: Request,
    *,
    folder: Path,
    speed: Speed,
    tasks: int | None = None,
    merge: bool = True,
    largest_array: int = USUAL_LARGEST_ARRAY,
    ranks: int = 1,
    trust: tuple[str, ...] = (),
    command_line: str = "",
) -> Draft:
    """Divide the missing points and write the scripts; nothing is asked of the cluster, and nothing lies on disk.

    Args:
        run: The run's file.
        missing: Flat indices to evaluate, int64 (M,).
        size: Grid points, N.
        request: What is asked of the cluster.
        folder: Where the commands will run.
        speed: What a point and a start cost.
        tasks: How many; None takes :meth:`Division.automatic`.
        merge: Whether a job behind the array merges.
        largest_array: Most tasks of one array.
        ranks: Processes of a task, which evaluate each point together.
        trust: Options by which the tasks may run what the run's file names; see :mod:`lossviz.store.trust`.
        command_line: What was typed, for the record.

    Raises:
        LaunchError: If the time limit does not parse.
        UsageError: If what a task asks for cannot be shared by its ranks.
    """
    run, number = canonical_path(run), next_number(read_rounds(run))
    slots = request.max_running or USUAL_SLOTS
    limit_s = slurm.parse_time(request.time) if request.time else None
    division = (
        Division.automatic(len(missing), slots, speed, limit_s)
        if tasks is None
        else Division(len(missing), max(1, min(tasks, len(missing))), slots, speed)
    )
    made = Round(number, job_name(run, number), size, missing, division.tasks, command_line=command_line)
    said = f"lossviz, round {number} of {run.name}: {len(missing)} points in {division.tasks} tasks"
    job = Job(run, folder, made.name, logs_folder(run), said, request, ranks, trust)
    return Draft(
        run=run,
        made=made,
        division=division,
        indices=min(division.tasks, largest_array),
        script=array_script(job, number=number, tasks=division.tasks, indices=largest_array),
        merge=merge_script(replace(job, said=f"{said}; the merge")) if merge else None,
        request=request,
        ranks=ranks,
    )


def submit_round(draft: Draft) -> Round:
    """Submit a draft: scripts and record first, then the arrays and the merge job behind them.

    Returns:
        The record, with the jobs' numbers.

    Raises:
        LaunchError: If the cluster refuses; then nothing is left of the round, or what was taken is in its record.
        UnwritableError: If the record cannot be written; the message names the jobs that Slurm has.
        StoppedError: If a round of the run is alive.
    """
    lock = RunLock.take(draft.run, ignore)
    try:
        check_no_round_alive(draft.run)
        slurm.check_script(draft.script)
        script = round_path(draft.run, draft.made.number, ".sbatch")
        try:
            logs_folder(draft.run).mkdir(parents=True, exist_ok=True)
            write_plain(script, draft.script)
            write_round(draft.run, draft.made)
        except OSError as error:
            raise UnwritableError(f"{script} cannot be written: {error.strerror}.") from None
        return _submit(draft, script)
    finally:
        lock.release()


def _submit(draft: Draft, script: Path) -> Round:
    made = replace(draft.made, submitted=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    try:
        for array in draft.arrays:
            several = len(draft.arrays) > 1
            options = _array_options(draft, array, made) if several else []
            job = slurm.submit(str(script), [str(array.offset)] if several else [], options)
            made = replace(made, arrays=(*made.arrays, replace(array, job=job)))
            write_round(draft.run, made)
        if draft.merge is not None:
            behind = script.with_name(f"{script.stem}-merge.sbatch")
            write_plain(behind, draft.merge)
            after = ":".join(array.job for array in made.arrays)
            options = [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
            made = replace(made, merge=slurm.submit(str(behind), options=options))
            write_round(draft.run, made)
    except LaunchError as error:
        if not made.arrays:
            round_path(draft.run, made.number).unlink()
            script.unlink()
            raise
        taken = f"tasks 1 to {made.arrays[-1].last} of {made.tasks}"
        raise LaunchError(
            f"{error} {taken} were taken; 'lossviz status {draft.run}' follows them, and 'lossviz submit {draft.run}' "
            "submits the rest when they have ended."
        ) from None
    except (UnwritableError, OSError) as error:
        raise UnwritableError(
            f"{error} Slurm has the jobs all the same: {', '.join(made.jobs)}. Let them end, or cancel them with "
            f"'scancel {' '.join(made.jobs)}'; what they save is kept."
        ) from None
    return made


def _array_options(draft: Draft, array: Array, made: Round) -> list[str]:
    """Where a round takes several arrays: the indices of one, and its turn if only so many tasks may run at once."""
    at_once = draft.request.max_running
    options = [f"--array=1-{array.last - array.first + 1}" + (f"%{at_once}" if at_once else "")]
    if at_once and made.arrays:
        options.append(f"--dependency=afterany:{made.arrays[-1].job}")
    return options


def check_no_round_alive(run: Path, ask: Callable[[list[str]], dict[str, slurm.JobState]] = slurm.job_states) -> None:
    """Demand that every job of the last round has ended: while it lives, its points are its own.

    Raises:
        StoppedError: If one lives.
        LaunchError: If the queue cannot be asked.
    """
    rounds = read_rounds(run)
    if not rounds:
        return
    last = rounds[-1]
    alive = _alive(last, ask) if last.arrays else []
    if not last.arrays:  # the submission was killed between the queue and the record
        alive = slurm.is_named(last.name)
    if alive:
        raise StoppedError(
            f"Round {last.number} of {run} is alive ({len(alive)} jobs: {', '.join(alive[:4])}"
            f"{' …' if len(alive) > 4 else ''}), and its points are its own. Follow it with 'lossviz status {run} "
            f"--watch', or end it with 'lossviz cancel {run}', then submit again."
        )


def cancel_round(run: Path, *, trusted: bool = False) -> tuple[Round, list[str]] | None:
    """Cancel the live jobs of the last round, and note it in the record.

    Args:
        run: The surface file.
        trusted: Cancel jobs that this user has not submitted from here, too.

    Returns:
        The round and the jobs that were alive; None where nothing was ever submitted.

    Raises:
        UntrustedError: If the record names jobs that this user has not submitted: a folder that somebody sent may name
            any jobs.
        LaunchError: If the cluster does not answer.
    """
    rounds = read_rounds(run)
    if not rounds:
        return None
    last = rounds[-1]
    if not trusted:
        check_submitted(run, last.name, last.jobs)
    alive = _alive(last, slurm.job_states) if last.arrays else slurm.is_named(last.name)
    if alive:
        slurm.cancel(last.jobs if last.alone and last.arrays else alive)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        last = replace(last, cancelled=now)
        with contextlib.suppress(UnwritableError):  # the queue says it too
            write_round(run, last)
    return last, alive


def _alive(made: Round, ask: Callable[[list[str]], dict[str, slurm.JobState]]) -> list[str]:
    mine = made.job_names
    return [name for name, state in ask(made.jobs).items() if state.alive and name in mine]


def job_name(run: Path, number: int) -> str:
    """A name for a round's jobs that no other run's have.

    Example:
        >>> job_name(Path("/runs/my net.h5"), 2)
        'my_net-r2-e41d24'
    """
    stem = re.sub(r"[^A-Za-z0-9_.]", "_", run.name.removesuffix(".h5"))
    return f"{stem}-r{number}-{hashlib.sha256(str(run).encode()).hexdigest()[:6]}"
