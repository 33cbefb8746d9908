"""From words on the command line to a :class:`ProblemRef`, by content and without loading torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lossviz.errors import ProblemError, join_mistakes
from lossviz.records.plan import ProblemRef

# a built-in problem has no file of the user's to hash; its tag changes when its data, model or loss do
BUILT_IN = {"digits": "built-in digits 1"}
IN_FOLDERS = (
    "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin",
)  # fmt: skip
RUN_SNAPSHOTS = "step-*.pt"  # as a TrajectoryRecorder names them; names sort as steps do
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def resolve_problem(
    source: str, *, model_args: Mapping[str, Any], checkpoint: Path | None, skip: Sequence[str] = (),
    renames: Sequence[tuple[str, str]] = (), trust_pickle: bool = False,
) -> ProblemRef:  # fmt: skip
    """Find the files that determine a problem and hash them; nothing of the user's is loaded.

    Args:
        source: ``"digits"``, the path of a problem file ``*.py``, or the name of an importable module.
        model_args: Keyword arguments of the problem's ``model()``; JSON values.
        checkpoint: File with the trained parameters; None takes them as ``model()`` makes them.
        skip: Patterns of the model's names that the checkpoint need not have, or have in another shape.
        renames: Pairs of old and new parts of the checkpoint's names.
        trust_pickle: Whether code in the checkpoint may run.

    Raises:
        ProblemError: With every mistake: a missing or unreadable file, a module that is not found, an argument that is
            no JSON value.

    Example:
        >>> resolve_problem("digits", model_args={"skips": True}, checkpoint=None).model_args
        (('skips', True),)
    """
    mistakes: list[str] = []
    source_path, source_sha256 = _find_source(source, mistakes)
    checkpoint_sha256 = None
    if checkpoint is not None:
        checkpoint = find_checkpoint(checkpoint)
        checkpoint_sha256 = _read_sha256(checkpoint, "checkpoint", mistakes)
    for name, value in model_args.items():
        if not _is_json(value):
            mistakes.append(f"The model argument {name} is {value!r}, which is no number, text, list or truth value.")
    if mistakes:
        raise ProblemError(join_mistakes(mistakes))
    return ProblemRef(
        source=source_path,
        source_sha256=source_sha256,
        model_args=tuple(sorted(model_args.items())),
        checkpoint=None if checkpoint is None else str(checkpoint.absolute()),
        checkpoint_sha256=checkpoint_sha256,
        skip=tuple(skip),
        renames=tuple(renames),
        trust_pickle=trust_pickle,
    )


def kind_of(source: str) -> Literal["built-in", "file", "module"]:
    """Which of the three kinds of source a text names.

    Example:
        >>> kind_of("digits"), kind_of("here/problem.py"), kind_of("package.module")
        ('built-in', 'file', 'module')
    """
    if source in BUILT_IN:
        return "built-in"
    return "module" if MODULE_NAME.fullmatch(source) and not source.endswith(".py") else "file"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; of an index together with the files it names."""
    digest = hashlib.sha256()
    for part in (path, *checkpoint_parts(path)):
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def find_checkpoint(path: Path) -> Path:
    """The checkpoint in a folder as transformers writes it, or the last snapshot of a run; any other path as it is."""
    if not path.is_dir():
        return path
    names = [*IN_FOLDERS, *sorted((file.name for file in path.glob(RUN_SNAPSHOTS)), reverse=True)]
    return next((path / name for name in names if (path / name).is_file()), path)


def checkpoint_parts(path: Path) -> list[Path]:
    """The files that an ``.index.json`` names, in order; none for any other file."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return [path.parent / Path(name).name for name in sorted(set(named.values()))]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProblemError(f"{path} is no index of checkpoint files: it has no weight_map.") from None


def find_module(name: str) -> Path | None:
    """The file of an importable module, looked for in the current folder too; None where there is none."""
    with importable_from(Path.cwd()):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


@contextmanager
def importable_from(folder: Path) -> Iterator[None]:
    """Put ``folder`` at the head of ``sys.path`` for the time of the block."""
    before = sys.path.copy()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _find_source(source: str, mistakes: list[str]) -> tuple[str, str]:
    kind = kind_of(source)
    if kind == "built-in":
        return source, BUILT_IN[source]
    if Path(source).is_file() and not source.endswith(".py"):
        mistakes.append(f"The problem {source} is not a Python file; its name must end in .py.")
        return source, ""
    if kind == "file":
        return str(Path(source).absolute()), _read_sha256(Path(source), "problem file", mistakes) or ""
    path = find_module(source)
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
        mistakes.append(f"The {what} {path} is a folder; name the file in it.")
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
