"""A function of the user's that makes a model, data or a loss: imported by its word, called, and blamed by its file."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lossviz.errors import LossvizError, ProblemError
from lossviz.problem.named import LOSSES, READERS, split_reader
from lossviz.problem.source.importing import find_file, import_word, split_word

TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True)
class Piece:
    """A function of the user's.

    Attributes:
        call: The function, or class.
        path: Its file, for messages about mistakes in it.
        label: What messages call it, such as ``"model()"``.
    """

    call: Callable[..., Any]
    path: Path
    label: str

    def make(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function with keyword arguments.

        Raises:
            ProblemError: If it raises or does not take them.
        """
        self.check_arguments(arguments)
        with blamed_on(self.path, self.label):
            return self.call(**arguments)

    def check_arguments(self, arguments: Mapping[str, Any], given: int = 0) -> None:
        """Refuse keyword arguments that the function does not take, after ``given`` that it gets by position.

        Raises:
            ProblemError: With those it takes.
        """
        try:
            signature = inspect.signature(self.call)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(*[None] * given, **arguments)
        except TypeError as error:
            known = ", ".join(str(parameter) for parameter in signature.parameters.values()) or "no arguments"
            raise ProblemError(
                f"{self.path}: {self.label} takes {known}; with {dict(arguments)} it {error}."
            ) from error


@contextmanager
def blamed_on(path: Path, what: str) -> Iterator[None]:
    """Turn any exception of user code into one message with file, line and reason.

    Raises:
        ProblemError: In place of what was raised; errors of ours pass.
    """
    try:
        yield
    except LossvizError:
        raise
    except SyntaxError as error:
        at = f"{error.filename or path}, line {error.lineno}"
        raise ProblemError(f"{at}: {type(error).__name__}: {error.msg}.") from error
    except SystemExit as error:
        raise ProblemError(
            f"{_place(error, path)}: {what} ended the program ({_reason(error).rstrip('.')}): it runs as a script when "
            "it is imported, for example by parse_args() with an argument that must be given. Put that under "
            'if __name__ == "__main__":, or write a problem file with the classes alone.'
        ) from error
    except Exception as error:
        raise ProblemError(f"{_place(error, path)}: {what} failed with {_reason(error)}") from error


def kind_in_words(value: Any) -> str:
    """What a value is, for messages."""
    return "None" if value is None else f"an object of type {type(value).__name__}"


def imported_piece(word: str) -> Piece:
    """The callable that a word names.

    Raises:
        ProblemError: If it cannot be imported or is none.
    """
    module, name = split_word(word)
    path = find_file(module) or Path(module)
    with blamed_on(path, f"importing {module}"):
        found = import_word(word)
    if not callable(found):
        raise ProblemError(f"{word} is {kind_in_words(found)}, expected a function or class.")
    return Piece(found, path, f"{name}()")


def data_piece(word: str, checkpoint: str | None = None) -> Piece:
    """What makes the data that a word names: a built-in reader, or a callable.

    Text is cut by the tokenizer that lies beside the checkpoint, where there is one.
    """
    reader = split_reader(word)
    if reader is None:
        return imported_piece(word)
    (name, path), beside, usual = reader, Path(checkpoint or "").parent, {}
    if READERS[name].tokenized and checkpoint and any((beside / file).is_file() for file in TOKENIZERS):
        usual = {"tokenizer": str(beside)}
    return Piece(partial(READERS[name].function, Path(path), **usual), Path(path or name), f"the reader {name}")


def loss_piece(word: str, arguments: Mapping[str, Any]) -> Piece:
    """The loss that a word names, with its keyword arguments.

    Raises:
        ProblemError: If it does not take them.
    """
    if word not in LOSSES:
        return with_arguments(imported_piece(word), arguments)
    made = Piece(LOSSES[word].function, Path(word), f"--loss {word}").make(arguments)
    return Piece(made, Path(word), word)


def with_arguments(loss: Piece, arguments: Mapping[str, Any]) -> Piece:
    """A ``loss(model, batch)`` that gets keyword arguments too.

    Raises:
        ProblemError: If it does not take them.
    """
    if not arguments:
        return loss
    loss.check_arguments(arguments, given=2)
    return Piece(partial(loss.call, **arguments), loss.path, loss.label)


def _place(error: BaseException, path: Path) -> str:
    """The innermost line of the user's own file, which is where he can change something."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == path]
    return f"{path}, line {own[-1].lineno}" if own else str(path)


def _reason(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".strip().removesuffix(":").removesuffix(".")
    if isinstance(error, ModuleNotFoundError):
        return f"{text}. Install it in the environment lossviz runs in."
    return f"{text}."
