"""What the leader of a group of ranks asks of the others, and how they say that they failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.evaluate.ways.way import Way


@dataclass(frozen=True)
class Order:
    """What the leader of a group wants evaluated.

    Attributes:
        way: In which way.
        indices: Flat indices, K.
        coordinates: Theirs, (K, k).
        splits: In which splits.
    """

    way: Way
    indices: Sequence[int]
    coordinates: np.ndarray
    splits: Sequence[str]


@dataclass(frozen=True)
class Failure:
    """Why a rank has no sums."""

    text: str
    of_memory: bool
