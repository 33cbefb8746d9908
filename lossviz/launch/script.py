"""The batch scripts, as text: everything a job needs stands in them, to be read, kept and changed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lossviz.errors import UsageError

# what a job without model or data keeps of the user's own options: where it may run, and who pays
_SITE = ("--account", "-A", "--partition", "-p", "--qos", "-q", "--reservation", "--clusters", "-M", "--wckey",
         "--mail-type", "--mail-user")  # fmt: skip
_START = (
    "# a warning that comes while Python starts must not end it; it is kept where env (coreutils 8.31) can keep it",
    'start=\'trap "" USR1 TERM',
    'env --block-signal=USR1,TERM true 2>/dev/null && set -- env --block-signal=USR1,TERM "$@"',
)
# no two jobs of a node meet at one port, and none in the range that the system gives away
_MEET = (
    "export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID",
    "export MASTER_ADDR=$SLURM_LAUNCH_NODE_IPADDR MASTER_PORT=$((10000 + SLURM_JOB_ID % 20000))",
)


@dataclass(frozen=True)
class Request:
    """What a job asks of the cluster; None leaves it to the site's default.

    Attributes:
        partition: Where to run.
        account: Who pays.
        qos: Quality of service.
        gpus_per_task: GPUs of a task of the array, each with a process of its own; ranks of a point share them.
        cpus_per_task: CPU cores of a task of the array; its ranks share them.
        mem: Memory of a node, as sbatch takes it.
        time: Time limit, as sbatch takes it.
        max_running: Tasks of an array that may run at once.
        sbatch: Further options, each a word or more as on sbatch's command line.
        setup: Lines of shell pasted before the worker is started: modules, environments.
        python: Command of the Python that has lossviz.
        signal_lead_s: How long before the time limit a task is warned.
        device: What the workers compute on; None takes a GPU where one is asked for.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus_per_task: int | None = None
    cpus_per_task: int | None = None
    mem: str | None = None
    time: str | None = None
    max_running: int | None = None
    sbatch: tuple[str, ...] = ()
    setup: str = ""
    python: str = shlex.quote(sys.executable)
    signal_lead_s: int = 120
    device: str | None = None

    @property
    def worker_device(self) -> str:
        """The device's name for the workers: a GPU that was asked for and does not work must not pass unnoticed."""
        return self.device or ("cuda" if self.gpus_per_task else "auto")


