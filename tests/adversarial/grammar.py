"""Random problems: a program with model(), data() and loss(), and how its surface is to be computed.

A case is drawn from its seed alone. The program is text, so that a case which fails can be handed over as it is.
"""

import random
from dataclasses import dataclass, field

from tests.adversarial.blocks import BATCHNORM_BLOCKS, BLOCKS, HEADS, Block
from tests.adversarial.decorations import DECORATIONS
from tests.adversarial.losses import LOSSES, Loss, cross_entropy
from tests.adversarial.ways import draw_way

ROWS = ("tuple", "tuple", "dict", "nested", "dataset", "loader", "ready", "splits")


@dataclass
class Case:
    """One problem and one way to compute its surface.

    Attributes:
        seed: Draws everything.
        program: Text of the problem file.
        options: Of ``lossviz compute``, by name.
        how: ``"run"``, ``"resumed"``, ``"shares"``, ``"eager"`` (every way is tried) or ``"rewritten"``.
        refused: Why it must be refused; empty if it must not.
        checkpoints: How many files of parameters there are, the first being the trained ones; 0 takes model()'s own.
        own: Whether the loss gets the batches of the user's loader.
        cut: Size of the batches whose statistics BatchNorm takes; None takes all examples, or the user's batches.
        ingredients: What the case is made of.
        moving: Parameters that must move in a random plane, for the loss depends on them.
        still: Parameters that must not.
    """

    seed: int
    program: str = ""
    options: dict[str, object] = field(default_factory=dict)
    how: str = "run"
    refused: str = ""
    checkpoints: int = 0
    own: bool = False
    cut: int | None = None
    ingredients: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)


def draw(seed: int) -> Case:
    """The case of a seed."""
    chance = random.Random(seed)
    case = Case(seed)
    kind = chance.choice(["vector", "vector", "image", "tokens"])
    examples = chance.choice([5, 9, 16, 24, 37])
    blocks = _draw_blocks(chance, kind)
    decorations = _draw_decorations(chance, kind, blocks)
    loss = _draw_loss(chance, kind, {block.name for block in blocks})
    rows = chance.choice(ROWS)
    case.ingredients = [kind, rows, *(b.name for b in blocks), *(d.name for d in decorations), loss.name]
    case.program = _write(kind, examples, rows, blocks, decorations, loss, chance.randrange(1000))
    for part in (*blocks, *decorations, loss):
        case.moving += getattr(part, "moving", [])
        case.still += getattr(part, "still", [])
    if "all-frozen" in case.ingredients:  # then all move
        case.still = [name for name in case.still if "unused" in case.ingredients and "frozen" not in case.ingredients]
    batchnorm = any(block.name in BATCHNORM_BLOCKS for block in blocks)
    draw_way(chance, case, examples=examples, rows=rows, batchnorm=batchnorm)
    case.own = rows == "ready" or (rows == "loader" and loss.is_mean)
    if case.options.get("batchnorm") == "batch" and not case.own:
        case.cut = int(str(case.options["batchnorm_examples"]))
    # batches that the user has cut, or the plan, say which examples belong together
    cut = case.own or case.cut is not None
    reasons = [part.refused for part in (*blocks, *decorations, loss) if not (cut and part.by_batch)]
    case.refused = next(filter(None, reasons), "")
    return case


def _draw_blocks(chance: random.Random, kind: str) -> list[Block]:
    """A chain of blocks of one width, begun and ended by what turns inputs into it and it into outputs."""
    first, last = HEADS[kind]
    fitting = [make for kinds, weight, make in BLOCKS if kind in kinds for _ in range(weight)]
    middle = [chance.choice(fitting)(chance, f"b{place}") for place in range(chance.randint(1, 4))]
    once, kept = set(), []
    for block in middle:  # ties are written once
        if not (block.single and block.name in once):
            once.add(block.name)
            kept.append(block)
    return [first(chance), *kept, last(chance)]


