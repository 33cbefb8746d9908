"""Is the loss a function of the parameters alone? Asked at the centre before the first point, and again on resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from lossviz.errors import PlanError, ProblemError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.hidden_state import HiddenState
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.loss_call import check_modes
from lossviz.problem.problem import Problem
from lossviz.records.doubts import RANGE_ROUNDING, RELATIVE_TOLERANCE, ROUNDING, agree, rounding_of
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface

FAR = 10.0  # far from the centre rounding is larger, and a network may amplify it


def check_centre(plan: Plan, problem: Problem, engine: Engine) -> dict[str, Any]:
    """Evaluate the centre by the reference way and by the engine; demand that they agree, and that it lasts.

    The reference cuts the examples into other batches than the engine. Both evaluate points away from the centre as
    well, after which the centre, buffers, modes and examples must be what they were.

    Returns:
        Facts: ``origin``, the values of the untouched checkpoint by name, and ``repeat_noise``, the largest difference
        between two evaluations relative to the value; ``centre_error``, how far the engine is from the untouched
        checkpoint, by name; and ``point_s``, the seconds that one evaluation of all splits took.

    Raises:
        ProblemError: If the loss there is not finite or not repeatable; the message gives the likely reason.
    """
    check_modes(problem)
    origin, errors, noise, seconds = {}, {}, 0.0, 0.0
    state = HiddenState.of(problem)
    far = far_coordinates(plan)
    for split in plan.splits:
        before = _random_state()
        size = other_cut(engine.way.batch_size, problem.examples[split].count)
        untouched = evaluate_params(problem, problem.params, split, batch_size=size)
        random = before != _random_state()
        first = _at_centre(engine, plan, split)
        began = time.perf_counter()
        second = _at_centre(engine, plan, split)
        seconds += time.perf_counter() - began
        pairs = [_both(problem, engine, split, place, size) for place in far]
        last = _at_centre(engine, plan, split)
        for name in untouched.sums:
            slack = _rounding(name, second, [point for _, point in pairs])
            _check_repeatable(name, [untouched, first, second, last], problem, slack, random=random)
            for place, (expected, found) in zip(far, pairs, strict=True):
                _check_same(name, expected, found, place, problem, random=random)
            noise = max(noise, _relative(first.mean(name), second.mean(name)))
            origin[f"{split}_{name}"] = untouched.mean(name)
            errors[f"{split}_{name}"] = _relative(untouched.mean(name), second.mean(name))
    state.check(problem)
    return {"origin": origin, "repeat_noise": noise, "centre_error": errors, "point_s": seconds}


def check_repeats(problem: Problem, split: str) -> None:
    """Refuse a loss that is not a function of the parameters alone, for what looks at one point without an engine.

    It is evaluated in two cuts and once more.

    Raises:
        ProblemError: If the values differ or are not finite; the message gives the likely reason.
    """
    check_modes(problem)
    before, count = _random_state(), problem.examples[split].count
    points = [evaluate_params(problem, problem.params, split, batch_size=size) for size in (128, other_cut(128, count))]
    random = before != _random_state()
    points.append(evaluate_params(problem, problem.params, split, batch_size=128))
    for name in points[0].sums:
        _check_repeatable(name, points, problem, _rounding(name, points[0], []), random=random)


def other_cut(batch_size: int, count: int) -> int:
    """A batch size, 128 at most, that cuts the examples otherwise.

    Example:
        >>> other_cut(256, 1797), other_cut(256, 100), other_cut(8, 100), other_cut(1, 100)
        (128, 66, 5, 2)
    """
    used = min(batch_size, count)
    return 2 if used == 1 else min(128, max(1, 2 * used // 3))


def far_coordinates(plan: Plan) -> list[np.ndarray]:
    """Two opposite corners of the window and a point inside it, (k,) each."""
    low, high = (np.array([axis.coordinates[end] for axis in plan.grid.axes]) for end in (0, -1))
    return [low, high, low + (high - low) * np.linspace(0.3, 0.6, len(low))]


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
                slack = rounding_of(surface, f"{split}_{name}", index)
                if not agree(name, again.mean(name), stored.mean(name), stored.count, slack):
                    at = ", ".join(f"{c:g}" for c in surface.plan.grid.coordinates([index])[0])
                    raise PlanError(
                        f"The {split} {name} at ({at}) is {stored.mean(name):.7g} in the file and "
                        f"{again.mean(name):.7g} now: {advice}"
                    )


def check_facts(stored: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What contradicts the facts of an earlier session on the same file, a line each."""
    same = {"state_sha256": "the model's parameters and buffers", "dataset_sha256": "the examples"}
    return [
        f"  - {words} are not those the file was made from ({name} differs)."
        for name, words in same.items()
        if name in stored and stored[name] != found[name]
    ]


def _at_centre(engine: Engine, plan: Plan, split: str) -> Point:
    return engine.evaluate_points([0], np.zeros((1, plan.grid.dimension)), [split])[0]


def _both(problem: Problem, engine: Engine, split: str, place: np.ndarray, size: int) -> tuple[Point, Point]:
    """A point by the reference and by the engine."""
    params = engine.plane.point(place.tolist())
    own = {name: params[name].to(problem.params[name].device) for name in params}
    return (
        evaluate_params(problem, own, split, batch_size=size),
        engine.evaluate_points([0], place[None], [split])[0],
    )


def _rounding(name: str, centre: Point, far: list[Point]) -> float:
    """What rounding may change the centre by beside its size: examples cancel; a surface of range 1 may end in 0."""
    reach = [abs(point.mean(name) - centre.mean(name)) for point in far]
    return ROUNDING * centre.deviation(name) + RANGE_ROUNDING * min(filter(math.isfinite, reach), default=0.0)


def _check_same(name: str, expected: Point, found: Point, place: np.ndarray, problem: Problem, *, random: bool) -> None:
    a, b, at = expected.mean(name), found.mean(name), ", ".join(f"{c:g}" for c in place)
    if math.isfinite(a) and not agree(name, b, a, expected.count, FAR * ROUNDING * expected.deviation(name)):
        if abs(b - a) <= FAR * RELATIVE_TOLERANCE * abs(a):
            return
        raise ProblemError(
            f"The {name} of the {expected.split} split at ({at}) is {a:.7g} in one evaluation and {b:.7g} in another, "
            f"so a surface would be noise. Likely reason: {_likely_reason(problem.model, random=random)}"
        )


def _check_repeatable(name: str, points: list[Point], problem: Problem, slack: float, *, random: bool) -> None:
    values = [point.mean(name) for point in points]
    where = f"{name} of the {points[0].split} split at the checkpoint"
    if not all(math.isfinite(value) for value in values):
        raise ProblemError(
            f"The {where} is {values[0]:g}: there is no surface around a point whose own loss is not finite. "
            "Does the checkpoint hold NaN, or does the data?"
        )
    if not all(agree(name, value, values[0], points[0].count, slack) for value in values):
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
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def _random_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()
