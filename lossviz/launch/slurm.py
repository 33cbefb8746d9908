"""Slurm's own commands: what they are asked, and what they answer."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lossviz.errors import LaunchError

TIMEOUT_S = 60.0
ENDED = frozenset({
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
    "REVOKED",
})  # fmt: skip


@dataclass(frozen=True)
class JobState:
    """What the queue says of one job or one task of an array.

    Attributes:
        state: ``"RUNNING"``, ``"PENDING"``, ``"FAILED"`` and so on.
        reason: Why it waits or ended.
    """

    state: str
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Whether it runs, or may yet."""
        return self.state not in ENDED


@dataclass(frozen=True)
class Partition:
    """What matters of a partition.

    Attributes:
        name: Its name.
        limit_s: Longest time limit; None for none.
        preempts: How its jobs are preempted; empty where they are not.
        grace_s: How long a preempted job may go on.
    """

    name: str
    limit_s: float | None
    preempts: str
    grace_s: int


def is_here() -> bool:
    """Whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None


def call(*words: str, given: str | None = None) -> str:
    """Run one of Slurm's commands, with some text ``given`` to read, and return what it prints.

    Raises:
        LaunchError: If it is missing or refuses; the message says why and what to do.
    """
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise LaunchError(
            f"{words[0]} is not on this machine. Type this on a login node of the cluster; here, 'lossviz submit … "
            "--dry-run' shows the script, and 'lossviz compute … --workers N' uses this machine's cores."
        ) from None
    except subprocess.TimeoutExpired:
        raise LaunchError(
            f"{words[0]} did not answer within {TIMEOUT_S:g} s; is the cluster's controller up?"
        ) from None
    if done.returncode:
        raise LaunchError(f"{words[0]} refused: {_reason(done.stderr or done.stdout)}")
    return done.stdout


def _reason(said: str) -> str:
    """The sense of an error message: its last line, and what it says above it."""
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line.strip()) for line in said.splitlines() if line.strip()]
    lines = [line.removeprefix("Batch job submission failed: ").removeprefix("allocation failure: ") for line in lines]
    if not lines:
        return "without a reason."
    above = f" ({'; '.join(lines[:-1])})" if len(lines) > 1 else ""
    return f"{lines[-1]}{above}."


def submit(script: str, arguments: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    """Submit a script file; returns the job's number.

    Raises:
        LaunchError: If Slurm does not take it.
    """
    return call("sbatch", "--parsable", *options, script, *arguments).strip().split(";")[0]


def check_script(script: str) -> None:
    """Ask Slurm whether it would take a script with this text.

    Raises:
        LaunchError: If not; a wrong partition is answered with those there are.
    """
    try:
        call("sbatch", "--test-only", given=script)
    except LaunchError as error:
        if "node configuration" in str(error):  # says not what of it
            raise LaunchError(f"{error} What nodes have says: sinfo -o '%R %c CPUs, %m MB, %G'") from None
        if "partition" not in str(error).lower():
            raise
        there = ", ".join(sorted(set(call("sinfo", "-h", "-o", "%R").split())))
        raise LaunchError(f"{error} Partitions here: {there}.") from None


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; those that have ended already are passed over.

    Raises:
        LaunchError: If Slurm does not answer.
    """
    call("scancel", "--quiet", *jobs)


def job_states(jobs: Iterable[str]) -> dict[str, JobState]:
    """The states of jobs and of every task of arrays, by ``JOB`` or ``ARRAYJOB_TASK``; one question for all.

    The queue forgets jobs some minutes after their end; then the accounting is asked, where there is one.

    Raises:
        LaunchError: If Slurm does not answer.
    """
    jobs = sorted(set(jobs))
    if not jobs:
        return {}
    found = _parse_states(_if_known("squeue", "-h", "-r", "-t", "all", "-j", ",".join(jobs), "-o", "%i|%T|%r"))
    forgotten = set(jobs) - {name.partition("_")[0] for name in found} - set(found)
    if forgotten and shutil.which("sacct"):
        words = ("sacct", "-n", "-X", "-P", "--array", "-j", ",".join(sorted(forgotten)), "-o", "JobID,State")
        try:
            found |= _parse_states(call(*words))
        except LaunchError:  # no accounting here
            return found
    return found


def _if_known(*words: str) -> str:
    try:
        return call(*words)
    except LaunchError as error:
        if "Invalid job id" in str(error):  # squeue has forgotten them all
            return ""
        raise


def _parse_states(text: str) -> dict[str, JobState]:
    found = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        if name and state:
            # sacct says "CANCELLED by 1000"
            found[name] = JobState(state.split()[0], reason if reason not in ("None", "") else "")
    return found


def is_named(name: str) -> list[str]:
    """Numbers of the living jobs with a name.

    Raises:
        LaunchError: If Slurm does not answer.
    """
    return sorted(set(call("squeue", "-h", "--me", f"--name={name}", "-o", "%A").split()))


def parse_fields(text: str) -> dict[str, str]:
    """The ``Name=value`` words that scontrol prints.

    Example:
        >>> parse_fields("PartitionName=low MaxTime=01:00:00")
        {'PartitionName': 'low', 'MaxTime': '01:00:00'}
    """
    return dict(re.findall(r"(?:^|\s)(\w[\w:/]*)\s*=\s*(\S*)", text))


def largest_array() -> int:
    """How many tasks an array may have, counted from 1.

    Raises:
        LaunchError: If Slurm does not answer.
    """
    return max(1, int(parse_fields(call("scontrol", "show", "config")).get("MaxArraySize", "1001")) - 1)


def read_partition(name: str | None) -> Partition | None:
    """A partition, or the default one; None where it is not found.

    Raises:
        LaunchError: If Slurm does not answer.
    """
    for line in call("scontrol", "show", "partition", "-o").splitlines():
        fields = parse_fields(line)
        if fields.get("PartitionName") == name or (name is None and fields.get("Default") == "YES"):
            return _partition(fields)
    return None


def _partition(fields: Mapping[str, str]) -> Partition:
    mode = fields.get("PreemptMode", "OFF")
    grace = fields.get("GraceTime", "0")
    return Partition(
        fields["PartitionName"],
        parse_time(fields.get("MaxTime", "")),
        "" if mode == "OFF" else mode.lower(),
        int(grace) if grace.isdigit() else 0,
    )


def parse_time(text: str) -> float | None:
    """Seconds of a time as Slurm writes it: ``minutes``, ``h:mm:ss``, ``days-h:mm:ss``; None for no limit.

    Raises:
        LaunchError: If it is no time.

    Example:
        >>> parse_time("90"), parse_time("4:00:00"), parse_time("1-12"), parse_time("2:30"), parse_time("UNLIMITED")
        (5400.0, 14400.0, 129600.0, 150.0, None)
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "NONE", ""):
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise LaunchError(
            f"--time is {text!r}; write hours:minutes:seconds, for example --time 4:00:00, or days-hours, for "
            "example --time 1-12."
        )
    days, *rest = match.groups()
    a, b, c = (None if number is None else int(number) for number in rest)
    assert a is not None
    if days is not None:
        return int(days) * 86400.0 + a * 3600 + (b or 0) * 60 + (c or 0)
    if c is not None:
        return a * 3600.0 + (b or 0) * 60 + c
    return a * 60.0 if b is None else a * 60.0 + b
