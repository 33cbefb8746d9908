"""How many classes the targets of a split have, where they are one integer per example."""

from __future__ import annotations

import torch
from torch import Tensor

from lossviz.problem.data.batch import bare
from lossviz.problem.data.examples import Examples
from lossviz.problem.losses import targets_of

MOST_CLASSES = 100_000
READ = 4096  # at once, for examples may have to come to the device


def count_classes(examples: Examples) -> int | None:
    """Number of classes, the largest target plus one; None where the targets are no integers of shape (B,).

    Example:
        >>> count_classes(Examples([(torch.zeros(4, 2), torch.tensor([0, 2, 1, 2]))]))
        3
    """
    largest = -1
    for targets in map(targets_of, map(bare, examples.batches(READ))):
        if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.dtype not in _INTEGERS or not len(targets):
            return None
        largest = max(largest, int(targets.max()))
    return largest + 1 if 1 <= largest < MOST_CLASSES else None


_INTEGERS = (torch.uint8, torch.int16, torch.int32, torch.int64)
