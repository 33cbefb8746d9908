"""``lossviz work``: one of several processes on a prepared run."""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.common import device_option, journal_options, progress_option, trust_options
from lossviz.cli.show.watch import warn, watch_of

EPILOG = """\b
Examples:
  lossviz work net.h5 --part 3/8                      (then: lossviz merge net.h5)
  parallel lossviz work net.h5 --part {}/8 ::: 1 2 3 4 5 6 7 8
  torchrun --nproc-per-node 4 -m lossviz work net.h5  (each rank takes its share, on its GPU)

A run that was prepared with --ranks-per-point 4 is worked on by torchrun or by 'lossviz submit' alone: 4 ranks sum each
point together.
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.h5")
@click.option(
    "--part", metavar="I/N",
    help="The I-th of N shares.  [default: 1/1; under torchrun each rank takes its part of that]",
)  # fmt: skip
@click.option("--round", "number", type=click.IntRange(min=1), help="Share the points of this submission only.")
@click.option("--requeue", is_flag=True, help="In a Slurm job that is warned: save, and go back into the queue.")
@click.option("--parent", type=int, hidden=True)  # ends when this process does
@trust_options
@device_option
@progress_option
@journal_options
def work(
    run: Path, part: str | None, number: int | None, requeue: bool, parent: int | None, device: str, progress: str,
    sync_interval_s: float, disk_wait_s: float, **trust: bool,
) -> None:  # fmt: skip
    """Evaluate the missing points of one share of a prepared run.

    Make the run with 'lossviz compute … --prepare-only'; start any number of these, on any machines that see the
    file; publish with 'lossviz merge'. Each writes a journal segment of its own, so nothing needs a lock. A part that
    was killed goes on when it is started again. On a Slurm cluster 'lossviz submit' does all of this.
    """
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.warned import requeued_when_warned

    if parent is not None:
        _end_with(parent)
    # a warning that comes while torch is imported must not kill
    with stop_on_signal() as stop, requeued_when_warned(stop, requeue, warn):
        from lossviz.cli.show.progress import show_progress
        from lossviz.launch.ranks import Ranks, parse_part
        from lossviz.store.surface_file import peek_plan
        from lossviz.store.trust import trusted_plan

        ranks, plan, asked = Ranks.read(os.environ), peek_plan(run), parse_part(part or "1/1")
        plan = plan and trusted_plan(run, plan, **trust)
        several = plan is not None and plan.ranks_per_point > 1
        groups = ranks.groups_of(plan.ranks_per_point, str(run)) if plan is not None and several else ranks
        share = groups.part_of(asked)
        import torch

        from lossviz.run.settings import Settings

        device = ranks.device(device, torch.cuda.device_count())
        with show_progress(progress if plan else "none", plan.grid if plan else None) as tell:
            settings = Settings(device, sync_interval_s=sync_interval_s, disk_wait_s=disk_wait_s)
            watch = replace(watch_of(stop), progress=tell)
            how: dict[str, Any] = {"round_number": number, **trust}
            if plan is not None and several:
                from lossviz.run.ranks import work_as_rank

                report = work_as_rank(run, plan, asked, ranks, settings, watch, **how)
            else:
                from lossviz.run.worker import work as run_work

                report = run_work(run, share, settings, watch, **how)
    if report is None:  # another rank speaks for this one
        return
    left = len(report.surface.pending())
    said = f"Part {share[0]}/{share[1]} of {run}: {report.evaluated} evaluations now; {left} points not seen yet."
    click.echo(said, err=True)
    click.echo(f"Next: lossviz merge {shlex.quote(str(run))}", err=progress == "json")


def _end_with(parent: int) -> None:
    """Have this process told to stop when the one that started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
