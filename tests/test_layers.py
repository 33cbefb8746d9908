"""The floors of the house: imports point down, some rooms never import torch, and there are no cycles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lossviz"
FLOORS = {
    "errors": 0,
    "records": 1,
    "store": 2,
    "space": 2,
    "render": 3,
    "launch": 3,
    "problem": 3,
    "curvature": 4,
    "trajectory": 4,
    "directions": 5,
    "evaluate": 5,
    "parts": 6,
    "prepare": 7,
    "compute": 8,
    "planes": 8,
    "project": 8,
    "selfcheck": 8,
    "trace": 9,
    "join": 8,
    "work": 9,
    "together": 10,
    "bench": 8,
    "sharpness": 8,
    "demo_paths": 10,
    "demo": 11,
    "cli": 12,
    "__init__": 13,
    "__main__": 13,
}
TORCHLESS = {"errors", "records", "store", "render", "launch"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    return ".".join(("lossviz", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imports(path: Path, *, run_time_only: bool = False) -> set[str]:
    """Dotted names a file imports anywhere; with ``run_time_only`` those under TYPE_CHECKING are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if run_time_only and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path} uses a relative import"
                found.update({child.module or ""} | {f"{child.module}.{alias.name}" for alias in child.names})
            walk(child)

    walk(tree)
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path):
    here = room_of(path)
    assert here in FLOORS, f"{here} has no floor: add it to FLOORS and to the design"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "lossviz" and len(parts) > 1 and parts[1] in FLOORS:
            assert parts[1] == here or FLOORS[parts[1]] < FLOORS[here], f"{module_of(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in TORCHLESS], ids=module_of)
def test_these_rooms_never_import_torch(path):
    assert not {name.split(".")[0] for name in imports(path)} & {"torch", "torchvision"}


def test_no_import_cycles():
    modules = {module_of(path) for path in FILES}
    graph = {module_of(p): imports(p, run_time_only=True) & modules - {module_of(p)} for p in FILES}
    TopologicalSorter(graph).prepare()
