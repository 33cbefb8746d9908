"""Doubt: is this surface what it claims to be? Asked before the first point, and of the whole at the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from lossviz.errors import ProblemError
from lossviz.evaluate.blame import blamed_on_loss
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.problem import Problem
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface

RELATIVE_TOLERANCE = 1e-4


def check_centre(plan: Plan, problem: Problem, engine: Engine) -> dict[str, Any]:
    """Evaluate the centre by the reference way and twice by the engine; demand that they agree.

    Returns:
        Facts: ``origin``, the values of the untouched checkpoint by name, and ``repeat_noise``, the largest difference
        between two evaluations relative to the value.

    Raises:
        ProblemError: If the loss there is not finite or not repeatable; the message gives the likely reason.
    """
    origin, noise = {}, 0.0
    for split in plan.splits:
        before = _random_state()
        with blamed_on_loss():
            untouched = evaluate_params(problem, problem.params, split)
        random = before != _random_state()
        first, second = (_at_centre(engine, plan, split) for _ in range(2))
        for name in untouched.sums:
            _check_repeatable(name, [untouched, first, second], problem, random=random)
            noise = max(noise, _relative(first.mean(name), second.mean(name)))
            origin[f"{split}_{name}"] = untouched.mean(name)
    return {"origin": origin, "repeat_noise": noise}


def check_facts(stored: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What contradicts the facts of an earlier session on the same file, a line each."""
    same = {"state_sha256": "the model's parameters and buffers", "dataset_sha256": "the examples"}
    return [
        f"  - {words} are not those the file was made from ({name} differs)."
        for name, words in same.items()
        if name in stored and stored[name] != found[name]
    ]


def doubts_of(surface: Surface) -> list[str]:
    """What a careful reader of a finished surface should know, a sentence each."""
    doubts = list(surface.facts.get("warnings", []))
    for name in surface.names:
        values = surface.values(name)[surface.evaluated(surface.split_of(name))]
        if bad := int((~np.isfinite(values)).sum()):
            doubts.append(f"{name} is not finite at {bad} of {values.size} points.")
        finite = values[np.isfinite(values)]
        if finite.size > 1 and np.ptp(finite) == 0:
            doubts.append(f"{name} is the same at every point: the plane does not move what the loss depends on.")
    doubts += _centre_doubts(surface)
    cosine = surface.facts.get("cosine", 0.0)
    if isinstance(cosine, float) and abs(cosine) > 0.1:
        doubts.append(f"The directions are not nearly orthogonal (cosine {cosine:.3f}): angles in a picture mislead.")
    return doubts


def _centre_doubts(surface: Surface) -> list[str]:
    index = surface.plan.grid.origin_index
    if index is None:
        return ["The grid does not sample the trained point; a symmetric range with an odd count does."]
    doubts = []
    for name, untouched in surface.facts.get("origin", {}).items():
        centre = surface.values(name)[surface.plan.grid.position(index)]
        if not _agree(name, centre, untouched, int(surface.splits[surface.split_of(name)].count.max())):
            doubts.append(f"{name} at the centre is {centre:.6g}, but the untouched checkpoint has {untouched:.6g}.")
    return doubts


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
    if not all(_agree(name, value, values[0], points[0].count) for value in values):
        text = ", ".join(f"{value:.7g}" for value in values)
        raise ProblemError(
            f"The {where} differs from one evaluation to the next ({text}), so a surface would be noise. "
            f"Likely reason: {_likely_reason(problem.model, random=random)}"
        )


def _likely_reason(model: nn.Module, *, random: bool) -> str:
    if any(m.training for m in model.modules()):
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


def _agree(name: str, value: float, expected: float, count: int) -> bool:
    # a share of right answers may flip for an example or two that lie on a decision boundary
    slack = 2.0 / count if name.endswith(("error", "accuracy", "correct")) else 1e-6
    return bool(abs(value - expected) <= RELATIVE_TOLERANCE * abs(expected) + slack)


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-12)


def _random_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()
