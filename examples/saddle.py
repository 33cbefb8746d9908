"""A problem of two parameters with a saddle: the smallest deep network, y = w2 · w1 · x, for data on y = x.

Its minima are the two hyperbolas w1 · w2 = 1; between them, at 0, where every such network begins that begins small,
lies a saddle with the curvatures +1 and −1.
"""

import torch
from torch import nn


class TwoLayers(nn.Module):
    def __init__(self, w1, w2):
        super().__init__()
        self.w1 = nn.Parameter(torch.tensor(float(w1)))
        self.w2 = nn.Parameter(torch.tensor(float(w2)))

    def forward(self, x):
        return self.w2 * (self.w1 * x)


def model(w1=0.0, w2=0.0):
    return TwoLayers(w1, w2)


def data():
    x = torch.tensor([-1.5, -0.75, 0.75, 1.5])
    x = x / (x**2).mean().sqrt()
    return x, x


def loss(model, batch):
    x, y = batch
    return (model(x) - y) ** 2 / 2
