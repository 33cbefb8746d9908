"""Is the loss a function of the parameters alone? Asked at the centre before the first point, and again on resuming."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from lossviz.errors import PlanError, ProblemError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.loss_call import check_modes
from lossviz.problem.problem import Problem
from lossviz.records.doubts import agree
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface


def check_centre(plan: Plan, problem: Problem, engine: Engine) -> dict[str, Any]:
    """Evaluate the centre by the reference way and twice by the engine; demand that they agree.

    Returns:
        Facts: ``origin``, the values of the untouched checkpoint by name, and ``repeat_noise``, the largest difference
        between two evaluations relative to the value; ``centre_error``, how far the engine is from the untouched
        checkpoint, by name; and ``point_s``, the seconds that one evaluation of all splits took.

    Raises:
        ProblemError: If the loss there is not finite or not repeatable; the message gives the likely reason.
    """
    check_modes(problem)
    origin, errors, noise, seconds = {}, {}, 0.0, 0.0
    for split in plan.splits:
        before = _random_state()
        untouched = evaluate_params(problem, problem.params, split, batch_size=min(128, engine.way.batch_size))
        random = before != _random_state()
        first = _at_centre(engine, plan, split)
        began = time.perf_counter()
        second = _at_centre(engine, plan, split)
        seconds += time.perf_counter() - began
        for name in untouched.sums:
            _check_repeatable(name, [untouched, first, second], problem, random=random)
            noise = max(noise, _relative(first.mean(name), second.mean(name)))
            origin[f"{split}_{name}"] = untouched.mean(name)
            errors[f"{split}_{name}"] = _relative(untouched.mean(name), second.mean(name))
    return {"origin": origin, "repeat_noise": noise, "centre_error": errors, "point_s": seconds}


def check_stored(
    surface: Surface,
    engine: Engine,
    *,
    most: int = 3,
    advice: str = "what is here would not continue it. Write to another --out file.",
) -> None:
    """Evaluate a few stored points again and demand the stored values, up to rounding.

    Raises:
        PlanError: If one comes out otherwise, as on another device or library: it would leave a seam in the surface.
    """
    for split in surface.splits:
        done = np.flatnonzero(surface.evaluated(split).ravel())
        some = done[np.linspace(0, len(done) - 1, min(most, len(done))).astype(int)]
        for index in some.tolist():
            stored = surface.point(index, split)
            (again,) = engine.evaluate_points([index], surface.plan.grid.coordinates([index]), [split])
            for name in again.sums.keys() & stored.sums.keys():
                if not agree(name, again.mean(name), stored.mean(name), stored.count):
                    at = ", ".join(f"{c:g}" for c in surface.plan.grid.coordinates([index])[0])
                    raise PlanError(
                        f"The {split} {name} at ({at}) is {stored.mean(name):.7g} in the file and "
                        f"{again.mean(name):.7g} now: {advice}"
                    )


def check_facts(stored: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What contradicts the facts of an earlier session on the same file, a line each."""
    same = {"state_sha256": "the model's parameters and buffers", "dataset_sha256": "the examples"}
    return [
        f"  - {words} are not those the file was made from ({name} differs)."
        for name, words in same.items()
        if name in stored and stored[name] != found[name]
    ]


def _at_centre(engine: Engine, plan: Plan, split: str) -> Point:
    return engine.evaluate_points([0], np.zeros((1, plan.grid.dimension)), [split])[0]


def _check_repeatable(name: str, points: list[Point], problem: Problem, *, random: bool) -> None:
    values = [point.mean(name) for point in points]
    where = f"{name} of the {points[0].split} split at the checkpoint"
    if not all(math.isfinite(value) for value in values):
        raise ProblemError(
            f"The {where} is {values[0]:g}: there is no surface around a point whose own loss is not finite. "
            "Does the checkpoint hold NaN, or does the data?"
        )
    if not all(agree(name, value, values[0], points[0].count) for value in values):
        text = ", ".join(f"{value:.7g}" for value in values)
        raise ProblemError(
            f"The {where} differs from one evaluation to the next ({text}), so a surface would be noise. "
            f"Likely reason: {_likely_reason(problem.model, random=random)}"
        )


def _likely_reason(model: nn.Module, *, random: bool) -> str:
    if any(m.training and getattr(m, "track_running_stats", True) for m in model.modules()):
        return "loss() or the model's forward switches parts of the model to training mode; leave it in eval mode."
    if random:
        return (
            "random numbers are drawn during evaluation: dropout called with training=True, noise, or random "
            "augmentation. Remove it, or draw it once in data()."
        )
    return (
        "the loss of one example depends on the others in its batch (batch statistics, in-batch negatives). "
        "Let data() return a list of ready batches, and set the same --batch-size."
    )


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-12)


def _random_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()
