"""``lossviz work``: one of several processes on a prepared run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lossviz.cli.options import device_option, journal_options, progress_option


@click.command(epilog="Example: lossviz work net.h5 --part 3/8     (then: lossviz merge net.h5)")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.h5")
@click.option("--part", default="1/1", show_default=True, metavar="I/N", help="The I-th of N shares.")
@device_option
@progress_option
@journal_options
def work(run: Path, part: str, device: str, progress: str, sync_interval_s: float, disk_wait_s: float) -> None:
    """Evaluate what is missing of one share of the prepared RUN.h5.

    Make the run with 'lossviz compute … --prepare-only'; start any number of these, on any machines that see the
    file; publish with 'lossviz merge'. Each writes a journal segment of its own, so nothing needs a lock. A part that
    was killed goes on when it is started again.
    """
    from lossviz.cli.progress import show_progress
    from lossviz.cli.signals import stop_on_signal
    from lossviz.store.surface_file import peek_plan
    from lossviz.work import parse_part
    from lossviz.work import work as run_work

    share, plan = parse_part(part), peek_plan(run)
    size = plan.grid if plan is not None else None
    with show_progress(progress if size else "none", size) as tell, stop_on_signal() as stop:
        report = run_work(
            run, share, device=device, sync_interval_s=sync_interval_s, disk_wait_s=disk_wait_s, progress=tell,
            stop=stop,
            warn=lambda message: click.echo(f"lossviz: warning: {message}", err=True),
        )  # fmt: skip
    left = len(report.surface.pending())
    click.echo(f"Part {part} of {run}: {report.evaluated} evaluations now; {left} points not seen yet.", err=True)
    click.echo(f"Next: lossviz merge {shlex.quote(str(run))}", err=progress == "json")
