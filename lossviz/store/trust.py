"""Consent: what a result file names is imported, called or unpickled only if this user wants it.

A file may have been sent, and then its words for model, data and loss are somebody else's. Each problem that this user
computed leaves a mark in their own state folder, named by the SHA-256 of its words, arguments and contents; so do the
jobs they submitted. No file can bring such a mark along.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path

from lossviz.errors import UntrustedError
from lossviz.records.plan import IN_MEMORY, Plan, ProblemRef

_BUILT_IN = "digits"
_PICKLE = ".pickle"
_SHOWN = 12  # digits of a hash


def trusted_plan(path: Path, plan: Plan, *, trust_problem: bool = False, trust_pickle: bool = False) -> Plan:
    """The plan of a run's file, with leave to run what it names.

    Args:
        path: The run's file.
        plan: What it says.
        trust_problem: The user vouches for the problem; it is remembered.
        trust_pickle: The user vouches for Python objects in its checkpoint too.

    Raises:
        UntrustedError: If this user has neither computed nor trusted this problem; it lists what would run.
    """
    if not runs_foreign_words(plan.problem):
        return plan
    if trust_problem:
        remember(replace(plan.problem, trust_pickle=trust_pickle))
    elif not _is_marked(mark_path(plan.problem)):
        raise UntrustedError(_question(path, plan.problem))
    pickle = trust_pickle or _is_marked(_pickle_mark(plan.problem))
    return replace(plan, problem=replace(plan.problem, trust_pickle=pickle))


def remember(ref: ProblemRef) -> None:
    """Leave a mark that this user has named this problem, where their state folder can be written."""
    if not runs_foreign_words(ref):
        return
    with contextlib.suppress(OSError, RuntimeError):
        _leave_marks([mark_path(ref), *([_pickle_mark(ref)] if ref.trust_pickle else [])], describe_words(ref))


def remember_jobs(name: str, jobs: Sequence[str]) -> None:
    """Leave a mark that this user has submitted these jobs, where their state folder can be written."""
    with contextlib.suppress(OSError, RuntimeError):
        _leave_marks([_jobs_mark(name, jobs)], {"jobs": name, "numbers": ", ".join(jobs)})


def check_submitted(path: Path, name: str, jobs: Sequence[str]) -> None:
    """Demand that this user has submitted the jobs that a run's record names.

    Args:
        path: The run's file.
        name: Of the jobs.
        jobs: Their numbers; none yet where the submission was interrupted.

    Raises:
        UntrustedError: If there is no mark of it.
    """
    if not _is_marked(_jobs_mark(name, jobs)):
        raise UntrustedError(
            f"{path} names jobs that you have not submitted with lossviz (or {_where()} cannot be read): "
            f"{', '.join(jobs) or name}. If they are yours, add --trust-problem, or cancel them with scancel."
        )


def trust_options(ref: ProblemRef) -> tuple[str, ...]:
    """The options by which a process that this user starts for a trusted problem needs no mark of its own."""
    if not runs_foreign_words(ref):
        return ()
    return ("--trust-problem", *(["--trust-pickle"] if ref.trust_pickle else []))


def runs_foreign_words(ref: ProblemRef) -> bool:
    """Whether a problem names anything outside lossviz: a file, a module, a checkpoint.

    Example:
        >>> runs_foreign_words(ProblemRef("digits", "1")), runs_foreign_words(ProblemRef("mine/problem.py", "1"))
        (False, True)
    """
    if ref.source.startswith(IN_MEMORY):
        return False
    named = any(":" in word for word in (ref.model, ref.data, ref.loss) if word)
    return named or ref.checkpoint is not None or not (ref.is_assembled or ref.source == _BUILT_IN)


def describe_words(ref: ProblemRef) -> dict[str, str]:
    """What a problem names, a row each: file or callable, arguments, and the hash of its content.

    Example:
        >>> ref = ProblemRef("p", "1", model="subprocess:call", model_args=(("shell", True),), model_content="ab" * 32)
        >>> describe_words(ref)["model"]
        'subprocess:call(shell=True), SHA-256 abababababab…'
    """
    rows = {} if ref.is_assembled else {"source": f"{ref.source}{_hash(ref.source_sha256)}"}
    for what in ("model", "data", "loss"):
        word, arguments = getattr(ref, what), dict(getattr(ref, f"{what}_args"))
        if word or arguments:
            given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            called = f"({given})" if arguments or (word and ":" in word and what == "model") else ""
            rows[what] = f"{word or what}{called}{_hash(getattr(ref, f'{what}_content'))}"
    if ref.checkpoint:
        rows["checkpoint"] = f"{ref.checkpoint}{_hash(ref.checkpoint_sha256)}"
    return rows


def words_sha256(ref: ProblemRef) -> str:
    """SHA-256 of all that a problem names, paths, arguments and contents included, in hex."""
    defaults = {f.name: f.default for f in fields(ref) if f.default is not MISSING}
    said = {name: value for name, value in asdict(ref).items() if name not in defaults or value != defaults[name]}
    said.pop("trust_pickle", None)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def marks_folder() -> Path:
    """Where this user's marks lie: ``$XDG_STATE_HOME/lossviz/trusted``.

    Raises:
        RuntimeError: If there is no home.
    """
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "lossviz" / "trusted"


def mark_path(ref: ProblemRef) -> Path:
    """The mark of a problem."""
    return marks_folder() / words_sha256(ref)


def _pickle_mark(ref: ProblemRef) -> Path:
    return mark_path(ref).with_suffix(_PICKLE)


def _jobs_mark(name: str, jobs: Sequence[str]) -> Path:
    return marks_folder() / hashlib.sha256(json.dumps(["jobs", name, *jobs]).encode()).hexdigest()


def _leave_marks(marks: Sequence[Path], said: Mapping[str, str]) -> None:
    marks_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    for mark in marks:
        _write_mark(mark, json.dumps(said, indent=1).encode())


def _is_marked(mark: Path) -> bool:
    """Whether a mark is there, and nobody else can have put it there."""
    try:
        return all(_is_mine(os.lstat(name)) for name in (mark.parent, mark)) and stat.S_ISREG(os.lstat(mark).st_mode)
    except (OSError, RuntimeError):
        return False


def _is_mine(found: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write_mark(mark: Path, text: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(mark, flags, 0o600)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)


def _question(path: Path, ref: ProblemRef) -> str:
    rows = "\n".join(f"  {what:<10} {text}" for what, text in describe_words(ref).items())
    return (
        f"{path} names code and files that you have not used in a lossviz command before (or {_where()} cannot be "
        f"read). This command would run or read them:\n{rows}\nIf you trust whoever made the file, add --trust-problem."
    )


def _where() -> str:
    try:
        return str(marks_folder())
    except RuntimeError:
        return "your home folder"


def _hash(sha256: str | None) -> str:
    if sha256 is None:
        return ""
    plain = len(sha256) == 64 and " " not in sha256
    return f", SHA-256 {sha256[:_SHOWN]}…" if plain else f", {sha256}"
