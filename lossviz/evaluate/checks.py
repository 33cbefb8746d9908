"""Is the loss a function of the parameters alone? Asked at the centre before the first point, and again on resuming."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from lossviz.errors import LossvizError, PlanError, ProblemError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.hidden_state import HiddenState
from lossviz.evaluate.passes import rounding_error
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.guard import is_plain
from lossviz.problem.float64 import in_float64
from lossviz.problem.loss_call import check_modes
from lossviz.problem.problem import Problem
from lossviz.records.doubts import NEAR, RANGE_ROUNDING, RELATIVE_TOLERANCE, ROUNDING, agree, rounding_of
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.space.plane import Plane

# Two cuts of the same examples differ in float32 by less than 7e-8 of a value at the centre and 5e-7 away from it, in
# 250 random networks and in convolutions of 30 layers, and in float64 by 4e-16: what differs by more than these is no
# rounding, unless a copy in float64 says so.
STRICT = {"float32": 1e-5, "float64": 1e-6}  # in float64 a model may have parts in float32
PERSISTS = 1e-7
FAR = 10.0  # far from the centre rounding is larger, and a network may amplify it


def check_centre(plan: Plan, problem: Problem, engine: Engine) -> Facts:
    """Evaluate the centre by the reference way and by the engine; demand that they agree, and that it lasts.

    The reference cuts the examples into other batches than the engine. Both evaluate points away from the centre as
    well, after which the centre, buffers, modes and examples must be what they were.

    Returns:
        Facts: ``origin``, the values of the untouched checkpoint by name, and ``repeat_noise``, the largest difference
        between two evaluations relative to the value; ``centre_error``, how far the engine is from the untouched
        checkpoint, by name; and ``point_s``, the seconds that one evaluation of all splits took.

    Raises:
        ProblemError: If the loss there is not finite or not repeatable; the message gives the likely reason.
        UsageError: If that is so in the engine's way alone.
    """
    check_modes(problem)
    try:
        return _check_centre(plan, problem, engine)
    except ProblemError as error:
        if is_plain(engine.way) or problem.layout.placement:
            raise
        _check_centre(plan, problem, engine.plainly())  # raises if the loss itself is at fault
        raise UsageError(
            f"--strategy {engine.way.strategy} does not give the values of this problem, and the plain loop does: take "
            f"loop, or auto, which compares. What was found: {str(error).splitlines()[0].partition(', so a')[0]}."
        ) from error


def _check_centre(plan: Plan, problem: Problem, engine: Engine) -> Facts:
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
        about = _Asked(problem, plan.precision, (size, engine.way.batch_size), random, engine.plane)
        # two programs of a narrow type differ by what either does from float32
        apart = 0.0 if is_plain(engine.way) else (1 + NEAR) * rounding_error(problem)
        beside = replace(about, apart=apart)
        for name in untouched.sums:
            slack = _rounding(name, second, [point for _, point in pairs])
            _check_repeatable(name, [untouched, first, second, last], slack, beside)
            _check_repeatable(name, [first, second, last], slack, about)
            for place, (expected, found) in zip(far, pairs, strict=True):
                _check_same(name, expected, found, place, beside)
            noise = max(noise, _relative(first.mean(name), second.mean(name)))
            origin[f"{split}_{name}"] = untouched.mean(name)
            errors[f"{split}_{name}"] = _relative(untouched.mean(name), second.mean(name))
    state.check(problem)
    return Facts(origin=origin, repeat_noise=noise, centre_error=errors, point_s=seconds)


def check_repeats(problem: Problem, split: str) -> None:
    """Refuse a loss that is not a function of the parameters alone, for what looks at one point without an engine.

    It is evaluated in two cuts and once more.

    Raises:
        ProblemError: If the values differ or are not finite; the message gives the likely reason.
    """
    check_modes(problem)
    before, count = _random_state(), problem.examples[split].count
    cuts = (128, other_cut(128, count))
    points = [evaluate_params(problem, problem.params, split, batch_size=size) for size in cuts]
    wide = all(tensor.dtype == torch.float64 for tensor in problem.params.values())
    about = _Asked(problem, "float64" if wide else "float32", cuts, before != _random_state())
    points.append(evaluate_params(problem, problem.params, split, batch_size=128))
    for name in points[0].sums:
        _check_repeatable(name, points, _rounding(name, points[0], []), about)


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


def check_facts(stored: Facts, found: Facts) -> list[str]:
    """What contradicts the facts of an earlier session on the same file, a line each."""
    same = {"state_sha256": "the model's parameters and buffers", "dataset_sha256": "the examples"}
    return [
        f"  - {words} are not those the file was made from ({name} differs)."
        for name, words in same.items()
        if stored.holds(name) and getattr(stored, name) != getattr(found, name)
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


def _check_same(name: str, expected: Point, found: Point, place: np.ndarray, about: _Asked) -> None:
    a, b, at = expected.mean(name), found.mean(name), ", ".join(f"{c:g}" for c in place)
    if math.isfinite(a) and not about.agree(
        name, expected, found, FAR * ROUNDING * expected.deviation(name), FAR, place
    ):
        raise ProblemError(
            f"The {name} of the {expected.split} split at ({at}) is {a:.{about.digits}g} in one evaluation and "
            f"{b:.{about.digits}g} in another, "
            f"so a surface would be noise. Likely reason: {about.likely_reason()}"
        )


def _check_repeatable(name: str, points: list[Point], slack: float, about: _Asked) -> None:
    values = [point.mean(name) for point in points]
    where = f"{name} of the {points[0].split} split at the checkpoint"
    if not all(math.isfinite(value) for value in values):
        raise ProblemError(
            f"The {where} is {values[0]:g}: there is no surface around a point whose own loss is not finite. "
            "Does the checkpoint hold NaN, or does the data?"
        )
    if not all(about.agree(name, points[0], point, slack) for point in points):
        text = ", ".join(f"{value:.{about.digits}g}" for value in values)
        raise ProblemError(
            f"The {where} differs from one evaluation to the next ({text}), so a surface would be noise. "
            f"Likely reason: {about.likely_reason()}"
        )


@dataclass(frozen=True)
class _Asked:
    """What two evaluations of one point are compared for.

    Attributes:
        problem: Whose loss it is.
        precision: Of the passes, as the plan says it.
        cuts: The two batch sizes.
        random: Whether random numbers were drawn.
        plane: On which points lie; None at the centre alone.
        apart: What two programs of a narrow type may differ by, relative to the value.
    """

    problem: Problem
    precision: str
    cuts: tuple[int, int]
    random: bool
    plane: Plane | None = None
    apart: float = 0.0

    @property
    def digits(self) -> int:
        """Of a value, as many as may differ."""
        return 12 if self.precision == "float64" else 7

    def agree(
        self, name: str, one: Point, other: Point, slack: float, times: float = 1.0, place: np.ndarray | None = None
    ) -> bool:
        """Whether two evaluations differ by rounding alone.

        Where they differ by more than the strict tolerance, though by less than the usual one, the two cuts are
        compared in float64: what rounding does vanishes there.
        """
        a, b, count = one.mean(name), other.mean(name), one.count
        if abs(b - a) <= self.apart * abs(a):
            return True
        strict = STRICT.get(self.precision, RELATIVE_TOLERANCE)
        narrower = min(1.0, strict / STRICT["float32"])
        if agree(name, b, a, count, narrower * slack, times * strict):
            return True
        loose = self.precision != "float64" and agree(name, b, a, count, slack, times * RELATIVE_TOLERANCE)
        return loose and not self.random and not self._persists(name, one.split, place)

    def _persists(self, name: str, split: str, place: np.ndarray | None) -> bool:
        """Whether the two cuts differ in float64 too; false where that cannot be told."""
        params = self.problem.params if self.plane is None or place is None else self.plane.point(place.tolist())
        try:
            wide = in_float64(self.problem)
            own = {name: tensor.to(wide.params[name]) for name, tensor in params.items()}
            one, other = (evaluate_params(wide, own, split, batch_size=size) for size in self.cuts)
        except (LossvizError, RuntimeError, TypeError):  # buffers of a fixed type, no copy
            return False
        slack = PERSISTS * one.deviation(name)
        return not agree(name, other.mean(name), one.mean(name), one.count, slack, PERSISTS)

    def likely_reason(self) -> str:
        """What a user should look at first."""
        return _likely_reason(self.problem.model, random=self.random)


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


def _random_state() -> list[bytes]:
    """Of the generators of the host and of every GPU in use."""
    states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [state.numpy().tobytes() for state in (torch.get_rng_state(), *states)]
