"""How a command watches a run: warnings and the verdict on standard error, signals that stop it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lossviz.cli.show.signals import Signals
from lossviz.records.watch import Watch

if TYPE_CHECKING:
    from lossviz.records.verdict import Check


def warn(message: str) -> None:
    """Print what does not stop the command."""
    click.echo(f"lossviz: warning: {message}", err=True)


def _tell(checks: list[Check]) -> None:
    from lossviz.records.verdict import table_of

    click.echo("\n".join(table_of(checks)), err=True)


WARNING = Watch(warn=warn)


def watch_of(stop: Signals) -> Watch:
    """Warns, tells the verdict, and stops with the signals."""
    return replace(WARNING, tell=_tell, stop=stop, interruptible=stop.while_evaluating)
