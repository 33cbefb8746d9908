"""One more process on a run that exists: put together what its file says, and check that values come out the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossviz.errors import StoreError
from lossviz.evaluate.checks import check_stored
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ranks.group import Group
from lossviz.records.doubts import agree, rounding_of
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Watch
from lossviz.run.assembly import Assembly, assemble, stored_source
from lossviz.run.prepare import prepare_facts
from lossviz.run.settings import Settings
from lossviz.store.surface_file import read_surface
from lossviz.store.trust import trusted_plan


def load_stored(
    out: Path, plan: Plan, surface: Surface, device: str = "auto", watch: Watch = QUIET, group: Group | None = None
) -> Assembly:
    """Put together a run that exists, in its own way.

    Raises:
        StoreError: If its file holds values alone.
    """
    return assemble(plan, stored_source(out, surface.facts), Settings(device), watch, group=group, joining=True)


def join_run(
    out: Path, plan: Plan, surface: Surface, device: str = "auto", watch: Watch = QUIET, group: Group | None = None
) -> Engine:
    """An engine for a run that exists, in its own way, after checking that values come out here as they did there.

    Args:
        out: The run's HDF5 file.
        plan: Its plan.
        surface: What it has so far.
        device: Where to evaluate.
        watch: Warned of what does not stop the run.
        group: The ranks that sum each point together, this process leading them.

    Raises:
        ProblemError: If the centre's loss is another one here.
        PlanError: If stored points come out otherwise.
    """
    made = load_stored(out, plan, surface, device, watch, group)
    found = prepare_facts(made)
    for name, value in surface.facts.origin.items():
        count = surface.facts.examples[surface.split_of(name)]
        index = plan.grid.origin_index
        slack = 0.0 if index is None or name not in surface.sums else rounding_of(surface, name, index)
        if not agree(name, found.origin[name], value, count, slack):
            raise StoreError(f"{name} at the checkpoint is {found.origin[name]:.7g} here and {value:.7g} in {out}.")
    engine = made.engine.stopping(made.sampling())
    check_stored(surface, engine.exhaustive() if engine.derivatives else engine)
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
    if surface.facts.engine:  # else nothing is loaded
        plan = trusted_plan(out, plan, trust_problem=trust_problem, trust_pickle=trust_pickle)
    engine = join_run(out, plan, surface, device, group=group)
    grid, splits = plan.grid, plan.splits
    return lambda indices: engine.evaluate_points(indices, grid.coordinates(indices), splits)
