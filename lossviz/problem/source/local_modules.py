"""The modules of the user's own that a problem imports: part of what it is, though no word names them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import lossviz
from lossviz.problem.checkpoint.files import file_sha256

_OURS = Path(lossviz.__file__).parent


def hash_modules(roots: Sequence[Path], folders: Sequence[Path], before: set[str]) -> dict[str, str]:
    """SHA-256 by path within its folder of every module that user code imports from its folders.

    Args:
        roots: Files that the problem names; their own content is hashed elsewhere.
        folders: Where modules of the user's lie, the first that has one counts.
        before: Names of the modules that were imported before; later ones count however they were imported.
    """
    found = set(_imported_by(roots, folders))
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and not name.startswith("lossviz_problem_"):
            found.add(Path(file).absolute())
    named = {root.absolute() for root in roots}
    places = {path: place for path in sorted(found - named) if (place := _place(path, folders))}
    return {place: file_sha256(path) for path, place in places.items()}


def changed_modules(stored: Mapping[str, str], folders: Sequence[Path]) -> list[str]:
    """Paths of modules that are gone or have another content than was stored."""
    changed = []
    for place, sha256 in stored.items():
        files = [folder / place for folder in folders if (folder / place).is_file()]
        if not any(file_sha256(file) == sha256 for file in files):
            changed.append(place if files else f"{place} (gone)")
    return changed


def _place(path: Path, folders: Sequence[Path]) -> str | None:
    """A module's path within the first folder that has it; None for installed packages and lossviz itself."""
    if path.suffix != ".py" or {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(_OURS):
        return None
    return next((path.relative_to(f).as_posix() for f in folders if path.is_relative_to(f) and path.is_file()), None)


def _imported_by(roots: Sequence[Path], folders: Sequence[Path]) -> Iterator[Path]:
    """Files that import statements lead to, from file to file, within the folders."""
    left, seen = [root.absolute() for root in roots], set()
    while left:
        file = left.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        yield file
        left += [path for where, name in _statements(file) for path in _files_of(name, where or folders)]


def _statements(file: Path) -> Iterator[tuple[Sequence[Path] | None, str]]:
    """Dotted names that a file imports; with the folder they are relative to, where they are."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((None, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            where = [file.parents[node.level - 1]] if 0 < node.level <= len(file.parents) else None
            inner = [f"{node.module}.{alias.name}" if node.module else alias.name for alias in node.names]
            yield from ((where, name) for name in [*([node.module] if node.module else []), *inner])


def _files_of(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """The file of a module and those of the packages around it."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        for folder in folders:
            stem = folder.joinpath(*parts[:depth])
            yield from (path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file())
