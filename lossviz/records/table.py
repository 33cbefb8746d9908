"""A table: written here as plain text, HTML or JSON, and drawn in a terminal by :mod:`lossviz.cli.show.table`."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A heading, and how the values below it are written.

    Attributes:
        title: The heading.
        text: A value in words; None is written as a dash.
        number: Whether it is aligned to the right.
    """

    title: str
    text: Callable[[Any], str] = str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Records, and which of their values are shown.

    Attributes:
        columns: By key of the records; what has no column is in the JSON alone.
        records: JSON values by key, a row each.
        headed: Whether the headings are shown.

    Example:
        >>> columns = {"way": Column("way"), "s": Column("ms", lambda s: f"{1e3 * s:.1f}", number=True)}
        >>> print(Table(columns, [{"way": "loop", "s": 0.0123}, {"way": "compiled", "s": None}]).to_text())
        way         ms
        loop      12.3
        compiled     –
    """

    columns: Mapping[str, Column]
    records: Sequence[Mapping[str, Any]]
    headed: bool = True

    @classmethod
    def of(
        cls, titles: Iterable[str], rows: Iterable[Sequence[str]], *, numbers: bool = False, headed: bool = True
    ) -> Table:
        """A table of texts; with ``numbers`` all columns but the first are aligned to the right."""
        columns = {title: Column(title, number=numbers and i > 0) for i, title in enumerate(titles)}
        return cls(columns, [dict(zip(columns, row, strict=True)) for row in rows], headed)

    @classmethod
    def pairs(cls, texts: Mapping[str, str]) -> Table:
        """Names and what they are, without headings."""
        return cls.of(("name", "text"), texts.items(), headed=False)

    @property
    def titles(self) -> list[str]:
        """The headings."""
        return [column.title for column in self.columns.values()]

    def cells(self) -> list[list[str]]:
        """The texts of every row."""
        return [[_cell(record.get(key), column) for key, column in self.columns.items()] for record in self.records]

    def to_text(self) -> str:
        """Aligned columns of plain text."""
        return "\n".join(self.to_lines())

    def to_lines(self) -> list[str]:
        """The same, row by row."""
        rows = [*([self.titles] if self.headed else []), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(map(_aligned, row, widths, self.columns.values())).rstrip() for row in rows]

    def to_html(self) -> str:
        """A ``<table>``; without headings the first column names the rows."""
        head = "".join(map(_html_heading, self.columns.values())) if self.headed else ""
        body = "".join(f"<tr>{''.join(map(self._html_cell, self.columns.values(), row))}</tr>" for row in self.cells())
        return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"

    def to_json(self) -> list[dict[str, Any]]:
        """The records."""
        return [dict(record) for record in self.records]

    def _html_cell(self, column: Column, text: str) -> str:
        if not self.headed and column is next(iter(self.columns.values())):
            return f"<th>{html.escape(text)}</th>"
        return f'<td class="{"number" if column.number else "name"}">{html.escape(text)}</td>'


def _html_heading(column: Column) -> str:
    return f"<th{' class=number' * column.number}>{html.escape(column.title)}</th>"


def _cell(value: Any, column: Column) -> str:
    return MISSING if value is None else column.text(value)


def _aligned(text: str, width: int, column: Column) -> str:
    return text.rjust(width) if column.number else text.ljust(width)
