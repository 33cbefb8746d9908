"""Options that say how a checkpoint's names fit the model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from lossviz.errors import UsageError

_IGNORED = "lossviz.ignored"


def checkpoint_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--skip``, ``--map`` and ``--trust-pickle``."""
    skip = click.option(
        "--skip", multiple=True, metavar="PATTERN", callback=lambda context, _, words: _skipped(context, words),
        help="Parameters that may be missing or different in the checkpoint, such as 'head.*'.",
    )  # fmt: skip
    ignore = click.option(
        "--ignore", multiple=True, metavar="PATTERN", expose_value=False, hidden=True,
        callback=lambda context, _, words: _ignored(context, words),
    )  # fmt: skip
    renames = click.option(
        "--map", "renames", multiple=True, metavar="OLD=NEW", callback=lambda _, __, words: parse_renames(words),
        help="Rename parts of the checkpoint's names: model.= takes a prefix off, =model. puts one in front.",
    )  # fmt: skip
    trust = click.option(
        "--trust-pickle",
        is_flag=True,
        help="Also read checkpoints that contain Python objects; this can run code stored in them.",
    )
    return ignore(skip(renames(trust(function))))


def _skipped(context: click.Context, words: tuple[str, ...]) -> tuple[str, ...]:
    return (*words, *context.meta.get(_IGNORED, ()))


def _ignored(context: click.Context, words: tuple[str, ...]) -> None:
    """Take ``--ignore`` for ``--skip``, and say so where it may have meant that a plane is not to move something."""
    context.meta[_IGNORED] = words
    if "skip" in context.params:  # it came first
        context.params["skip"] = (*context.params["skip"], *words)
    if words and any(parameter.name == "hold" for parameter in context.command.params):
        click.echo(
            "lossviz: note: --ignore is taken for --skip: names that the checkpoint need not fit. "
            "Parameters that the plane is not to move: --hold.",
            err=True,
        )


def parse_renames(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of old and new from words like ``fc=head``.

    Raises:
        UsageError: If a word has no ``=``, or nothing on either side of it.

    Example:
        >>> parse_renames(["fc=head", "model="])
        (('fc', 'head'), ('model', ''))
    """
    pairs = [tuple(part.strip() for part in word.split("=", 1)) for word in words]
    wrong = [word for word, pair in zip(words, pairs, strict=True) if len(pair) != 2 or not any(pair)]
    if wrong:
        raise UsageError(f"--map {wrong[0]!r} is not OLD=NEW, for example --map fc=head.")
    return tuple((old, new) for old, new in pairs)
