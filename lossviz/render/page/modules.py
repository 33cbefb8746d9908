"""The page's ES modules as one script: each once, what it imports before it, without the words import and export."""

from __future__ import annotations

import re
from collections.abc import Callable

IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function)\b)", re.M)
DECLARED = re.compile(r"^(?:async )?(?:function|const|let) (\w+)", re.M)


def join_modules(read: Callable[[str], str], first: str) -> str:
    r"""One script out of a module and all that it imports.

    All share one scope, so a name may be declared at the left margin of one file alone. Files may import each other in
    a circle as long as what they run while loading does not.

    Args:
        read: Gives the source of a module by name, imports at its head as ``import { a, b } from "./name.js";``.
        first: The module that starts the page.

    Raises:
        ValueError: If two modules declare one name, or words of import or export remain.

    Example:
        >>> sources = {"main": 'import { a } from "./sums.js";\na();\n', "sums": "export function a() {}\n"}
        >>> join_modules(sources.__getitem__, "main")
        'function a() {}\na();\n'
    """
    parts: dict[str, str] = {}
    _visit(read, first, parts, set())
    owner: dict[str, str] = {}
    for name, source in parts.items():
        for declared in DECLARED.findall(source):
            if owner.setdefault(declared, name) != name:
                raise ValueError(f"{declared} is declared in {owner[declared]}.js and in {name}.js: rename one of them")
        if left := re.search(r"^(?:import|export)\b.*", source, re.M):
            raise ValueError(f'{name}.js: "{left.group()}" is not written as import {{ … }} from "./….js" or as export')
    return "".join(parts.values())


def _visit(read: Callable[[str], str], name: str, parts: dict[str, str], begun: set[str]) -> None:
    if name in begun:
        return
    begun.add(name)
    source = read(name)
    for imported in IMPORT.findall(source):
        _visit(read, imported, parts, begun)
    parts[name] = EXPORT.sub("", IMPORT.sub("", source))
