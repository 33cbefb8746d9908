"""Random planes, grids, precisions and ways to evaluate."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.adversarial.grammar import Case

RANGES = ["-1:1", "-0.5:1.5", "0:1", "-2:0.3", "0.25:0.75", "-1e-3:1e-3"]
PLANES = [
    "random", "random", "random", "gradient", "hessian", "hessian1,random", "pca", "pca1,random", "line", "through",
    "axes",
]  # fmt: skip
HOWS = ["run"] * 8 + ["resumed"] * 3 + ["shares"] * 2 + ["eager"] * 4


def draw_way(chance: random.Random, case: Case, *, examples: int, rows: str, batchnorm: bool) -> None:
    """Choose the options of ``lossviz compute`` for a case."""
    plane = chance.choice(PLANES)
    dimension = {"line": 1, "through": 2}.get(
        plane, plane.count(",") + 1 if "," in plane else chance.choice([1, 2, 2, 2, 3])
    )
    if plane in ("gradient", "hessian", "pca"):
        dimension = min(dimension, 2)
    options: dict[str, object] = {"grid": _grid(chance, dimension), "plane": plane}
    if plane == "axes":
        named = "first" if case.ingredients[0] == "tokens" else "last"
        both = f"axes {named}.weight[0,1] {named}.weight[2,3]"
        options["plane"] = both if dimension > 1 else f"axes {named}.weight[1,1]"
        options["grid"] = _grid(chance, 2 if dimension > 1 else 1)
    if plane == "line":
        options["plane"] = "line net-0.pt net-1.pt"
    if plane == "through":
        options["plane"] = "through net-0.pt net-1.pt net-2.pt"
    case.checkpoints = {"line": 2, "through": 3}.get(plane, 4 if "pca" in plane else chance.choice([0, 0, 1]))
    if "pca" in plane:
        options["snapshots"] = ["net-[0-9].pt"]
    if plane == "random" or "random" in plane:
        options["normalize"] = chance.choice(["filter", "filter", "layer", "model", "none"])
        options["vectors"] = chance.choice(["zero", "keep"])
        options["seed"] = chance.randrange(1000)
    options["precision"] = chance.choice(["float32", "float32", "float64"])
    if chance.random() < 0.6:
        options["batch_size"] = chance.randint(1, examples + 3)
    if rows == "splits":
        options["split"] = chance.choice(["train,test", "test"])
    if batchnorm and chance.random() < 0.6:
        options["batchnorm"] = chance.choice(["batch", "recompute"])
        options["batchnorm_examples"] = (
            examples if options["batchnorm"] == "recompute" else chance.choice([2, 5, examples])
        )
    case.how = chance.choice(HOWS)
    if case.how in ("run", "resumed"):
        options["strategy"] = chance.choice(
            ["auto"] * 3
            + ["loop"] * 3
            + ["stacked"] * 4
            + (["compiled"] if chance.random() < 0.06 else [])
            + ["replayed"] * (chance.random() < 0.1)
        )
    if chance.random() < 0.1:
        options["low_memory"] = True
    case.options = options


def _grid(chance: random.Random, dimension: int) -> str:
    most = {1: 9, 2: 6, 3: 3}[dimension]
    return ",".join(f"{chance.choice(RANGES)}:{chance.randint(2, most)}" for _ in range(dimension))
