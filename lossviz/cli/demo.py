"""``lossviz demo``: two small networks on real digits, their landscapes, and where optimizers went."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lossviz.cli.options.common import stages_option

if TYPE_CHECKING:
    from lossviz.studies.demo import Demonstration

EPILOG = """\b
Example:
  lossviz demo --out lossviz-demo
"""


@click.command(epilog=EPILOG)
@click.option(
    "--out", default="lossviz-demo", show_default=True, type=click.Path(path_type=Path), help="Folder for everything."
)
@stages_option
def demo(out: Path, progress: str) -> None:
    """Train two small networks on real handwritten digits and draw their landscapes.

    One network has skip connections, the other has none. The path of the training is drawn on the plane of its
    principal components and on the random plane, and SGD, momentum, RMSprop and Adam from one start on one plane. What
    is in the folder already is not made again.
    """
    from lossviz.cli.show.progress import show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.watch import watch_of
    from lossviz.records.watch import QUIET
    from lossviz.studies.demo import demo as run_demo

    with show_stages(progress) as stage, stop_on_signal() as stop:
        made = run_demo(out, watch=replace(watch_of(stop), stage=stage, tell=QUIET.tell))
    click.echo(describe_demonstration(made), err=progress == "json")


def describe_demonstration(made: Demonstration) -> str:
    """The closing lines: what is to be seen, where everything is, what to type next."""
    files = shlex.join(str(path) for path in made.surfaces)
    return "\n".join(
        [
            *made.findings,
            "Figures:",
            *(f"  {path}" for path in made.figures),
            f"Networks, snapshots and surfaces are in {made.checkpoints[0].parent}.",
            f"Next: lossviz plot {files} --quantity test_error --kind heatmap --out error.png",
        ]
    )
