"""What a random model is made of: layers, and the ties, states, types and branches that make models hard to move."""

import random
from dataclasses import dataclass, field

WIDTH = 6  # of everything between the first and the last layer, so that any two layers may be tied


@dataclass
class Block:
    """Some lines of a module's ``__init__`` and ``forward``.

    Attributes:
        name: What it is, for the statistics.
        init: Lines that make it.
        forward: Lines that map ``x``, shape (B, …, 6), to another of that shape.
        after: Lines of ``model()`` that follow, with the model as ``net``.
        layer: Name of a submodule that takes and gives one tensor, for hooks; empty without one.
        refused: Why no surface may be computed with it; empty if one may.
        by_batch: Whether that is because examples share a batch, so that it may where the user has cut them.
        moving: Parameters that the loss depends on, though the graph may not say so.
        still: Parameters that it does not depend on.
        single: Whether it may occur once only.
    """

    name: str
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    layer: str = ""
    refused: str = ""
    by_batch: bool = False
    moving: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    single: bool = False


ACTIVATIONS = [
    "x.tanh()",
    "x.relu()",
    "F.gelu(x)",
    "x.sigmoid() * 2",
    "F.softplus(x)",
    "x.sin()",
    "F.leaky_relu(x, 0.2)",
]


def linear(chance: random.Random, b: str) -> Block:
    bias = chance.choice(["", ", bias=False"])
    made = f"self.{b} = nn.Linear(6, 6{bias})"
    step = chance.choice(["x = self.{b}(x)", "x = x + 0.5 * self.{b}(x)", "x = self.{b}(self.{b}(x))"]).format(b=b)
    return Block("linear", [made], [step, f"x = {chance.choice(ACTIVATIONS)}"], layer=b, moving=[f"{b}.weight"])


def norm(chance: random.Random, b: str) -> Block:
    made = chance.choice(["nn.LayerNorm(6)", "nn.LayerNorm(6, elementwise_affine=False)", "nn.RMSNorm(6, eps=1e-5)"])
    return Block("norm", [f"self.{b} = {made}"], [f"x = self.{b}(x)"], layer=b)


def batchnorm_1d(chance: random.Random, b: str) -> Block:
    affine = chance.choice(["", ", affine=False", ", momentum=None"])
    init = [f"self.{b} = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6{affine}), nn.ReLU())"]
    return Block("batchnorm-1d", init, [f"x = self.{b}(x)"], layer=f"{b}.0", moving=[f"{b}.0.weight"])


def image_stage(chance: random.Random, b: str) -> Block:
    norm = chance.choice(
        ["nn.BatchNorm2d(6)", "nn.BatchNorm2d(6, affine=False)", "nn.GroupNorm(2, 6)", "nn.Identity()"]
    )
    conv = chance.choice([
        "nn.Conv2d(6, 6, 3, padding=1)", "nn.Conv2d(6, 6, 3, padding='same', bias=False)",
        "nn.Conv2d(6, 6, 3, padding=1, groups=3)", "nn.ConvTranspose2d(6, 6, 3, padding=1)",
        "nn.Conv2d(6, 6, 3, dilation=2, padding=2)",
    ])  # fmt: skip
    init = [f"self.{b} = nn.Sequential({conv}, {norm}, {chance.choice(['nn.ReLU()', 'nn.Tanh()'])})"]
    name = "batchnorm-2d" if "Batch" in norm else "convolution"
    return Block(name, init, ["x = " + chance.choice([f"self.{b}(x)", f"x + self.{b}(x)"])], layer=f"{b}.0")


def attention(chance: random.Random, b: str) -> Block:
    if chance.random() < 0.5:
        init = [f"self.{b} = nn.MultiheadAttention(6, 2, batch_first=True)"]
        return Block("attention", init, [f"x = x + self.{b}(x, x, x, need_weights=False)[0]"])
    init = [f"self.{b} = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)"]
    return Block("transformer", init, [f"x = self.{b}(x)"])


