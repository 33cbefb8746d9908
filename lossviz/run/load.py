"""From a plan to its parts: the problem, its directions and plane, and the way to evaluate points."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch

from lossviz.directions.stored import Directions, directions_of, draw_directions, read_stored, taken_recipe
from lossviz.errors import ProblemError, UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.precision import probe_coordinates
from lossviz.evaluate.quantities import select_quantities
from lossviz.evaluate.ranks.divided import Divided, Load
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.unused import find_unused, find_used
from lossviz.evaluate.ways.choice import default_way
from lossviz.evaluate.ways.way import Strategy, Way
from lossviz.problem.device import choose_device
from lossviz.problem.isolation import FIXED_SEED
from lossviz.problem.load import load_problem
from lossviz.problem.problem import Problem
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.remark import Remark, Warn
from lossviz.records.rule import Rule, override
from lossviz.run.settings import DEFAULT, Settings
from lossviz.space.plane import Plane, check_plane
from lossviz.store.directions_file import read_directions
from lossviz.store.other_run import OtherRun
from lossviz.store.schema import directions_path

HELD = Rule("held")


def load_plan_problem(
    plan: Plan,
    device: str,
    *,
    low_memory: bool = False,
    reread_s: float = 0.0,
    initial_seed: int = FIXED_SEED,
    for_new_plane: bool = False,
    group: Group | None = None,
) -> Problem:
    """Load model, checkpoint and examples of a plan onto a device; the rest as for :func:`load_problem`.

    With ``for_new_plane`` the parameters are found that no loss depends on, which such a plane does not move. A model
    that the plan's ranks divide is loaded by all of ``group`` at once, which this process leads; alone, it is
    loaded whole.
    """
    divides = group is not None and plan.ranks_divide == "model"
    if divides and low_memory:
        raise UsageError("--low-memory keeps the plane on the host of one process: with --ranks-divide model leave it.")
    if group is not None and divides:
        problem = _lead_loading(plan, device, group, reread_s)
    else:
        problem = _load(plan, device, low_memory=low_memory, reread_s=reread_s, initial_seed=initial_seed)
    return fit_problem(problem, plan, for_new_plane=for_new_plane)


def fit_problem(problem: Problem, plan: Plan, *, for_new_plane: bool = False) -> Problem:
    """A problem, freshly loaded, as the plan wants it: its quantities, order of examples, slices and BatchNorm."""
    problem = with_batchnorm(problem, plan.batchnorm, plan.batchnorm_examples, plan.plane.seed)
    if for_new_plane:  # by all that the loss returns, whichever quantities are asked for
        # in a divided model there is no graph from loss to parameters to look at, so that all of it moves
        problem = replace(problem, unused=find_unused(problem) if problem.layout.mover is None else None)
    slices = plan.ranks_per_point if plan.ranks_divide == "examples" else 1
    loss, layout = select_quantities(problem.loss, plan.quantities), replace(problem.layout, slices=slices)
    return replace(problem, loss=loss, layout=layout)


def load_divided(plan: Plan, device: str, group: Group) -> Divided:
    """This rank's share of a model that a plan's ranks divide, for one that follows; it reads no data."""
    problem = _load(plan, device, splits=(), mesh=group.mesh)
    group.gather(problem.layout.state_sha256)
    return Divided(problem, group, choose_device(device))


def _lead_loading(plan: Plan, device: str, group: Group, reread_s: float) -> Problem:
    """The same for the rank that leads, with the data."""
    group.tell(Load())
    try:
        problem = _load(plan, device, reread_s=reread_s, mesh=group.mesh)
    except BaseException:
        group.broken = True  # the others may wait for this one while they divide the model
        raise
    found = group.gather(problem.layout.state_sha256)
    if others := [rank for rank, sha256 in enumerate(found) if sha256 != found[0]]:
        raise ProblemError(
            f"Rank {others[0]} of {group.count} has read other parameters than rank 0: is the checkpoint the same file "
            "on every machine, and does model() draw its parameters from torch's own generator?"
        )
    mover = Divided(problem, group, choose_device(device))
    return replace(problem, layout=replace(problem.layout, mover=mover), loss=mover.loss)


def _load(plan: Plan, device: str, *, splits: tuple[str, ...] | None = None, **how: Any) -> Problem:
    dtype = torch.float64 if plan.precision == "float64" else torch.float32
    return load_problem(
        plan.problem,
        splits=plan.splits if splits is None else splits,
        samples=plan.samples,
        seed=plan.plane.seed,
        device=choose_device(device),
        dtype=dtype,
        move=plan.plane.move,
        **how,
    )


def find_directions(
    plan: Plan, problem: Problem, out: Path, warn: Warn, *, stored: bool, other: OtherRun | None = None
) -> Directions:
    """The directions of a run: ``stored`` beside one that exists, or those of another run, or newly drawn.

    Raises:
        StoreError: If the stored directions are missing or damaged.
        PlanError: If they are not those of the plan.
        LayoutError: If they do not fit the model.
    """
    if stored:
        return read_stored(directions_path(out), plan.plane, problem.params, warn)
    if other is None:
        return draw_directions(plan.plane, plan.grid.dimension, problem.params, rules=find_rules(plan, problem))
    taken = directions_of(read_directions(other.directions_file), problem.params, str(other.directions_file), warn)
    return replace(taken, recipe=taken_recipe(taken.recipe)) if plan.plane.kind == "file" else taken


def find_rules(plan: Plan, problem: Problem) -> dict[str, Rule]:
    """Which slices of each parameter are its filters: by module type, but for the patterns of the plan.

    Parameters that no loss depends on are held.

    Raises:
        PlanError: If a pattern matches nothing or its rule does not fit.
    """
    shapes = {name: tensor.shape for name, tensor in problem.params.items()}
    return {**override(problem.rules, shapes, plan.plane.rules), **dict.fromkeys(held_unused(plan, problem), HELD)}


def held_unused(plan: Plan, problem: Problem) -> list[str]:
    """Parameters that stay because no loss depends on them; none where that is so of all of them."""
    unused = problem.unused or ()
    if len(unused) == len(problem.params):
        return []
    return [name for name in unused if not any(fnmatchcase(name, pattern) for pattern in plan.plane.move)]


def used_on(plan: Plan, problem: Problem, plane: Plane) -> Problem:
    """The problem without what a loss depends on in the window after all among its unused parameters.

    They are tried at the corners and edge middles; the same problem where none is found.
    """
    names = held_unused(plan, problem)
    used = find_used(problem, names, plane, probe_coordinates(plan.grid)) if names else []
    if not used:
        return problem
    note = (
        f"{len(used)} parameters on which no loss depends at the checkpoint ({used[0]} first) move, for one does in "
        "the window: does a router send examples elsewhere there?"
    )
    unused = tuple(name for name in problem.unused or () if name not in used)
    return replace(problem, unused=unused, remarks=(*problem.remarks, Remark("said", "not moved", note)))


def prepare_plane(plan: Plan, problem: Problem, directions: Directions, *, on_host: bool = False) -> Plane:
    """The plane through the problem's parameters, on its device or the host, in the type its points are made in."""
    origin = {name: tensor.detach().cpu() for name, tensor in problem.params.items()}
    plane = Plane(plan.plane.kind, origin, directions.tensors)
    check_plane(plane)
    dtype = torch.float64 if plan.precision == "float64" else torch.float32
    try:
        # the origin of a divided model lies whole on the host
        moved = plane.to(torch.device("cpu"), dtype) if on_host else plane.beside(problem.params, dtype)
    except torch.OutOfMemoryError as error:
        raise ProblemError(
            f"Beside the model {plane.dimension + 1} more of its size do not fit on {problem.device}: leave the "
            "plane on the host with --low-memory."
        ) from error
    # the origin is held once
    same = all(tensor.dtype == dtype for tensor in problem.params.values())
    return Plane(moved.kind, problem.params, moved.directions) if same else moved


def choose_way(problem: Problem, facts: Facts, settings: Settings = DEFAULT) -> Way | None:
    """The way asked for, or the one an earlier session settled on; None leaves it to measuring.

    Raises:
        UsageError: If there is no such strategy.
    """
    before, strategy, batch_size = facts.engine, settings.strategy, settings.batch_size
    stored = Way.from_facts(before.way) if before.settled else None
    if stored and problem.layout.mover is not None and strategy == "auto":  # what does not fit would end all its ranks
        return replace(stored, batch_size=batch_size or stored.batch_size)
    if strategy != "auto" or settings.low_memory:
        name = "loop" if strategy == "auto" else strategy
        way = Way(cast(Strategy, name), default_way(problem, batch_size).batch_size)
        way = replace(way, points=16) if way.strategy == "stacked" else way
        return replace(way, lean=settings.low_memory)
    return stored
