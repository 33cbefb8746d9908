"""Planes made from data (a path, checkpoints, the gradient) and grids that fit them, before a run begins.

Such a plane is what its directions are: they are made once, written to the run's directions file with what they were
made of, and from there on the run is like any that takes its plane from a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.directions.kinds import Making, choose_params, make_directions, window_of
from lossviz.directions.stored import Directions, directions_of
from lossviz.errors import PlanError, StoreError, UsageError
from lossviz.evaluate.batchnorm import batchnorm_layers, refresh_statistics
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.choice import default_way
from lossviz.problem.checkpoint.files import file_sha256, find_checkpoint
from lossviz.problem.problem import Problem
from lossviz.problem.stand import standing
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan
from lossviz.records.plane_words import PlaneRequest, window_text
from lossviz.records.recipe import Recipe
from lossviz.records.remark import doubt, texts
from lossviz.records.watch import QUIET, Watch
from lossviz.run.load import find_rules, held_unused, load_plan_problem, used_on
from lossviz.run.settings import DEFAULT, Settings
from lossviz.space.plane import Plane, check_plane
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import canonical_path, directions_path
from lossviz.store.surface_file import peek_plan
from lossviz.trajectory.project import project_snapshots
from lossviz.trajectory.snapshots import Snapshots, open_snapshots

_FIRST_STEP = 2.0**-10
_DOUBLINGS = 20


def settle_plane(
    plan: Plan,
    request: PlaneRequest,
    out: Path,
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
) -> tuple[Plan, Path | None]:
    """Make the plane that is asked for and the grid that fits it, or take those of the run that is there already.

    Args:
        plan: With a grid of the right dimension, which counts unless the grid is automatic.
        request: The plane.
        out: The run's file; directions are written beside it.
        settings: The device where gradients and losses are evaluated.
        watch: Told of each stage, and warned of what was left out.

    Returns:
        The plan with its grid; and the directions file to take the plane from, None where the plan says it all.

    Raises:
        PlanError: If the run at ``out`` has another plane.
        UsageError: If the plane cannot be made.
    """
    if request.snapshots and request.words.kind == "random" and request.auto is None:
        raise UsageError(
            "--snapshots need a plane that is made of them, --plane pca; or project them on any plane: lossviz project."
        )
    known = peek_plan(canonical_path(out))
    problem = load_plan_problem(plan, settings.device, for_new_plane=known is None)
    order = request.snapshot_order
    runs = [open_snapshots(source, problem, order=order, warn=watch.warn)[""] for source in request.snapshots]
    wanted = _wanted(plan, request, runs)
    if known is not None:
        _check_same(out, known, wanted, request)
        file = None if request.is_plain else directions_path(canonical_path(out))
        return (replace(plan, grid=known.grid) if request.auto else plan), file
    while True:
        directions = _make(plan, request, problem, runs, watch)
        plane = Plane(request.words.kind, _host(problem), directions.tensors)
        check_plane(plane)
        if request.auto is not None:
            window = _window(problem, plane, runs, directions, request, plan, watch)
            plan = replace(plan, grid=Grid.parse(window_text(window, request.auto)))
        if request.is_plain or (other := used_on(plan, problem, plane)) is problem:
            break
        problem = other
    doubts = doubt("plane", _doubts(plan, request, problem, runs))
    for remark in doubts:
        watch.warn(remark)
    if request.is_plain:
        return plan, None
    file = directions_path(canonical_path(out))
    recipe = directions.recipe.evolve(request=wanted, warnings=texts(doubts))
    replace(directions, recipe=recipe).write(file, plane.origin, "always")
    return plan, file


def _make(plan: Plan, request: PlaneRequest, problem: Problem, runs: Sequence[Snapshots], watch: Watch) -> Directions:
    with standing(problem.model):
        # second derivatives and gradients with the BatchNorm statistics that the centre is evaluated with
        refresh_statistics(problem)
        making = Making(
            words=request.words,
            problem=problem,
            spec=plan.plane,
            moved=choose_params(_may_move(plan, request, problem), request.params, request.hold),
            snapshots=runs,
            rules=find_rules(plan, problem),
            split=plan.splits[0],
            watch=watch,
        )
        return make_directions(making)


def _may_move(plan: Plan, request: PlaneRequest, problem: Problem) -> dict[str, Any]:
    """The parameters that a plane may move: those a loss depends on, and what is named one by one."""
    still = () if request.words.kind in ("axes", "saved") else held_unused(plan, problem)
    return {name: tensor for name, tensor in _host(problem).items() if name not in still}


def _doubts(plan: Plan, request: PlaneRequest, problem: Problem, runs: Sequence[Snapshots]) -> Iterator[str]:
    """What a careful reader should know of such a plane."""
    for run in runs if request.words.components else ():
        gaps = np.diff([fact.step for fact in run.facts])[:-1]  # the last snapshot is where training ended
        if len(gaps) and gaps.max() > 2 * gaps.min():
            yield (
                f"The snapshots of {run.files[0].parent} lie {gaps.min()} to {gaps.max()} steps apart, and principal "
                "components weigh each alike: where they are dense counts more."
            )
    if request.words.kind in ("line", "through") and plan.batchnorm == "fixed" and batchnorm_layers(problem.model):
        yield (
            f"The model has BatchNorm, and every point is evaluated with the running statistics of "
            f"{request.words.arguments[0]}: the other checkpoints' losses come out wrong. Pass --batchnorm recompute."
        )


def _wanted(plan: Plan, request: PlaneRequest, runs: Sequence[Snapshots]) -> Mapping[str, Any]:
    """All that determines the directions, by content: asked for again, it is the same plane."""
    named = request.words.arguments if request.words.kind != "axes" else ()
    files = [find_checkpoint(Path(name)) for name in named]
    missing = [name for name, file in zip(named, files, strict=True) if not file.is_file()]
    if missing:
        word = "file" if request.words.kind == "saved" else request.words.kind
        raise UsageError(f"--plane {word}: there is no file {missing[0]}.")
    wanted = {
        "axes": list(request.words.axes),
        "arguments": [file_sha256(file) for file in files] or list(request.words.arguments),
        "snapshots": [run.sha256 for run in runs],
        "params": list(request.params),
        "hold": list(request.hold),
        "seed": plan.plane.seed,
        "normalize": plan.plane.normalize,
        "vectors": plan.plane.vectors,
        "rules": [list(pair) for pair in plan.plane.rules],
        **({"move": list(plan.plane.move)} if plan.plane.move else {}),
        "source": plan.problem.source_sha256,
        "model_args": [list(pair) for pair in plan.problem.model_args],
        "checkpoint": plan.problem.checkpoint_sha256,
    }
    return Recipe(request=wanted).request  # as a file has it


def _check_same(out: Path, known: Plan, wanted: Mapping[str, Any], request: PlaneRequest) -> None:
    if request.is_plain:
        return
    file = directions_path(canonical_path(out))
    if not file.exists():
        raise StoreError(f"{out} is a run without its directions file {file}. Write to another --out file.")
    stored = read_directions(file, tensors=False).recipe.request
    differing = [name for name, value in wanted.items() if stored.get(name) != value]
    if differing:
        raise PlanError(
            f"{out} was made on another plane, {known.plane.kind}: {', '.join(differing)} differ. "
            "Write to another --out file, or ask for the same plane to go on with it."
        )


def _window(
    problem: Problem, plane: Plane, runs: Sequence[Snapshots], directions: Directions, request: PlaneRequest,
    plan: Plan, watch: Watch,
) -> np.ndarray:  # fmt: skip
    """First and last coordinate of each direction, float64 (k, 2)."""
    if runs:
        seen = np.concatenate([project_snapshots(run, plane, watch).coordinates for run in runs])
        return window_around(seen[np.isfinite(seen).all(1)], plane.gram.diagonal().sqrt().numpy())
    window = window_of(directions.recipe)
    return climb(problem, plane, plan.splits[0], request.rise) if window is None else window


def window_around(seen: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """A window with room around points seen on a plane: first and last coordinate of each direction, float64 (k, 2).

    The room is a tenth of the longest extent, as long on every side in parameter space; an axis along which there is
    little to hold is made at least half as long as the longest, so that what lies around the points is seen.

    Args:
        seen: Coordinates (T, k), finite.
        lengths: Of the directions in parameter space, (k,).

    Example:
        >>> window_around(np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([1.0, 5.0])).tolist()
        [[-1.0, 11.0], [-0.5, 0.5]]
    """
    low, high = seen.min(0), seen.max(0)
    extent = (high - low) * lengths
    longest = extent.max() or 1.0
    room = np.maximum(0.1 * longest, (0.5 * longest - extent) / 2) / lengths
    return np.stack([low - room, high + room], axis=1)


def climb(problem: Problem, plane: Plane, split: str, rise: float) -> np.ndarray:
    """How far to go along each direction, both ways, until the loss has risen by ``rise``: float64 (k, 2).

    A step is doubled until the loss is that much above the checkpoint's or not finite, at most 20 times.
    """
    engine = Engine(
        problem, plane.to(problem.device, next(iter(problem.params.values())).dtype), way=default_way(problem)
    )

    def loss(coordinates: np.ndarray) -> float:
        (point,) = engine.evaluate_points([0], coordinates[None], [split])
        return point.mean(next(iter(point.sums)))

    start, window = loss(np.zeros(plane.dimension)), np.zeros((plane.dimension, 2))
    for k in range(plane.dimension):
        for side, sign in enumerate((-1.0, 1.0)):
            step = _FIRST_STEP
            for _ in range(_DOUBLINGS):
                there = loss(sign * step * np.eye(plane.dimension)[k])
                if not math.isfinite(there) or there - start >= rise:
                    break
                step *= 2.0
            window[k, side] = sign * step
    return window


def read_plane(out: Path, problem: Problem, watch: Watch = QUIET) -> Plane:
    """The plane of a stored run, through the parameters of ``problem``."""
    file = directions_path(canonical_path(out))
    if not file.exists():
        raise StoreError(f"There is no plane of {out}: its directions would lie in {file}.")
    directions = directions_of(read_directions(file), problem.params, str(file), watch.warn)
    return Plane("file", _host(problem), directions.tensors)


def _host(problem: Problem) -> dict[str, Any]:
    return {name: tensor.detach().cpu() for name, tensor in problem.params.items()}
