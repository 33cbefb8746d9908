"""Optimizers on a function of one or two variables: its surface, and the exact path of each of them on it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lossviz.problem.data.formula import SPLIT
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.classic import find_function
from lossviz.records.expression import Expression
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.plane_words import PlaneRequest, PlaneWords
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Watch, as_stage
from lossviz.run.compute import compute
from lossviz.run.plane import settle_plane
from lossviz.run.prepare import open_run
from lossviz.run.settings import DEFAULT, Settings
from lossviz.store.surface_file import peek_plan, read_surface
from lossviz.studies.project import project
from lossviz.studies.trace import trace
from lossviz.trajectory.descent import Descent

PRECISION = "float64"


@dataclass(frozen=True)
class Lesson:
    """What is to be seen.

    Attributes:
        formula: A formula, or a name among :data:`~lossviz.records.classic.CLASSICS`.
        descents: What each optimizer is told, by the name of its path.
        start: Where all of them start; None takes the function's own start.
    """

    formula: str
    descents: Mapping[str, Descent]
    start: Sequence[float] | None = None

    @property
    def begin(self) -> tuple[float, ...]:
        """Where all optimizers start."""
        return tuple(self.start or find_function(self.formula).start)


def teach(lesson: Lesson, out: Path, grid: Grid, settings: Settings = DEFAULT, watch: Watch = QUIET) -> Surface:
    """Compute the surface of a function and the path of each optimizer, and save both in one file.

    The axes are the variables themselves, and the values and steps are float64. What is there already is not made
    again. Snapshots of the paths are in a folder beside the file.

    Args:
        lesson: Function, optimizers and start.
        out: The file.
        grid: Points of the surface.
        settings: The device.
        watch: Told of each stage, and asked now and then whether to stop.

    Returns:
        The surface with one trajectory an optimizer.

    Raises:
        UsageError: If the formula or an optimizer makes no sense.
        PlanError: If the file is of another function or grid.
        StoppedError: If ``watch.stop`` says so; the same call goes on.
    """
    ref = resolve_problem("formula", model_args={"formula": lesson.formula}, checkpoint=None)
    variables = Expression.parse(find_function(lesson.formula).formula).variables
    plan = Plan(ref, PlaneSpec(), grid, splits=(SPLIT,), precision=PRECISION)
    request = PlaneRequest(PlaneWords.parse(f"axes {' '.join(variables)}", len(variables)))
    plan, plane_from = settle_plane(plan, request, out, settings, watch)
    compute(plan, out, settings, as_stage(watch, "surface"), plane_from=plane_from)
    folders = {
        name: _record(ref, descent, lesson.begin, name, out, settings, watch)
        for name, descent in lesson.descents.items()
    }
    _keep_only(folders, out, settings, watch)
    known = read_surface(out).trajectories
    if new := {name: folder for name, folder in folders.items() if name not in known}:
        project(out, new, settings, replace(watch, stage=QUIET.stage), force=True)
    return read_surface(out)


def _record(
    ref: ProblemRef, descent: Descent, begin: Sequence[float], name: str, out: Path, settings: Settings, watch: Watch
) -> Path:  # fmt: skip
    """The folder of a path's snapshots, which is there whole or not at all."""
    start = f"{out}@{','.join(map(repr, begin))}"
    told = hashlib.sha256(repr((ref.model_args, descent, tuple(begin))).encode()).hexdigest()[:8]
    folder = out.with_name(f"{out.stem}-paths") / f"{name.replace('/', '-')} {told}"
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        trace(
            ref, descent, part, start=start, split=SPLIT, precision=PRECISION, settings=settings,
            watch=as_stage(watch, name),
        )  # fmt: skip
        part.rename(folder)
    return folder


def _keep_only(folders: Mapping[str, Path], out: Path, settings: Settings, watch: Watch) -> None:
    """Take paths of another lesson out of the file: of other optimizers, or from another start."""
    plan = peek_plan(out)
    assert plan is not None
    with open_run(out, plan, settings, watch) as run:
        paths = run.surface.trajectories
        old = [name for name, path in paths.items() if name not in folders or path.facts.folder != str(folders[name])]
        for name in old:
            del paths[name]
        if old:
            run.publish(final=True)
