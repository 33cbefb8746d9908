"""Is a fast way right? Up to rounding it gives the plain loop's values; in a narrow type it is as near to float32.

Programs of a narrow type round in different places, fused ones less often: a right one may lie further from the plain
loop than rounding in float32 allows, and nearer to the truth. So there its distance from the float32 loop counts,
beside the narrow loop's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lossviz.evaluate.passes import in_float32, rounding_error
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.halving import halved
from lossviz.problem.problem import Problem
from lossviz.records.doubts import NEAR, RELATIVE_TOLERANCE, ROUNDING, agree
from lossviz.records.point import Point
from lossviz.space.plane import Plane

FINER = 1e-2  # of the tolerances for float32, in float64, where a model may have parts in float32


class Nearness:
    """Tells whether points of a fast way are right.

    Args:
        problem: In the precision of its passes.
        plane: Origin and directions.
        batch_size: Of the float32 loop, which is asked only where a narrow way differs by more than rounding.
    """

    def __init__(self, problem: Problem, plane: Plane, batch_size: int) -> None:
        self.wide, self.plane, self.batch_size = in_float32(problem), plane, batch_size
        self.error = rounding_error(problem)
        self.finer = FINER if all(t.dtype == torch.float64 for t in problem.params.values()) else 1.0
        self._known: dict[tuple[int, str], Point] = {}

    def disagreement(self, expected: Sequence[Point], found: Sequence[Point], where: Mapping[int, np.ndarray]) -> str:
        """Why ``found`` is not what the plain loop ``expected``; empty when it is.

        Args:
            expected: Points of the plain loop.
            found: The same points by a fast way.
            where: Coordinates (k,) by flat index.
        """
        for one, other in zip(expected, found, strict=True):
            for name in one.sums:
                if text := difference(one, other, name, self.finer):
                    if self.wide is not None and self._is_near(one, other, name, where[one.index]):
                        continue
                    return text
        return ""

    def _is_near(self, one: Point, other: Point, name: str, coordinates: np.ndarray) -> bool:
        truth = self._in_float32(one, coordinates).mean(name)
        own = max(abs(one.mean(name) - truth), self.error * abs(truth))
        return abs(other.mean(name) - truth) <= NEAR * own

    def _in_float32(self, point: Point, coordinates: np.ndarray) -> Point:
        key = (point.index, point.split)
        if key not in self._known:
            assert self.wide is not None
            problem, split = self.wide, point.split

            def evaluate(size: int) -> Point:
                loop = Loop(problem, self.plane, batch_size=size)
                return loop.evaluate([point.index], coordinates[None], [split])[0]

            self._known[key] = halved(evaluate, self.batch_size, [problem.examples[split]])
        return self._known[key]


def disagreement(expected: Sequence[Point], found: Sequence[Point]) -> str:
    """Why ``found`` is not what the plain loop ``expected``; empty when it is, up to rounding."""
    texts = (difference(one, other, name) for one, other in zip(expected, found, strict=True) for name in one.sums)
    return next(filter(None, texts), "")


def difference(one: Point, other: Point, name: str, finer: float = 1.0) -> str:
    """How a quantity of a point differs from the plain loop's by more than rounding; empty when it does not.

    Right fast ways of 45 random networks differed by less than 2e-7 of the value in float32, by 7e-16 in float64.
    """
    a, b = one.mean(name), other.mean(name)
    if agree(name, b, a, one.count, finer * ROUNDING * one.deviation(name), finer * RELATIVE_TOLERANCE):
        return ""
    digits = 7 if finer == 1.0 else 13
    return f"gives another {one.split} {name}: {b:.{digits}g}, the plain loop {a:.{digits}g}"
