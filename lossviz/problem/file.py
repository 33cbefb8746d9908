"""A user's problem file or module: ``model()``, ``data()``, ``loss(model, batch)``, perhaps ``chance`` and ``name``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from lossviz.errors import LossvizError, ProblemError, join_mistakes
from lossviz.problem.reference import find_module, importable_from, kind_of

SIGNATURES = {"model": "model()", "data": "data()", "loss": "loss(model, batch)"}


@dataclass(frozen=True)
class Definition:
    """What a problem file defines.

    Attributes:
        name: The file's own ``name``, or its file name.
        path: The file, for messages about mistakes in it; also its folder, from which it may import.
        module: The executed module.
    """

    name: str
    path: Path
    module: ModuleType

    @property
    def loss(self) -> Callable[..., Any]:
        """The user's ``loss(model, batch)``."""
        return self.module.loss

    def make_model(self, **arguments: Any) -> nn.Module:
        """Call the user's ``model(**arguments)``.

        Raises:
            ProblemError: If it raises, does not take these arguments, or returns no module.
        """
        _check_arguments(self.module.model, arguments, self.path)
        with blamed_on(self.path, "model()"):
            made = self.module.model(**arguments)
        if not isinstance(made, nn.Module):
            raise ProblemError(f"{self.path}: model() returned {_kind(made)}, expected a torch.nn.Module.")
        return made

    def make_data(self) -> Any:
        """Call the user's ``data()``.

        Raises:
            ProblemError: If it raises or returns nothing.
        """
        with blamed_on(self.path, "data()"):
            made = self.module.data()
        if made is None:
            raise ProblemError(f"{self.path}: data() returned None; has it a return statement?")
        return made

    def chance(self) -> dict[str, float]:
        """Values of the quantities for an answer at random, from a dict or function ``chance``; empty if unknown.

        Raises:
            ProblemError: If it is no dict of numbers.
        """
        given = getattr(self.module, "chance", {})
        if callable(given):
            with blamed_on(self.path, "chance()"):
                given = given()
        return check_chance(given, str(self.path))


def read_definition(source: str) -> Definition:
    """Execute a problem file or import a module, and find the three functions.

    A problem file is executed anew each time, as a module of its own; what it imports from its folder is forgotten
    afterwards, so that two problems may each have a ``network.py`` beside them.

    Raises:
        ProblemError: If it raises (the message says where), or with every function that is missing.
    """
    kind = kind_of(source)
    if kind == "built-in":
        source = f"lossviz.problem.{source}"
    path = Path(source) if kind == "file" else find_module(source)
    if path is None or not path.is_file():
        raise ProblemError(f"There is no problem {source}.")
    with blamed_on(path, "the file" if kind == "file" else "the module"):
        module = _execute(path) if kind == "file" else _import(source)
    _check_functions(module, path)
    name = getattr(module, "name", None)
    return Definition(name if isinstance(name, str) else path.stem, path, module)


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
    except (Exception, SystemExit) as error:
        raise ProblemError(f"{_place(error, path)}: {what} failed with {_reason(error)}") from error


def check_chance(given: Any, where: str) -> dict[str, float]:
    """Chance levels as a dict of finite numbers.

    Raises:
        ProblemError: If they are anything else.
    """
    try:
        chance = {str(name): float(value) for name, value in given.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ProblemError(
            f'{where}: chance is {given!r}, expected numbers by quantity, for example {{"loss": 2.303}}.'
        ) from error
    return {name: value for name, value in chance.items() if math.isfinite(value)}


def _execute(path: Path) -> ModuleType:
    """Run a file as a fresh module under a name of its own."""
    name = "lossviz_problem_" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    module = ModuleType(name)
    module.__file__ = str(path)
    # dataclasses and pickles look their module up by name
    sys.modules[name] = module
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def _import(name: str) -> ModuleType:
    return importlib.import_module(name)


@contextmanager
def surroundings(source: str) -> Iterator[None]:
    """The folders user code may import from, and the modules it brings from there forgotten at the end."""
    if kind_of(source) != "file":
        with importable_from(Path.cwd()):
            yield
        return
    folder, before = Path(source).absolute().parent, set(sys.modules)
    try:
        with importable_from(folder):
            yield
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            # libraries installed below the folder (a virtual environment there) stay, for they cannot be loaded twice
            if file and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts:
                _forget(name)


def _forget(name: str) -> None:
    if not name.startswith("lossviz_problem_"):
        sys.modules.pop(name, None)


def _check_functions(module: ModuleType, path: Path) -> None:
    missing = [signature for name, signature in SIGNATURES.items() if not hasattr(module, name)]
    wrong = [
        f"{name} is {_kind(getattr(module, name))}, expected a function {signature}"
        for name, signature in SIGNATURES.items()
        if hasattr(module, name)
        and (not callable(getattr(module, name)) or (name == "model" and isinstance(module.model, nn.Module)))
    ]
    mistakes = [f"it defines no {signature}" for signature in missing] + wrong
    if mistakes:
        raise ProblemError(
            f"{path} is not a problem yet: {join_mistakes(mistakes)}\nA problem file defines model(), which returns a "
            "torch.nn.Module; data(), which returns its examples; and loss(model, batch), which returns one value per "
            "example."
        )


def _check_arguments(function: Callable[..., Any], arguments: Mapping[str, Any], path: Path) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = ", ".join(str(parameter) for parameter in signature.parameters.values()) or "no arguments"
        raise ProblemError(f"{path}: model() takes {known}; with {dict(arguments)} it has a {error}.") from error


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


def _kind(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
