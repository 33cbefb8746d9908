"""One thing that a careful reader is told, whichever room found it; and how remarks are written."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lossviz.records.table import Table

Level = Literal["ok", "said", "doubt", "wrong"]
Medium = Literal["table", "terminal", "caption", "html"]


@dataclass(frozen=True)
class Remark:
    """What was looked at, what was found, and how much it matters.

    Attributes:
        level: ``"ok"``; ``"said"``, a fact without a judgement; ``"doubt"``, which a careful reader should know;
            ``"wrong"``, which makes the result worthless.
        subject: What was looked at.
        text: What was found, in a sentence or a phrase.
    """

    level: Level
    subject: str
    text: str


Warn = Callable[[Remark], None]


def doubt(subject: str, sentences: Iterable[object]) -> list[Remark]:
    """A doubt for each sentence, such as those stored in a file.

    Example:
        >>> doubt("run", ["Half the points are missing."])
        [Remark(level='doubt', subject='run', text='Half the points are missing.')]
    """
    return [Remark("doubt", subject, str(sentence)) for sentence in sentences]


def said(subject: str, sentences: Iterable[object]) -> list[Remark]:
    """The same of facts without a judgement."""
    return [Remark("said", subject, str(sentence)) for sentence in sentences]


def ignore(*_: object) -> None:
    """A callback that does nothing."""


def is_sound(remarks: Iterable[Remark]) -> bool:
    """Whether nothing is wrong."""
    return all(remark.level != "wrong" for remark in remarks)


def distinct(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Each sentence once, in order, whoever says it first."""
    first: dict[str, Remark] = {}
    for remark in remarks:
        first.setdefault(remark.text, remark)
    return tuple(first.values())


def texts(remarks: Iterable[Remark], level: Level | None = None) -> list[str]:
    """The sentences alone, as files store them; only those of one level if it is named."""
    return [remark.text for remark in remarks if level in (None, remark.level)]


def write_remarks(remarks: Sequence[Remark], medium: Medium) -> list[str]:
    """A line for each remark: aligned columns, terminal lines, paragraphs of a caption, or items of an HTML list.

    Example:
        >>> found = [Remark("ok", "centre", "2.3"), Remark("said", "not moved", "biases")]
        >>> write_remarks(found, "table")
        ['ok     centre     2.3', '       not moved  biases']
        >>> write_remarks(doubt("loss", ["0 < 1."]), "terminal") + write_remarks(doubt("loss", ["0 < 1."]), "html")
        ['Doubt: 0 < 1.', '<li class="doubt">0 &lt; 1.</li>']
    """
    if medium == "table":
        rows = [(f"{_level_word(r.level):5}", r.subject, r.text) for r in remarks]
        return Table.of(("level", "subject", "text"), rows, headed=False).to_lines()
    if medium == "terminal":
        return [f"{_level_word(r.level).capitalize()}: {r.text}".removeprefix(": ") for r in remarks]
    if medium == "caption":
        return [f"Note: {remark.text}" for remark in remarks]
    marked = {"doubt": ' class="doubt"', "wrong": ' class="doubt"'}
    return [f"<li{marked.get(r.level, '')}>{html.escape(r.text)}</li>" for r in remarks]


def _level_word(level: Level) -> str:
    return "" if level == "said" else level
