"""How fast is each way of evaluating a point, side by side with the loop everybody writes first."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lossviz.errors import LossvizError
from lossviz.evaluate.ways.abilities import ABILITIES
from lossviz.evaluate.ways.choice import default_way, list_ways
from lossviz.evaluate.ways.way import Way, cpu_threads
from lossviz.problem.blame import blamed_on_loss
from lossviz.problem.data.examples import Examples, map_columns
from lossviz.problem.loss_call import take_loss
from lossviz.problem.problem import Problem
from lossviz.records.remark import ignore
from lossviz.space.params import as_held
from lossviz.space.plane import Plane

REFERENCE_BATCH = 128


@dataclass
class Row:
    """What was measured of one way.

    Attributes:
        name: The way in words.
        seconds: A point, median over the rounds; infinite where the way was refused.
        setup_s: Until its first value: compiling, copying.
        difference: Largest difference of a mean from the reference loop's, relative to it.
        reason: Why it was refused.
        points: Grid points a measurement.
        times: Seconds a point, a round each.
    """

    name: str
    seconds: float = math.inf
    setup_s: float = 0.0
    difference: float = 0.0
    reason: str = ""
    points: int = 1
    times: list[float] = field(default_factory=list, repr=False)


def bench(
    problem: Problem,
    plane: Plane,
    *,
    rounds: int = 5,
    compiled: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[str], None] = ignore,
) -> list[Row]:
    """Time a point in every way; the first row is the reference loop.

    The ways take turns, round by round, so that a machine that slows down slows all of them.

    Args:
        problem: Model, loss and resident examples.
        plane: On the problem's device.
        rounds: Measurements a way; the median counts.
        compiled: Whether to try the compiled ways, which take seconds to a minute to set up.
        clock: Seconds; ``time.process_time`` for ratios on a machine that others use too.
        progress: Called with the name of what is set up next.
    """
    split, coordinates = next(iter(problem.examples)), np.full((1, plane.dimension), 0.25)
    reference = ReferenceLoop(problem, plane, split)
    rows, runs = [Row(reference.name)], [lambda: reference.evaluate(coordinates[0])]
    expected = reference.evaluate(coordinates[0])
    for way in ways_of(problem, compiled=compiled):
        progress(str(way))
        row, run = _set_up(way, problem, plane, split, coordinates, expected)
        rows.append(row)
        if run is not None:
            runs.append(run)
    usable = [row for row in rows if not row.reason]
    for _ in range(rounds):
        for row, run in zip(usable, runs, strict=True):
            began = clock()
            run()
            row.times.append((clock() - began) / row.points)
    for row in usable:
        row.seconds = statistics.median(row.times)
    return rows


class ReferenceLoop:
    """The loop everybody writes first: parameters built anew, a DataLoader of single examples, ``.item()`` a batch.

    Ready-made batches stay as the user made them.
    """

    def __init__(self, problem: Problem, plane: Plane, split: str) -> None:
        self.problem, self.plane = problem, plane
        self.model = problem.copied_model()
        examples = problem.examples[split]
        if examples.recuttable:
            self.name = f"reference loop (DataLoader, batches of {REFERENCE_BATCH})"
            self.loader: Iterable[Any] = DataLoader(_Singly(examples), batch_size=REFERENCE_BATCH)
        else:
            self.name, self.loader = "reference loop (ready-made batches)", examples.batches(None)

    def evaluate(self, coordinates: np.ndarray) -> float:
        """Mean of the first quantity at ``coordinates`` (k,)."""
        named = dict(self.model.named_parameters(remove_duplicate=False))
        for name, tensor in self.plane.point(coordinates).items():
            named[name].data = as_held(tensor, named[name])
        total = weight = 0.0
        with torch.no_grad():
            for batch in self.loader:
                outcome = take_loss(self.problem, batch, self.model)
                value, w = next(iter(outcome.values.values())), outcome.weight
                size = outcome.examples if w is None else w.sum().item()
                weight += size
                if w is not None and value.ndim:
                    value = torch.where(w != 0, w * value, 0.0)
                if size:  # a mean over no counted target is 0/0
                    total += value.sum().item() if value.ndim else value.item() * size
        return total / weight


class _Singly(Dataset[Any]):
    """Examples one at a time, as a user's dataset has them."""

    def __init__(self, examples: Examples) -> None:
        self.tree, self.count = examples.batches(None)[0], examples.count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return map_columns(self.tree, lambda column: column[index])


def ways_of(problem: Problem, *, compiled: bool = True) -> list[Way]:
    """The plain loop, and every other way worth trying on this problem and device."""
    plain = default_way(problem)
    ways = [plain, *list_ways(problem, plain)]
    return [way for way in ways if compiled or not ABILITIES[way.strategy].compiles]


def _set_up(
    way: Way, problem: Problem, plane: Plane, split: str, coordinates: np.ndarray, expected: float
) -> tuple[Row, Callable[[], float] | None]:
    row, began = Row(str(way), points=way.points), time.perf_counter()
    tiled = np.repeat(coordinates, way.points, axis=0)
    try:
        evaluator = way.build(problem, plane)

        def run() -> float:
            with cpu_threads(way.threads), blamed_on_loss():
                points = evaluator.evaluate(range(len(tiled)), tiled, [split])
            return points[0].mean(next(iter(points[0].sums)))

        value = run()
    except (LossvizError, RuntimeError, MemoryError) as error:
        row.reason = str(error).strip().splitlines()[0]
        return row, None
    row.setup_s = time.perf_counter() - began
    row.difference = abs(value - expected) / max(abs(expected), 1e-12)
    return row, run
