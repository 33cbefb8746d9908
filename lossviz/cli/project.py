"""``lossviz project``: runs of an optimizer seen on the plane of a surface."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.options.common import device_option, stages_option, trust_problem_option
from lossviz.cli.options.matching import checkpoint_options
from lossviz.cli.options.plane_options import snapshot_order_option
from lossviz.cli.show.paths import describe_trajectory, name_runs

if TYPE_CHECKING:
    pass

EPILOG = """\b
Examples:
  lossviz project net.h5 --snapshots runs/sgd
  lossviz project net.h5 --snapshots 'sgd/*.pt' --name sgd --snapshots adam/ --name adam
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.h5")
@click.option(
    "--snapshots", "sources", multiple=True, required=True, metavar="FOLDER",
    help="Folder, or pattern in quotes, of one run's snapshots; repeat for several runs.",
)  # fmt: skip
@click.option(
    "--name", "names", multiple=True, help="Name of each run, in the same order.  [default: the folder's name]"
)
@snapshot_order_option
@click.option("--force", is_flag=True, help="Store a path even if this plane shows it as a single dot.")
@checkpoint_options
@trust_problem_option
@device_option
@stages_option
def project(
    run: Path,
    sources: tuple[str, ...],
    names: tuple[str, ...],
    snapshot_order: str,
    force: bool,
    device: str,
    progress: str,
    **matching: Any,
) -> None:
    """Project snapshots of training runs on the plane of RUN.h5, and store the paths in it.

    Coordinates are least squares in units of the directions. Each snapshot's own loss, the plane's loss beneath it and
    its distance from the plane are stored too, for a path does not lie on the surface. Names that the run's checkpoint
    was let off by --skip and --map hold for the snapshots too.
    """
    runs = dict(zip(name_runs(sources, names), sources, strict=True))
    from lossviz.cli.show.progress import show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.watch import watch_of
    from lossviz.run.settings import Settings
    from lossviz.studies.project import project as run_project

    with show_stages(progress) as stage, stop_on_signal() as stop:
        watch = replace(watch_of(stop), stage=stage)
        made = run_project(run, runs, Settings(device), watch, force=force, snapshot_order=snapshot_order, **matching)
    lines = [describe_trajectory(trajectory) for trajectory in made.values()]
    click.echo(
        "\n".join([*lines, f"Next: lossviz plot {shlex.quote(str(run))} --kind contour"]), err=progress == "json"
    )
