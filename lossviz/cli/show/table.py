"""Tables and lines on standard output: drawn to the terminal's width, or to a fixed one where it is a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDTH = 120  # characters, where there is no terminal
STYLES = {"ok": "green", "wrong": "bold red"}  # of a cell that is one of these words


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a heading; cells are plain text, in which brackets mean nothing."""
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(_cell, row))
    _print(table)


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Print names and what they are, without a frame."""
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in pairs.items():
        table.add_row(name, _cell(text))
    _print(table)


def print_line(text: str, *, title: str = "") -> None:
    """Print a line, broken between words at the width; ``title`` stands before it in bold."""
    from rich.text import Text

    _print(Text.assemble((title, "bold"), text))


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(text, STYLES.get(text, ""))


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(shown)
