"""Snapshots held in memory or made when asked for."""

import numpy as np
import torch


class Listed:
    """Snapshots in a list."""

    def __init__(self, snapshots):
        self.snapshots = list(snapshots)
        self.reads = 0

    def __len__(self):
        return len(self.snapshots)

    def params(self, t):
        self.reads += 1
        return self.snapshots[t]


SHAPES = {"conv": (3, 2, 2), "bias": (3,), "head": (4, 5)}
SIZE = sum(int(np.prod(shape)) for shape in SHAPES.values())


def unflat(row):
    """A row (P,) as params."""
    parts = np.split(np.asarray(row, np.float64), np.cumsum([np.prod(s, dtype=int) for s in SHAPES.values()])[:-1])
    return {
        name: torch.from_numpy(part.reshape(shape)) for part, (name, shape) in zip(parts, SHAPES.items(), strict=True)
    }


def flat(params):
    """Params as one float64 row (P,)."""
    return np.concatenate([params[name].double().numpy().ravel() for name in SHAPES])
