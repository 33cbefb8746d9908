"""What a run needs, put together in one place: problem, rules, directions, plane, precision, derivatives, way, engine.

Everybody who evaluates points of a plan starts here: a new run, one that goes on, a worker that joins, the self-check,
a verification, a projected path, and the ranks that share a point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lossviz.directions.stored import Directions
from lossviz.errors import StoreError
from lossviz.evaluate.anchors import find_sampling
from lossviz.evaluate.derivatives import find_derivatives
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.precision import settle_precision
from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.sampling import Sampling
from lossviz.evaluate.ways.choice import default_way
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from lossviz.records.facts import Facts, PrecisionFacts
from lossviz.records.plan import Plan
from lossviz.records.rule import Rule
from lossviz.records.watch import QUIET, Watch
from lossviz.run.load import (
    choose_way,
    find_directions,
    find_rules,
    fit_problem,
    load_plan_problem,
    prepare_plane,
    used_on,
)
from lossviz.run.restore import restore_directions
from lossviz.run.reuse import check_modules
from lossviz.run.settings import DEFAULT, Settings
from lossviz.space.plane import Plane
from lossviz.store.other_run import OtherRun


@dataclass(frozen=True)
class Source:
    """Where the parts of an assembly come from, beside the plan.

    Attributes:
        out: The run's HDF5 file, whose directions lie beside it.
        known: What that file says of the run; empty for a new one, whose directions are drawn and whose parameters are
            tried for whether the loss depends on them.
        other: Another run whose plane, and points where they are the same, a new one takes.
        problem: A problem that is in memory already, in place of what the plan names.
        reread_s: Data that are read in less are read twice.
    """

    out: Path = field(default_factory=Path)
    known: Facts = field(default_factory=Facts)
    other: OtherRun | None = None
    problem: Problem | None = None
    reread_s: float = 0.0

    def settled(self, plan: Plan) -> Facts:
        """What holds for a run of ``plan``: the facts of its own file, or of the run that it extends."""
        if self.known or self.other is None or self.other.surface is None or self.other.reasons_against(plan):
            return self.known
        return self.other.facts


@dataclass(frozen=True)
class Assembly:
    """What a run needs.

    Attributes:
        plan: What determines the values.
        settled: What earlier sessions, or the run that it extends, decided; empty for a new run.
        problem: Model, loss and examples, in the precision of the forward passes.
        rules: Which slices of each parameter are its filters.
        directions: As drawn or stored, on the host.
        plane: Through the problem's parameters, where points are made.
        precision: What was settled about precision.
        engine: Evaluates points over all examples.
    """

    plan: Plan
    settled: Facts
    problem: Problem
    rules: dict[str, Rule]
    directions: Directions
    plane: Plane
    precision: PrecisionFacts
    engine: Engine

    def sampling(self) -> Sampling | None:
        """How points stop early where the plan asks for a relative error; None where all examples are taken.

        Raises:
            LossvizError: If that error cannot be promised.
        """
        batch_size = self.engine.way.batch_size
        return find_sampling(self.plan, self.problem, self.plane, self.settled, batch_size=batch_size)


def assemble(
    plan: Plan,
    source: Source,
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    *,
    group: Group | None = None,
    joining: bool = False,
) -> Assembly:
    """Load the problem, make or read the plane, and choose how points are evaluated.

    Args:
        plan: What determines the values.
        source: Where the parts come from.
        settings: How to carry it out.
        watch: Warned of what is odd in stored directions.
        group: The ranks that this process leads, where they divide each point.
        joining: Evaluate in the very way that the file names, as every other process on the run does.

    Raises:
        LossvizError: For bad input.
    """
    settled, new = source.settled(plan), not source.known
    if source.problem is None:
        check_modules(source.out, source.known.modules_sha256, plan)
    stored_way = _way_of(settled)
    lean = settings.low_memory or (stored_way is not None and stored_way.lean)
    # 1. problem and plane
    if source.problem is not None:
        problem = fit_problem(source.problem, plan, for_new_plane=new)
    else:
        problem = load_plan_problem(
            plan, settings.device, low_memory=lean, reread_s=source.reread_s if new else 0.0, for_new_plane=new,
            group=group,
        )  # fmt: skip
    if not new:
        restore_directions(source.out, source.known, plan, problem, settings.store_directions, watch.warn)
    directions = find_directions(plan, problem, source.out, watch.warn, stored=not new, other=source.other)
    plane = prepare_plane(plan, problem, directions, on_host=lean)
    while new and (other := used_on(plan, problem, plane)) is not problem:
        problem = other
        directions = find_directions(plan, problem, source.out, watch.warn, stored=False, other=source.other)
        plane = prepare_plane(plan, problem, directions, on_host=lean)
    # 2. how points are evaluated
    way = stored_way if joining else choose_way(problem, settled, settings)
    batch_size = (way or default_way(problem, settings.batch_size)).batch_size
    precision = settled.precision or settle_precision(plan, problem, plane, batch_size)
    derivatives = find_derivatives(plan, problem, plane)
    rules = find_rules(plan, problem)
    problem = in_precision(problem, precision.used, error=precision.error or 0.0)
    engine = Engine(
        problem, plane, way=way, batch_size=settings.batch_size, derivatives=derivatives, group=group,
        doubts=source.known.engine.doubts,
    )  # fmt: skip
    return Assembly(plan, settled, problem, rules, directions, plane, precision, engine)


def stored_source(out: Path, known: Facts) -> Source:
    """The source of a run that exists and was prepared.

    Raises:
        StoreError: If it holds values alone.
    """
    if not (known.engine and known.precision):
        raise StoreError(
            f"{out} holds values alone: it comes from another program, or is not prepared yet. Nothing can be "
            "evaluated. Run its lossviz compute command first, or with --prepare-only."
        )
    return Source(out, known)


def _way_of(facts: Facts) -> Way | None:
    return Way.from_facts(facts.engine.way) if facts.engine.way else None
