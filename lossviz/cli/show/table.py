"""Tables and lines on standard output: drawn to the terminal's width, or to a fixed one where it is a file or pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lossviz.records.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 120  # characters, where there is no terminal
STYLES = {"ok": "green", "wrong": "bold red"}  # of a cell that is one of these words


def print_table(table: Table) -> None:
    """Print a table, in a frame where it has headings; cells are plain text, in which brackets mean nothing."""
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn() if table.headed else Drawn(show_header=False, box=None, padding=(0, 2, 0, 0))
    for column in table.columns.values():
        drawn.add_column(Text(column.title), justify="right" if column.number else "left")
    for row in table.cells():
        drawn.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    _print(drawn)


def print_line(text: str, *, title: str = "") -> None:
    """Print a line, broken between words at the width; ``title`` stands before it in bold."""
    from rich.text import Text

    _print(Text.assemble((title, "bold"), text))


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(shown)
