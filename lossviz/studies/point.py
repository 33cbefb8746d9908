"""The problem at one point, for what looks at the loss around it: curvature and sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lossviz.errors import UsageError
from lossviz.evaluate.batchnorm import refresh_statistics, with_batchnorm
from lossviz.evaluate.checks import check_repeats
from lossviz.problem.device import choose_device
from lossviz.problem.load import load_problem
from lossviz.problem.problem import Problem
from lossviz.records.plan import BATCHNORM_EXAMPLES, BatchNorm, ProblemRef


@dataclass(frozen=True)
class PointWords:
    """Which loss of which examples, how exactly.

    Attributes:
        split: Which part of the data.
        samples: A fixed random subset; None takes all.
        seed: Chooses it.
        precision: ``"float32"`` or ``"float64"``.
        batchnorm: Whose statistics, as a plan has them.
        batchnorm_examples: Over how many examples, or in a batch.
        device: Where to evaluate.
    """

    split: str = "train"
    samples: int | None = None
    seed: int = 0
    precision: str = "float32"
    batchnorm: BatchNorm = "fixed"
    batchnorm_examples: int | None = None
    device: str = "auto"


def load_point(ref: ProblemRef, words: PointWords) -> Problem:
    """Load model, checkpoint and examples, BatchNorm statistics included, which derivatives are taken with.

    Raises:
        LossvizError: As for :func:`lossviz.problem.load.load_problem`, or if the loss differs from one evaluation to
            the next, so that nothing around the point could be measured.
    """
    if words.precision not in ("float32", "float64"):
        raise UsageError(f"precision is {words.precision!r}; choose float32 or float64.")
    if words.batchnorm not in BATCHNORM_EXAMPLES:
        raise UsageError(f"batchnorm is {words.batchnorm!r}; choose one of {', '.join(BATCHNORM_EXAMPLES)}.")
    if words.batchnorm == "fixed" and words.batchnorm_examples is not None:
        raise UsageError("--batchnorm-examples needs --batchnorm recompute or --batchnorm batch.")
    problem = load_problem(
        ref, splits=[words.split], samples=words.samples, seed=words.seed, device=choose_device(words.device),
        dtype=getattr(torch, words.precision),
    )  # fmt: skip
    examples = words.batchnorm_examples or BATCHNORM_EXAMPLES[words.batchnorm]
    problem = with_batchnorm(problem, words.batchnorm, examples, words.seed)
    refresh_statistics(problem)
    check_repeats(problem, words.split)
    return problem
