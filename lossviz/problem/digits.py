"""The built-in problem: the real handwritten digits that scikit-learn ships, and a small residual network.

Depth, width and training were chosen by experiment so that the landscapes with and without skip connections differ.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from lossviz.errors import MissingExtraError

name = "digits"
chance = {"loss": math.log(10), "error": 0.9}
TEST_EXAMPLES = 360
SPLIT_SEED = 0


class Block(nn.Module):
    """Two 3×3 convolutions, each with BatchNorm, around which a skip connection may lead."""

    def __init__(self, width: int, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, 8, 8) to the same shape."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(x + y if self.skips else y)


class DigitsNet(nn.Module):
    """A stem, ``depth`` blocks, an average over the image, a linear head: (B, 1, 8, 8) to (B, 10)."""

    def __init__(self, skips: bool, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(width, skips) for _ in range(depth)))
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, 1, 8, 8)."""
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))


def model(skips: bool = True, depth: int = 8, width: int = 8) -> nn.Module:
    """The network, with or without skip connections, untrained."""
    return DigitsNet(skips, depth, width)


def data() -> dict[str, tuple[Tensor, Tensor]]:
    """1,437 training and 360 test examples, each digit in proportion: images (D, 1, 8, 8) in 0…1, labels (D,).

    Raises:
        MissingExtraError: If scikit-learn, which carries the digits, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            'The built-in problem needs scikit-learn\'s digits: pip install "lossviz[demo]"'
        ) from error
    pixels, numbers = load_digits(return_X_y=True)
    labels = np.asarray(numbers, dtype=np.int64)
    images = torch.from_numpy(np.asarray(pixels, dtype=np.float32) / 16).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels)
    test = stratified_subset(labels, TEST_EXAMPLES)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return {"train": (images[train], targets[train]), "test": (images[test], targets[test])}


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Cross-entropy in nats and error 0 or 1, one of each per example."""
    images, labels = batch
    logits = model(images)
    return {
        "loss": nn.functional.cross_entropy(logits, labels, reduction="none"),
        "error": (logits.argmax(1) != labels).to(logits.dtype),
    }


def stratified_subset(labels: np.ndarray, size: int) -> np.ndarray:
    """Indices of ``size`` examples with every label in proportion, ascending, drawn by Philox.

    Example:
        >>> stratified_subset(np.array([0, 0, 0, 0, 1, 1]), 3).shape
        (3,)
    """
    rank = np.random.Philox(key=SPLIT_SEED).random_raw(len(labels))
    order = np.lexsort((rank, labels))
    # every (len / size)-th of the examples ordered by label, which keeps proportions to within one example
    return np.sort(order[(np.arange(size) * len(labels)) // size])
