"""A problem of two parameters with many minima: fit sin(ω1 x) + sin(ω2 x) to noisy points of two waves.

Either ω may take either wave, so there are two equally good minima, mirror images of each other, as any two like units
of a network can change places. Around them lie minima in which both follow one wave, or none.
"""

import torch
from torch import nn


class Waves(nn.Module):
    def __init__(self, w1, w2):
        super().__init__()
        self.w1 = nn.Parameter(torch.tensor(float(w1)))
        self.w2 = nn.Parameter(torch.tensor(float(w2)))

    def forward(self, x):
        return torch.sin(self.w1 * x) + torch.sin(self.w2 * x)


def model(w1=0.0, w2=0.0):
    return Waves(w1, w2)


def data():
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.rand(128, generator=generator)
    y = torch.sin(1.5 * x) + torch.sin(3.5 * x) + 0.4 * torch.randn(128, generator=generator)
    return {"train": (x, y), "one": (x[:1], y[:1])}  # all examples, and one of them alone


def loss(model, batch):
    x, y = batch
    return (model(x) - y) ** 2 / 2
