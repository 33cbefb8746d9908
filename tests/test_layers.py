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
    "hessian": 4,
    "trajectory": 4,
    "directions": 5,
    "evaluate": 5,
    "run": 6,
    "studies": 7,
    "cli": 8,
    "api": 9,
    "__init__": 10,
    "__main__": 10,
}
# floors within a room, its own files among them; a file that is not named here stands on the floor "*"
SUB_FLOORS = {
    "render": {"words": 0, "values": 1, "paper": 2, "text": 3, "scene": 4, "draw": 5, "film": 6, "charts": 6,
               "export": 6, "page": 7, "write": 8, "trial": 8, "log": 8},
    "problem": {"*": 0, "checkpoint": 1, "data": 2, "lightning": 2, "outcome": 3, "halving": 3, "read_data": 3,
                "source": 3, "shards": 4, "habits": 4, "own_batches": 5, "layout": 5, "placed": 5, "problem": 6,
                "held": 7, "stand": 7, "loss_call": 8, "load": 8, "float64": 8},
    "evaluate": {"*": 0, "reference": 1, "unused": 2, "ways": 1, "precision": 2, "derivatives": 2, "memory": 2,
                 "anchors": 3, "ranks": 3, "probes": 3, "engine": 4, "checks": 5, "carried": 6},
    "cli": {"show": 0, "options": 1, "*": 2},
}  # fmt: skip
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


def floor_within(room: str, parts: list[str] | tuple[str, ...]) -> tuple[str, int] | None:
    """Sub-room, or file beside the sub-rooms, and its floor; None for the room's own ``__init__``."""
    floors = SUB_FLOORS[room]
    if not parts or parts[0] == "__init__":
        return None
    name = parts[0].removesuffix(".py")
    return name, floors.get(name, floors.get("*", -1))


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in SUB_FLOORS], ids=module_of)
def test_imports_point_down_within_a_room(path):
    room = room_of(path)
    here = floor_within(room, path.relative_to(PACKAGE / room).parts)
    modules = {module_of(p) for p in FILES}
    for name in imports(path) & modules:
        parts = name.split(".")
        if here is None or parts[1:2] != [room] or (there := floor_within(room, parts[2:])) is None:
            continue
        assert here[1] >= 0 and there[1] >= 0, f"{module_of(path)} has no floor in SUB_FLOORS"
        same_files = here[1] == there[1] == SUB_FLOORS[room].get("*")
        assert there[0] == here[0] or there[1] < here[1] or same_files, f"{module_of(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in TORCHLESS], ids=module_of)
def test_these_rooms_never_import_torch(path):
    assert not {name.split(".")[0] for name in imports(path)} & {"torch", "torchvision"}


def test_no_import_cycles():
    modules = {module_of(path) for path in FILES}
    graph = {module_of(p): imports(p, run_time_only=True) & modules - {module_of(p)} for p in FILES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", [f for f in FILES if room_of(f) not in ("records", "store")], ids=module_of)
def test_facts_are_read_by_their_fields(path):
    keyed = [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if reads_a_key(node)]
    assert not keyed, f"{module_of(path)} reads keys that only records and store know: {', '.join(keyed)}"


def reads_a_key(node: ast.AST) -> bool:
    """Whether it is ``facts["name"]``, ``x.facts["name"]`` or ``facts.get("name")``; so of a recipe."""
    if isinstance(node, ast.Subscript):
        owner, key = node.value, node.slice
    elif isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        owner, key = node.func.value, node.args[0]
    else:
        return False
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return name in ("facts", "recipe") and isinstance(key, ast.Constant) and isinstance(key.value, str)


def test_a_key_is_seen():
    seen = [reads_a_key(node) for node in ast.walk(ast.parse("a.facts['b']; facts.get('b', 1); facts[0]; facts.b"))]
    assert sum(seen) == 2
