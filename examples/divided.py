"""A transformer that several processes hold together, each a part of every matrix, by FSDP2 or tensor parallelism.

    python examples/divided.py                                   # trains it, 10 s, and saves divided.pt
    torchrun --nproc-per-node 2 -m lossviz compute examples/divided.py --checkpoint divided.pt \\
        --ranks-per-point 2 --ranks-divide model --grid -1:1:13,-1:1:9

With ``--model-args division=tensor`` matrices are divided by heads and hidden units in place of FSDP2's rows, so that
the work is divided too. It runs on the CPU as on GPUs. What it learned: to sort six digits.
"""

import math

import torch
from torch import nn

DIGITS, LENGTH, WIDTH, HEADS = 10, 6, 32, 4

name = "divided"
chance = {"loss": math.log(DIGITS)}


class Block(nn.Module):
    """Attention to all places, then two linear layers, each added to the stream."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        normed = self.norm1(x)
        # heads are as many as this process has of them
        q, k, v = (
            part(normed).unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        seen = (q @ k.mT / math.sqrt(WIDTH // HEADS)).softmax(-1) @ v
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Sorter(nn.Module):
    def __init__(self):
        super().__init__()
        self.digits, self.places = nn.Embedding(DIGITS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, DIGITS, bias=False)
        self.head.weight = self.digits.weight  # tied

    def forward(self, digits):
        x = self.digits(digits) + self.places(torch.arange(LENGTH, device=digits.device))
        return self.head(self.norm(self.blocks(x)))


def model(division="fsdp"):
    torch.manual_seed(0)
    made = Sorter()
    made.division = division
    return made


def parallelize(model, mesh):
    """Called by lossviz once the checkpoint is in the model; ``mesh`` has the processes that hold it together."""
    if model.division == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    else:
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

        into, out_of = (
            dict.fromkeys(("q", "k", "v", "up"), ColwiseParallel),
            dict.fromkeys(("out", "down"), RowwiseParallel),
        )
        for block in model.blocks:
            parallelize_module(block, mesh, {part: style() for part, style in {**into, **out_of}.items()})


def data(examples=512):
    digits = torch.randint(DIGITS, (examples, LENGTH), generator=torch.Generator().manual_seed(1))
    return digits, digits.sort(1).values


def loss(model, batch):
    digits, sorted_digits = batch
    each = nn.functional.cross_entropy(model(digits).transpose(1, 2), sorted_digits, reduction="none")
    return each.mean(1)  # one value a sequence, nats per digit


def train(steps=400):
    network = model()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batch = data(4096)
    for step in range(steps):
        part = torch.arange(step * 128, step * 128 + 128) % 4096
        value = loss(network, [column[part] for column in batch]).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    torch.save(network.state_dict(), "divided.pt")
    print(f"divided.pt: loss {value:.4f}")


if __name__ == "__main__":
    train()
