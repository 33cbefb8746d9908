"""Is every way of evaluating right on this machine, how fast is it, and how much memory does it take?

Small networks of three kinds are evaluated away from their checkpoint in every way that this device offers, and
compared with the plain loop in float64. The measure of speed is the loop everybody writes first, timed in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossviz.directions.make import make_plane
from lossviz.errors import LossvizError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.memory import expected_peak
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.precision import candidates_on
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.way import Evaluator, Way, cpu_threads
from lossviz.problem.float64 import in_float64
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.problem import Problem
from lossviz.records.doubts import NEAR, RELATIVE_TOLERANCE
from lossviz.records.plan import PlaneSpec
from lossviz.space.plane import Plane
from lossviz.studies.bench import ReferenceLoop, ways_of

AWAY = np.array([[0.0, 0.0], [0.5, -0.25], [1.0, 1.0]])
REPEATS = 1e-6  # relative: kernels sum in any order
ROUNDS = 3
TIGHT = 100  # examples that fit into the memory that is pretended to be small


@dataclass(frozen=True)
class Finding:
    """What was found of one way.

    Attributes:
        problem: Which network.
        way: The way in words.
        precision: Of its passes.
        error: Largest distance from float64, relative to the value; None where the way cannot be used.
        limit: The largest that is right.
        times_faster: Than the reference loop of the same run.
        memory: Peak of the device's memory over what was expected; None on CPUs.
        verdict: ``"ok"``, ``"wrong"``, or ``"not usable"``.
        reason: Why it is not usable, or what is wrong.
    """

    problem: str
    way: str
    precision: str
    error: float | None = None
    limit: float | None = None
    times_faster: float | None = None
    memory: float | None = None
    verdict: str = "ok"
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def selftest(
    device: torch.device, *, compiled: bool = True, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Try every way on a device.

    Args:
        device: Where.
        compiled: Whether to try the ways that take seconds to a minute to compile.
        progress: Called with what is tried next.
    """
    for name, problem in problems_on(device):
        plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params).beside(problem.params, torch.float32)
        trial = Trial(name, problem, plane)
        for precision in ("float32", *candidates_on(device.type)):
            if precision == "float16":  # its range is too small for some sums: on GPUs it is there to be tried
                continue
            for way in ways_of(problem, compiled=compiled):
                progress(f"{name}, {precision}, {way}")
                yield trial.of(way, precision)
        yield _short_of_memory(trial)


class Trial:
    """One problem, its values in float64 and the time of the reference loop.

    Args:
        name: Of the problem.
        problem: On the device that is tried.
        plane: Beside it.
    """

    def __init__(self, name: str, problem: Problem, plane: Plane) -> None:
        self.name, self.problem, self.plane = name, problem, plane
        wide = in_float64(problem)
        points = [{n: t.double() for n, t in plane.point(place).items()} for place in AWAY]
        self.truth = np.array([_mean(evaluate_params(wide, point, "train")) for point in points])
        self._reference = ReferenceLoop(problem, plane, "train")
        self._own_error: dict[str, float] = {}  # of the plain loop, which comes first

    def of(self, way: Way, precision: str) -> Finding:
        """What is found of a way in a precision."""
        found = Finding(self.name, str(way), precision)
        try:
            problem = in_precision(self.problem, precision)
            if self.problem.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.problem.device)
            evaluator = way.build(problem, self.plane)
            values, again = (self._values(evaluator, way) for _ in range(2))
        except (LossvizError, RuntimeError, MemoryError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return replace(found, verdict="not usable", reason=reason[:200])
        error = float(np.max(np.abs(values - self.truth) / np.abs(self.truth)))
        own = self._own_error.setdefault(precision, error)
        limit = RELATIVE_TOLERANCE + (NEAR * own if precision != "float32" else 0.0)
        if precision != "float32" and way == ways_of(self.problem)[0]:
            limit = 0.1  # how far the loop itself is from float64 is stated with every surface
        wrong = f"{error:.1e} from float64" if not error <= limit else ""
        if not np.allclose(values, again, rtol=REPEATS, atol=0.0):
            wrong = "two evaluations differ"
        return replace(
            found, error=error, limit=limit, times_faster=self._times_faster(evaluator, way), memory=self._memory(way),
            verdict="wrong" if wrong else "ok", reason=wrong,
        )  # fmt: skip

    def _values(self, evaluator: Evaluator, way: Way) -> np.ndarray:
        with cpu_threads(way.threads):
            return np.array([_mean(point) for point in evaluator.evaluate(range(len(AWAY)), AWAY, ["train"])])

    def _times_faster(self, evaluator: Evaluator, way: Way) -> float:
        """The reference loop's time over the way's, in turns."""
        where = np.repeat(AWAY[1:2], max(way.points, 4), axis=0)
        pairs = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            self._reference.evaluate(AWAY[1])
            middle = time.perf_counter()
            with cpu_threads(way.threads):
                evaluator.evaluate(range(len(where)), where, ["train"])
            pairs.append((middle - began, (time.perf_counter() - middle) / len(where)))
        slow, fast = (statistics.median(times) for times in zip(*pairs, strict=True))
        return slow / fast

    def _memory(self, way: Way) -> float | None:
        if self.problem.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated(self.problem.device)
        return peak / expected_peak(self.problem, self.plane.dimension, way).total


def _short_of_memory(trial: Trial) -> Finding:
    """Whether batches are halved where memory does not suffice."""
    found = Finding(trial.name, f"a memory for {TIGHT} examples", "float32", limit=RELATIVE_TOLERANCE)
    loss = trial.problem.loss

    def tight(model: nn.Module, batch: Any) -> Any:
        if len(batch[0]) > TIGHT:
            raise torch.OutOfMemoryError("out of memory, pretended")
        return loss(model, batch)

    engine = Engine(replace(trial.problem, loss=tight), trial.plane, batch_size=256)
    try:
        points = engine.evaluate_points(range(len(AWAY)), AWAY, ["train"])
    except LossvizError as error:
        return replace(found, verdict="wrong", reason=str(error).splitlines()[0])
    values = np.array([_mean(point) for point in points])
    error = float(np.max(np.abs(values - trial.truth) / np.abs(trial.truth)))
    return replace(found, error=error, verdict="ok" if error <= RELATIVE_TOLERANCE else "wrong")


def problems_on(device: torch.device) -> Iterator[tuple[str, Problem]]:
    """Small networks of three kinds, each with a few hundred examples, or thousands on a GPU."""
    count = 400 if device.type == "cpu" else 8000
    with preserved_globals():
        labels = torch.arange(count) % 10
        perceptron = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        images = torch.randn(count, 1, 8, 8)
        convolutions = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)),
        )
        convolutions(images[:100])  # statistics of its own
        block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        attention = nn.Sequential(nn.Embedding(20, 16), block, nn.Flatten(), nn.Linear(6 * 16, 10))
        tokens = torch.randint(20, (count, 6))
        vectors = torch.randn(count, 16)
    for name, net, inputs in (
        ("perceptron", perceptron, vectors), ("convolutions", convolutions, images), ("attention", attention, tokens),
    ):  # fmt: skip
        yield name, Problem.make(net, (inputs, labels), _loss, name=name, device=device)


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def _mean(point: Any) -> float:
    return point.mean("loss")
