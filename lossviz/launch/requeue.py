"""A warned task puts itself back into the queue.

Slurm warns a job before its time limit (``--signal``) and when it is preempted (SIGTERM, or that signal again), and the
worker has saved everything by the time this is called. Ending by itself would leave a job that counts as finished, with
a hole, or as failed; so it asks to be requeued, under two conditions:

- by ``ARRAYJOB_TASK``, as the job number of an array's last task is the array's own, and all of it would start again;
- only while *this life* of it is RUNNING, as a job that the user has just cancelled is warned the same way, and would
  rise again.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lossviz.errors import LaunchError
from lossviz.launch.slurm import call, parse_fields

WARNINGS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name))
ENDS_WITHIN_S = 60.0  # Slurm ends a job that it has requeued


@dataclass(frozen=True)
class OwnJob:
    """The job this process runs in.

    Attributes:
        job: ``ARRAYJOB_TASK``, or the number of a job that is no array's.
        life: How often it was started before.
    """

    job: str
    life: int


def own_job(environment: Mapping[str, str]) -> OwnJob | None:
    """The Slurm job that an environment belongs to.

    Example:
        >>> own_job({"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "2"})
        OwnJob(job='12_2', life=0)
    """
    if "SLURM_JOB_ID" not in environment:
        return None
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else environment["SLURM_JOB_ID"]
    return OwnJob(job, int(environment.get("SLURM_RESTART_COUNT") or 0))


def place_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """What a worker's session says of its job and its GPUs.

    Example:
        >>> place_of({"CUDA_VISIBLE_DEVICES": "1"})
        {'cuda_visible_devices': '1'}
    """
    job, gpus = own_job(environment), environment.get("CUDA_VISIBLE_DEVICES")
    return {
        **({"slurm_job": job.job, "slurm_life": job.life} if job else {}),
        **({"cuda_visible_devices": gpus} if gpus is not None else {}),
    }


def what_hinders(job: OwnJob | None, which: Callable[[str], str | None] = shutil.which) -> str:
    """Why this process could not requeue itself, said when it starts and not when it is warned; empty if it can."""
    if job is None:
        return "this is no Slurm job"
    return "" if which("scontrol") else "scontrol is not on the job's PATH (a container?)"


def requeue(job: OwnJob, ask: Callable[..., str] = call) -> str:
    """Put this life of a job back into the queue.

    Args:
        job: The job this process runs in.
        ask: Runs one of Slurm's commands.

    Returns:
        A sentence on what was done, or why not; it begins with ``"requeued"`` where Slurm will end this process now.
    """
    try:
        found = parse_fields(ask("scontrol", "show", "job", "-o", job.job))
        state, life = found.get("JobState", "?"), int(found.get("Restarts", "0"))
        if state != "RUNNING":
            return f"not requeued: job {job.job} is {state}, so it was cancelled or is requeued already."
        if life != job.life:
            return f"not requeued: job {job.job} was started again already."
        ask("scontrol", "requeue", job.job)
    except LaunchError as error:
        return f"not requeued: {error} Type: lossviz submit, when the round has ended, for what is missing."
    return f"requeued: job {job.job} goes on where it is now."
