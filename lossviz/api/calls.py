"""What is called from Python: a landscape of objects at hand, or of what the command line takes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lossviz.api.bar import in_notebook, notebook_bar
from lossviz.api.options import Asked
from lossviz.api.problem import held_problem, held_ref
from lossviz.api.surface import Surface
from lossviz.api.trajectory import Trajectory
from lossviz.errors import LossvizWarning, StoppedError, UsageError
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.plan import Plan, ProblemRef
from lossviz.records.remark import Remark, is_sound
from lossviz.records.shown import Shown
from lossviz.records.table import Table
from lossviz.records.watch import QUIET, Watch
from lossviz.run.assembly import Source
from lossviz.run.check import check_plan
from lossviz.run.compute import compute as run_compute
from lossviz.run.memory import MemoryRun
from lossviz.run.plane import settle_plane
from lossviz.run.prepare import REREAD_S
from lossviz.store.aside import move_aside
from lossviz.store.other_run import OtherRun
from lossviz.store.surface_file import read_surface
from lossviz.studies.project import Projector
from lossviz.studies.project import project as run_project
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshots import open_snapshots

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from lossviz.api.options import Options


def compute(
    model: nn.Module | Problem | str | Path,
    data: Any = None,
    loss: Any = None,
    *,
    checkpoint: str | Path | None = None,
    model_args: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    plane_from: str | Path | None = None,
    path: TrajectoryRecorder | Sequence[TrajectoryRecorder] = (),
    name: str | None = None,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Surface:
    """Evaluate the loss on a grid around a trained model.

    Args:
        model: A trained model, in any mode, on any device, which is copied and stays as it is; or a
            :class:`~lossviz.problem.problem.Problem`; or what ``lossviz compute`` takes, the path of a problem file.
        data: A loader, a dataset, tensors, ready batches, or a dict of these by split.
        loss: A criterion such as ``nn.CrossEntropyLoss()``, applied to the model's output and the batch's target; or a
            function ``loss(model, batch)`` that returns one value per example.
        checkpoint: With a problem file: the trained parameters.
        model_args: With a problem file: keyword arguments of its ``model()``.
        out: The HDF5 file to save in, and to go on with if it is there; None writes nothing anywhere.
        plane_from: A run whose plane is taken.
        path: Recorders of training runs, for planes made of them (``plane="pca"``); as ``snapshots`` names folders. The
            paths are drawn on the surface.
        name: What titles call the problem; None takes the name of the model's class.
        progress: Whether to show a bar; None shows one on terminals and in notebooks.
        options: Every other option of ``lossviz compute``, by its name: ``grid``, ``plane``, ``split``, ``precision`` …

    Returns:
        The surface, which shows its picture at the end of a notebook's cell. Interrupted, it says what is missing, and
        ``go_on()`` evaluates that.

    Raises:
        LossvizError: For bad input.

    Example:
        >>> import torch
        >>> model, data = torch.nn.Linear(3, 2), (torch.randn(20, 3), torch.arange(20) % 2)
        >>> surface = compute(model, data, torch.nn.CrossEntropyLoss(), grid="-1:1:5,-1:1:3", progress=False)
        >>> surface.values("train_loss").shape, surface.evaluated().all()
        ((3, 5), np.True_)
    """
    recorders = [path] if isinstance(path, TrajectoryRecorder) else list(path)
    folders = [*options.get("snapshots", ()), *(recorder.flushed() for recorder in recorders)]
    asked = Asked.read({**options, **({"snapshots": folders} if folders else {})})
    ref = reference(model, data, loss, asked.splits, checkpoint, model_args, name)
    plan = asked.plan(ref)
    with TemporaryDirectory() as folder:  # for directions that are made of data
        place = Path(out) if out is not None else Path(folder, "memory.h5")
        with _watched(plan, progress) as watch:
            other = None if plane_from is None else Path(plane_from)
            if not asked.request.is_plain:
                plan, other = settle_plane(plan, asked.request, place, asked.settings, watch)
            if out is not None:
                return _in_file(plan, place, asked, watch, other)
            return _in_memory(plan, asked, watch, other)


def check(
    model: nn.Module | Problem | str | Path,
    data: Any = None,
    loss: Any = None,
    *,
    checkpoint: str | Path | None = None,
    model_args: Mapping[str, Any] | None = None,
    plane_from: str | Path | None = None,
    name: str | None = None,
    **options: Unpack[Options],
) -> Verdict:
    """Check a problem and its plane as :func:`compute` does before the first point; arguments as there.

    Raises:
        LossvizError: For what ``compute`` would refuse.
    """
    asked = Asked.read(options)
    plan = asked.plan(reference(model, data, loss, asked.splits, checkpoint, model_args, name))
    with TemporaryDirectory() as folder:
        other = None if plane_from is None else Path(plane_from)
        if not asked.request.is_plain:
            plan, other = settle_plane(plan, asked.request, Path(folder, "check.h5"), asked.settings, WARNING)
        return Verdict(check_plan(plan, asked.settings, WARNING, plane_from=other))


def read(path: str | Path) -> Surface:
    """Read a surface from a result file; one that is unfinished says so.

    Raises:
        StoreError: If it is not one.
    """
    return Surface.of(read_surface(path, _warn), Path(path))


class Verdict(Shown, list[Remark]):
    """Remarks in order; shows itself as the table that ``lossviz check`` prints."""

    def heading(self) -> str:
        """The word on the whole."""
        return "Nothing is wrong." if self.is_sound else "Something is wrong: read the table."

    def tables(self) -> list[Table]:
        """A row for each remark."""
        rows = [("" if remark.level == "said" else remark.level, remark.subject, remark.text) for remark in self]
        return [Table.of(("", "checked", "found"), rows)]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return is_sound(self)


def reference(
    model: Any, data: Any, loss: Any, splits: tuple[str, ...], checkpoint: str | Path | None = None,
    model_args: Mapping[str, Any] | None = None, name: str | None = None,
) -> ProblemRef:  # fmt: skip
    """The problem that a call names: a path and words, a problem, or objects at hand.

    Raises:
        LossvizError: If they do not go together, or cannot be a problem.
    """
    if isinstance(model, (str, Path)):
        words = {"data": data, "loss": loss}
        if wrong := [word for word, given in words.items() if given is not None and not isinstance(given, str)]:
            raise UsageError(
                f"The model is the path {model}, and {wrong[0]} an object; give both as objects or both as words."
            )
        file = None if checkpoint is None else Path(checkpoint)
        return resolve_problem(str(model), model_args=dict(model_args or {}), checkpoint=file, **words)
    if checkpoint is not None or model_args:
        raise UsageError("checkpoint and model_args are for problem files; load the parameters into the model itself.")
    if isinstance(model, Problem):
        return held_ref(model)
    return held_problem(model, data, loss, splits, name=name)


def _in_file(plan: Plan, out: Path, asked: Asked, watch: Watch, plane_from: Path | None) -> Surface:
    if asked.words["force"] and (kept := move_aside(out, plan if asked.request.is_plain else None)):
        _warn(Remark("said", "run", f"The earlier run is kept as {kept}."))
    try:
        report = run_compute(plan, out, asked.settings, watch, plane_from=plane_from)
        if runs := _runs(asked):
            run_project(
                out, runs, asked.settings, watch, problem=plan.problem, snapshot_order=asked.words["snapshot_order"]
            )
            return Surface.of(read_surface(out), out, plan.problem)
    except (StoppedError, KeyboardInterrupt):
        if not out.exists():
            raise
        text = f"Interrupted; what was evaluated is in {out}. Call compute again with the same arguments to go on."
        _warn(Remark("doubt", "run", text))
        return Surface.of(read_surface(out), out, plan.problem)
    return Surface.of(report.surface, out, plan.problem)


def _in_memory(plan: Plan, asked: Asked, watch: Watch, plane_from: Path | None) -> Surface:
    other = None if plane_from is None else OtherRun.read(plane_from)
    plan = other.plan_on(plan) if other else plan
    run = MemoryRun(plan, asked.settings.device)
    run.begin(Source(other=other, reread_s=REREAD_S), asked.settings, watch)
    surface = Surface.of(run.surface, problem=plan.problem)
    surface.run = run
    surface.go_on(watch)
    for called, source in _runs(asked).items():
        seen = Projector(run.engine.problem, run.engine.plane)
        order = asked.words["snapshot_order"]
        for series, snapshots in open_snapshots(source, seen.problem, order=order, warn=watch.warn).items():
            full_name = f"{called} {series}".strip()
            surface.trajectories[full_name] = Trajectory.of(seen.project(snapshots, full_name, watch))
    return surface


def _runs(asked: Asked) -> dict[str, str]:
    """A name for each run whose path is drawn: its folder's."""
    return {Path(source).name or source: str(source) for source in asked.words["snapshots"]}


def _warn(remark: Remark) -> None:
    warnings.warn(remark.text, LossvizWarning, stacklevel=4)


WARNING = Watch(warn=_warn)


@contextmanager
def _watched(plan: Plan, progress: bool | None) -> Iterator[Watch]:
    """Warnings as warnings; a bar on terminals and in notebooks."""
    shown = progress if progress is not None else sys.stderr.isatty() or in_notebook()
    if not shown:
        yield WARNING
        return
    from lossviz.cli.show.progress import show_progress

    with notebook_bar(plan.grid) if in_notebook() else show_progress("bar", plan.grid) as tell:
        yield replace(WARNING, progress=tell, stage=QUIET.stage)
