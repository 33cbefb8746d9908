"""Random losses: one value per example or a batch, weighed or not, tiny and huge, right and wrong."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

SCALES = [1.0, 1.0, 1.0, 1e-9, 1e6]


@dataclass
class Loss:
    """The body of ``loss(model, batch)`` after ``x, y, w = batch``, and the lines that make ``y`` and ``w``."""

    name: str
    lines: list[str]
    targets: Callable[[str, int], list[str]] = field(default=lambda kind, n: classes(kind, n))
    refused: str = ""
    by_batch: bool = False
    is_mean: bool = False


def classes(kind: str, n: int, extra: str = "w = torch.ones({n})") -> list[str]:
    shape = f"({n}, 5)" if kind == "tokens" else f"({n},)"
    return [f"y = torch.randint({11 if kind == 'tokens' else 3}, {shape}, generator=g)", extra.format(n=n)]


def weighed(kind: str, n: int) -> list[str]:
    return classes(kind, n, "w = torch.randint(0, 4, ({n},), generator=g).float().index_fill(0, torch.tensor([0]), 2)")


def masked(kind: str, n: int) -> list[str]:
    lines = classes(kind, n)
    return [*lines, "y[torch.rand(y.shape, generator=g) < 0.4] = -100", "y[::3] = 1"]


def numbers(kind: str, n: int) -> list[str]:
    shape = f"({n}, 5, 11)" if kind == "tokens" else f"({n}, 3)"
    return [f"y = torch.randn({shape}, generator=g)", f"w = torch.ones({n})"]


def _scaled(chance: random.Random, value: str) -> str:
    scale = chance.choice(SCALES)
    return value if scale == 1.0 else f"{scale:g} * ({value})"


EACH = "F.cross_entropy(out.movedim(-1, 1), y, reduction='none').flatten(1).mean(1)"
EACH_FLAT = "F.cross_entropy(out, y, reduction='none')"
COUNTED = "F.cross_entropy(out.movedim(-1, 1), y, reduction='none', ignore_index=-100)"
_OUT = "out = model(x)"


def _each(chance: random.Random) -> str:
    return "F.cross_entropy(out.movedim(-1, 1), y, reduction='none').reshape(len(x), -1).mean(1)"


def cross_entropy(chance: random.Random) -> Loss:
    return Loss("cross-entropy", [_OUT, f"return {_scaled(chance, _each(chance))}"])


def squared(chance: random.Random) -> Loss:
    value = "(out - y).square().flatten(1).mean(1)"
    return Loss("squared", [_OUT, f"return {_scaled(chance, value)}"], numbers)


def cancelling(chance: random.Random) -> Loss:
    return Loss("cancelling", [_OUT, f"return {_scaled(chance, '(out - y).flatten(1).mean(1)')}"], numbers)


def several(chance: random.Random) -> Loss:
    lines = [_OUT, f"each = {_each(chance)}", "wrong = (out.argmax(-1) != y).double().reshape(len(x), -1).mean(1)"]
    return Loss(
        "several",
        [
            *lines,
            f"return {{'loss': {_scaled(chance, 'each')}, 'error': wrong, 'size': out.flatten(1).square().mean(1)}}",
        ],
    )


def weights(chance: random.Random) -> Loss:
    return Loss("weights", [_OUT, f"return {{'loss': {_scaled(chance, _each(chance))}, 'weight': w}}"], weighed)


def nan_at_zero(chance: random.Random) -> Loss:
    lines = [_OUT, f"each = {_each(chance)}", "each = torch.where(w > 0, each, torch.nan)"]
    return Loss("nan-at-zero", [*lines, "return {'loss': each, 'weight': w}"], weighed)


def ignored(chance: random.Random) -> Loss:
    lines = [_OUT, f"each = {COUNTED}.reshape(len(x), -1).sum(1)", "n = (y != -100).reshape(len(x), -1).sum(1)"]
    return Loss("ignored", [*lines, "return {'loss': each / n.clamp(min=1), 'weight': n}"], masked)


def mean(chance: random.Random) -> Loss:
    return Loss("mean", [_OUT, f"return {_scaled(chance, _each(chance))}.mean()"], is_mean=True)


def mean_with_weight(chance: random.Random) -> Loss:
    lines = [_OUT, f"value = {COUNTED}.sum() / (y != -100).sum()"]
    return Loss(
        "mean-with-weight",
        [*lines, "return {'loss': value, 'weight': (y != -100).reshape(len(x), -1).sum(1)}"],
        masked,
        is_mean=True,
    )


def mean_without_weight(chance: random.Random) -> Loss:
    return Loss("mean-without-weight", [_OUT, f"return {COUNTED}.sum() / (y != -100).sum()"], masked,
                refused="the mean over counted targets has no weight", by_batch=True, is_mean=True)  # fmt: skip


def by_inputs(chance: random.Random) -> Loss:
    """A residual of a differential equation: gradients by the inputs within the loss."""
    lines = [
        "x = x.detach().clone().requires_grad_(True)", _OUT,
        "(slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)",
        f"return {_scaled(chance, '(out - y).square().mean(1) + slope.flatten(1).square().mean(1)')}",
    ]  # fmt: skip
    return Loss("by-inputs", lines, numbers)


def by_parameters(chance: random.Random) -> Loss:
    """One step of adaptation within the loss, on examples of its own."""
    lines = [
        "own = {n: p for n, p in model.named_parameters() if p.is_floating_point() and p.requires_grad}",
        "g = torch.Generator().manual_seed(5)",
        "support = torch.randn(4, *x.shape[1:], generator=g).to(x.dtype)",
        "with torch.enable_grad():",
        "    inner = model(support).square().mean()",
        "    steps = torch.autograd.grad(inner, list(own.values()), allow_unused=True)",
        "moved = {n: p - 0.1 * (0 if s is None else s) for (n, p), s in zip(own.items(), steps)}",
        "out = torch.func.functional_call(model, moved, (x,))",
        f"return {_each(chance)}",
    ]
    return Loss("by-parameters", lines)


def writing(chance: random.Random) -> Loss:
    lines = ["x.mul_(0.5)", _OUT, f"return {_each(chance)}"]
    return Loss("writing", lines)


def evaluating(chance: random.Random) -> Loss:
    return Loss("evaluating", ["model.eval()", _OUT, f"return {_each(chance)}.double()"])


def total(chance: random.Random) -> Loss:
    return Loss(
        "sum",
        [_OUT, f"return {_each(chance)}.sum()"],
        refused="a sum depends on the batch",
        by_batch=True,
        is_mean=True,
    )


def contrast(chance: random.Random) -> Loss:
    lines = [_OUT, "flat = out.flatten(1)", "near = F.log_softmax(flat @ flat.t(), 1)", "return -near.diagonal()"]
    return Loss("contrast", lines, refused="examples of a batch are compared", by_batch=True)


def noise_by_place(chance: random.Random) -> Loss:
    lines = [
        "g = torch.Generator().manual_seed(0)",
        _OUT,
        "out = out + torch.randn(out.shape, generator=g).to(out.dtype)",
    ]
    return Loss(
        "noise-by-place", [*lines, f"return {_each(chance)}"], refused="noise by the place in the batch", by_batch=True
    )


def noise(chance: random.Random) -> Loss:
    lines = [_OUT, f"return {_scaled(chance, _each(chance))} * (1 + 0.01 * torch.rand(len(x)))"]
    return Loss("noise", lines, refused="random numbers")


_ALL, _FLOAT = ("vector", "image", "tokens"), ("vector", "image")
# kinds of input, how often, what
LOSSES = [
    (_ALL, 12, cross_entropy), (_ALL, 8, squared), (_ALL, 3, cancelling), (_ALL, 8, several), (_ALL, 8, weights),
    (_ALL, 3, nan_at_zero), (_ALL, 6, ignored), (_ALL, 5, mean), (_ALL, 5, mean_with_weight), (_FLOAT, 5, by_inputs),
    (("vector",), 4, by_parameters), (_FLOAT, 3, writing), (_ALL, 2, evaluating),
    # these are refused, unless the user has cut the batches
    (_ALL, 2, mean_without_weight), (_ALL, 1, total), (_ALL, 1, contrast), (_ALL, 1, noise_by_place), (_ALL, 1, noise),
]  # fmt: skip
