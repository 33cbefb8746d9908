"""The conductor: prepare a run, fill its surface, and doubt the result.

``compute`` is the whole job; the three steps are public, since resuming, a second worker and an array task of a cluster
are the same act: open the run, fill what is not evaluated.
"""

from __future__ import annotations

import datetime
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

import lossviz
from lossviz.directions.make import make_plane, norm_ratios, recipe_of
from lossviz.errors import PlanError, StoppedError, UsageError
from lossviz.evaluate.checks import check_centre, check_facts, doubts_of
from lossviz.evaluate.choice import default_way
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.quantities import select_quantities
from lossviz.evaluate.way import Strategy, Way
from lossviz.problem.load import load_problem
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.space.params import state_sha256
from lossviz.space.plane import Plane, check_plane
from lossviz.store.directions_file import read_directions, write_directions
from lossviz.store.run import Run, check_writable
from lossviz.store.schema import directions_path, journal_folder


@dataclass(frozen=True)
class Update:
    """What a progress callback is told: points just saved to disk, and how far the run is.

    Attributes:
        saved: Points that are now safe, whatever happens to the process.
        done: Grid points evaluated in every split, of earlier sessions too.
        total: Grid points, N.
    """

    saved: Sequence[Point]
    done: int
    total: int


@dataclass(frozen=True)
class Report:
    """What a finished run has to say.

    Attributes:
        surface: All values.
        path: The HDF5 file.
        seconds: Time of this session's sweep.
        evaluated: Points evaluated by this session.
        doubts: What a careful reader should know, a sentence each; empty when nothing is doubtful.
    """

    surface: Surface
    path: Path
    seconds: float
    evaluated: int
    doubts: list[str] = field(default_factory=list)


Progress = Callable[[Update], None]
Stop = Callable[[], bool]


def compute(
    plan: Plan,
    out: Path,
    *,
    device: str = "auto",
    strategy: str = "auto",
    batch_size: int | None = None,
    progress: Progress = lambda update: None,
    stop: Stop = lambda: False,
    warn: Callable[[str], None] = lambda message: None,
) -> Report:
    """Evaluate the surface of ``plan`` and save it in ``out``; go on where an earlier run of the same plan stopped.

    Args:
        plan: Everything that determines the result.
        out: The HDF5 file to make; its folder must exist.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        strategy: How points are evaluated: ``"auto"`` measures and chooses, or the name of a
            :data:`~lossviz.evaluate.way.Strategy`. A run that goes on keeps the way it began with.
        batch_size: Examples a forward pass; None takes the device's default.
        progress: Called after points were saved.
        stop: Asked between chunks; when it says True the run is saved and ends with :class:`StoppedError`.
        warn: Called with sentences that do not stop the run.

    Returns:
        The surface, and what is doubtful about it.

    Raises:
        LossvizError: Bad input (exit status 2), damaged files (65), an output that cannot be written (73, 74), or a
            stop that the same call continues (75).
    """
    check_writable(out)
    # an existing run is locked and its plan compared before any model is loaded
    run = open_run(out, plan, device, warn) if out.exists() or journal_folder(out).exists() else None
    try:
        if run is not None and run.surface.facts.get("doubts") is not None and not len(run.surface.pending()):
            return Report(run.surface, out, 0.0, 0, run.surface.facts["doubts"])  # it was finished before
        problem = load_plan_problem(plan, device)
        plane = prepare_plane(plan, problem, out, stored=run is not None and bool(run.surface.facts))
        way = choose_way(problem, strategy, batch_size, run.surface.facts if run is not None else {})
        engine = Engine(problem, plane, way=way, batch_size=batch_size)
        facts = prepare_facts(plan, problem, plane, engine)
        run = run or open_run(out, plan, device, warn)
        store_facts(run, facts, plane)
        surface, seconds, evaluated = fill(run, engine, progress=progress, stop=stop)
        return Report(surface, out, seconds, evaluated, surface.facts["doubts"])
    finally:
        if run is not None:
            run.close("done" if not len(run.surface.pending()) else "stopped")


def open_run(out: Path, plan: Plan, device: str, warn: Callable[[str], None]) -> Run:
    """Take the run's lock, read what is there, and compare the plans."""
    return Run.open(out, plan, session=session_facts(device), warn=warn)


def load_plan_problem(plan: Plan, device: str) -> Problem:
    """Load model, checkpoint and examples of a plan onto a device."""
    dtype = {"float32": torch.float32, "float64": torch.float64}[plan.precision]
    problem = load_problem(
        plan.problem,
        splits=plan.splits,
        samples=plan.samples,
        seed=plan.plane.seed,
        device=choose_device(device),
        dtype=dtype,
    )
    return replace(problem, loss=select_quantities(problem.loss, plan.quantities))


def choose_device(name: str) -> torch.device:
    """The device of that name; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UsageError: If torch does not know the name or cannot reach the device.
    """
    if name == "auto":
        kinds = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True))
        name = next(kind for kind, there in kinds if there)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"--device {name} cannot be used here: {first} Use --device auto or --device cpu.") from None
    return device


