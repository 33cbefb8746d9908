"""A bar of progress in a notebook: one line of HTML that is drawn again and gone at the end, without widgets."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lossviz.records.units import format_time

if TYPE_CHECKING:
    from lossviz.records.grid import Grid
    from lossviz.records.watch import Update

BETWEEN_S = 0.2  # two drawings


def in_notebook() -> bool:
    """Whether a kernel of Jupyter's runs this, as in JupyterLab, VS Code and Colab."""
    return "ipykernel" in sys.modules


@contextmanager
def notebook_bar(grid: Grid) -> Iterator[Callable[[Update], None]]:
    """Give a callback that shows how far a run on ``grid`` is, from its first point on."""
    from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

    began, drawn, handle = time.perf_counter(), 0.0, None

    def tell(update: Update) -> None:
        nonlocal drawn, handle
        now = time.perf_counter()
        if handle is not None and now - drawn < BETWEEN_S:
            return
        drawn, shown = now, HTML(bar_html(update.done, grid.size, now - began))
        if handle is None:
            handle = display(shown, display_id=True)
        else:
            handle.update(shown)

    try:
        yield tell
    finally:
        if handle is not None:
            handle.update(HTML(""))


def bar_html(done: int, total: int, seconds: float) -> str:
    """The line.

    Example:
        >>> bar_html(50, 200, 10.0)
        '<progress max="200" value="50"></progress> 50 of 200 points, about 30 s left'
    """
    left: Any = format_time(seconds * (total - done) / done) if done else ""
    return f'<progress max="{total}" value="{done}"></progress> {done} of {total} points' + (
        f", about {left} left" if left else ""
    )
