"""Options that say how a checkpoint's names fit the model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from lossviz.errors import UsageError


def checkpoint_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--skip``, ``--map`` and ``--trust-pickle``."""
    skip = click.option(
        "--skip",
        "--ignore",
        "skip",
        multiple=True,
        metavar="PATTERN",
        help="Names that the checkpoint need not fit: 'head.*'.",
    )
    renames = click.option(
        "--map", "renames", multiple=True, metavar="OLD=NEW", callback=lambda _, __, words: parse_renames(words),
        help="Parts of the checkpoint's names to rename; an empty NEW takes them off.",
    )  # fmt: skip
    trust = click.option(
        "--trust-pickle", is_flag=True, help="Read Python objects in the checkpoint, which can run any code in it."
    )
    return skip(renames(trust(function)))


def parse_renames(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of old and new from words like ``fc=head``.

    Raises:
        UsageError: If a word has no ``=``, or no old name.

    Example:
        >>> parse_renames(["fc=head", "model="])
        (('fc', 'head'), ('model', ''))
    """
    pairs = [tuple(part.strip() for part in word.split("=", 1)) for word in words]
    wrong = [word for word, pair in zip(words, pairs, strict=True) if len(pair) != 2 or not pair[0]]
    if wrong:
        raise UsageError(f"--map {wrong[0]!r} is not OLD=NEW, for example --map fc=head.")
    return tuple((old, new) for old, new in pairs)
