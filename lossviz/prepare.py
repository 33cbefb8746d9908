"""Before the first point: load the problem, make the plane, choose a way, check the centre, say it in the file."""

from __future__ import annotations

import datetime
import os
import platform
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

import lossviz
from lossviz.directions.make import make_plane, norm_ratios, recipe_of
from lossviz.errors import PlanError, UsageError
from lossviz.evaluate.checks import check_centre, check_facts, check_stored
from lossviz.evaluate.choice import default_way
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.precision import in_precision, settle_precision
from lossviz.evaluate.quantities import select_quantities
from lossviz.evaluate.way import Strategy, Way
from lossviz.problem.load import load_problem
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.space.params import state_sha256
from lossviz.space.plane import Plane, check_plane
from lossviz.store.directions_file import read_directions, write_directions
from lossviz.store.run import Run, check_writable
from lossviz.store.schema import directions_path, journal_folder

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What changes speed and the last bits of a run, never its meaning.

    Attributes:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        strategy: ``"auto"`` measures and chooses; else the name of a :data:`~lossviz.evaluate.way.Strategy`.
        batch_size: Examples a forward pass; None takes the device's default.
    """

    device: str = "auto"
    strategy: str = "auto"
    batch_size: int | None = None


def open_run(out: Path, plan: Plan, device: str, warn: Warn) -> Run:
    """Take the run's lock, read what is there, and compare the plans."""
    return Run.open(out, plan, session=session_facts(device), warn=warn)


def open_existing(out: Path, plan: Plan, device: str, warn: Warn) -> Run | None:
    """The run at ``out``, locked and its plan compared before any model is loaded; None where there is none yet.

    Raises:
        UnwritableError: If nothing can be written there.
        PlanError: If the run has another plan.
    """
    check_writable(out)
    return open_run(out, plan, device, warn) if out.exists() or journal_folder(out).exists() else None


def prepare(out: Path, plan: Plan, run: Run | None, settings: Settings, warn: Warn) -> tuple[Run, Engine]:
    """Make everything ready to evaluate points; a new run is opened only after all checks passed.

    Args:
        out: The HDF5 file.
        plan: What determines the values.
        run: The run if it exists, as :func:`open_existing` gives it.
        settings: Device, strategy, batch size.
        warn: Called with sentences that do not stop the run.

    Returns:
        The run, whose file now says how it is made, and the engine to fill it.

    Raises:
        LossvizError: For bad input; then nothing was written.
    """
    known = run.surface.facts if run is not None else {}
    problem = load_plan_problem(plan, settings.device)
    plane = prepare_plane(plan, problem, out, stored=bool(known))
    way = choose_way(problem, settings, known)
    precision = known.get("precision") or settle_precision(
        plan, problem, plane, (way or default_way(problem, settings.batch_size)).batch_size
    )
    problem = in_precision(problem, precision["used"])
    engine = Engine(problem, plane, way=way, batch_size=settings.batch_size, relative_error=plan.relative_error)
    facts = {**prepare_facts(plan, problem, plane, engine), "precision": precision}
    for warning in facts["warnings"] if not known else []:
        warn(warning)
    if run is None:
        run = open_run(out, plan, settings.device, warn)
    store_facts(run, facts, plane, engine)
    return run, engine


def load_plan_problem(plan: Plan, device: str) -> Problem:
    """Load model, checkpoint and examples of a plan onto a device."""
    dtype = torch.float64 if plan.precision == "float64" else torch.float32
    problem = load_problem(
        plan.problem,
        splits=plan.splits,
        samples=plan.samples,
        seed=plan.plane.seed,
        device=choose_device(device),
        dtype=dtype,
    )
    problem = replace(problem, loss=select_quantities(problem.loss, plan.quantities))
    if plan.relative_error is None:
        return problem
    shuffled = {split: examples.shuffled(plan.plane.seed) for split, examples in problem.examples.items()}
    return replace(problem, examples=shuffled)


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


def choose_way(problem: Problem, settings: Settings, facts: Mapping[str, Any]) -> Way | None:
    """The way asked for, or the one an earlier session settled on; None leaves it to measuring.

    Raises:
        UsageError: If there is no such strategy.
    """
    if settings.strategy != "auto":
        way = Way(cast(Strategy, settings.strategy), default_way(problem, settings.batch_size).batch_size)
        return replace(way, points=16) if way.strategy == "stacked" else way
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
    return {**facts, **check_centre(plan, problem, engine.exhaustive())}


def store_facts(run: Run, facts: dict[str, Any], plane: Plane, engine: Engine) -> None:
    """Put the facts into the run, or check what an earlier session stored there; directions are saved first.

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
    else:
        check_stored(run.surface, engine)


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
