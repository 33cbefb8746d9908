"""Strata of examples by how much of the loss each can hold, and the order in which every point takes them.

A mean over a random sample says nothing about the rare examples that it missed, and its own standard error says nothing
either: with 40 mislabelled examples among 20,000, a sample of 500 usually holds none of them. But the loss of every
example at a few anchors of the plane is known before the first point, for one pass each. Examples that hold a large
share of the mean there come early and weigh less; each stratum counts with its exact size (Cochran, Sampling
Techniques, 1977, chapter 5 and section 5A.13).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

FIRST = 16  # of each stratum before any stratum goes on: fewer say nothing about the spread within it
BINS, SMALLEST = 8, 20 * FIRST  # a level is cut into so many strata of like examples, none smaller
_RARE = 3.0  # with 95 % confidence, what n draws without one leave possible is under 3 / n (the rule of three)


@dataclass(frozen=True)
class Strata:
    """Which stratum each of D examples is in; a stratum of level ℓ is sampled 2^ℓ times as densely as one of level 0.

    Attributes:
        member: uint8 (D,), the position of each example's stratum in ``levels``.
        levels: Ascending; no example of a stratum held more than ``2^(level + 1)`` times the mean's share at an anchor.
        seed: Of the order within strata.

    Example:
        >>> strata = Strata.by_share(share := np.array([0.2, 0.4, 900.0, 0.1]), share, seed=0)
        >>> strata.levels, strata.sizes.tolist(), strata.order.tolist()
        ((0, 9), [3, 1], [0, 2, 1, 3])
    """

    member: np.ndarray
    levels: tuple[int, ...]
    seed: int

    @classmethod
    def by_share(cls, largest: np.ndarray, mean: np.ndarray, seed: int) -> Strata:
        """Strata of the largest share (D,) of the mean that each example held anywhere; 1 is the mean's own.

        A level with many examples is cut by their mean share (D,), for like ones spread less.
        """
        level = np.floor(np.log2(np.clip(largest, 1.0, 2.0**40))).astype(int)
        member, levels = np.zeros(len(level), np.uint8), list[int]()
        for value in np.unique(level).tolist():
            mine = np.flatnonzero(level == value)
            mine = mine[np.argsort(mean[mine], kind="stable")]
            for part in np.array_split(mine, max(1, min(BINS, len(mine) // SMALLEST))):
                member[part] = len(levels)
                levels.append(value)
        return cls(member, tuple(levels), seed)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Examples of each stratum, int64 (H,)."""
        return np.bincount(self.member, minlength=len(self.levels))

    @cached_property
    def order(self) -> np.ndarray:
        """The order in which all points take the examples, int64 (D,).

        It depends on the members, the levels and the seed alone. Within a stratum it is random, so that the first ones
        of each are a random sample of it however many are taken.
        """
        due, random = np.empty(len(self.member)), np.random.Philox(key=self.seed).random_raw(len(self.member))
        for stratum, (size, level) in enumerate(zip(self.sizes.tolist(), self.levels, strict=True)):
            mine = np.flatnonzero(self.member == stratum)
            rank = np.arange(size)
            when = np.where(rank < FIRST, -1.0, (rank - FIRST + 0.5) * 2.0**-level)
            due[mine[np.argsort(random[mine], kind="stable")]] = when
        return np.lexsort((random, due))

    @cached_property
    def least(self) -> int:
        """Examples to take before a point may stop: the first ones of every stratum."""
        return int(np.minimum(self.sizes, FIRST).sum())

    def unseen(self, taken: np.ndarray) -> float:
        """How much of the mean the examples not taken may hold without a sign of it in those taken, int64 (H,).

        With 95 % confidence fewer than ``3/n`` of a stratum are of a kind that its n examples taken do not show; each
        holds at most the share that the strata allow. The largest over strata, relative to the mean.
        """
        left = np.clip(_RARE * self.sizes / np.maximum(taken, 1), 0.0, self.sizes - taken)
        return float((left * 2.0 ** (np.array(self.levels) + 1)).max() / self.sizes.sum())

    def to_json(self) -> dict[str, Any]:
        """JSON values, a few bits an example."""
        packed = base64.b64encode(zlib.compress(self.member.tobytes(), 9)).decode("ascii")
        return {"levels": list(self.levels), "sizes": self.sizes.tolist(), "seed": self.seed, "member": packed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Strata:
        """The inverse of :meth:`to_json`."""
        member = np.frombuffer(zlib.decompress(base64.b64decode(values["member"])), np.uint8)
        return cls(member, tuple(values["levels"]), values["seed"])


def shares(held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of the mean each of D examples held at A anchors: the largest share and the mean one, float64 (D,).

    Args:
        held: Float64 (A, D), ``w x`` of every example; those not finite count as all there is.

    Example:
        >>> shares(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, -8.0, 0.0]]))
        (array([1., 1., 4., 1.]), array([0.5, 0.5, 2.5, 0.5]))
    """
    largest = np.zeros(held.shape[1])
    mean = np.zeros(held.shape[1])
    for row in np.abs(held):
        finite = np.isfinite(row)
        total = float(row[finite].sum())
        share = np.where(finite, row / total if total else 0.0, 1.0) * len(row)
        if 2 * finite.sum() < len(row):
            continue  # where most are not finite, a point takes all examples in any case
        largest, mean = np.maximum(largest, share), mean + share / len(held)
    return largest, mean
