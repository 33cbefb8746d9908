"""A user's problem file or module: ``model()``, ``data()``, ``loss(model, batch)``, and what else it may have."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from lossviz.errors import ProblemError, join_mistakes
from lossviz.problem.source.callables import Piece, blamed_on, kind_in_words
from lossviz.problem.source.importing import execute_file, find_file, importable_from
from lossviz.problem.source.local_modules import hash_modules
from lossviz.problem.source.resolve import kind_of
from lossviz.records.plan import IN_MEMORY, ProblemRef

SIGNATURES = {
    "model": "model()",
    "data": "data()",
    "loss": "loss(model, batch)",
    "parallelize": "parallelize(model, mesh)",
}
OPTIONAL = ("parallelize",)


def read_source(source: str, needed: Sequence[str]) -> tuple[str, dict[str, Piece], dict[str, float]]:
    """Execute a problem file or import a module, and find the functions needed of it.

    A problem file is executed anew each time, as a module of its own; what it imports from its folder is forgotten
    afterwards, so that two problems may each have a ``network.py`` beside them.

    Args:
        source: A problem file, the name of a module, or a built-in problem's.
        needed: Of ``"model"``, ``"data"``, ``"loss"``.

    Returns:
        The problem's name, the functions with those of ``OPTIONAL`` that it has, and its chance levels.

    Raises:
        ProblemError: If it raises (the message says where), or with every function that is missing.
    """
    kind = kind_of(source)
    if kind == "built-in":
        source = f"lossviz.problem.data.{source}"
    path = Path(source) if kind == "file" else find_file(source)
    if path is None or not path.is_file():
        raise ProblemError(f"There is no problem {source}.")
    with blamed_on(path, "the file" if kind == "file" else "the module"):
        module = execute_file(path) if kind == "file" else importlib.import_module(source)
    needed = [*needed, *(what for what in OPTIONAL if hasattr(module, what))]
    _check_functions(module, path, needed)
    name = getattr(module, "name", None)
    pieces = {what: Piece(getattr(module, what), path, f"{what}()") for what in needed}
    return name if isinstance(name, str) else path.stem, pieces, _chance_of(module, path)


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


@contextmanager
def surroundings(ref: ProblemRef) -> Iterator[dict[str, str]]:
    """The folders user code may import from, and the modules it brings from there forgotten at the end.

    User code that reads a command line when it is imported finds an empty one, and not that of lossviz. Gives a dict
    that has at the end the SHA-256 of each module that was imported from there.
    """
    folders, before, modules = _folders(ref), set(sys.modules), {}
    roots = _roots(ref)
    with ExitStack() as stack:
        for folder in import_folders(ref):
            stack.enter_context(importable_from(folder))
        stack.enter_context(_own_command_line(str(roots[0]) if roots else ref.source))
        try:
            yield modules
            modules |= hash_modules(roots, import_folders(ref), before)
        finally:
            for name in set(sys.modules) - before:
                file = getattr(sys.modules[name], "__file__", None)
                if file and _is_below(Path(file), folders):
                    _forget(name)


def import_folders(ref: ProblemRef) -> list[Path]:
    """Where the user's own modules are looked for."""
    folders = _folders(ref)
    return [*folders, Path.cwd()] if not folders or ref.is_assembled else folders


def _roots(ref: ProblemRef) -> list[Path]:
    """The files that a reference names."""
    if ref.source.startswith(IN_MEMORY):
        return []
    words = [word.rpartition(":")[0] for word in (ref.model, ref.data, ref.loss) if word and ":" in word]
    sources = [] if ref.is_assembled or kind_of(ref.source) == "built-in" else [ref.source]
    files = [Path(word) if word.endswith(".py") else find_file(word) for word in (*sources, *words)]
    return [file for file in files if file is not None]


@contextmanager
def _own_command_line(script: str) -> Iterator[None]:
    before = sys.argv
    sys.argv = [script]
    try:
        yield
    finally:
        sys.argv = before


def _folders(ref: ProblemRef) -> list[Path]:
    """Where the files of the user's lie that are executed anew."""
    sources = [] if ref.is_assembled or kind_of(ref.source) != "file" else [ref.source]
    pieces = [word.rpartition(":")[0] for word in (ref.model, ref.data, ref.loss) if word]
    files = [*sources, *(module for module in pieces if module.endswith(".py"))]
    return list(dict.fromkeys(Path(file).absolute().parent for file in files))


def _is_below(file: Path, folders: Sequence[Path]) -> bool:
    # libraries installed below the folder (a virtual environment there) stay, for they cannot be loaded twice
    return "site-packages" not in file.parts and any(file.is_relative_to(folder) for folder in folders)


def _forget(name: str) -> None:
    if not name.startswith("lossviz_problem_"):
        sys.modules.pop(name, None)


def _chance_of(module: ModuleType, path: Path) -> dict[str, float]:
    given = getattr(module, "chance", {})
    if callable(given):
        with blamed_on(path, "chance()"):
            given = given()
    return check_chance(given, str(path))


def _check_functions(module: ModuleType, path: Path, needed: Sequence[str]) -> None:
    signatures = {name: SIGNATURES[name] for name in needed}
    missing = [signature for name, signature in signatures.items() if not hasattr(module, name)]
    wrong = [
        f"{name} is {kind_in_words(getattr(module, name))}, expected a function {signature}"
        for name, signature in signatures.items()
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
