"""Who computed points of a run: one session of one process."""

from __future__ import annotations

from lossviz.records.json_record import JsonObject


class Session(JsonObject):
    """The machine and the software of one process, since when, and which part of a job it was.

    Attributes:
        id: Tells it from all other sessions.
        started: Date and time in UTC.
        gpu: Name of the GPU that computed, with the versions ``cuda`` and ``cudnn`` of its libraries.
        part: ``"3/8"`` for the third of eight tasks; None for a process that is no task of a submission.
        slurm_job: Its job, which is in the life of the number ``slurm_life`` after requeueing.
    """

    id: str | None = None
    host: str | None = None
    pid: int | None = None
    started: str | None = None
    device: str | None = None
    gpu: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    lossviz: str | None = None
    command_line: str | None = None
    part: str | None = None
    slurm_job: str | None = None
    slurm_life: int | None = None
    cuda_visible_devices: str | None = None
