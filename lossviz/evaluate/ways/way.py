"""A way of evaluating points: a strategy and its settings. It changes speed and the last bits, never the meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Protocol, get_args

import numpy as np
import torch

from lossviz.errors import UsageError
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.ways.abilities import Need, Strategy, check_strategy
from lossviz.evaluate.ways.compiled import Compiled
from lossviz.evaluate.ways.folded import with_folded
from lossviz.evaluate.ways.loop import Loop
from lossviz.evaluate.ways.prefix import with_cached_prefix
from lossviz.evaluate.ways.replayed import Replayed
from lossviz.evaluate.ways.stacked import Stacked
from lossviz.problem.loss_call import habits_of
from lossviz.problem.problem import Problem
from lossviz.records.facts import WayFacts
from lossviz.records.point import Point
from lossviz.space.plane import Plane


class Evaluator(Protocol):
    """What every strategy's class does."""

    def evaluate(self, indices: Sequence[int], coordinates: np.ndarray, splits: Sequence[str]) -> list[Point]:
        """Evaluate K points at ``coordinates`` (K, k)."""
        ...


@dataclass(frozen=True)
class Way:
    """A strategy with its settings.

    Attributes:
        strategy: ``"loop"``, ``"stacked"``, ``"compiled"`` or ``"replayed"``, each a file of this room.
        batch_size: Examples a forward pass, B.
        points: Grid points a forward pass, K; more than 1 only when stacked.
        channels_last: Whether images lie with their channels last, which many convolutions prefer.
        folded: Whether BatchNorm and ReLU are folded into the convolutions before them.
        cached: Whether what no moved parameter enters is computed once a batch and kept.
        autotune: Whether the compiler times several versions of every operation.
        lean: Whether origin and directions stay on the host and come to the device one tensor at a time.
        threads: CPU threads; None leaves torch's number as it is.

    Example:
        >>> print(Way.from_facts(Way("stacked", 512, points=8, threads=1).facts))
        stacked, batches of 512, 8 points at once, 1 thread
    """

    strategy: Strategy
    batch_size: int
    points: int = 1
    channels_last: bool = False
    folded: bool = False
    cached: bool = False
    autotune: bool = False
    lean: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise UsageError(f"--strategy is {self.strategy!r}; choose auto or one of {', '.join(get_args(Strategy))}.")

    def build(self, problem: Problem, plane: Plane, sampling: Sampling | None = None) -> Evaluator:
        """Make the strategy's evaluator; a change of memory layout works on a copy of the model.

        Raises:
            UsageError: If the strategy cannot do what this run or its loss needs.
        """
        if problem.layout.placement and self != Way("loop", self.batch_size, lean=self.lean, threads=self.threads):
            raise UsageError(
                f"--strategy {self.strategy} works on a copy of the model or changes its passes, and this one was laid "
                f"out by its user ({problem.layout.placement}): take loop."
            )
        check_strategy(self.strategy, self._needs(problem, sampling), rewritten=self.folded or self.cached)
        if self.channels_last:
            problem, plane = _with_channels_last(problem, plane)
        if self.folded:
            problem = with_folded(problem)
        elif self.cached:
            problem = with_cached_prefix(problem, plane.moved)
        if self.strategy == "stacked":
            return Stacked(problem, plane, batch_size=self.batch_size, points=self.points)
        settings = {"batch_size": self.batch_size, "lean": self.lean, "sampling": sampling}
        if self.strategy == "loop":
            return Loop(problem, plane, **settings)
        made = {"compiled": Compiled, "replayed": Replayed}[self.strategy]
        return made(problem, plane, autotune=self.autotune, **settings)

    def _needs(self, problem: Problem, sampling: Sampling | None) -> set[Need]:
        habits = habits_of(problem)
        asked: dict[Need, bool] = {
            "slices": problem.layout.slices > 1,
            "low memory": self.lean,
            "early stop": sampling is not None,
            "recomputed statistics": problem.statistics is not None,
            "without CUDA": problem.device.type != "cuda",
            "own derivatives": habits.differentiates,
            "changed batches": habits.writes,
        }
        return {need for need, wanted in asked.items() if wanted}

    @property
    def facts(self) -> WayFacts:
        """The settings, for a file."""
        return WayFacts(**asdict(self))

    @classmethod
    def from_facts(cls, facts: WayFacts) -> Way:
        """The inverse of :attr:`facts`; unknown keys are skipped."""
        return cls(**{name: value for name, value in facts.to_json().items() if name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        parts = [f"{self.strategy}, batches of {self.batch_size}"]
        parts += [f"{self.points} points at once"] if self.points > 1 else []
        parts += ["channels last"] if self.channels_last else []
        parts += ["BatchNorm and ReLU folded"] if self.folded else []
        parts += ["frozen part kept"] if self.cached else []
        parts += ["autotuned"] if self.autotune else []
        parts += ["the plane on the host"] if self.lean else []
        parts += [f"{self.threads} thread{'s' if self.threads > 1 else ''}"] if self.threads else []
        return ", ".join(parts)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Use so many CPU threads for the time of the block; None changes nothing."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_images(problem: Problem) -> bool:
    """Whether some parameter is a 2-D convolution's, so that the memory layout of images matters."""
    held = dict(problem.model.named_parameters())
    return any(held[name].dim() == 4 for name in problem.params)


def is_convolutional(problem: Problem) -> bool:
    """Whether most of what moves are 2-D convolutions: with weights of their own for each point they do not gain."""
    sizes = [tensor.numel() for tensor in problem.params.values()]
    return 2 * sum(tensor.numel() for tensor in problem.params.values() if tensor.dim() == 4) > sum(sizes)


def _with_channels_last(problem: Problem, plane: Plane) -> tuple[Problem, Plane]:
    def last(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    model = problem.copied_model()
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    examples = {split: part.mapped(last) for split, part in problem.examples.items()}
    # origin and directions take the parameters' layout, or the fused sums fall back to slow ones
    origin, *directions = (
        {name: last(tensor) for name, tensor in params.items()} for params in (plane.origin, *plane.directions)
    )
    return replace(problem, model=model, examples=examples), Plane(plane.kind, origin, tuple(directions))
