"""Which problem: SOURCE, or ``--model``, ``--data`` and ``--loss``; its arguments, its checkpoint and how that fits."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.common import Mistakes, parse_arguments
from lossviz.cli.options.matching import checkpoint_options
from lossviz.problem.named import LOSS_WORDS, READER_WORDS
from lossviz.records.plan import ProblemRef

ARGUMENTS = ("model_args", "data_args", "loss_args")


@dataclass(frozen=True)
class SourceWords:
    """The words of a command that say which problem it is about, as they were typed.

    Attributes:
        source: A problem file, a module, or ``"digits"``; None where the others say it all.
        checkpoint: Trained parameters.
        model: In place of the source's ``model()``.
        data: In place of its ``data()``.
        loss: In place of its ``loss()``.
        model_args: Words ``NAME=VALUE``.
        data_args: The same.
        loss_args: The same.
        skip: See :class:`~lossviz.records.plan.ProblemRef`, as for the rest.
        renames: Pairs of old and new.
        trust_pickle: Whether code in the checkpoint may run.
        weights: Which copy in the checkpoint.
    """

    source: str | None = None
    checkpoint: Path | None = None
    model: str | None = None
    data: str | None = None
    loss: str | None = None
    model_args: tuple[str, ...] = ()
    data_args: tuple[str, ...] = ()
    loss_args: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    trust_pickle: bool = False
    weights: str | None = None

    def __post_init__(self) -> None:
        from lossviz.problem.source.resolve import split_source

        for name, word in zip(("source", "model"), split_source(self.source, self.model), strict=True):
            object.__setattr__(self, name, word)

    @property
    def stem(self) -> str:
        """Name for a result file: the checkpoint's, or the source's, or the model's."""
        if self.checkpoint:
            return self.checkpoint.resolve().name if self.checkpoint.is_dir() else self.checkpoint.stem
        return Path(self.source).stem if self.source else (self.model or "").rpartition(":")[2] or "lossviz"

    @property
    def is_bare(self) -> bool:
        """Whether there is a source and nothing else."""
        return self == SourceWords(self.source)

    def resolve(self, needed: Sequence[str] = ("model", "data", "loss")) -> ProblemRef:
        """Find and hash the files; nothing of the user's is loaded.

        Args:
            needed: What must be named where there is no source.

        Raises:
            LossvizError: With every mistake of the words.
        """
        from lossviz.problem.source.resolve import resolve_problem

        mistakes = Mistakes()
        arguments: dict[str, Any] = {
            name: mistakes.attempt(lambda name=name: parse_arguments(getattr(self, name), _option(name))) or {}
            for name in ARGUMENTS
        }
        same: dict[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("source", *ARGUMENTS)
        }
        ref = mistakes.attempt(lambda: resolve_problem(self.source, needed=needed, **same, **arguments))
        mistakes.check()
        assert ref is not None
        return ref

    def command_words(self, *, checkpoint: str | None = None) -> str:
        """The same words again, quoted for a shell; with ``checkpoint`` in place of their own."""
        words = [self.source] if self.source else []
        given = {"model": self.model, "data": self.data, "loss": self.loss, "weights": self.weights}
        given = {"checkpoint": checkpoint or (str(self.checkpoint) if self.checkpoint else None), **given}
        for name, word in given.items():
            words += [f"--{name}", word] if word else []
        repeated = {**{_option(name): getattr(self, name) for name in ARGUMENTS}, "--skip": self.skip}
        repeated["--map"] = tuple(f"{old}={new}" for old, new in self.renames)
        for option, values in repeated.items():
            for value in values:
                words += [option, value]
        return " ".join(map(shlex.quote, words)) + (" --trust-pickle" if self.trust_pickle else "")


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """SOURCE and everything that says which problem; the command gets them as one ``problem: SourceWords``."""

    @functools.wraps(function)
    def gathered(*args: Any, **words: Any) -> Any:
        problem = SourceWords(**{f.name: words.pop(f.name) for f in fields(SourceWords)})
        return function(*args, problem=problem, **words)

    command: Callable[..., Any] = gathered
    for option in reversed(
        (
            click.argument("source", required=False),
            click.option("--checkpoint", type=click.Path(path_type=Path), help="Trained parameters: a file or folder."),
            click.option(
                "--model", metavar="WORD", help="package.module:callable or file.py:callable that makes the model; "
                "replaces the model() of SOURCE.",
            ),
            click.option("--data", metavar="WORD", help=f"What makes the data: a callable, or {READER_WORDS}."),
            click.option("--loss", metavar="WORD", help=f"The loss: a callable loss(model, batch), or {LOSS_WORDS}."),
            *(
                click.option(_option(f"{of}_args"), multiple=True, metavar="NAME=VALUE",
                             help=f"Keyword arguments of the {of}.")
                for of in ("model", "data", "loss")
            ),
            click.option("--weights", metavar="WORD",
                help="Which weights to load if the checkpoint has several, such as ema."),
            checkpoint_options,
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
