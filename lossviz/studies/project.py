"""See runs of an optimizer on the plane of a surface: coordinates, distance, own loss and the plane's loss beneath."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.errors import LossvizError, StoppedError, StoreError, UsageError, join_mistakes
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.choice import default_way
from lossviz.evaluate.ways.way import Way
from lossviz.problem.checkpoint.match import Matching
from lossviz.problem.problem import Problem
from lossviz.problem.stand import standing
from lossviz.records.plan import Plan, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.records.trajectory import Mark, Trajectory, TrajectoryFacts, random_walk_null
from lossviz.records.watch import QUIET, Watch
from lossviz.run.join import load_stored
from lossviz.run.prepare import open_run
from lossviz.run.settings import DEFAULT, Settings
from lossviz.space.params import Params, as_real
from lossviz.space.plane import Plane
from lossviz.store.run import Run
from lossviz.store.surface_file import peek_plan
from lossviz.store.trust import trusted_plan
from lossviz.trajectory.project import check_visible, project_snapshots
from lossviz.trajectory.snapshots import Snapshots, open_snapshots


def project(
    out: Path,
    runs: Mapping[str, str | Path],
    settings: Settings = DEFAULT,
    watch: Watch = QUIET,
    *,
    problem: ProblemRef | None = None,
    force: bool = False,
    snapshot_order: str = "",
    skip: tuple[str, ...] = (),
    renames: tuple[tuple[str, str], ...] = (),
    trust_pickle: bool = False,
    trust_problem: bool = False,
) -> dict[str, Trajectory]:
    """Project the snapshots of one or more runs on the plane of the surface ``out``, and store them in its file.

    Averages recorded beside a run (ema, swa) become trajectories of their own, named ``"sgd ema"``. A trajectory of a
    name that is there already is replaced.

    Args:
        out: A run made by :func:`lossviz.run.compute.compute`; it may be unfinished, but must not be going on.
        runs: Per name a folder or glob pattern of snapshots.
        settings: The device where losses are evaluated.
        watch: Told of each stage, warned of snapshots that were left out, and asked after each whether to stop.
        problem: One in memory that the file was computed of; None takes what the file names.
        force: Store a path even where it is no more than a dot on this plane.
        snapshot_order: What orders snapshots; empty for what they store or their names say.
        skip: Patterns of names that the snapshots need not fit, beside those of the run's checkpoint.
        renames: Pairs of old and new parts of the snapshots' names, after those of the run's checkpoint.
        trust_pickle: Whether code in the snapshots may run.
        trust_problem: Run what the file names, whoever made it.

    Returns:
        The trajectories by name, as stored.

    Raises:
        StoreError: If there is no such run.
        StoppedError: If it is being filled by another process, or ``watch.stop`` says so.
        UsageError: For runs that cannot be projected; the others are stored all the same.
    """
    if not all(name.strip() for name in runs):
        raise UsageError("A run's --name is empty; write a word, for example --name sgd.")
    plan = peek_plan(out)
    if plan is None:
        made = f"lossviz compute … --out {shlex.quote(str(out))} --prepare-only"
        raise StoreError(f"There is no surface file {out}. Make one with: {made}")
    if problem is not None and problem.source_sha256 == plan.problem.source_sha256:
        plan = replace(plan, problem=problem)
    plan = trusted_plan(out, plan, trust_problem=trust_problem, trust_pickle=trust_pickle)
    with open_run(out, plan, settings, watch) as run:
        projector = Projector.of(run.surface, plan, out, settings, watch)
        matching = _beside(projector.problem.matching, skip, renames, trust_pickle)
        projector.problem = replace(projector.problem, matching=matching)
        made, mistakes = {}, []
        for name, source in runs.items():
            try:
                found = open_snapshots(source, projector.problem, order=snapshot_order, warn=watch.warn)
                for series, snapshots in found.items():
                    full_name = f"{name} {series}".strip()
                    made[full_name] = projector.project(snapshots, full_name, watch, force=force)
            except StoppedError:
                raise
            except LossvizError as error:
                mistakes.append(str(error))
        if made:
            run.surface.trajectories.update(made)
            _publish(run)
    if mistakes:
        kept = f"\nStored all the same: {', '.join(made)}." if made else ""
        raise UsageError(join_mistakes(mistakes) + kept)
    return made


class Projector:
    """Projects snapshots onto one plane of one problem.

    Args:
        problem: Model, loss and examples; its model is moved about and put back.
        plane: On the problem's device.
        way: How losses are evaluated; None takes the plain loop.
        made_of: Number of snapshots whose principal components span the plane; 0 for another plane.
        unused: Parameters that no loss depends on, whose motion is no part of a path.
    """

    def __init__(
        self, problem: Problem, plane: Plane, way: Way | None = None, made_of: int = 0, unused: Sequence[str] = ()
    ) -> None:
        self.problem, self.plane, self.made_of = problem, plane, made_of
        self.way = way or default_way(problem)
        self.unused = tuple(unused)

    @classmethod
    def of(cls, surface: Surface, plan: Plan, out: Path, settings: Settings, watch: Watch) -> Projector:
        """For the plane of a stored run, evaluating in its precision."""
        made, facts = load_stored(out, plan, surface, settings.device, watch), surface.facts
        made_of = len(facts.plane.coefficients) if made.plane.kind == "pca" else 0
        unused = facts.probes.not_moved.unused
        way = made.engine.way
        way = Way("loop", way.batch_size, lean=way.lean)
        return cls(made.problem, made.plane, way, made_of, unused)

    def project(self, snapshots: Snapshots, name: str, watch: Watch = QUIET, *, force: bool = False) -> Trajectory:
        """One trajectory, with the losses of its snapshots and of their nearest points of the plane.

        Raises:
            UsageError: If the path would be a dot, unless ``force``.
            StoppedError: If ``watch.stop`` says so.
        """
        seen = project_snapshots(snapshots, self.plane.without(self.unused), watch)
        if not force:
            check_visible(seen, self.plane.kind, name)
        own, projected = [], []
        for t, coordinates in enumerate(seen.coordinates):
            watch.stage("evaluating snapshots", t, len(snapshots))
            if watch.stop():
                raise StoppedError("Stopped while evaluating snapshots; nothing of this trajectory is stored.")
            own.append(self.own_points(snapshots.state(t)))
            projected.append(self.points_at(coordinates) if np.isfinite(coordinates).all() else [])
        watch.stage("evaluating snapshots", len(snapshots), len(snapshots))
        return Trajectory(
            name=name,
            steps=np.array([fact.step for fact in snapshots.facts]),
            coordinates=seen.coordinates,
            distance=seen.distance,
            own=_columns(own),
            projected=_columns(projected),
            epochs=_array(snapshots.column("epoch")),
            learning_rate=_array(snapshots.column("learning_rate")),
            recorded_loss=_array(snapshots.column("loss")),
            explained_variance=seen.explained_variance,
            marks=_marks(snapshots.facts),
            facts=_facts(snapshots, **self._null(snapshots)),
        )

    def points_at(self, coordinates: np.ndarray) -> list[Point]:
        """Every split evaluated at one point of the plane, ``coordinates`` (k,), with the plane's buffers."""
        return self._evaluate(self.plane, coordinates)

    def own_points(self, state: Params) -> list[Point]:
        """Every split evaluated at a snapshot, with its own buffers and frozen parameters."""
        known = self.problem.model.state_dict().keys()
        with standing(self.problem.model, {name: tensor for name, tensor in state.items() if name in known}):
            here = {n: as_real(state[n]).to(origin) for n, origin in self.plane.origin.items()}
            plane = Plane(self.plane.kind, here, self.plane.directions)
            return self._evaluate(plane, np.zeros(self.plane.dimension))

    def _null(self, snapshots: Snapshots) -> dict[str, tuple[float, ...]]:
        """What a random walk would explain, where the plane is that of these snapshots alone."""
        if len(snapshots) != self.made_of:
            return {}
        return {"random_walk_null": tuple(random_walk_null(self.plane.dimension, self.made_of).tolist())}

    def _evaluate(self, plane: Plane, coordinates: np.ndarray) -> list[Point]:
        engine = Engine(self.problem, plane, way=self.way)
        return engine.evaluate_points([0], coordinates[None], tuple(self.problem.examples))


