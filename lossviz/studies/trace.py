"""Run an optimizer on a problem, from the checkpoint, a fresh model or a point of a plane, and record its path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lossviz.errors import UsageError
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.watch import QUIET, Watch
from lossviz.run.load import load_plan_problem
from lossviz.run.plane import read_plane
from lossviz.run.settings import DEFAULT, Settings
from lossviz.space.params import Params
from lossviz.trajectory.descent import Descent, descend


def trace(
    problem_ref: ProblemRef,
    descent: Descent,
    folder: Path | str,
    *,
    start: str = "checkpoint",
    split: str = "train",
    samples: int | None = None,
    precision: str = "float32",
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
) -> int:
    """Load a problem, run an optimizer on it and record the snapshots in ``folder``.

    Args:
        problem_ref: Model, data, loss and checkpoint.
        descent: What the optimizer is told.
        folder: For the snapshots.
        start: ``"checkpoint"`` begins from the parameters of the problem, which without a checkpoint are those
            ``model()`` makes for every command; ``"fresh"`` from what ``model()`` draws from the descent's seed,
            buffers and all; ``"RUN.h5@0.5,-1"`` from the point of a run's plane with these coordinates.
        split: Examples to train on.
        samples: A fixed random subset of them; None takes all.
        precision: ``"float32"`` or ``"float64"``.
        settings: The device to run on.
        watch: Told of each step, and asked after it whether to stop.

    Returns:
        Steps taken.

    Raises:
        UsageError: If the start, the optimizer or its settings make no sense.
        ProblemError: If the problem cannot be loaded or differentiated.
    """
    grid = Grid.parse("-1:1:3")  # nothing is evaluated on it
    plan = Plan(problem_ref, PlaneSpec(), grid, splits=(split,), samples=samples, precision=precision)  # pyright: ignore[reportArgumentType]
    if start == "fresh":
        blank = replace(plan, problem=replace(problem_ref, checkpoint=None, checkpoint_sha256=None))
        problem = load_plan_problem(blank, settings.device, initial_seed=descent.seed)
    else:
        problem = load_plan_problem(plan, settings.device)
    begin = None if start in ("checkpoint", "fresh") else point_of_run(start, problem)
    return descend(problem, descent, folder, start=begin, split=split, watch=watch)


def point_of_run(text: str, problem: Problem) -> Params:
    """The parameters at ``RUN.h5@alpha,beta``, a point of a stored run's plane.

    Raises:
        UsageError: If the text or the number of coordinates is wrong.
        StoreError: If there is no such run.
    """
    path, _, numbers = text.rpartition("@")
    try:
        coordinates = [float(number) for number in numbers.split(",")]
    except ValueError:
        coordinates = []
    if not path or not coordinates or not np.isfinite(coordinates).all():
        raise UsageError(
            f"--start is {text!r}; write checkpoint, fresh, or RUN.h5@alpha,beta, for example --start net.h5@0.5,-1."
        )
    plane = read_plane(Path(path), problem)
    if len(coordinates) != plane.dimension:
        raise UsageError(
            f"--start {text} has {len(coordinates)} coordinates; the plane has {plane.dimension} directions."
        )
    return plane.point(coordinates)