def prepare_plane(plan: Plan, problem: Problem, out: Path, *, stored: bool) -> Plane:
    """The plane of a run: as ``stored`` beside a run that exists, else made as the plan says.

    Raises:
        StoreError: If the stored directions are missing or damaged.
        PlanError: If they were made by another recipe.
    """
    origin = {name: tensor.detach().cpu() for name, tensor in problem.params.items()}
    if stored:
        file = read_directions(directions_path(out))
        if file.recipe != recipe_of(plan.plane) or file.directions is None:
            raise PlanError(
                f"{directions_path(out)} holds other directions than the plan's. Write to another --out file."
            )
        directions = [{name: torch.from_numpy(array) for name, array in d.items()} for d in file.directions]
    else:
        made = make_plane(plan.plane, plan.grid.dimension, origin)
        # directions are what float32 holds, as they are stored: then every precision sees the same plane
        directions = [{name: tensor.float() for name, tensor in d.items()} for d in made.directions]
    plane = Plane(plan.plane.kind, origin, tuple(directions))
    check_plane(plane)
    return plane.to(problem.device, torch.float64 if plan.precision == "float64" else torch.float32)


def choose_way(problem: Problem, strategy: str, batch_size: int | None, facts: dict[str, Any]) -> Way | None:
    """The way asked for, or the one an earlier session settled on; None leaves it to measuring.

    Raises:
        UsageError: If there is no such strategy.
    """
    if strategy != "auto":
        way = Way(cast(Strategy, strategy), default_way(problem, batch_size).batch_size)
        return replace(way, points=16) if strategy == "stacked" else way
    before = facts.get("engine", {})
    return Way.from_json(before["way"]) if before.get("settled") else None


def prepare_facts(plan: Plan, problem: Problem, plane: Plane, engine: Engine) -> dict[str, Any]:
    """Check the problem at the centre, and gather what the file should say about model, data and plane."""
    facts = {
        "problem": problem.name,
        "model": type(problem.model).__name__,
        "parameters": sum(parameter.numel() for parameter in problem.model.parameters()),
        "parameters_moved": sum(problem.params[name].numel() for name in plane.moved),
        "tensors_moved": len(plane.moved),
        "tensors": len(list(problem.model.parameters())),
        "examples": {split: examples.count for split, examples in problem.examples.items()},
        "chance": dict(problem.chance),
        "state_sha256": state_sha256(dict(problem.model.state_dict())),
        "dataset_sha256": {split: examples.sha256() for split, examples in problem.examples.items()},
        "gram": plane.gram.tolist(),
        "norm_ratios": [list(pair) for pair in norm_ratios(plane)],
        "notes": list(problem.notes),
        "warnings": list(problem.warnings),
        "engine": engine.settings,
    }
    if plane.dimension > 1:
        facts["cosine"] = plane.cosine()
    return {**facts, **check_centre(plan, problem, engine)}


def store_facts(run: Run, facts: dict[str, Any], plane: Plane) -> None:
    """Put the facts into the run, or check them against those an earlier session found; save the directions first.

    Raises:
        PlanError: If model, data or directions are not those the file was made from.
    """
    if not run.surface.facts:
        arrays = [{name: t.float().cpu().numpy() for name, t in d.items()} for d in plane.directions]
        origin = {name: t.float().cpu().numpy() for name, t in plane.origin.items()}
        recipe = recipe_of(run.surface.plan.plane)
        fingerprint = write_directions(directions_path(run.path), arrays, recipe=recipe, origin=origin)
        run.surface.facts.update(facts, directions_sha256=list(fingerprint.sha256))
        run.publish()
    elif mistakes := check_facts(run.surface.facts, facts):
        raise PlanError("\n".join([f"{run.path} cannot be continued:", *mistakes, "Write to another --out file."]))


def fill(run: Run, engine: Engine, *, progress: Progress, stop: Stop) -> tuple[Surface, float, int]:
    """Evaluate what is not evaluated, saving as it goes, and publish the file.

    Returns:
        The surface, the seconds it took, and the number of points evaluated.

    Raises:
        StoppedError: If ``stop`` says so; everything evaluated is saved then.
    """
    surface, grid = run.surface, run.surface.plan.grid
    total, start, evaluated = grid.size, time.perf_counter(), 0
    pending = {split: surface.pending(split) for split in surface.splits}

    def tell(saved: Sequence[Point]) -> None:
        if saved:
            progress(Update(saved, int(surface.evaluated().sum()), total))

    for points in engine.evaluate(grid, pending):
        tell(run.save(points))
        if engine.settled and engine.settings != surface.facts.get("engine"):
            # a later session must go on in the same way, or values would depend on who computed them
            surface.facts["engine"] = engine.settings
            run.publish()
        evaluated += len({point.index for point in points})
        run.publish_when_due()
        if stop() and len(surface.pending()):
            tell(run.sync())
            run.publish()
            done = int(surface.evaluated().sum())
            raise StoppedError(f"Stopped at {done} of {total} points; all are saved. Run the same command to go on.")
    tell(run.sync())
    seconds = time.perf_counter() - start
    surface.facts["engine"] = engine.settings
    surface.facts["doubts"] = doubts_of(surface)
    run.publish(final=True)
    return surface, seconds, evaluated


def session_facts(device: str) -> dict[str, Any]:
    """One row of provenance: which machine and software computes, since when."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "lossviz": lossviz.__version__,
        "command_line": " ".join(sys.argv),
    }
