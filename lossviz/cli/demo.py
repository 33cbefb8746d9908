"""``lossviz demo``: two small networks on real digits, their landscapes, and where optimizers went."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lossviz.demo import Demonstration

EPILOG = """\b
Example:
  lossviz demo --out lossviz-demo
"""


@click.command(epilog=EPILOG)
@click.option(
    "--out", default="lossviz-demo", show_default=True, type=click.Path(path_type=Path), help="Folder for everything."
)
@click.option(
    "--progress",
    type=click.Choice(["bar", "json", "none"]),
    default="bar",
    show_default=True,
    help="json prints one line per step of a stage.",
)
def demo(out: Path, progress: str) -> None:
    """Train two small networks on real handwritten digits and draw their landscapes.

    One network has skip connections, the other has none. The path of the training is drawn on the plane of its
    principal components and on the random plane, and SGD, momentum, RMSprop and Adam from one start on one plane. What
    is in the folder already is not made again.
    """
    from lossviz.cli.signals import stop_on_signal
    from lossviz.demo import demo as run_demo

    with show_stages(progress) as tell, stop_on_signal() as stop:
        made = run_demo(out, progress=tell, stop=stop, warn=_warn)
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


@contextmanager
def show_stages(kind: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give a callback for :func:`lossviz.demo.demo` that shows its stages: a bar each, a JSON line each, or nothing."""
    if kind == "bar":
        with _bars() as tell:
            yield tell
    elif kind == "json":
        yield lambda stage, done, total: click.echo(json.dumps({"stage": stage, "done": done, "total": total}))
    else:
        yield lambda stage, done, total: None


def _warn(message: str) -> None:
    click.echo(f"lossviz: warning: {message}", err=True)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done)

        yield tell
