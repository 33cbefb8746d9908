"""Records that show themselves: a heading over tables, as text in a terminal and as HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence

from lossviz.records.table import Table


class Shown:
    """A record with a heading and tables; its ``repr`` is text, its notebook display HTML.

    Example:
        >>> class Counts(Shown):
        ...     def heading(self):
        ...         return "Counts"
        ...     def tables(self):
        ...         return [Table.pairs({"points": "35"})]
        >>> Counts()
        Counts
        points  35
        >>> Counts()._repr_html_().startswith("<div><b>Counts</b><table>")
        True
    """

    def heading(self) -> str:
        """One line above the tables."""
        raise NotImplementedError

    def tables(self) -> Sequence[Table]:
        """What is known, in reading order."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join([self.heading(), *(table.to_text() for table in self.tables())])

    def _repr_html_(self) -> str:
        # notebooks align cells to the right, which is for numbers
        tables = "".join(table.to_html() for table in self.tables())
        tables = tables.replace('<td class="name">', '<td style="text-align:left">')
        tables = tables.replace('<td class="number">', '<td style="text-align:right">')
        tables = tables.replace("<th>", '<th style="text-align:left;padding-right:1em">')
        return f"<div><b>{html.escape(self.heading())}</b>{tables}</div>"
