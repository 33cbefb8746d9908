"""``lossviz trace``: run an optimizer on a problem and record where it goes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.common import device_option, parse_arguments, stages_option
from lossviz.cli.options.source_options import SourceWords, source_options

EPILOG = """\b
Examples:
  lossviz trace digits --optimizer sgd --lr 0.05 --momentum 0.9 --steps 300 --batch-size 64 --out runs/sgd
  lossviz trace problem.py --checkpoint net.pt --optimizer adam --lr 1e-3 --start net.h5@1,1 --out runs/adam
  lossviz trace digits --lr 0.1 --scheduler CosineAnnealingWarmRestarts --scheduler-args T_0=50 --out runs/restarts
"""


@click.command(epilog=EPILOG)
@source_options
@click.option(
    "--start", default="checkpoint", show_default=True,
    help="Where to start: checkpoint; fresh (initialized with --seed); or RUN.h5@alpha,beta, a point on that "
    "run's plane.",
)  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="For the snapshots.")
@click.option("--optimizer", default="sgd", show_default=True, metavar="NAME", help="Any class of torch.optim.")
@click.option("--lr", type=float, default=0.1, show_default=True, help="Learning rate.")
@click.option("--momentum", type=float, help="For optimizers that have it.")
@click.option(
    "--optimizer-args",
    multiple=True,
    metavar="NAME=VALUE",
    help="Other settings of the optimizer, such as nesterov=true.",
)
@click.option("--scheduler", metavar="NAME", help="Any class of torch.optim.lr_scheduler, stepped after every step.")
@click.option(
    "--scheduler-args",
    multiple=True,
    metavar="NAME=VALUE",
    help="Settings of the scheduler, such as step_size=100,gamma=0.1.",
)
@click.option("--steps", type=click.IntRange(min=1), default=200, show_default=True)
@click.option(
    "--batch-size", type=click.IntRange(min=0), default=0, show_default=True, help="Examples per step; 0 uses all."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed for the order of examples and a fresh start.",
)
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Steps between snapshots.")
@click.option("--average", type=click.Choice(["ema", "swa"]), help="Also record a running average of the parameters.")
@click.option("--decay", default=0.9, show_default=True, help="Decay of the ema per step.")
@click.option("--average-from", default=0.75, show_default=True, help="Fraction of the steps after which swa begins.")
@click.option(
    "--train-mode", is_flag=True, help="Train with dropout and batch statistics on; the surface is drawn without."
)
@click.option("--split", default="train", show_default=True, help="Split of the data to train on.")
@click.option("--samples", type=int, help="Use a fixed random subset of this many examples.")
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@device_option
@stages_option
def trace(problem: SourceWords, out: Path, progress: str, **words: Any) -> None:
    """Run an optimizer of torch.optim on a problem and record its path as snapshots.

    It starts from the checkpoint, or without one from the model as 'lossviz compute' makes it. By default all examples
    make one step and the model stays in evaluation mode, so that the optimizer goes down the very surface that is
    drawn; --batch-size 1 takes one example at a time.
    """
    ref = problem.resolve()
    descent = make_descent(words)
    from lossviz.cli.show.progress import show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.watch import watch_of
    from lossviz.run.settings import Settings
    from lossviz.studies.trace import trace as run_trace

    start = {name: words[name] for name in ("start", "split", "samples", "precision")}
    with show_stages(progress) as stage, stop_on_signal() as stop:
        watch = replace(watch_of(stop), stage=stage)
        taken = run_trace(ref, descent, out, settings=Settings(words["device"]), watch=watch, **start)
    if taken < descent.steps:
        click.echo(f"lossviz: warning: the loss was no longer finite after step {taken} of {descent.steps}.", err=True)
    to_err = progress == "json"
    click.echo(f"{out}: {taken} steps of {descent.optimizer}, a snapshot every {descent.every}.", err=to_err)
    words_again = problem.command_words(checkpoint=str(out))  # a folder of snapshots stands for its last one
    click.echo(f"Next: lossviz compute {words_again} --plane pca --snapshots {shlex.quote(str(out))}", err=to_err)


def make_descent(words: dict[str, Any]) -> Any:
    """What the optimizer is told, from the command's words."""
    from lossviz.trajectory.descent import Descent

    settings = {"lr": words["lr"], **parse_arguments(words["optimizer_args"], "--optimizer-args")}
    if words["momentum"] is not None:
        settings["momentum"] = words["momentum"]
    same = ("optimizer", "scheduler", "steps", "batch_size", "seed", "every", "average", "decay", "average_from",
            "train_mode")  # fmt: skip
    return Descent(
        settings=settings,
        scheduler_settings=parse_arguments(words["scheduler_args"], "--scheduler-args"),
        **{name: words[name] for name in same},
    )
