"""Titles: broken into lines that fit their panel, formulas kept whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lossviz.render.words.style import Style

LETTER_EM = 0.62  # mean width of a letter in bold, in units of the type size
LINE_EM = 1.3
MOST_LINES = 3
_WORDS = re.compile(r"(?:\$[^$]*\$|[^\s$]|\$)+")


def full_size(style: Style) -> float:
    """Type size in points of a title that has room."""
    return style.font_pt + style.line_scale


def wrap_title(title: str, room: float, style: Style) -> tuple[str, ...]:
    """The lines of a title: as few as fit ``room`` inches at full size, at most three.

    Example:
        >>> from lossviz.render.words.style import make_style
        >>> wrap_title(r"a long title with $x + y$ in it", 1.5, make_style("text"))
        ('a long title with', '$x + y$ in it')
        >>> wrap_title("short", 1.2, make_style("text"))
        ('short',)
    """
    letters = max(1, int(room * 72 / (LETTER_EM * full_size(style))))
    words = _WORDS.findall(title)
    while len(lines := _broken(words, letters)) > MOST_LINES:
        letters += 1
    return lines or ("",)


def title_size(lines: Sequence[str], room: float, style: Style) -> float:
    """Type size in points at which every line fits ``room`` inches, never under that of the smallest labels."""
    longest = max(max(map(len, lines)), 1)
    return max(style.label_pt, min(full_size(style), room * 72 / (LETTER_EM * longest)))


def titles_height(titles: Sequence[str], room: float, style: Style) -> float:
    """Room above a panel for the tallest of its titles, in units of the type size."""
    lines = max((len(wrap_title(title, room, style)) for title in titles if title), default=0)
    return 0.9 + (1.0 + (lines - 1) * LINE_EM if lines else 0.0)


def _broken(words: Sequence[str], letters: int) -> tuple[str, ...]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)