def _draw_decorations(chance: random.Random, kind: str, blocks: list[Block]) -> list[Block]:
    layers = [block.layer for block in blocks if block.layer]
    fitting = [make for kinds, make in DECORATIONS if kind in kinds]
    count = chance.choice([0, 0, 1, 1, 2])
    return [make(chance, chance.choice(layers)) for make in chance.sample(fitting, count)]


def _draw_loss(chance: random.Random, kind: str, blocks: set[str]) -> Loss:
    makers = [make for kinds, weight, make in LOSSES if kind in kinds for _ in range(weight)]
    loss = chance.choice(makers)(chance)
    # it treats parameters that are one in memory as two, and functional_call leaves modules that are one with its own
    tied = blocks & {"tied-by-data", "tied-module"}
    return cross_entropy(chance) if loss.name == "by-parameters" and tied else loss


def _write(
    kind: str, examples: int, rows: str, blocks: list[Block], decorations: list[Block], loss: Loss, salt: int
) -> str:
    init = [line for block in blocks for line in block.init]
    forward = [line for block in blocks for line in block.forward]
    after = [line for part in (*blocks, *decorations) for line in part.after]
    return "\n".join([
        "import functools, math, types",
        "import torch",
        "from torch import nn",
        "from torch.nn import functional as F",
        "",
        "",
        "class Net(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in init),
        "",
        "    def forward(self, x):",
        *(f"        {line}" for line in forward),
        "        return x",
        "",
        "",
        "class Rows(torch.utils.data.Dataset):",
        "    def __init__(self, rows):",
        "        self.rows = rows",
        "",
        "    def __len__(self):",
        "        return len(self.rows)",
        "",
        "    def __getitem__(self, place):",
        "        return self.rows[place]",
        "",
        "",
        "def model():",
        f"    torch.manual_seed({salt})",
        "    net = Net()",
        "    for name, buffer in net.named_buffers():",
        '        if name.endswith(("running_mean", "running_var")):',
        "            buffer.copy_(torch.rand(buffer.shape) + 0.5)",
        *(f"    {line}" for line in after),
        "    return net",
        "",
        "",
        "def data():",
        f"    g = torch.Generator().manual_seed({salt + 1})",
        *(f"    {line}" for line in _data(kind, examples, loss)),
        *(f"    {line}" for line in _rows(rows, examples)),
        "",
        "",
        "def loss(model, batch):",
        *(f"    {line}" for line in _unpacked(rows)),
        *(f"    {line}" for line in loss.lines),
        "",
    ])  # fmt: skip


def _data(kind: str, examples: int, loss: Loss) -> list[str]:
    inputs = {
        "vector": f"x = torch.randn({examples}, 6, generator=g)",
        "image": f"x = torch.randn({examples}, 2, 6, 6, generator=g)",
        "tokens": f"x = torch.randint(11, ({examples}, 5), generator=g)",
    }[kind]
    return [inputs, *loss.targets(kind, examples)]


def _rows(rows: str, examples: int) -> list[str]:
    cut = max(2, examples // 3 + 1)
    return {
        "tuple": ["return x, y, w"],
        "dict": ['return {"train": {"x": x, "y": y, "w": w}}'],
        "nested": ["return Rows([(a, {'y': b, 'rest': [c]}) for a, b, c in zip(x, y, w)])"],
        "dataset": ["return torch.utils.data.TensorDataset(x, y, w)"],
        "loader": [f"return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y, w), batch_size={cut})"],
        "ready": [
            f"cuts = range(0, {examples}, {cut})",
            f"return [(x[i : i + {cut}], y[i : i + {cut}], w[i : i + {cut}]) for i in cuts]",
        ],
        "splits": ['return {"train": (x, y, w), "test": (x.flip(0)[:4], y.flip(0)[:4], w.flip(0)[:4])}'],
    }[rows]  # fmt: skip


def _unpacked(rows: str) -> list[str]:
    if rows == "dict":
        return ['x, y, w = batch["x"], batch["y"], batch["w"]']
    if rows == "nested":
        return ['x, y, w = batch[0], batch[1]["y"], batch[1]["rest"][0]']
    return ["x, y, w = batch"]
