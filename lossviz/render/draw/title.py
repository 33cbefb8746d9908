"""The title above a panel: wrapped, and formulas between dollar signs typeset where they can be."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.mathtext import MathTextParser

from lossviz.render.paper.title import LINE_EM, title_size, wrap_title
from lossviz.render.words.style import Style


def draw_title(axes: Axes, title: str, room: float, style: Style) -> None:
    """Write a title above axes, in lines that fit ``room`` inches."""
    lines = wrap_title(title, room, style)
    text = "\n".join(lines)
    axes.set_title(
        text, fontsize=title_size(lines, room, style), linespacing=LINE_EM * 0.9, parse_math=is_formula(title)
    )


def is_formula(text: str) -> bool:
    r"""Whether a text holds formulas that can be typeset; any other dollar sign is itself.

    Example:
        >>> is_formula(r"loss at $\alpha = 0$"), is_formula("it costs $5"), is_formula(r"$\nonsense$ and $x$")
        (True, False, False)
    """
    if text.count("$") < 2 or text.count("$") % 2:
        return False
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True
