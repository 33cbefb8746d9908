"""From words on the command line to a :class:`ProblemRef`, by content and without loading torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lossviz.errors import ProblemError, join_mistakes
from lossviz.problem.checkpoint.files import file_sha256, find_checkpoint
from lossviz.problem.checkpoint.other_formats import describe_folder
from lossviz.problem.source.importing import find_file
from lossviz.problem.source.words import find_pieces
from lossviz.records.plan import FORMULA, ProblemRef

# a built-in problem has no file of the user's to hash; its tag changes when its data, model or loss do
BUILT_IN = {"digits": "built-in digits 1", FORMULA: "built-in formula 1"}
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def resolve_problem(
    source: str | None, *, model_args: Mapping[str, Any], checkpoint: Path | None, skip: Sequence[str] = (),
    renames: Sequence[tuple[str, str]] = (), trust_pickle: bool = False, weights: str | None = None,
    model: str | None = None, data: str | None = None, loss: str | None = None,
    data_args: Mapping[str, Any] | None = None, loss_args: Mapping[str, Any] | None = None,
    needed: Sequence[str] = ("model", "data", "loss"),
) -> ProblemRef:  # fmt: skip
    """Find the files that determine a problem and hash them; nothing of the user's is loaded.

    Args:
        source: ``"digits"``, the path of a problem file ``*.py``, or the name of an importable module; None where
            ``model``, ``data`` and ``loss`` say it all; ``"file.py:Class"`` is a model.
        model_args: Keyword arguments of what makes the model; JSON values.
        checkpoint: File with the trained parameters; None takes them as the model is made.
        skip: Patterns of the model's names that the checkpoint need not have, or have in another shape.
        renames: Pairs of old and new parts of the checkpoint's names.
        trust_pickle: Whether code in the checkpoint may run.
        weights: Word in the place of the parameters within the checkpoint, such as ``"ema"``.
        model: ``"package.module:callable"`` in place of the source's ``model()``.
        data: The same in place of its ``data()``, or a reader and a path; see
            :data:`~lossviz.problem.named.READERS`.
        loss: The same in place of its ``loss()``, or one of :data:`~lossviz.problem.named.LOSSES`; None takes
            the source's, or without one what is usual for the data or a Lightning checkpoint.
        data_args: Keyword arguments of what makes the data; JSON values.
        loss_args: Keyword arguments of the loss; JSON values.
        needed: What must be named where there is no source.

    Raises:
        ProblemError: With every mistake: a missing or unreadable file, a module that is not found, an argument that is
            no JSON value.

    Example:
        >>> resolve_problem("digits", model_args={"skips": True}, checkpoint=None).model_args
        (('skips', True),)
    """
    mistakes: list[str] = []
    source, model = split_source(source, model)
    checkpoint = None if checkpoint is None else find_checkpoint(checkpoint)
    pieces = find_pieces(source, model, data, loss, checkpoint, mistakes, needed=needed)
    source_path, source_sha256 = _find_source(source, mistakes) if source else (pieces.title, pieces.digest())
    checkpoint_sha256 = None
    if checkpoint is not None:
        checkpoint_sha256 = _read_sha256(checkpoint, "checkpoint", mistakes)
    given = {"model": model_args, "data": data_args or {}, "loss": loss_args or {}}
    mistakes += [
        f"The {of} argument {name} is {value!r}, which is no number, text, list or truth value."
        for of, args in given.items()
        for name, value in args.items()
        if not _is_json(value)
    ]
    if mistakes:
        raise ProblemError(join_mistakes(mistakes))
    return ProblemRef(
        source=source_path,
        source_sha256=source_sha256,
        checkpoint=None if checkpoint is None else str(checkpoint.absolute()),
        checkpoint_sha256=checkpoint_sha256,
        skip=tuple(skip),
        renames=tuple(renames),
        trust_pickle=trust_pickle,
        weights=weights,
        **{f"{of}_args": tuple(sorted(args.items())) for of, args in given.items()},
        **pieces.fields,
    )


def split_source(source: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Source and model, where ``file.py:Class`` in the place of a source names the model alone.

    Example:
        >>> split_source("net.py:LitNet", None), split_source("net.py", None)
        ((None, 'net.py:LitNet'), ('net.py', None))
    """
    word = source if source and model is None and ":" in source and not Path(source).exists() else None
    return (None, word) if word else (source, model)


def kind_of(source: str) -> Literal["built-in", "file", "module"]:
    """Which of the three kinds of source a text names.

    Example:
        >>> kind_of("digits"), kind_of("here/problem.py"), kind_of("package.module")
        ('built-in', 'file', 'module')
    """
    if source in BUILT_IN:
        return "built-in"
    return "module" if MODULE_NAME.fullmatch(source) and not source.endswith(".py") else "file"


def _find_source(source: str, mistakes: list[str]) -> tuple[str, str]:
    kind = kind_of(source)
    if kind == "built-in":
        return source, BUILT_IN[source]
    if Path(source).is_file() and not source.endswith(".py"):
        mistakes.append(f"The problem {source} is not a Python file; its name must end in .py.")
        return source, ""
    if kind == "file":
        return str(Path(source).absolute()), _read_sha256(Path(source), "problem file", mistakes) or ""
    path = find_file(source)
    if path is None:
        mistakes.append(
            f"There is no problem {source!r}: it is neither built in ({', '.join(BUILT_IN)}) nor an importable module. "
            "For a problem file, type its path with .py at the end."
        )
        return source, ""
    return source, _read_sha256(path, "problem module", mistakes) or ""


def _read_sha256(path: Path, what: str, mistakes: list[str]) -> str | None:
    if not path.exists():
        mistakes.append(f"There is no {what} {path}{_nearest(path)}.")
    elif not path.is_file():
        folder = describe_folder(path) if path.is_dir() and what == "checkpoint" else None
        mistakes.append(folder or f"The {what} {path} is a folder; name the file in it.")
    else:
        try:
            return file_sha256(path)
        except ProblemError as error:
            mistakes.append(str(error))
        except OSError as error:
            mistakes.append(f"The {what} {path} cannot be read: {error.strerror}.")
    return None


def _nearest(path: Path) -> str:
    """What a missing file's folder does hold, so that a slip of the pen is seen at once."""
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    alike = sorted(p.name for p in path.parent.glob(f"*{path.suffix}") if p.is_file())[:4] if path.suffix else []
    return f"; in that folder are {', '.join(alike)}" if alike else ""


def _is_json(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False
