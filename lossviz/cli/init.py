"""``lossviz init``: write a problem file, from flags or a few questions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.common import parse_arguments
from lossviz.errors import LossvizError, UsageError
from lossviz.problem.named import LOSS_WORDS, READER_WORDS, usual_loss

EPILOG = """\b
Examples:
  lossviz init
  lossviz init mine.py --model torchvision.models:resnet18 --model-args num_classes=10 --data imagefolder:val
"""


@click.command(epilog=EPILOG)
@click.argument("out", default="problem.py", type=click.Path(path_type=Path), metavar="FILE.py")
@click.option("--model", metavar="WORD", help="package.module:callable, or file.py:callable next to the new file.")
@click.option("--data", metavar="WORD", help=f"What makes the data: a callable, or {READER_WORDS}.")
@click.option("--loss", metavar="WORD", help=f"The loss: a callable loss(model, batch), or {LOSS_WORDS}.")
@click.option("--model-args", multiple=True, metavar="NAME=VALUE", help="Keyword arguments of the model.")
@click.option("--data-args", multiple=True, metavar="NAME=VALUE", help="Keyword arguments of the data.")
@click.option("--loss-args", multiple=True, metavar="NAME=VALUE", help="Keyword arguments of the loss.")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Checkpoint to name in the commands at the top of the file."
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(
    out: Path, model: str | None, data: str | None, loss: str | None, model_args: tuple[str, ...],
    data_args: tuple[str, ...], loss_args: tuple[str, ...], checkpoint: Path | None, force: bool,
) -> None:  # fmt: skip
    """Write a commented problem file that runs as it is; on a terminal, ask for what is not given.

    Without a model it is a small network for the digits that scikit-learn ships.
    """
    from lossviz.problem.source.resolve import resolve_problem
    from lossviz.problem.source.template import problem_text

    if out.suffix != ".py":
        raise UsageError(f"A problem file's name ends in .py: {out.with_suffix('.py')}?")
    if out.exists() and not force:
        raise UsageError(f"{out} exists; name another file, or pass --force to write over it.")
    if model is None and sys.stdin.isatty():
        model = _ask("Model (package.module:callable; empty for an example)", "") or None
    if data is None:
        data = _ask(f"Data (a callable, or {READER_WORDS})", "digits") if sys.stdin.isatty() else "digits"
    usual = usual_loss(data) or "cross-entropy"
    if loss is None:
        loss = _ask(f"Loss (a callable, or {LOSS_WORDS})", usual) if sys.stdin.isatty() else usual
    if checkpoint is None and sys.stdin.isatty():
        named = _ask("Checkpoint, the trained parameters (a file or folder; empty if there is none yet)", "")
        checkpoint = Path(named).expanduser() if named else None
    arguments: dict[str, Any] = {
        "model_args": parse_arguments(model_args, "--model-args"),
        "data_args": parse_arguments(data_args, "--data-args"),
        "loss_args": parse_arguments(loss_args, "--loss-args"),
    }
    # the words must stand for something before a file is made of them
    try:
        resolve_problem(None, model=model, data=data, loss=loss, checkpoint=None, needed=(), **arguments)
        text = problem_text(out, model=model, data=data, loss=loss, checkpoint=checkpoint, **arguments)
    except LossvizError as error:
        again = {"model": model, "data": data, "loss": loss, "checkpoint": checkpoint and str(checkpoint)}
        words = [part for name, word in again.items() if word for part in (f"--{name}", word)]
        raise type(error)(f"{error}\nTo change one word: {shlex.join(['lossviz', 'init', str(out), *words])}") from None
    new = not out.exists()
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        if new:  # half a file, on a full disk
            out.unlink(missing_ok=True)
        made = "" if out.parent.is_dir() else f" Make its folder first: mkdir -p {shlex.quote(str(out.parent))}"
        raise UsageError(f"{out} cannot be written: {error.strerror}.{made}") from error
    said = "" if checkpoint else "     (net.pt: your trained parameters; without --checkpoint the network is untrained)"
    click.echo(f"{out} is written.\nNext: lossviz check {out} --checkpoint {checkpoint or 'net.pt'}{said}")


def _ask(question: str, default: str) -> str:
    return click.prompt(question, default=default, show_default=bool(default))
