"""Anything importable by its name: ``package.module:callable``, or ``file.py:callable`` of a file of the user's."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from lossviz.errors import ProblemError

WORD = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|.+\.py):(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
EXPECTED = "package.module:callable or file.py:callable, for example torchvision.models:resnet18"


def split_word(word: str) -> tuple[str, str]:
    """Module, or path of a file, and the name in it.

    Raises:
        ProblemError: If the word has no such form.

    Example:
        >>> split_word("torchvision.models:resnet18"), split_word("net.py:Net.small")
        (('torchvision.models', 'resnet18'), ('net.py', 'Net.small'))
    """
    found = WORD.fullmatch(word)
    if not found:
        raise ProblemError(f"{word!r} is not {EXPECTED}.")
    return found["module"], found["name"]


def find_file(module: str) -> Path | None:
    """The file of a module, found without importing any package on the way; None where there is none.

    Args:
        module: Dotted name, looked for in the current folder too, or the path of a file.
    """
    if module.endswith(".py"):
        return Path(module) if Path(module).is_file() else None
    top, *rest = module.split(".")
    with importable_from(Path.cwd()):
        try:
            spec = importlib.util.find_spec(top)
            for depth, _ in enumerate(rest, 1):
                if spec is None or spec.submodule_search_locations is None:
                    return None
                name = ".".join([top, *rest[:depth]])
                spec = importlib.machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations))
        except (ImportError, ValueError, AttributeError):
            return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def package_version(module: str, file: Path) -> str | None:
    """Name and version of the installed package that a module belongs to; None for the user's own files."""
    if "site-packages" not in file.parts and "dist-packages" not in file.parts:
        return None
    owners = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    return ", ".join(f"{owner} {importlib.metadata.version(owner)}" for owner in sorted(set(owners))) or None


def import_word(word: str) -> Any:
    """The object that a word names.

    Raises:
        ProblemError: If the module has no such name; the message has the names that are most alike.
        Exception: What importing the module raises.
    """
    module, name = split_word(word)
    found: Any = execute_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            known = [n for n in dir(found) if not n.startswith("_")]
            alike = difflib.get_close_matches(part, known, n=4, cutoff=0.5)
            hint = f"Did you mean {' or '.join(alike)}?" if alike else f"It has {', '.join(known[:12]) or 'no names'}."
            raise ProblemError(f"{module} has no {part!r}. {hint}")
        found = getattr(found, part)
    return found


def execute_file(path: Path) -> ModuleType:
    """Run a file as a fresh module under a name of its own."""
    name = "lossviz_problem_" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    module = ModuleType(name)
    module.__file__ = str(path)
    # dataclasses and pickles look their module up by name
    sys.modules[name] = module
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


@contextmanager
def importable_from(folder: Path) -> Iterator[None]:
    """Put ``folder`` at the head of ``sys.path`` for the time of the block."""
    before = sys.path.copy()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
