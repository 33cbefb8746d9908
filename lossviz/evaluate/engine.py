"""From pending grid points to evaluated ones, as a generator of chunks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from lossviz.errors import ProblemError
from lossviz.evaluate.derivatives import Derivatives
from lossviz.evaluate.hidden_state import HiddenState
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.ranks.sliced import build_evaluator
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.ways.choice import Choice, Trial, default_way
from lossviz.evaluate.ways.guard import Sample, is_plain, spread_first
from lossviz.evaluate.ways.nearness import Nearness
from lossviz.evaluate.ways.way import Evaluator, Way, cpu_threads
from lossviz.problem.blame import blamed_on_loss, is_out_of_memory
from lossviz.problem.halving import half_batch
from lossviz.problem.problem import Problem
from lossviz.records.facts import EngineFacts
from lossviz.records.grid import Grid
from lossviz.records.order import coarse_to_fine
from lossviz.records.point import Point
from lossviz.records.remark import Remark, doubt, texts
from lossviz.records.surface import Surface
from lossviz.space.plane import Plane

CHUNK_S = 0.25  # a chunk lasts about this long: progress moves, signals are heard, and transfers cost nothing


class Engine:
    """Evaluates points of one plane of one problem, and says in which way.

    Args:
        problem: Model, loss and resident examples.
        plane: Origin and directions, on the problem's device.
        way: How to evaluate; None measures the ways on the run's first points and takes the fastest.
        batch_size: Examples a forward pass of the way that measuring starts from; None takes the device's default.
        sampling: When a point stops, the problem's examples being in its order. Points then differ in length, so that
            nothing is measured and the plain loop is taken unless ``way`` says otherwise.
        derivatives: Adds quantities to every point, beside which its forward passes cost little: nothing is measured
            then either.
        group: The ranks that sum each point together, this process leading them; nothing is measured then either, nor
            where one process sums the slices of a point.
        doubts: Of earlier sessions on the same run.

    Attributes:
        way: The way in use.
        settled: Whether that way is the one to stay with.
        trials: What measuring found; empty when nothing was measured.
        remarks: What had to be changed on the run (subject ``"way"``), and what a comparison of fast ways leaves open.
    """

    def __init__(
        self,
        problem: Problem,
        plane: Plane,
        *,
        way: Way | None = None,
        batch_size: int | None = None,
        sampling: Sampling | None = None,
        derivatives: Derivatives | None = None,
        group: Group | None = None,
        doubts: Sequence[str] = (),
    ) -> None:
        self.problem, self.plane, self.sampling = problem, plane, sampling
        self.derivatives, self.group = derivatives, group
        self.trials: list[Trial] = []
        self.remarks: list[Remark] = doubt("earlier session", doubts)
        self._recalled = False
        self._plain_batch = batch_size or (way.batch_size if way and is_plain(way) else None)
        self._fast = Sample()
        layout = problem.layout
        plain = layout.slices > 1 or bool(layout.placement) or sampling is not None or derivatives is not None
        self._unmeasured = way is None and not plain
        self.settled = not self._unmeasured
        self.way = way or default_way(problem, batch_size)
        self._evaluator: Evaluator | None = None
        self._state: HiddenState | None = None

    def exhaustive(self) -> Engine:
        """An engine in the same way that takes all examples at every point, for what the loss returns alone."""
        return Engine(self.problem, self.plane, way=self.way, group=self.group)

    def stopping(self, sampling: Sampling | None) -> Engine:
        """An engine in the same way whose points stop early; this one where they do not."""
        if sampling is None:
            return self
        how = {"way": self.way, "sampling": sampling, "group": self.group, "doubts": texts(self.remarks, "doubt")}
        return Engine(sampling.ordered(self.problem), self.plane, **how)

    @property
    def facts(self) -> EngineFacts:
        """What was chosen and why, for the file."""
        trials = [
            {"way": str(t.way), "setup_s": t.setup_s, "reason": t.reason}
            | ({"seconds": t.seconds} if math.isfinite(t.seconds) else {})
            for t in self.trials
        ]
        threads = self.way.threads or torch.get_num_threads()
        notes = tuple(remark.text for remark in self.remarks if remark.subject == "way")
        facts = EngineFacts(
            way=self.way.facts, settled=self.settled, threads=threads, trials=tuple(trials), notes=notes
        )
        doubts = texts(self.remarks, "doubt")
        return facts.evolve(doubts=doubts) if doubts else facts

    def evaluate(self, grid: Grid, pending: Mapping[str, np.ndarray]) -> Iterator[list[Point]]:
        """Evaluate the ``pending`` flat indices of every split, coarse to fine, and yield them chunk by chunk.

        All splits in which a point is pending are evaluated while the model stands there.

        Raises:
            ProblemError: If the user's model or loss raises, or not even one example at a time fits into memory.
        """
        self._state = self._state or HiddenState.of(self.problem)
        for splits, indices in group_by_splits(pending):
            left = coarse_to_fine(grid, indices, snake=self.derivatives is not None)
            if self._unmeasured:
                order, guards = spread_first(grid.coordinates(left))
                left = left[order]
                for points in self._choose(left, grid.coordinates(left), splits, guards):
                    left = left[len(points) // len(splits) :]
                    yield points
            size = self.way.points
            while len(left):
                chunk, start = left[:size], time.perf_counter()
                points = self.evaluate_points(chunk.tolist(), grid.coordinates(chunk), splits)
                seconds = time.perf_counter() - start
                left, size = left[len(chunk) :], next_chunk_size(len(chunk), seconds, self.way.points)
                points = [replace(point, seconds=seconds / len(points)) for point in points]
                self._remember(points, splits, self.way)
                yield points
        yield from self.compare(grid)

    def recall(self, surface: Surface, share: np.ndarray | None = None) -> None:
        """Take points that earlier sessions evaluated in a fast way into the comparison at the end, once.

        Args:
            surface: What they stored.
            share: Flat indices to look at; None takes all.
        """
        if self._recalled or self._unmeasured or is_plain(self.way) or self.sampling is not None:
            return
        self._recalled = True
        for split, counts in surface.splits.items():
            done = np.flatnonzero(surface.evaluated(split).ravel())
            done = done if share is None else np.intersect1d(done, share)
            seconds = float(np.nansum(counts.seconds.ravel()[done]))
            self._fast.take(done, split, lambda index, split=split: surface.point(index, split), seconds)

    def check_state(self) -> None:
        """Demand that buffers, modes and examples are what they were before the first point.

        Raises:
            ProblemError: Naming what has changed.
        """
        if self._state is not None:
            self._state.check(self.problem)

    def plainly(self) -> Engine:
        """An engine over the same problem in the plain loop."""
        return Engine(self.problem, self.plane, way=default_way(self.problem, self._plain_batch), group=self.group)

    def _remember(self, points: list[Point], splits: Sequence[str], way: Way | None) -> None:
        if way is not None and not is_plain(way) and self.sampling is None:
            self._fast.add(points, splits)

    def compare(self, grid: Grid) -> Iterator[list[Point]]:
        """Compare fast points, drawn at random, with the plain loop's; yields all of them anew where one is wrong.

        Those that were compared are not compared again.
        """
        fast = self._fast
        plain = self.plainly()
        near = Nearness(self.problem, self.plane, plain.way.batch_size)
        for point in fast.drawn():
            place = grid.coordinates([point.index])
            (again,) = plain.evaluate_points([point.index], place, [point.split])
            found = replace(point, sums={name: point.sums[name] for name in again.sums})
            reason = near.disagreement([again], [found], {point.index: place[0]})
            if reason:
                break
        else:
            self._fast = fast.again()
            self._say_limits(fast.limits())
            return
        self._fast = Sample()
        at = ", ".join(f"{c:g}" for c in grid.coordinates([point.index])[0])
        text = (
            f"A fast way ({self.way}) {reason} at ({at}): the {fast.count} values it gave were discarded and evaluated "
            "again by the plain loop."
        )
        self.remarks.append(Remark("doubt", "way", text))
        self._take(plain.way)
        for splits, indices in fast.places:
            for index in indices:
                yield self.evaluate_points([int(index)], grid.coordinates([int(index)]), splits)

    def _say_limits(self, sentence: str) -> None:
        """Keep the last word on what the comparison cannot exclude."""
        self.remarks = [remark for remark in self.remarks if remark.subject != "comparison"]
        self.remarks += doubt("comparison", [sentence] if sentence else [])

    def evaluate_points(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points at ``coordinates`` (K, k); with less memory, or plainly, when the way fails."""
        while True:
            try:
                self._evaluator = self._evaluator or build_evaluator(
                    self.way, self.problem, self.plane, self.sampling, group=self.group
                )
                with cpu_threads(self.way.threads), blamed_on_loss():
                    points = self._evaluator.evaluate(indices, coordinates, splits)
                    if self.derivatives is None:
                        return points
                    return self.derivatives.extend(points, dict(zip(indices, coordinates, strict=True)))
            except (RuntimeError, MemoryError) as error:
                self._take(self._smaller(error))
            except ProblemError as error:
                self._take(self._plainer(error))

    def _choose(
        self, indices: np.ndarray, coordinates: np.ndarray, splits: Sequence[str], guards: int
    ) -> Iterator[list[Point]]:
        """Measure, yielding the points it took."""
        self._unmeasured = False
        choice = Choice(self.problem, self.plane, self.evaluate_points, lambda: self.way, self.trials, guards=guards)
        for points in choice.run(indices, coordinates, splits):
            self._remember(points, splits, choice.used)
            yield points
        if choice.evaluator is not None:
            self.way, self._evaluator = choice.best.way, choice.evaluator
        self.settled = True

    def _smaller(self, error: Exception) -> Way:
        if self.way.points > 1 and is_out_of_memory(error):
            smaller = replace(self.way, points=self.way.points // 2)
        else:
            smaller = replace(
                self.way, batch_size=half_batch(error, self.way.batch_size, self.problem.examples.values())
            )
        self.remarks.append(Remark("said", "way", f"Out of memory with {self.way}."))
        return smaller

    def _plainer(self, error: ProblemError) -> Way:
        if self.way.strategy == "loop":
            raise error
        text = f"The plain loop is used, since {self.way} failed: {str(error).splitlines()[0]}"
        self.remarks.append(Remark("said", "way", text))
        return default_way(self.problem)

    def _take(self, way: Way) -> None:
        self.way, self._evaluator = way, None


def next_chunk_size(size: int, seconds: float, multiple: int = 1) -> int:
    """Points for the next chunk so that it lasts about ``CHUNK_S``; grows at most fourfold, in whole multiples.

    Example:
        >>> next_chunk_size(4, 0.125), next_chunk_size(4, 100.0), next_chunk_size(4, 1e-9), next_chunk_size(8, 0.1, 8)
        (8, 1, 16, 16)
    """
    wanted = max(1, min(4 * size, int(size * CHUNK_S / max(seconds, 1e-9))))
    return max(multiple, wanted // multiple * multiple)


def group_by_splits(pending: Mapping[str, np.ndarray]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Indices by the set of splits they are pending in, the largest set first."""
    wanted: dict[int, list[str]] = {}
    for split, indices in pending.items():
        for index in np.asarray(indices).tolist():
            wanted.setdefault(index, []).append(split)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, splits in wanted.items():
        groups.setdefault(tuple(splits), []).append(index)
    for splits in sorted(groups, key=len, reverse=True):
        yield splits, np.array(groups[splits], np.int64)
