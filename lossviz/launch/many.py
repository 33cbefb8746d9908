"""Many checkpoints: one whole run a task, in one array, each with a record of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from lossviz.errors import UnwritableError, UsageError
from lossviz.launch import slurm
from lossviz.launch.rounds import Array, Round, next_number, read_rounds, write_round
from lossviz.launch.script import Job, Request, runs_script
from lossviz.launch.submit import check_no_round_alive
from lossviz.store.plain_file import write_plain


@dataclass(frozen=True)
class ManyRuns:
    """An array with one run a task.

    Attributes:
        folder: Where the runs, the script and the logs lie.
        runs: The runs' files, in the order of the tasks.
        sizes: Grid points of each.
        script: Of the array.
        command_line: What was typed.
    """

    folder: Path
    runs: Sequence[Path]
    sizes: Sequence[int]
    script: str
    command_line: str = ""

    @property
    def logs(self) -> Path:
        """Where the tasks' logs lie."""
        return self.folder / "logs"


def names_of(checkpoints: Sequence[Path]) -> list[str]:
    """A name for each checkpoint: the parts of its path that tell it from the others.

    Raises:
        UsageError: If two have one name.

    Example:
        >>> names_of([Path("runs/a/best.pt"), Path("runs/b/best.pt")])
        ['a', 'b']
        >>> names_of([Path("runs/a/e1.pt"), Path("runs/b/e2.pt")])
        ['a-e1', 'b-e2']
    """
    parts = [path.absolute().with_suffix("").parts for path in checkpoints]
    if len(parts) == 1:
        return [parts[0][-1]]
    start, end = _common(parts), _common([part[::-1] for part in parts])
    names = ["-".join(part[start : len(part) - end] or part[-1:]) for part in parts]
    for name in names:
        if names.count(name) > 1:
            both = " and ".join(str(path) for path, one in zip(checkpoints, names, strict=True) if one == name)
            raise UsageError(f"{both} would make one run, {name}.h5; give --checkpoints a pattern that matches one.")
    return names


def _common(parts: Sequence[Sequence[str]]) -> int:
    """How many first parts all have in common."""
    columns = zip(*parts, strict=False)
    return next((k for k, column in enumerate(columns) if len(set(column)) > 1), min(map(len, parts)))


def draft_runs(
    folder: Path, runs: Sequence[Path], sizes: Sequence[int], words: Sequence[Sequence[str]], request: Request,
    *, work_folder: Path, command_line: str = "",
) -> ManyRuns:  # fmt: skip
    """Write the script; nothing is asked of the cluster, and nothing lies on disk.

    Args:
        folder: Where the runs lie, absolute.
        runs: Their files.
        sizes: Grid points of each.
        words: The words after ``lossviz`` of each task.
        request: What is asked of the cluster.
        work_folder: Where the commands will run.
        command_line: What was typed.
    """
    name = f"{folder.name}-{len(runs)}-runs"
    said = f"lossviz: {len(runs)} runs in {folder}, one a task"
    job = Job(folder / "runs", work_folder, name, folder / "logs", said, request)
    return ManyRuns(folder, runs, sizes, runs_script(job, words), command_line)


def submit_many(draft: ManyRuns) -> str:
    """Submit the array, and note in a record beside each run which task is its own.

    Returns:
        The array's job number.

    Raises:
        LaunchError: If the cluster refuses.
        StoppedError: If a job of one of the runs is alive.
    """
    for run in draft.runs:
        check_no_round_alive(run)
    slurm.check_script(draft.script)
    stamp = datetime.now(timezone.utc)
    script = draft.folder / f"runs-{stamp:%Y%m%dT%H%M%SZ}.sbatch"
    try:
        draft.logs.mkdir(parents=True, exist_ok=True)
        write_plain(script, draft.script)
    except OSError as error:
        raise UnwritableError(f"{script} cannot be written: {error.strerror}.") from None
    job = slurm.submit(str(script))
    for index, (run, size) in enumerate(zip(draft.runs, draft.sizes, strict=True), 1):
        made = Round(next_number(read_rounds(run)), script.stem, size, np.arange(size), 1, alone=False)
        made = replace(
            made,
            arrays=(Array(job, 1, 1, 1 - index),),
            submitted=stamp.isoformat(timespec="seconds"),
            command_line=draft.command_line,
            logs=str(draft.logs),
        )
        write_round(run, made)
    return job
