"""Fold the segments of several processes into the published file, and go on from an older surface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossviz.errors import PlanError, StoreError
from lossviz.records.doubts import closing_facts
from lossviz.records.grid import Grid
from lossviz.records.plan import ALL_QUANTITIES, Plan
from lossviz.records.point import Point, Status
from lossviz.records.quantity import RESIDUAL, is_derivative, split_quantities
from lossviz.records.remark import Warn, ignore
from lossviz.records.surface import Surface
from lossviz.store.run import Run
from lossviz.store.schema import canonical_path
from lossviz.store.segment import SegmentHealth
from lossviz.store.surface_file import peek_plan


@dataclass(frozen=True)
class Merged:
    """What a merge found.

    Attributes:
        surface: All points.
        segments: How each segment read; those of processes that still write stay on disk, the others are in the file.
        missing: Grid points that are not evaluated in every split.
    """

    surface: Surface
    segments: list[SegmentHealth]
    missing: int


def merge(path: Path | str, *, warn: Warn = ignore) -> Merged:
    """Publish all points of a run, also while some are missing; merging twice gives the same file.

    Raises:
        StoreError: If there is no run at ``path``, or two segments disagree on a point; the message says which.
        PlanError: If a segment belongs to another plan.
        StoppedError: If a process that publishes holds the run.
        DamagedFileError: If the file is damaged and the journal does not hold all its points.
    """
    path = canonical_path(path)
    plan = peek_plan(path)
    if plan is None:
        raise StoreError(f"There is nothing to merge: neither {path} nor a segment beside it.")
    with Run.open(path, plan, session={}, warn=warn, strict=True) as run:
        if not len(run.surface.pending()):
            run.surface.facts = closing_facts(run.surface)
        run.publish(final=True)
        return Merged(run.surface, run.segments, len(run.surface.pending()))


def carry_over(old: Surface, plan: Plan) -> list[Point]:
    """Points of an older surface that a new plan need not compute again.

    The plans may differ in grid, splits and quantities: a wider or finer grid, another split, fewer quantities. A
    point is carried where all its coordinates are on the new grid exactly.

    A new quantity needs every point again, and nothing is carried: whichever values the loss returns, they cost one
    forward pass over all examples, which gives the old ones too, so that keeping those would save nothing and could
    only join sums of two sessions in one point.

    Raises:
        PlanError: If the plans differ in anything else; the message names the fields.

    Example:
        >>> from lossviz.records.plan import PlaneSpec, ProblemRef
        >>> coarse, fine = (Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse(g)) for g in ("-1:1:3", "-1:2:7"))
        >>> old = Surface.empty(coarse)
        >>> old.put(Point(1, "train", 4, 4.0, {"loss": 2.0}, {"loss": 3.0}))
        >>> [point.index for point in carry_over(old, fine)]
        [2]
    """
    if lines := hindrances(old.plan, plan):
        raise PlanError("Points cannot be carried over from a surface of another plan:\n" + "\n".join(lines))
    if not covers(old, plan):
        return []
    index = _new_indices(old.plan.grid, plan.grid)
    points = []
    for split in (split for split in plan.splits if split in old.splits):
        done = old.splits[split].status.ravel() != Status.NOT_COMPUTED
        for place in np.flatnonzero(done & (index >= 0)):
            point = old.point(int(place), split)
            points.append(_select(point, int(index[place]), plan.quantities))
    return points


def hindrances(old: Plan, plan: Plan) -> list[str]:
    """Differences between two plans that make their values different things, a line each."""
    free = ("grid.", "splits", "quantities")
    lines = [line for line in plan.differences(old) if not line.startswith(free)]
    if old.grid.dimension != plan.grid.dimension:
        lines.append(f"directions: {plan.grid.dimension} here, {old.grid.dimension} there")
    return lines


def covers(old: Surface, plan: Plan) -> bool:
    """Whether the points of ``old`` have all quantities that ``plan`` wants."""
    mine, wanted = old.plan.quantities, plan.quantities
    if plan.relative_error is not None and mine != wanted:
        return False  # points were evaluated until the first quantity was known well enough
    (had, derived), (returned, derivatives) = split_quantities(mine), split_quantities(wanted)
    if not set(derivatives) <= set(derived):
        return False
    return had == ALL_QUANTITIES or (returned != ALL_QUANTITIES and set(returned) <= set(had))


def _new_indices(old: Grid, new: Grid) -> np.ndarray:
    """Flat index in ``new`` of every point of ``old``, −1 where it is not there; int64 (N_old,)."""
    per_axis = []
    for mine, theirs in zip(reversed(old.axes), reversed(new.axes), strict=True):
        at = np.searchsorted(theirs.coordinates, mine.coordinates).clip(max=len(theirs) - 1)
        per_axis.append(np.where(theirs.coordinates[at] == mine.coordinates, at, -1))
    positions = np.meshgrid(*per_axis, indexing="ij")
    known = np.all([p >= 0 for p in positions], axis=0)
    flat = np.ravel_multi_index(tuple(np.where(known, p, 0) for p in positions), new.shape)
    return np.where(known, flat, -1).ravel()


def _select(point: Point, index: int, quantities: tuple[str, ...]) -> Point:
    returned, derivatives = split_quantities(quantities)
    made = {name for name in point.sums if is_derivative(name)}
    names = [name for name in point.sums if name not in made] if returned == ALL_QUANTITIES else list(returned)
    names += [name for name in point.sums if name in made and name.removesuffix(RESIDUAL) in derivatives]
    return Point(
        index=index,
        split=point.split,
        count=point.count,
        weight=point.weight,
        sums={name: point.sums[name] for name in names},
        m2={name: point.m2[name] for name in names},
        seconds=point.seconds,
        partial=point.partial,
    )
