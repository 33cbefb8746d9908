"""A command in a batch job that is warned: it has saved and ended when it puts its job back into the queue."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from lossviz.cli.show.signals import Signals
from lossviz.errors import StoppedError
from lossviz.launch.requeue import ENDS_WITHIN_S, WARNINGS, own_job, requeue, what_hinders
from lossviz.records.remark import Remark, Warn


@contextmanager
def requeued_when_warned(stop: Signals, asked: bool, warn: Warn) -> Iterator[None]:
    """Requeue this process's Slurm job if the block ends because Slurm's warning came.

    Args:
        stop: What the block asks whether to stop.
        asked: Whether to; else nothing is done.
        warn: Called with a remark if it does not work, at the start too.
    """
    job = own_job(os.environ)
    if asked and (hindrance := what_hinders(job)):
        text = f"--requeue will not work: {hindrance}. When stopped, everything is saved; start the same command again."
        warn(Remark("doubt", "requeue", text))
        asked = False
    try:
        yield
    except StoppedError:
        if asked and job is not None and stop.number in WARNINGS:
            # before asking, as the answer may be the end of this process
            click.echo(f"lossviz: warned, everything is saved; job {job.job} asks to be requeued.", err=True)
            said = requeue(job)
            click.echo(f"lossviz: {said}", err=True)
            if said.startswith("requeued"):
                time.sleep(ENDS_WITHIN_S)
        raise
