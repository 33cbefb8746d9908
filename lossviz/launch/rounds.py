"""Rounds: one record for each submission of a run, in its journal folder.

``RUN.h5.journal/round-0001.json`` says which points the submission covers, in how many tasks, and under which job
numbers; beside it lie the script as it was submitted and the logs. The record is written before the jobs, so that a
task that starts at once finds its points, and again with the jobs' numbers.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.errors import StoreError, UnwritableError
from lossviz.records.remark import Remark, Warn
from lossviz.store.atomic_file import replace_file
from lossviz.store.schema import canonical_path, journal_folder
from lossviz.store.trust import remember_jobs

FORMAT = "lossviz-round"
_NAME = re.compile(r"round-(\d{4,})\.json")


@dataclass(frozen=True)
class Array:
    """One job array of a round.

    Attributes:
        job: Its number.
        first: Number of its first task in the round, from 1.
        last: Number of its last task.
        offset: What is added to an array index to give the task's number.
    """

    job: str
    first: int
    last: int
    offset: int = 0


@dataclass(frozen=True)
class Round:
    """One submission.

    Attributes:
        number: From 1, in the order of submission.
        name: The jobs' name.
        size: Grid points of the run, N.
        points: Flat indices it covers, ascending, int64 (M,).
        tasks: Number of tasks; task I evaluates share I of them.
        arrays: The job arrays, empty until they are submitted.
        merge: Number of the job that merges, if any.
        submitted: When, in ISO 8601.
        cancelled: When it was cancelled; empty where it was not.
        command_line: What was typed.
        logs: Folder of the logs, where it is not the run's own.
        alone: Whether its arrays have no tasks of other runs.
    """

    number: int
    name: str
    size: int
    points: np.ndarray = field(repr=False)
    tasks: int
    arrays: tuple[Array, ...] = ()
    merge: str | None = None
    submitted: str = ""
    cancelled: str = ""
    command_line: str = ""
    logs: str = ""
    alone: bool = True

    @property
    def jobs(self) -> list[str]:
        """Numbers of all its jobs."""
        return [array.job for array in self.arrays] + ([self.merge] if self.merge else [])

    def job_of(self, task: int) -> str:
        """``ARRAYJOB_TASK`` of a task; empty where it was never submitted."""
        for array in self.arrays:
            if array.first <= task <= array.last:
                return f"{array.job}_{task - array.offset}"
        return ""

    @property
    def job_names(self) -> set[str]:
        """``ARRAYJOB_TASK`` of every task that was submitted, and the merge job's number."""
        tasks = {self.job_of(task) for task in range(1, self.tasks + 1)} - {""}
        return tasks | ({self.merge} if self.merge else set())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the points are a bit each, packed."""
        values = asdict(replace(self, points=np.zeros(0)))
        return {"format": FORMAT, "version": 1, **values, "points": pack(self.points, self.size)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Round:
        """The inverse of :meth:`to_json`; unknown keys are skipped."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        arrays = tuple(Array(**array) for array in known.pop("arrays"))
        return cls(**{**known, "arrays": arrays, "points": unpack(known["points"], values["size"])})


def pack(points: np.ndarray, size: int) -> str:
    """Flat indices below ``size`` as text: a bit each, compressed.

    Example:
        >>> unpack(pack(np.array([1, 8]), 9), 9).tolist()
        [1, 8]
    """
    mask = np.zeros(size, bool)
    mask[points] = True
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode("ascii")


def unpack(text: str, size: int) -> np.ndarray:
    """The inverse of :func:`pack`: flat indices, ascending, int64."""
    mask = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8), count=size)
    return np.flatnonzero(mask)


def round_path(run: Path, number: int, ending: str = ".json") -> Path:
    """Where a round's record lies, or another file of it.

    Example:
        >>> round_path(Path("/runs/net.h5"), 2, ".sbatch").as_posix()
        '/runs/net.h5.journal/round-0002.sbatch'
    """
    return journal_folder(canonical_path(run)) / f"round-{number:04d}{ending}"


def logs_folder(run: Path) -> Path:
    """Where the tasks' logs lie."""
    return journal_folder(canonical_path(run)) / "logs"


def read_rounds(run: Path) -> list[Round]:
    """All rounds of a run, oldest first.

    Raises:
        StoreError: If a record is damaged.
    """
    folder = journal_folder(canonical_path(run))
    names = (
        sorted(path for path in folder.glob("round-*.json") if _NAME.fullmatch(path.name)) if folder.is_dir() else []
    )
    return [_read(path) for path in names]


def read_round(run: Path, number: int) -> Round | None:
    """One round; None where there is no such record.

    Raises:
        StoreError: If it is damaged.
    """
    path = round_path(run, number)
    return _read(path) if path.exists() else None


def read_points(run: Path, number: int | None, size: int, warn: Warn) -> np.ndarray | None:
    """The points a submission covers, int64 (M,); None for the whole grid, as without a number or a record.

    Raises:
        StoreError: If the record is damaged, or is of another grid than one of ``size`` points.
    """
    made = None if number is None else read_round(run, number)
    if made is None:
        if number is not None:
            text = f"There is no record of round {number} beside {run}; the whole grid is shared."
            warn(Remark("doubt", "round", text))
        return None
    if made.size != size:
        raise StoreError(f"Round {number} of {run} is for {made.size} points, the run has {size}.")
    return made.points


def write_round(run: Path, made: Round) -> None:
    """Write a round's record, whole or not at all, and remember its jobs as this user's.

    Raises:
        UnwritableError: If it cannot be written.
    """
    remember_jobs(made.name, made.jobs)
    path = round_path(run, made.number)
    text = json.dumps(made.to_json(), indent=1) + "\n"
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, text.encode(), lambda written: _read(written) and None)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror}.") from None


def next_number(rounds: Sequence[Round]) -> int:
    """The number of the round after these."""
    return rounds[-1].number + 1 if rounds else 1


def _read(path: Path) -> Round:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] == FORMAT and values["version"] == 1:
            return Round.from_json(values)
        said = f"it has the format {values['format']} {values['version']}"
    except (ValueError, KeyError, TypeError, IndexError, OSError, zlib.error) as error:
        said = f"{type(error).__name__}: {error}"
    raise StoreError(
        f"{path} is no record of a round ({said}). Points are not affected: move it away, and submit again what is "
        "missing."
    )
