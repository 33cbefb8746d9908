"""A small language model: the next character of Python's own documentation, and of the Zen of Python.

Both texts come with Python, so nothing is downloaded; another version of Python has slightly other texts.
"""

import codecs
import contextlib
import importlib
import inspect
import io
import math

import torch
from torch import nn

LETTERS, LENGTH = 96, 64  # printable ASCII and the line break; characters a model looks back at
MODULES = (
    "argparse", "collections", "difflib", "fractions", "functools", "heapq", "inspect", "itertools", "json", "logging",
    "math", "os", "pathlib", "random", "re", "shutil", "socket", "statistics", "string", "subprocess", "tempfile",
    "textwrap", "threading", "timeit", "unittest.mock", "zipfile",
)  # fmt: skip

name = "characters"
chance = {"loss": math.log(LETTERS)}


class Block(nn.Module):
    """Attention to what came before, then two linear layers, each added to the stream."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future, -torch.inf)
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class Characters(nn.Module):
    def __init__(self, width, layers, heads):
        super().__init__()
        self.letters, self.places = nn.Embedding(LETTERS, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, LETTERS)

    def forward(self, letters):
        x = self.letters(letters) + self.places(torch.arange(letters.shape[1], device=letters.device))
        return self.head(self.norm(self.blocks(x)))


def model(width=64, layers=2, heads=4):
    torch.manual_seed(0)
    return Characters(width, layers, heads)


def data():
    general, special = windows(documentation()), windows(zen(), step=4)
    return {"train": general, "zen": special}


def loss(model, batch):
    (letters,) = batch
    logits = model(letters[:, :-1])
    each = nn.functional.cross_entropy(logits.transpose(1, 2), letters[:, 1:], reduction="none")
    return each.mean(1)  # one value a passage, nats per character


def documentation():
    """What the standard library says of itself."""
    parts = []
    for module in map(importlib.import_module, MODULES):
        members = [thing for _, thing in sorted(vars(module).items()) if callable(thing)]
        parts += [inspect.getdoc(thing) or "" for thing in (module, *members)]
    return "\n".join(dict.fromkeys(parts))


def zen():
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def windows(text, step=LENGTH):
    """Passages of LENGTH + 1 characters as numbers, (D, LENGTH + 1)."""
    numbers = torch.tensor([min(max(ord(c) - 31, 0), LETTERS - 1) for c in text])
    return (numbers.unfold(0, LENGTH + 1, step).contiguous(),)
