"""One more process on a run that exists: load what its file says, and check that values come out here as there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossviz.errors import StoreError
from lossviz.evaluate.anchors import find_sampling
from lossviz.evaluate.checks import check_stored
from lossviz.evaluate.derivatives import find_derivatives
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.precision import in_precision
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from lossviz.records.doubts import agree
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.run.load import find_directions, load_plan_problem, prepare_plane
from lossviz.run.prepare import prepare_facts
from lossviz.run.reuse import check_modules
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface
from lossviz.store.trust import trusted_plan

Warn = Callable[[str], None]


def load_stored(
    out: Path,
    plan: Plan,
    surface: Surface,
    device: str,
    warn: Warn = lambda message: None,
    group: Group | None = None,
) -> tuple[Problem, Plane]:
    """Problem, before any change of its precision, and plane of a run that exists, as its way wants them."""
    if "engine" not in surface.facts:
        raise StoreError(f"{out} holds values alone, of another program or an unprepared run: none can be evaluated.")
    check_modules(out, surface.facts.get("modules_sha256", {}), plan)
    lean = Way.from_json(surface.facts["engine"]["way"]).lean
    problem = load_plan_problem(plan, device, low_memory=lean, group=group)
    directions = find_directions(plan, problem, out, warn, stored=True)
    return problem, prepare_plane(plan, problem, directions, on_host=lean)


def join_run(
    out: Path,
    plan: Plan,
    surface: Surface,
    device: str,
    warn: Warn = lambda message: None,
    group: Group | None = None,
) -> Engine:
    """An engine for a run that exists, in its own way, after checking that values come out here as they did there.

    Args:
        out: The run's HDF5 file.
        plan: Its plan.
        surface: What it has so far.
        device: As for :func:`lossviz.run.compute.compute`.
        warn: Called with sentences that do not stop the run.
        group: The ranks that sum each point together, this process leading them.

    Raises:
        ProblemError: If the centre's loss is another one here.
        PlanError: If stored points come out otherwise.
    """
    problem, plane = load_stored(out, plan, surface, device, warn, group)
    way = Way.from_json(surface.facts["engine"]["way"])
    derivatives = find_derivatives(plan, problem, plane)
    problem = in_precision(problem, surface.facts["precision"]["used"])
    engine = Engine(problem, plane, way=way, derivatives=derivatives, group=group)
    found = prepare_facts(plan, problem, plane, engine)
    for name, value in surface.facts["origin"].items():
        count = surface.facts["examples"][surface.split_of(name)]
        if not agree(name, found["origin"][name], value, count):
            raise StoreError(f"{name} at the checkpoint is {found['origin'][name]:.7g} here and {value:.7g} in {out}.")
    engine = engine.stopping(find_sampling(plan, problem, plane, surface.facts, batch_size=way.batch_size))
    check_stored(surface, engine.exhaustive() if derivatives else engine)
    return engine


def recompute(
    out: Path, *, device: str = "auto", group: Group | None = None, trust_problem: bool = False,
    trust_pickle: bool = False,
) -> Callable[[list[int]], list[Point]]:  # fmt: skip
    """A function that evaluates points of a run again, in every split, for ``lossviz verify --recompute``.

    Raises:
        UntrustedError: See :func:`lossviz.store.trust.trusted_plan`.
    """
    surface = read_surface(out)
    plan = surface.plan
    if "engine" in surface.facts:  # else nothing is loaded
        plan = trusted_plan(out, plan, trust_problem=trust_problem, trust_pickle=trust_pickle)
    engine = join_run(out, plan, surface, device, group=group)
    grid, splits = plan.grid, plan.splits
    return lambda indices: engine.evaluate_points(indices, grid.coordinates(indices), splits)
