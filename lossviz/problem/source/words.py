"""Model, data and loss named one by one on the command line: found and hashed, and nothing of them loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossviz.errors import ProblemError
from lossviz.problem.named import LIGHTNING, LOSS_WORDS, LOSSES, READER_WORDS, READERS, split_reader, usual_loss
from lossviz.problem.source.importing import EXPECTED, find_file, package_version, split_word
from lossviz.records.plan import ProblemRef

CONFIG = "config.json"
DIGITS = "built-in digits 1"  # changes when the examples do


@dataclass(frozen=True)
class Pieces:
    """The words for model, data and loss, and what they stand for.

    Attributes:
        title: What to call a problem that is made of them.
        fields: Of a :class:`~lossviz.records.plan.ProblemRef`.
    """

    title: str
    fields: dict[str, Any]

    def digest(self) -> str:
        """SHA-256 of what stands behind the words, in hex."""
        parts = [self.fields["model_content"], self.fields["data_content"], self.fields["loss_content"]]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def find_pieces(
    source: str | None, model: str | None, data: str | None, loss: str | None, checkpoint: Path | None,
    mistakes: list[str], *, needed: Sequence[str] = ("model", "data", "loss"),
) -> Pieces:  # fmt: skip
    """Find the files behind the words and hash them.

    Args:
        source: The problem that has what the words do not name.
        model: A callable's word.
        data: A callable's word, or a reader and a path.
        loss: A callable's word, or one of :data:`~lossviz.problem.named.LOSSES`; None with no source takes the usual
            one of a reader, or with a checkpoint of Lightning's the module's own ``validation_step``.
        checkpoint: Beside which a configuration of the model may stand.
        mistakes: Receives what is wrong.
        needed: What must be named where there is no source.
    """
    if loss is None and source is None and data is not None:
        loss = usual_loss(data) or ("validation-step" if checkpoint and checkpoint.suffix == LIGHTNING else None)
    words = {"model": model, "data": data, "loss": loss}
    if source is not None and None not in words.values():
        mistakes.append(f"--model, --data and --loss say it all; leave {source} out.")
    if source is None and None in [words[what] for what in needed]:
        mistakes.append(_incomplete(model, data, loss))
    found = {
        "model": _attempt(lambda word: _find_model(word, checkpoint), "--model", model, mistakes),
        "data": _attempt(_find_data, "--data", data, mistakes),
        "loss": _attempt(_find_loss, "--loss", loss, mistakes),
    }
    fields: dict[str, Any] = {}
    for what, (word, content) in found.items():
        fields |= {what: word, f"{what}_content": content}
    return Pieces(":".join(_without_folder(part) for part in (model or "").split(":")), fields)


def data_content(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and sizes in a folder, in hex."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def callable_content(word: str) -> str:
    """SHA-256 of the file that has a callable, or name and version of the installed package.

    Raises:
        ProblemError: If there is no such module or file.
    """
    module, _ = split_word(word)
    path = find_file(module)
    if path is None:
        kind = "file" if module.endswith(".py") else "importable module"
        raise ProblemError(f"There is no {kind} {module!r}; is it installed, or in the current folder?")
    return package_version(module, path) or data_content(path)


def changed_pieces(ref: ProblemRef) -> list[str]:
    """The words of a reference behind which something else stands now than when it was made."""
    checkpoint = Path(ref.checkpoint) if ref.checkpoint else None
    now = {
        "model": lambda word: _find_model(word, checkpoint)[1],
        "data": lambda word: _find_data(word)[1],
        "loss": lambda word: _find_loss(word)[1],
    }
    words = {what: word for what in now if (word := getattr(ref, what)) is not None}
    return [word for what, word in words.items() if now[what](word) != getattr(ref, f"{what}_content")]


def _attempt(
    find: Callable[[str], tuple[str, str | None]], option: str, word: str | None, mistakes: list[str]
) -> tuple[str | None, str | None]:
    if word is None:
        return None, None
    try:
        return find(word)
    except ProblemError as error:
        mistakes.append(f"{option}: {error}")
    except OSError as error:
        mistakes.append(f"{option} {word} cannot be read: {error.strerror}.")
    return None, None


def _find_callable(word: str) -> tuple[str, str | None]:
    module, name = split_word(word)
    content = callable_content(word)
    return (f"{Path(module).absolute()}:{name}" if module.endswith(".py") else word), content


def _find_model(word: str, checkpoint: Path | None) -> tuple[str, str | None]:
    """A configuration beside the checkpoint says what the model is."""
    word, content = _find_callable(word)
    config = checkpoint.parent / CONFIG if checkpoint else None
    return word, f"{content}, {CONFIG} {data_content(config)}" if config and config.is_file() else content


def _find_data(word: str) -> tuple[str, str | None]:
    reader = split_reader(word)
    if reader is None:
        if word.partition(":")[0] in READERS:
            raise ProblemError(f"{word!r} names no path; write {word.partition(':')[0]}:PATH.")
        try:
            return _find_callable(word)
        except ProblemError as error:
            raise ProblemError(f"{error} Built-in readers are {READER_WORDS}.") from None
    name, text = reader
    if not text:
        return name, DIGITS
    path, wanted = Path(text), READERS[name].reads
    if not path.exists():
        raise ProblemError(f"there is no {wanted[0]} {text}.")
    if (found := "folder" if path.is_dir() else "file") not in wanted:
        raise ProblemError(f"{name}: reads a {wanted[0]}, and {text} is a {found}.")
    return f"{name}:{path.absolute()}", data_content(path)


def _find_loss(word: str) -> tuple[str, str | None]:
    if word in LOSSES:
        return word, None
    try:
        return _find_callable(word)
    except ProblemError as error:
        raise ProblemError(f"{error} Named losses are {LOSS_WORDS}.") from None


def _incomplete(model: str | None, data: str | None, loss: str | None) -> str:
    named = {"--model": model, "--data": data, "--loss": loss}
    if not any(named.values()):
        return (
            "There is no problem: name a problem file, for example problem.py, or --model, --data and --loss. "
            "'lossviz init' writes a problem file."
        )
    missing = ", ".join(option for option, word in named.items() if word is None)
    return (
        f"Without a problem file, --model, --data and --loss must all be there; missing: {missing}. A model is "
        f"{EXPECTED}; losses are {LOSS_WORDS}, or a callable loss(model, batch)."
    )


def _without_folder(part: str) -> str:
    return Path(part).name if part.endswith(".py") else part