def _beside(
    known: Matching, skip: tuple[str, ...], renames: tuple[tuple[str, str], ...], trust_pickle: bool
) -> Matching:
    """What the run's checkpoint was let off, and what the snapshots are beside it."""
    both = (*known.skip, *skip), (*known.renames, *renames), known.trust_pickle or trust_pickle
    return Matching(*both, known.weights)


def _columns(evaluated: Sequence[Sequence[Point]]) -> dict[str, np.ndarray]:
    """Per quantity a column over the snapshots, NaN where it was not evaluated."""
    rows = [{f"{p.split}_{name}": p.mean(name) for p in points for name in p.sums} for points in evaluated]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _marks(facts: Sequence[Any]) -> tuple[Mark, ...]:
    """Events of the snapshots; a change of the learning rate after the last step, which no step ever had, is none."""
    *_, last = facts
    return tuple(
        Mark(fact.step, kind, label)
        for fact in facts
        for kind, label in fact.marks
        if fact is not last or kind not in ("decay", "restart")
    )


def _array(values: list[float] | None) -> np.ndarray | None:
    return None if values is None else np.array(values)


def _facts(snapshots: Snapshots, **null: tuple[float, ...]) -> TrajectoryFacts:
    return TrajectoryFacts(
        **null,
        series=next(fact.series for fact in snapshots.facts),
        optimizer=next((fact.optimizer for fact in snapshots.facts if fact.optimizer), None),
        unit=snapshots.unit,
        folder=str(snapshots.files[0].parent),
        files=tuple(path.name for path in snapshots.files),
        left_out=tuple(snapshots.left_out),
    )


def _publish(run: Run) -> None:
    """Put the trajectories into the file; a surface that was finished stays packed as it was."""
    run.publish(final=not len(run.surface.pending()))
