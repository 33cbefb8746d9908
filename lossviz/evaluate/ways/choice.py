"""The measured choice between ways of evaluating: try them on the run's own points, keep the fastest that is right.

A way is tried only after it gave the plain loop's values at a point away from the centre, and chosen only after it gave
them at several: corners, edge middles and points inside. Points evaluated while measuring count; only the comparison
costs points, and trying stops to be worth it when little is left.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from lossviz.errors import LossvizError, UsageError
from lossviz.evaluate.ways.abilities import ABILITIES
from lossviz.evaluate.ways.nearness import Nearness
from lossviz.evaluate.ways.prefix import with_cached_prefix
from lossviz.evaluate.ways.way import Evaluator, Way, cpu_threads, has_images, is_convolutional
from lossviz.problem.blame import blamed_on_loss, is_out_of_memory
from lossviz.problem.problem import Problem
from lossviz.records.point import Point
from lossviz.space.plane import Plane

WORTH_TRYING_S = 10.0  # a shorter rest of the run is over before trying pays
WORTH_COMPILING_S = 60.0
WORTH_AUTOTUNING_S = 300.0
TRIAL_S = 0.3  # how long one way is timed
TEAM_RISK = 1.3  # a thread team that wins by less loses as soon as another process takes a core
DIVIDED_BATCH = 8  # a batch too large for a divided model ends all its ranks
RIVAL, ROUNDS = 1.5, 3  # ways within this factor of the best are timed again in turn, so many times


@dataclass
class Trial:
    """What was found about one way.

    Attributes:
        way: The way.
        seconds: A point, over all splits; infinite where the way was refused.
        setup_s: Time until its first point, compiling included.
        reason: Why it was refused; empty where it was not.
    """

    way: Way
    seconds: float = math.inf
    setup_s: float = 0.0
    reason: str = ""


def default_way(problem: Problem, batch_size: int | None = None) -> Way:
    """What is used when nothing is measured: batches that fit a CPU's cache or fill a GPU."""
    if problem.layout.mover is not None:
        return Way("loop", batch_size or DIVIDED_BATCH)
    usual = 256 if problem.device.type == "cpu" else 4096
    return Way("loop", batch_size or usual)


def list_ways(problem: Problem, baseline: Way) -> list[Way]:
    """The ways worth trying on this problem and device, cheap ones first, compiled ones last."""
    most = max(examples.count for examples in problem.examples.values())
    cuda, images = problem.device.type == "cuda", has_images(problem)
    sizes = [2048, 8192, 32768] if cuda else [512, 2048]
    sizes = sorted({min(size, most) for size in sizes} - {baseline.batch_size})
    ways = [Way("loop", size) for size in sizes]
    if images:
        ways += [Way("loop", min(512 if not cuda else 4096, most), channels_last=True)]
    if images and not cuda:  # measured to win on CPUs, with and without compiling
        ways += [Way("loop", even_batch(most, 1024), channels_last=True, folded=True)]
    if not images or (cuda and not is_convolutional(problem)):
        ways += [Way("stacked", min(size, most), points=points) for points, size in ((8, 512), (32, 8192))]
    compiled = "replayed" if cuda else "compiled"
    # every shape of a batch is compiled by itself, so that one for all splits is sought
    size = common_batch([examples.count for examples in problem.examples.values()], 4096 if cuda else 2048)
    ways += [Way(compiled, size)]
    if images:
        size = size if cuda else common_batch([examples.count for examples in problem.examples.values()], 1024)
        ways += [Way(compiled, size, channels_last=True)]
    if images and not cuda:
        ways += [Way(compiled, size, channels_last=True, folded=True)]
    if cuda:  # its convolutions gain from autotuning, oneDNN's are tuned already
        ways += [Way(compiled, size, channels_last=images, autotune=True)]
    return ways


def worth_s(way: Way) -> float:
    """Seconds of work that must be left for a way to be worth its trial."""
    if way.autotune:
        return WORTH_AUTOTUNING_S
    return WORTH_COMPILING_S if ABILITIES[way.strategy].compiles else WORTH_TRYING_S


def even_batch(examples: int, largest: int) -> int:
    """The batch size that cuts ``examples`` into equal parts, as few as stay under ``largest``, but for rounding.

    Example:
        >>> even_batch(1797, 1024), even_batch(500, 1024)
        (899, 500)
    """
    return math.ceil(examples / math.ceil(examples / largest))