def recurrent(chance: random.Random, b: str) -> Block:
    kind = chance.choice(["LSTM", "GRU", "RNN"])
    return Block("recurrent", [f"self.{b} = nn.{kind}(6, 6, batch_first=True)"], [f"x = self.{b}(x)[0]"])


def tied_by_name(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}t = nn.Linear(6, 6)", f"self.{b}t.weight = self.{b}.weight"]
    return Block("tied-by-name", init, [f"x = self.{b}t(self.{b}(x).tanh())"], layer=b)


def tied_module(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}t = nn.Sequential(self.{b}, nn.Tanh())"]
    return Block("tied-module", init, [f"x = self.{b}t(self.{b}(x))"], layer=b)


def tied_by_data(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}t = nn.Linear(6, 6)"]
    after = [f"net.{b}t.weight.data = net.{b}.weight.data"]
    return Block("tied-by-data", init, [f"x = self.{b}t(self.{b}(x).tanh())"], after, layer=b)


def tied_transposed(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}t = nn.Linear(6, 6)"]
    after = [f"net.{b}t.weight.data = net.{b}.weight.data.t()"]
    return Block("tied-transposed", init, [f"x = self.{b}t(self.{b}(x).tanh())"], after, layer=b)


def transposed_in_forward(chance: random.Random, b: str) -> Block:
    return Block(
        "transposed", [f"self.{b} = nn.Linear(6, 6)"], [f"x = F.linear(self.{b}(x).tanh(), self.{b}.weight.t())"]
    )


def tied_partly(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)"]
    return Block("tied-partly", init, [f"x = self.{b}(x)"], [f"net.{b}.bias.data = net.{b}.weight.data[0]"])


def reshaped_tie(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}v = nn.Parameter(self.{b}.weight.data.view(36))"]
    return Block("tied-reshaped", init, [f"x = self.{b}(x) * (1 + 0.1 * self.{b}v.sum())"])


def alias(chance: random.Random, b: str) -> Block:
    """A plain attribute with the memory of a parameter, which follows it as long as nothing gives it another."""
    init = [f"self.{b} = nn.Linear(6, 6)"]
    after = [f"net.{b}_alias = net.{b}.weight.data"]
    return Block("alias", init, [f"x = self.{b}(x).tanh() @ self.{b}_alias.to(x.dtype)"], after)


def buffer_tie(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)"]
    after = [f'net.register_buffer("{b}_kept", net.{b}.weight.data)']
    return Block("buffer-tie", init, [f"x = self.{b}(x).tanh() @ self.{b}_kept"], after, single=True)


def listed(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)", f"self.{b}_list = [self.{b}.weight, self.{b}.bias]"]
    return Block("listed", init, [f"x = F.linear(x, *self.{b}_list).tanh()"])


