"""Options that several commands share, and words turned into values, with all mistakes gathered."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from lossviz.errors import LossvizError, UsageError, join_mistakes
from lossviz.records.expected import read_expected

T = TypeVar("T")
NESTED = re.compile(r"\d+ mistakes:\n  - ")
OUTER_COMMA = re.compile(r",(?![^\[({]*[\])}])")


class Finite(click.FloatRange):
    """A number that is neither infinite nor NaN, which compares with no bound and so passes a plain range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, within the range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Mistakes:
    """Collects what is wrong with a command's words, so that all of it is said at once."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._errors: list[LossvizError] = []
        self._sentences = 0  # of these errors

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Run ``make``; an error of ours is noted and None returned."""
        try:
            return make()
        except LossvizError as error:
            own = NESTED.sub("", str(error)).split("\n  - ") if NESTED.match(str(error)) else [str(error)]
            self._errors.append(error)
            self._sentences += len(own)
            self.found += own
            return None

    def check(self) -> None:
        """Raise what was found.

        Raises:
            UsageError: With every mistake, if there is any.
            LossvizError: If all are errors of one type, of that type, with its own exit status.
        """
        if not self.found:
            return
        alike = len({type(error) for error in self._errors}) == 1 and self._sentences == len(self.found)
        if alike and len(self._errors) == 1:
            raise self._errors[0]
        raise (type(self._errors[0]) if alike else UsageError)(join_mistakes(self.found))


def completed_from(words: Sequence[str]) -> Callable[..., list[str]]:
    """What a shell offers on Tab for an option or an argument: those of ``words`` that begin so, after a comma too.

    Example:
        >>> completed_from(["contour", "surface"])(None, None, "contour,su")
        ['contour,surface']
    """

    def complete(_: Any, __: Any, typed: str) -> list[str]:
        before, comma, last = typed.rpartition(",")
        return [f"{before}{comma}{word}" for word in words if word.startswith(last)]

    return complete


def split_words(text: str) -> tuple[str, ...]:
    """Words separated by commas.

    Example:
        >>> split_words("train, test")
        ('train', 'test')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_arguments(pairs: Sequence[str], option: str = "--model-args") -> dict[str, Any]:
    """Keyword arguments from words like ``depth=3``; a value that is no Python literal is taken as text.

    Several may stand in one word with commas between, which within brackets part the entries of a list.

    Raises:
        UsageError: If a word has no ``=``.

    Example:
        >>> parse_arguments(["depth=3,skips=false", "mean=[0.5,0.4]", "name=wide"])
        {'depth': 3, 'skips': False, 'mean': [0.5, 0.4], 'name': 'wide'}
    """
    arguments = {}
    for pair in (word.strip() for text in pairs for word in OUTER_COMMA.split(text) if word.strip()):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError(f"{option} {pair!r} is not NAME=VALUE, for example {option} depth=3.")
        arguments[name.strip()] = _literal(value.strip())
    return arguments


def _literal(text: str) -> Any:
    named = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def device_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--device``."""
    text = "auto, cpu, cuda, cuda:1, mps; for compute also cuda:all."
    return click.option("--device", default="auto", show_default=True, metavar="NAME", help=text)(function)


def expect_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--expect``."""
    text = "What a value at the checkpoint should be, such as test_error=0.09; another value is refused."
    return click.option(
        "--expect", multiple=True, metavar="NAME=VALUE", help=text, callback=lambda _, __, words: read_expected(words)
    )(function)


def journal_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--sync-interval`` and ``--disk-wait``."""
    sync = click.option(
        "--sync-interval", "sync_interval_s", type=Finite(min=0), default=1.0, show_default=True,
        metavar="SECONDS", help="Maximum work lost in a power failure.",
    )  # fmt: skip
    wait = click.option(
        "--disk-wait", "disk_wait_s", type=Finite(min=0), default=600.0, show_default=True,
        metavar="SECONDS", help="How long to wait for space on a full disk.",
    )  # fmt: skip
    return sync(wait(function))


def trust_problem_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--trust-problem``."""
    text = "Run the code named in the file, even though you did not compute it on this machine."
    return click.option("--trust-problem", is_flag=True, help=text)(function)


def trust_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--trust-problem``, and ``--trust-pickle`` where no checkpoint options bring it."""
    pickle = click.option(
        "--trust-pickle",
        is_flag=True,
        help="Also read a checkpoint that contains Python objects; this can run code stored in it.",
    )
    return trust_problem_option(pickle(function))


def stages_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--progress``, of a command that goes through stages."""
    return _progress(function, "json prints one line per step of a stage.")


def progress_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--progress``."""
    return _progress(function, "json prints one line per point once it is safe on disk.")


def _progress(function: Callable[..., Any], text: str) -> Callable[..., Any]:
    shown = click.Choice(["bar", "json", "none"])
    return click.option("--progress", type=shown, default="bar", show_default=True, help=text)(function)
