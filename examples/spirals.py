"""A problem file: two spirals to be told apart by a small network. Nothing is downloaded.

    lossviz compute examples/spirals.py --grid -1:1:31,-1:1:25 --out spirals.h5
    lossviz plot spirals.h5 --kind contour --out spirals.png

Without --checkpoint the plane passes through the parameters as ``model()`` makes them; here it trains them itself, in a
second or two. For a network of your own, let ``model()`` build it and name its saved parameters with --checkpoint.
"""

import math

import torch
from torch import nn

name = "spirals"
chance = {"loss": math.log(2), "error": 0.5}


def data():
    return {"train": spirals(400, seed=0), "test": spirals(200, seed=1)}


def loss(model, batch):
    points, arms = batch
    logits = model(points)
    return {
        "loss": nn.functional.cross_entropy(logits, arms, reduction="none"),
        "error": (logits.argmax(1) != arms).float(),
    }


def model(width=32, steps=600):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    points, arms = spirals(400, seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(points), arms).backward()
        optimizer.step()
    return net


def spirals(count, seed):
    """``count`` noisy points of two interleaved spirals, (count, 2), and which arm each is on, (count,)."""
    generator = torch.Generator().manual_seed(seed)
    arms = torch.arange(count) % 2
    radius = torch.rand(count, generator=generator).sqrt()
    angle = 3 * math.pi * radius + math.pi * arms
    points = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return 3 * points + 0.1 * torch.randn(count, 2, generator=generator), arms
