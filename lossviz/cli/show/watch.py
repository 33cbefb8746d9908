"""How a command watches a run: warnings and the verdict on standard error, signals that stop it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lossviz.cli.show.signals import Signals
from lossviz.records.watch import Watch

if TYPE_CHECKING:
    from lossviz.records.remark import Remark


def warn(remark: Remark) -> None:
    """Print what does not stop the command."""
    click.echo(f"lossviz: warning: {remark.text}", err=True)


def _tell(remarks: list[Remark]) -> None:
    from lossviz.records.remark import write_remarks

    click.echo("\n".join(write_remarks(remarks, "table")), err=True)


WARNING = Watch(warn=warn)


def watch_of(stop: Signals) -> Watch:
    """Warns, tells the verdict, and stops with the signals."""
    return replace(WARNING, tell=_tell, stop=stop, interruptible=stop.while_evaluating)
