"""Which floating-point type forward passes take, and what a narrow one costs in accuracy, measured."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from lossviz.errors import ProblemError
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.halving import halved
from lossviz.problem.problem import Problem
from lossviz.records.facts import PrecisionFacts
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan
from lossviz.space.plane import Plane

FLOOR = 1e-2  # of the median value, where the relative error of a loss near zero would say nothing


def settle_precision(plan: Plan, problem: Problem, plane: Plane, batch_size: int) -> PrecisionFacts:
    """Choose the precision where the plan leaves it open, and measure what a narrow one costs.

    Each candidate is compared with float32 at the centre, the corners and the middles of the edges.

    Returns:
        What is used, and what was compared; errors are relative to the value plus ``FLOOR`` of their median.
    """
    if plan.precision in ("float32", "float64"):
        return PrecisionFacts(used=plan.precision)
    candidates = candidates_on(problem.device.type) if plan.precision == "auto" else (plan.precision,)
    coordinates = probe_coordinates(plan.grid)
    truth, truth_s = _evaluate(problem, plane, "float32", coordinates, plan.splits, batch_size)
    tried = {"float32": {"error": 0.0, "seconds": truth_s}}
    for name in candidates:
        with _failures_as_unusable():
            values, seconds = _evaluate(problem, plane, name, coordinates, plan.splits, batch_size)
            tried[name] = {"error": relative_error(values, truth), "seconds": seconds}
    used = plan.precision
    if used == "auto":
        good = {name: row for name, row in tried.items() if row["error"] <= plan.precision_tolerance}
        used = min(good, key=lambda name: good[name]["seconds"])
    return PrecisionFacts(used=used, error=tried[used]["error"], tried=tried)


def candidates_on(device: str) -> tuple[str, ...]:
    """Narrower types worth trying on a kind of device."""
    return ("tf32", "bfloat16", "float16") if device == "cuda" else ("bfloat16",)


def probe_coordinates(grid: Grid) -> np.ndarray:
    """Centre, corners and middles of the edges of a grid: float64 (3^k, k).

    Example:
        >>> probe_coordinates(Grid.parse("-1:1:5"))
        array([[-1.],
               [ 0.],
               [ 1.]])
    """
    ends = [(axis.coordinates[0], (axis.coordinates[0] + axis.coordinates[-1]) / 2, axis.coordinates[-1])
            for axis in grid.axes]  # fmt: skip
    return np.array(list(itertools.product(*ends)))


def relative_error(values: np.ndarray, truth: np.ndarray) -> float:
    """Largest difference relative to the true value; infinite where only one of them is finite.

    Where several values are compared, ``FLOOR`` of their median counts as their least size.
    """
    both = np.isfinite(values) & np.isfinite(truth)
    if (np.isfinite(values) != np.isfinite(truth)).any():
        return float("inf")
    size = np.abs(truth[both])
    size = size + FLOOR * np.median(size) if size.size > 1 else size
    off = np.abs(values[both] - truth[both])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(off == 0, 0.0, off / size), initial=0.0))


def _evaluate(
    problem: Problem, plane: Plane, precision: str, coordinates: np.ndarray, splits: Sequence[str], batch_size: int
) -> tuple[np.ndarray, float]:
    """First quantity at every probe and split, and the seconds a point."""
    problem = in_precision(problem, precision)
    parts = list(problem.examples.values())
    return halved(lambda size: _evaluate_in(problem, plane, coordinates, splits, size), batch_size, parts)


def _evaluate_in(
    problem: Problem, plane: Plane, coordinates: np.ndarray, splits: Sequence[str], batch_size: int
) -> tuple[np.ndarray, float]:
    loop = Loop(problem, plane, batch_size=batch_size)
    loop.evaluate([0], coordinates[:1], splits)  # warms up
    began = time.perf_counter()
    points = loop.evaluate(range(len(coordinates)), coordinates, splits)
    seconds = (time.perf_counter() - began) / len(coordinates)
    return np.array([point.mean(next(iter(point.sums))) for point in points]), seconds


@contextmanager
def _failures_as_unusable() -> Iterator[None]:
    """A type that an operation of the model does not know is left out."""
    try:
        yield
    except (ProblemError, RuntimeError):
        return
