"""Where optimizers go on the digits: a training path on its own plane and on a random one, and four optimizers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.plane_words import PlaneRequest, PlaneWords
from lossviz.records.surface import Surface
from lossviz.records.trajectory import Trajectory
from lossviz.records.watch import QUIET, Watch, as_stage
from lossviz.render.scene import make_scene
from lossviz.render.write import draw
from lossviz.run.compute import compute
from lossviz.run.plane import settle_plane
from lossviz.store.surface_file import peek_plan, read_surface
from lossviz.studies.project import project
from lossviz.studies.trace import trace
from lossviz.trajectory.descent import Descent

# learning rates by experiment: near the largest with which each still goes down from that start
OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "SGD": ("sgd", {"lr": 0.005}),
    "momentum": ("sgd", {"lr": 0.005, "momentum": 0.9}),
    "RMSprop": ("rmsprop", {"lr": 0.0005}),
    "Adam": ("adam", {"lr": 0.001}),
}
BATCH_SIZE = 128
QUANTITY = "train_loss"


@dataclass(frozen=True)
class PathView:
    """Paths on one plane: the surface with them, its picture, and what is to be seen in a sentence each."""

    surface: Surface
    figure: Path
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Guide:
    """Where pictures of paths go, how fine their planes are, and who is told.

    Attributes:
        out: Folder for everything.
        points: Of each axis of the plane of the training path; that of the optimizers is smoother and takes fewer.
        steps: Of each optimizer.
        watch: Who is told, and who may stop it.
    """

    out: Path
    points: int
    steps: int
    watch: Watch

    @property
    def silent(self) -> Watch:
        """The same without stages, for steps too short to be told of."""
        return replace(self.watch, stage=QUIET.stage)


def training_path(checkpoint: Path, snapshots: Path, guide: Guide) -> PathView:
    """A training path on the plane of its two principal components, through the trained network."""
    plan, out = _plan_at(checkpoint), guide.out / "digits-path.h5"
    request = PlaneRequest(PlaneWords.parse("pca"), (str(snapshots),), auto=(guide.points,))
    surface = _with_paths(plan, request, out, {"training": snapshots}, "training path", guide)
    (path,) = surface.trajectories.values()
    shares, null = (getattr(surface.facts, name) for name in ("explained_variance", "random_walk_null"))
    finding = (
        f"On its own PCA plane the training path keeps {sum(shares):.0%} of its variance (a random walk's: "
        f"{sum(null):.0%}); {_distances(path)}. {_gap(path)}"
    )
    return PathView(
        surface, _draw(surface, guide.out / "digits-path.png", "Training, on the plane of its path"), (finding,)
    )


def path_on_random_plane(random: Path, snapshots: Path, guide: Guide) -> PathView:
    """The same path on the plane of the surface ``random``, whose points are taken over."""
    known = peek_plan(random)
    assert known is not None
    plan, out = replace(known, splits=("train",)), guide.out / "digits-path-random.h5"
    if not _is_there(out, {"training"}):
        compute(plan, out, watch=guide.watch, plane_from=random)
        project(out, {"training": snapshots}, watch=guide.silent, force=True)
    surface = read_surface(out)
    (path,) = surface.trajectories.values()
    shares = path.explained_variance
    seen = f"{shares.sum():.2%} of its variance" if shares is not None else "nothing"
    finding = (
        f"On the random plane of the surface above the same path is a dot, {seen}; {_distances(path)}. {_gap(path)}"
    )
    return PathView(
        surface, _draw(surface, guide.out / "digits-path-random.png", "Training, on the random plane"), (finding,)
    )


def compare_optimizers(start: Path, guide: Guide) -> PathView:
    """SGD, momentum, RMSprop and Adam from one start, on the plane of all their snapshots through that start."""
    folder, out = guide.out / "digits-optimizers", guide.out / "digits-optimizers.h5"
    plan = _plan_at(start)
    for number, (name, (optimizer, settings)) in enumerate(OPTIMIZERS.items()):
        descent = Descent(
            optimizer, settings, steps=guide.steps, batch_size=BATCH_SIZE, every=max(guide.steps // 12, 1)
        )
        _trace(plan, descent, folder / name, number, guide)
    runs = {name: folder / name for name in OPTIMIZERS}
    points = max(5, guide.points * 2 // 3)
    request = PlaneRequest(PlaneWords.parse("pca"), tuple(map(str, runs.values())), auto=(points,))
    surface = _with_paths(plan, request, out, runs, "plane of optimizers", guide)
    paths = list(surface.trajectories.values())
    ends = (f"{path.name} {path.own[QUANTITY][-1]:.3g}, {path.distance[-1]:.2f} off" for path in paths)
    finding = (
        f"Four optimizers from one start (train loss {paths[0].own[QUANTITY][0]:.3g}) on one plane, after "
        f"{guide.steps} steps of {BATCH_SIZE} examples: {'; '.join(ends)} the plane."
    )
    figure = _draw(surface, guide.out / "digits-optimizers.png", "Four optimizers from one start")
    return PathView(surface, figure, (finding,))


def _plan_at(checkpoint: Path) -> Plan:
    problem = resolve_problem("digits", model_args={"skips": True}, checkpoint=checkpoint)
    return Plan(problem, PlaneSpec(), Grid.parse("-1:1:3,-1:1:3"), splits=("train",))


def _with_paths(
    plan: Plan, request: PlaneRequest, out: Path, runs: Mapping[str, Path], stage: str, guide: Guide
) -> Surface:
    """The surface of a plane made of runs, with those runs in its file; read where it is there already."""
    if _is_there(out, set(runs)):
        return read_surface(out)
    plan, plane_from = settle_plane(plan, request, out, watch=guide.silent)
    compute(plan, out, watch=as_stage(guide.watch, stage), plane_from=plane_from)
    project(out, runs, watch=guide.silent)
    return read_surface(out)


def _is_there(out: Path, names: set[str]) -> bool:
    return out.exists() and names <= set(read_surface(out).trajectories)


def _trace(plan: Plan, descent: Descent, folder: Path, number: int, guide: Guide) -> None:
    """Record a run in its folder, whole or not at all."""
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)

    def tell(stage: str, done: int, total: int) -> None:
        guide.watch.stage("optimizers", number * total + done, len(OPTIMIZERS) * total)

    trace(plan.problem, descent, part, watch=replace(guide.watch, stage=tell))
    part.rename(folder)


def _draw(surface: Surface, path: Path, title: str) -> Path:
    draw(make_scene([surface], kind="contour", quantity=QUANTITY, titles=(title,), footer=True), path)
    return path


def _distances(path: Trajectory) -> str:
    first, last, most = path.distance[0], path.distance[-1], path.distance.max()
    return f"it starts {first:.2f} off the plane and ends {last:.2f} off it, with {most:.2f} between at most"


def _gap(path: Trajectory) -> str:
    """Where its own loss and the plane's differ by the largest factor."""
    own, beneath = path.own[QUANTITY], path.projected[QUANTITY]
    at = int(np.abs(np.log(own / beneath)).argmax())
    unit = path.facts.unit or "step"
    return f"At {unit} {path.steps[at]} its own train loss is {own[at]:.2g}, the plane's beneath it {beneath[at]:.2g}."