@dataclass(frozen=True)
class Job:
    """What the scripts of one round have in common.

    Attributes:
        run: The run's file, absolute.
        folder: Where the commands run.
        name: The jobs' name.
        logs: Folder of the logs, absolute.
        said: One line for the reader: what this is.
        request: What is asked of the cluster.
        ranks: Processes of a task, which evaluate each point together.
        trust: Options by which the tasks may run what the run's file names.
        spread: Whether each GPU of a task has a process of its own, unless its ranks share them.
    """

    run: Path
    folder: Path
    name: str
    logs: Path
    said: str
    request: Request
    ranks: int = 1
    trust: tuple[str, ...] = ()
    spread: bool = True

    @property
    def processes(self) -> int:
        """Processes of a task: its ranks, or one for each of its GPUs, with a share of the task's points each."""
        on_gpus = self.request.worker_device.startswith("cuda") and ":" not in self.request.worker_device
        return self.ranks if self.ranks > 1 or not (on_gpus and self.spread) else self.request.gpus_per_task or 1

    def of_process(self, option: str, of_task: int | None) -> int | None:
        """What of something that a task of the array asks for is one process's.

        Raises:
            UsageError: If ranks cannot share it evenly.
        """
        if of_task is None or of_task % self.processes == 0:
            return of_task and of_task // self.processes
        if self.ranks == 1:
            return max(1, of_task // self.processes)
        most = -(-of_task // self.ranks) * self.ranks
        raise UsageError(
            f"{option} {of_task} is for a whole task of the array, and {self.ranks} ranks evaluate each point together "
            f"there: they cannot share {of_task} evenly. Ask for {option} {most}."
        )


def array_script(job: Job, *, number: int, tasks: int, indices: int) -> str:
    """The script of a round's tasks.

    The worker, or every rank of several, is started by ``srun``: processes of the batch script itself are not warned
    in time, or at all, and a shell that is sent the warning dies of it. ``--requeue`` makes a warned worker put its
    job back into the queue; of several ranks only the first does.

    Args:
        job: What it has in common with the others.
        number: The round's.
        tasks: In the round.
        indices: In one array; where there are more tasks, several arrays are submitted, each with the number of tasks
            before it as its argument.

    Raises:
        UsageError: If what a task asks for cannot be shared by its ranks.
    """
    index = "$SLURM_ARRAY_TASK_ID" if indices >= tasks else "$((SLURM_ARRAY_TASK_ID + ${1:-0}))"
    count, several = job.processes, job.ranks == 1 and job.processes > 1
    # Slurm numbers the processes of a task, one on each GPU, when it starts them
    own = f'set -- "$@" --part $(((TASK - 1) * {count} + SLURM_PROCID + 1))/{tasks * count}' if several else ""
    worker = [
        "work", shlex.quote(str(job.run)), *([] if several else ["--part", f'"{index}/{tasks}"']),
        "--round", str(number),
        "--device", shlex.quote(job.request.worker_device), "--progress", "json", *job.trust, "--requeue",
    ]  # fmt: skip
    chosen = [f"export TASK={index}"] if several else []
    return _script(job, _array_header(job, min(indices, tasks)), worker, chosen, own)


def runs_script(job: Job, commands: Sequence[Sequence[str]]) -> str:
    """The script of an array with one whole run a task.

    Args:
        job: What it has in common with the others; its ``run`` is not used.
        commands: The words after ``lossviz`` of each task.
    """
    cases = [f"  {k}) run=({shlex.join(words)}) ;;" for k, words in enumerate(commands, 1)]
    chosen = ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]
    job = replace(job, spread=False)
    every = job.request.worker_device == "cuda" and (job.request.gpus_per_task or 1) > 1 and job.ranks == 1
    device = "cuda:all" if every else job.request.worker_device
    worker = ['"${run[@]}"', "--device", shlex.quote(device), "--progress", "json", "--requeue"]
    return _script(job, _array_header(job, len(commands)), worker, chosen)


def merge_script(job: Job) -> str:
    """The script of the job that publishes when every task is done."""
    header = _header(
        [
            ("job-name", f"{job.name}-merge"),
            *_site(job.request),
            ("ntasks", "1"),
            ("open-mode", "append"),
            ("output", _pattern(job.logs / "merge-%j.out")),
        ]
    )
    kept = [f"#SBATCH {words}" for words in job.request.sbatch if words.startswith(_SITE)]
    command = f"exec {job.request.python} -m lossviz merge {shlex.quote(str(job.run))}"
    return "\n".join([*_top(job), *header, *kept, "", *_setup(job), command, ""])


def _script(job: Job, header: list[str], worker: list[str], chosen: Sequence[str] = (), own: str = "") -> str:
    cpus = job.of_process("--cpus-per-task", job.request.cpus_per_task)
    # srun does not take this from the batch job's own options
    srun = ["exec srun --kill-on-bad-exit=1 --unbuffered", *([f"--cpus-per-task={cpus}"] if cpus else [])]
    start = [*_START, *(_MEET if job.ranks > 1 else ()), *([own] if own else []), 'exec "$@"\'']
    command = [
        " ".join([*srun, 'bash -c "$start" lossviz \\']),
        " ".join([f"  {job.request.python} -m lossviz", *worker]),
    ]
    return "\n".join([*_top(job), *header, "", *_setup(job), *chosen, *start, *command, ""])


def _top(job: Job) -> list[str]:
    return ["#!/bin/bash", f"# {job.said}"]


def _array_header(job: Job, indices: int) -> list[str]:
    asked = job.request
    at_once = f"%{asked.max_running}" if asked.max_running else ""
    lines = _header(
        [
            ("job-name", job.name),
            ("array", f"1-{indices}{at_once}"),
            *_site(asked),
            ("nodes", "1"),
            ("ntasks", job.processes),
            ("gpus-per-task", job.of_process("--gpus-per-task", asked.gpus_per_task)),
            ("cpus-per-task", job.of_process("--cpus-per-task", asked.cpus_per_task)),
            ("mem", asked.mem),
            ("time", asked.time),
            ("signal", f"USR1@{asked.signal_lead_s}"),
            ("requeue", ""),
            ("open-mode", "append"),
            ("output", _pattern(job.logs / "%A_%a.out")),
        ]
    )
    return lines + [f"#SBATCH {words}" for words in asked.sbatch]


def _site(request: Request) -> list[tuple[str, object]]:
    return [("partition", request.partition), ("account", request.account), ("qos", request.qos)]


def _header(options: Sequence[tuple[str, object]]) -> list[str]:
    return [
        f"#SBATCH --{name}" + (f"={shlex.quote(str(value))}" if value != "" else "")
        for name, value in options
        if value is not None
    ]


def _pattern(path: Path) -> str:
    """A log's path in whose last part alone Slurm fills in numbers."""
    return str(path).removesuffix(path.name).replace("%", "%%") + path.name


def _setup(job: Job) -> list[str]:
    lines = [*job.request.setup.rstrip("\n").split("\n"), ""] if job.request.setup.strip() else []
    return [*lines, f"cd {shlex.quote(str(job.folder))}"]
