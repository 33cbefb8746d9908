"""The built-in problem: the real handwritten digits that scikit-learn ships, and a small residual network.

Depth and width were chosen by experiment: deep enough that skip connections matter to the landscape, small enough that
all examples pass in some 30 ms on one CPU core.
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
BRANCH = 0.1


class Block(nn.Module):
    """Two 3×3 convolutions, around which a skip connection may lead."""

    def __init__(self, width: int, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            _keep_norms(conv)
        if skips:  # the stream passes at first, and blocks add to it what they learn
            self.conv2.weight.data.mul_(BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, 4, 4) to the same shape."""
        y = self.conv2(torch.relu(self.conv1(x)))
        return torch.relu(x + y if self.skips else y)


class DigitsNet(nn.Module):
    """A stem, ``depth`` blocks, an average over the image, a linear head: (B, 1, 8, 8) to (B, 10).

    There is no normalization layer, so that no running statistics stand between the parameters and the loss.
    """

    def __init__(self, skips: bool, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, stride=2)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        self.blocks = nn.Sequential(*(Block(width, skips) for _ in range(depth)))
        self.head = nn.Linear(width, 10)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, 1, 8, 8)."""
        return self.head(self.blocks(torch.relu(self.stem(images))).mean((2, 3)))


def model(skips: bool = True, depth: int = 12, width: int = 10) -> nn.Module:
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
    # a confident answer's loss is the small difference of large numbers; Apple's device has no float64
    wide = logits if logits.device.type == "mps" else logits.double()
    return {
        "loss": nn.functional.cross_entropy(wide, labels, reduction="none"),
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


def _keep_norms(conv: nn.Conv2d) -> None:
    """Start a convolution as a rotation of each pixel's channels, by which a deep stack neither fades nor explodes.

    It is the delta-orthogonal start of Xiao et al. (ICML 2018, sec. 3), times √2 for the half that a ReLU takes.
    """
    rotation = torch.linalg.qr(torch.randn(conv.out_channels, conv.in_channels))[0]
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    conv.weight.data[:, :, 1, 1] = math.sqrt(2) * rotation