def common_batch(counts: Sequence[int], largest: int) -> int:
    """The largest batch size up to ``largest`` that cuts every split into whole batches, if it is not too small.

    Else that of :func:`even_batch` for the largest split.

    Example:
        >>> common_batch([50000, 10000], 4096), common_batch([50000], 4096), common_batch([997, 400], 300)
        (2500, 3125, 250)
    """
    whole = math.gcd(*counts)
    found = max(size for size in range(1, min(largest, whole) + 1) if whole % size == 0)
    most = max(counts)
    return found if 4 * found >= min(largest, most) else even_batch(most, largest)


@dataclass
class Choice:
    """Chooses a way while points are being evaluated.

    Iterate :meth:`run` for the points; afterwards :attr:`best` holds the way to go on with and :attr:`trials` what was
    measured.

    Attributes:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        guards: How many of the points at the head of a run are compared before a way is chosen.
        plainly: Evaluates points by the plain loop, with less memory where it must.
        baseline: Tells the plain loop's way, which may have changed for want of memory.
        trials: What was measured.
        evaluator: The best way's evaluator; None where that is the plain loop.
        used: The way that evaluated the points given last; None for the plain loop.
        nearness: Tells whether points are right; made where it is needed.
    """

    problem: Problem
    plane: Plane
    plainly: Callable[[Sequence[int], np.ndarray, Sequence[str]], list[Point]]
    baseline: Callable[[], Way]
    trials: list[Trial] = field(default_factory=list)
    evaluator: Evaluator | None = None
    guards: int = 2
    used: Way | None = None
    nearness: Nearness | None = None
    _rivals: list[tuple[Trial, Evaluator | None]] = field(default_factory=list)

    @property
    def best(self) -> Trial:
        """The fastest way found so far, a thread team only if it is clearly faster than one thread."""
        return min(self.trials, key=lambda trial: trial.seconds * (TEAM_RISK if self._has_team(trial.way) else 1.0))

    def run(self, indices: np.ndarray, coordinates: np.ndarray, splits: Sequence[str]) -> Iterator[list[Point]]:
        """Evaluate points from the head of ``indices`` (K,) at ``coordinates`` (K, k) until the choice is made."""
        done = yield from self._measure_baseline(indices, coordinates, splits)
        if done is None:
            return
        known, used = done
        for way in self._ways():
            # a thread team stalls when a core is busy elsewhere: what one thread won, one thread keeps
            way = replace(way, threads=way.threads or self.best.way.threads)
            left_s = (len(indices) - used) * self.best.seconds
            if left_s < worth_s(way):
                continue
            part = slice(used, used + max(way.points, math.ceil(TRIAL_S / self.best.seconds)))
            points = self._try(way, known, indices[part], coordinates[part], splits)
            used += len(points) // len(splits)
            if points:
                self.used = way
                yield points
        if self.problem.device.type == "cpu" and (len(indices) - used) * self.best.seconds >= WORTH_TRYING_S:
            yield from self._time_in_turn(indices[used:], coordinates[used:], splits)
        self.used = None

    def _time_in_turn(
        self, indices: np.ndarray, coordinates: np.ndarray, splits: Sequence[str]
    ) -> Iterator[list[Point]]:
        """Time the best ways again, each in turn and its fastest round counting: noise then spoils none of them."""
        rivals = [(trial, made) for trial, made in self._rivals if trial.seconds <= RIVAL * self.best.seconds]
        if len(rivals) < 2:
            return
        seconds, used = {id(trial): math.inf for trial, _ in rivals}, 0
        for trial, made in rivals * ROUNDS:
            size = max(trial.way.points, math.ceil(TRIAL_S / ROUNDS / trial.seconds))
            part = slice(used, used + size)
            if used + size > len(indices):
                break
            began = self._clock(trial.way)
            if made is None:
                points = self.plainly(indices[part].tolist(), coordinates[part], splits)
            else:
                points = _evaluate(made, trial.way, indices[part], coordinates[part], splits)
            seconds[id(trial)] = min(seconds[id(trial)], (self._clock(trial.way) - began) / size)
            used += size
            self.used = None if made is None else trial.way
            yield points
        for trial, _ in rivals:
            trial.seconds = min(seconds[id(trial)], trial.seconds)
        self.evaluator = next(made for trial, made in rivals if trial is self.best)

    def _clock(self, way: Way) -> float:
        """Seconds of the clock that a way is timed with: where one CPU thread works, only its own work counts."""
        alone = self.problem.device.type == "cpu" and (way.threads or torch.get_num_threads()) == 1
        return time.thread_time() if alone else time.perf_counter()

    def _compare(
        self, evaluator: Evaluator, way: Way, known: tuple[list[Point], np.ndarray], splits: Sequence[str], some: slice
    ) -> str:
        """Why a way is not right at some of the known points; empty when it is."""
        expected, where = known
        indices = np.array([point.index for point in expected if point.split == splits[0]])[some]
        found = {(p.index, p.split): p for p in _evaluate(evaluator, way, indices, where[some], splits)}
        both = [(point, found[point.index, point.split]) for point in expected if point.index in indices]
        places = dict(zip(indices.tolist(), where[some], strict=True))
        return self._near().disagreement([one for one, _ in both], [other for _, other in both], places)

    def _near(self) -> Nearness:
        if self.nearness is None:
            self.nearness = Nearness(self.problem, self.plane, self.baseline().batch_size)
        return self.nearness

    def _has_team(self, way: Way) -> bool:
        return self.problem.device.type == "cpu" and (way.threads or torch.get_num_threads()) > 1

    def _has_prefix(self) -> bool:
        """Whether some of the model stands before all that moves."""
        if len(self.plane.moved) == len(list(self.problem.model.parameters())):
            return False
        try:
            with_cached_prefix(self.problem, self.plane.moved)
        except UsageError:
            return False
        return True

    def _ways(self) -> list[Way]:
        ways = list_ways(self.problem, self.baseline())
        if self._has_prefix():
            plain = [self.baseline(), *(way for way in ways if way.strategy == "loop" and not way.folded)]
            ways = [*(replace(way, cached=True) for way in plain), *ways]
        if self._has_team(self.baseline()):
            ways = [replace(self.baseline(), threads=1), *ways]
        return ways

    def _measure_baseline(
        self, indices: np.ndarray, coordinates: np.ndarray, splits: Sequence[str]
    ) -> Iterator[list[Point]]:
        """Time the plain loop; returns the points to compare and how many were used, or None if done."""
        # 1. the first points warm up
        size = min(len(indices), 2)
        first = self.plainly(indices[:size].tolist(), coordinates[:size], splits)
        yield first
        known = list(first)
        trial = Trial(self.baseline())
        self.trials.append(trial)
        # 2. the next ones are timed, until the clock can be trusted and the points to compare are there
        self._rivals.append((trial, None))
        used, spent = size, 0.0
        while used < len(indices) and (used < self.guards or spent < TRIAL_S):
            began = self._clock(trial.way)
            points = self.plainly([int(indices[used])], coordinates[used : used + 1], splits)
            spent += self._clock(trial.way) - began  # without what the run does with its points
            known += points if used < self.guards else []
            used += 1
            trial.seconds = spent / (used - size)
            yield points
            if (len(indices) - used) * trial.seconds < WORTH_TRYING_S:
                return None
        if used >= len(indices):
            return None
        return (known, coordinates[: max(size, self.guards)]), used

    def _try(
        self, way: Way, known: tuple[list[Point], np.ndarray], indices: np.ndarray, coordinates: np.ndarray,
        splits: Sequence[str],
    ) -> list[Point]:  # fmt: skip
        trial, began = Trial(way), time.perf_counter()
        self.trials.append(trial)
        try:
            evaluator = way.build(self.problem, self.plane)
            trial.reason = self._compare(evaluator, way, known, splits, slice(1, 2))
            trial.setup_s = time.perf_counter() - began
            if trial.reason:
                return []
            began = self._clock(way)
            points = _evaluate(evaluator, way, indices, coordinates, splits)
            seconds = (self._clock(way) - began) / max(len(indices), 1)
            # the rest of the comparison is for a way that may be chosen
            if seconds <= RIVAL * self.best.seconds:
                trial.reason = self._compare(evaluator, way, known, splits, slice(0, None))
                if trial.reason:
                    return []
        except (LossvizError, RuntimeError, MemoryError) as error:
            trial.reason = "memory does not suffice" if is_out_of_memory(error) else _first_line(error)
            return []
        trial.seconds = seconds
        if trial is self.best:
            self.evaluator = evaluator
        fastest = sorted([*self._rivals, (trial, evaluator)], key=lambda rival: rival[0].seconds)
        self._rivals = [rival for rival in fastest if rival in fastest[:2] or rival[0] is self.best]
        return points


def _evaluate(
    evaluator: Evaluator, way: Way, indices: np.ndarray, coordinates: np.ndarray, splits: Sequence[str]
) -> list[Point]:
    began = time.perf_counter()
    with cpu_threads(way.threads), blamed_on_loss():
        points = evaluator.evaluate(indices.tolist(), coordinates, splits)
    seconds = (time.perf_counter() - began) / max(len(points), 1)
    return [replace(point, seconds=seconds) for point in points]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
