"""A problem of two parameters with a narrow valley: a line through points whose inputs have unlike scales.

``y = w1 x1 + w2 x2`` with x2 five times as spread as x1, so that the loss is 25 times as curved along w2 as along w1.
With ``bend`` the floor of the valley becomes a parabola, and no rescaling of the axes makes it round.
"""

import torch
from torch import nn


class Line(nn.Module):
    def __init__(self, w1, w2, bend):
        super().__init__()
        self.w1 = nn.Parameter(torch.tensor(float(w1)))
        self.w2 = nn.Parameter(torch.tensor(float(w2)))
        self.bend = bend

    def forward(self, x):
        return self.w1 * x[:, 0] + (self.w2 - self.bend * self.w1**2) * x[:, 1]


def model(w1=0.0, w2=0.0, bend=0.0):
    return Line(w1, w2, bend)


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 2, generator=generator, dtype=torch.float64)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / len(x))).T  # exactly uncorrelated, of spread 1
    x = (x * torch.tensor([1.0, 5.0])).float()
    return x, torch.randn(256, generator=generator)


def loss(model, batch):
    x, y = batch
    return (model(x) - y) ** 2 / 2