def raw(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.ParameterDict({{'w': torch.randn(6, 6) * 0.4, 's': torch.tensor(0.7)}})"]
    return Block("raw", init, [f"x = (x @ self.{b}['w']) * self.{b}['s']"])


def empty(chance: random.Random, b: str) -> Block:
    return Block("empty", [f"self.{b} = nn.Parameter(torch.empty(0, 6))"], [f"x = x + self.{b}.sum()"])


def scaled_by_buffer(chance: random.Random, b: str) -> Block:
    init = [
        f'self.register_buffer("{b}", torch.linspace(0.5, 1.5, 6))',
        f'self.register_buffer("{b}_m", torch.arange(6) > 0)',
    ]
    return Block("buffer", init, [f"x = x * self.{b} * self.{b}_m"])


def narrow(chance: random.Random, b: str) -> Block:
    kind = chance.choice(["torch.bfloat16", "torch.float16", "torch.float64"])
    init = [f"self.{b} = nn.Parameter(torch.randn(6, dtype={kind}) * 0.5)"]
    return Block("odd-type", init, [f"x = x + self.{b}.to(x.dtype)"])


def integers(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Parameter(torch.arange(6), requires_grad=False)"]
    return Block("integers", init, [f"x = x + 0.1 * self.{b}"])


def weight_norm(chance: random.Random, b: str) -> Block:
    made = chance.choice(["nn.utils.parametrizations.weight_norm", "nn.utils.parametrizations.spectral_norm",
                          "nn.utils.parametrizations.orthogonal"])  # fmt: skip
    return Block(made.rpartition(".")[2], [f"self.{b} = {made}(nn.Linear(6, 6))"], [f"x = self.{b}(x).tanh()"], layer=b)


def frozen(chance: random.Random, b: str) -> Block:
    init = [f"self.{b} = nn.Linear(6, 6)"]
    after = [f"net.{b}.requires_grad_(False)"]
    return Block("frozen", init, [f"x = self.{b}(x).tanh()"], after, layer=b, still=[f"{b}.weight", f"{b}.bias"])


def unused(chance: random.Random, b: str) -> Block:
    return Block("unused", [f"self.{b} = nn.Linear(6, 3)"], still=[f"{b}.weight", f"{b}.bias"])


def detached(chance: random.Random, b: str) -> Block:
    """A parameter that the graph does not reach, and the loss depends on."""
    used = chance.choice(
        [
            f"x + self.{b}.detach().sum(0)",
            f"x * float(self.{b}.sum())",
            f"x + torch.from_numpy(self.{b}.detach().numpy()).mean(0)",
        ]
    )
    return Block("detached", [f"self.{b} = nn.Parameter(torch.randn(3, 6) * 0.3)"], [f"x = {used}"], moving=[b])


def experts(chance: random.Random, b: str) -> Block:
    """A mixture that sends each example to one expert; where the router has collapsed some are asked elsewhere only."""
    init = [f"self.{b} = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))", f"self.{b}_gate = nn.Linear(6, 3)"]
    forward = [
        f"all_of_them = torch.stack([expert(x) for expert in self.{b}], -1)",
        f"chosen = self.{b}_gate(x).argmax(-1)[..., None, None].expand(*x.shape, 1)",
        "x = all_of_them.gather(-1, chosen).squeeze(-1).tanh()",
    ]
    after = [f"net.{b}_gate.bias.data[0] += {chance.choice([0, 0.5, 3])}"]
    return Block("experts", init, forward, after, moving=[f"{b}_gate.weight"])


def branching(chance: random.Random, b: str) -> Block:
    step = "x = torch.stack([row * 2 if float(row.sum()) > 0 else row.tanh() for row in x])"
    return Block("branching", forward=[step])


def counted_steps(chance: random.Random, b: str) -> Block:
    step = [f"for _ in range(1 + int(self.{b}.weight.abs().sum() > 9)):", f"    x = self.{b}(x).tanh()"]
    return Block("counted-steps", [f"self.{b} = nn.Linear(6, 6)"], step)


def counting(chance: random.Random, b: str) -> Block:
    kept = chance.choice([f"self.{b} += 1", f"self.{b} = self.{b} + 1", f"self.{b}.add_(1)"])
    return Block("counting", [f'self.register_buffer("{b}", torch.zeros(()))'], [kept])


def remembered(chance: random.Random, b: str) -> Block:
    return Block("remembered", [f"self.{b} = None"], [f"self.{b} = x.detach()"])


def counting_into_values(chance: random.Random, b: str) -> Block:
    init = chance.choice([f'self.register_buffer("{b}", torch.zeros(()))', f"self.{b} = 0"])
    forward = [f"self.{b} = self.{b} + 1", f"x = x + 0.01 * self.{b}"]
    return Block(
        "counting-into-values", [init], forward, refused="values depend on how often forward ran", by_batch=True
    )  # it is put back at every point


def remembered_between(chance: random.Random, b: str) -> Block:
    forward = [f"before, self.{b} = self.{b}, float(x.detach().mean())", "x = x + 0.1 * before"]
    return Block(
        "remembered-between", [f"self.{b} = 0.0"], forward, refused="a batch sees the one before it", by_batch=True
    )


def dropout(chance: random.Random, b: str) -> Block:
    return Block("dropout", [f"self.{b} = nn.Dropout(0.5)"], [f"x = self.{b}(x)"], layer=b)


def dropout_on(chance: random.Random, b: str) -> Block:
    return Block("dropout-on", forward=["x = F.dropout(x, 0.3, training=True)"], refused="dropout is on")


def across_batch(chance: random.Random, b: str) -> Block:
    return Block(
        "across-batch",
        forward=["x = x - 0.5 * x.mean(0, keepdim=True)"],
        refused="examples see each other",
        by_batch=True,
    )


def _vector_head(chance: random.Random) -> Block:
    step = ["x = self.first(x.flatten(1)).tanh()"]
    return Block("first", ["self.first = nn.Linear(6, 6)"], step, layer="first")


def _image_head(chance: random.Random) -> Block:
    return Block("first", ["self.first = nn.Conv2d(2, 6, 3)"], ["x = self.first(x).relu()"], layer="first")


def _token_head(chance: random.Random) -> Block:
    padding = chance.choice(["", ", padding_idx=0"])
    return Block("first", [f"self.first = nn.Embedding(11, 6{padding})"], ["x = self.first(x)"], layer="first")


def _vector_tail(chance: random.Random) -> Block:
    return Block("last", ["self.last = nn.Linear(6, 3)"], ["x = self.last(x)"], layer="last")


def _image_tail(chance: random.Random) -> Block:
    return Block("last", ["self.last = nn.Linear(6, 3)"], ["x = self.last(x.mean((2, 3)))"], layer="last")


def _token_tail(chance: random.Random) -> Block:
    if chance.random() < 0.4:  # language models tie both ends
        return Block(
            "tied-decoder",
            ["self.last = nn.Linear(6, 11)", "self.last.weight = self.first.weight"],
            ["x = self.last(x)"],
        )
    return Block("last", ["self.last = nn.Linear(6, 11)"], ["x = self.last(x)"], layer="last")


HEADS = {
    "vector": (_vector_head, _vector_tail),
    "image": (_image_head, _image_tail),
    "tokens": (_token_head, _token_tail),
}
BATCHNORM_BLOCKS = ("batchnorm-1d", "batchnorm-2d")
_FLAT, _ALL = ("vector", "tokens"), ("vector", "image", "tokens")
# kinds of input, how often, what
BLOCKS = [
    (_FLAT, 12, linear), (_FLAT, 5, norm), (("vector",), 9, batchnorm_1d), (("image",), 30, image_stage),
    (("tokens",), 6, attention), (("tokens",), 6, recurrent), (_FLAT, 5, tied_by_name), (_FLAT, 3, tied_module),
    (_FLAT, 5, tied_by_data), (_FLAT, 3, transposed_in_forward), (_FLAT, 3, listed), (_FLAT, 3, raw),
    (_FLAT, 2, empty), (_FLAT, 2, scaled_by_buffer), (_FLAT, 5, narrow), (_FLAT, 2, integers), (_FLAT, 7, weight_norm),
    (_FLAT, 4, frozen), (_FLAT, 4, unused), (_FLAT, 5, detached), (("vector",), 5, experts), (_ALL, 3, branching),
    (_FLAT, 3, counted_steps), (_ALL, 3, counting), (_ALL, 3, remembered), (_ALL, 3, dropout),
    # these are refused
    (_FLAT, 1, tied_transposed), (_FLAT, 1, tied_partly), (_FLAT, 1, reshaped_tie), (_FLAT, 1, alias),
    (_FLAT, 1, buffer_tie), (_ALL, 1, counting_into_values), (_ALL, 1, remembered_between), (_ALL, 1, dropout_on),
    (_ALL, 1, across_batch),
]  # fmt: skip
