"""What is measured of a problem and its plane before the first point, beside that the loss is repeatable."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError
from lossviz.evaluate.passes import NARROW
from lossviz.evaluate.precision import relative_error
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.data.examples import Examples
from lossviz.problem.float64 import in_float64
from lossviz.problem.loss_call import habits_of
from lossviz.problem.problem import Problem
from lossviz.records.facts import NotMoved, ProbeFacts
from lossviz.records.plan import Plan
from lossviz.records.rule import Rule
from lossviz.space.params import as_real
from lossviz.space.plane import Plane

PROBED_EXAMPLES = 256
LARGEST_COPY_BYTES = 1 << 30


def probe_problem(
    plan: Plan, problem: Problem, plane: Plane, rules: dict[str, Rule], precision: str, batch_size: int
) -> ProbeFacts:
    """Measure for the verdict what moves, what does not, and how exactly."""
    end = _end_of_first_axis(plan)
    split = plan.splits[0]
    few = _few(problem, split, min(PROBED_EXAMPLES, batch_size))
    before, after = (evaluate_params(few, point, split) for point in (plane.origin, plane.point(end)))
    held, total = (
        _not_moved(plan, problem, plane, rules),
        sum(as_real(p.detach()).numel() for p in problem.model.parameters()),
    )
    return ProbeFacts(
        moved={name: (before.mean(name), after.mean(name)) for name in before.sums},
        float64_error=float64_error(few, plane, end, split) if precision == "float32" else None,
        narrow=habits_of(problem).narrow if precision not in NARROW else "",
        unused=None if problem.unused is None else tuple(name for name in problem.unused if name in plane.moved),
        not_moved=held,
        vector_share=sum(problem.params[name].numel() for name in held.vectors) / total,
        read_twice=problem.read_twice,
        peak_bytes=peak_bytes(problem.device),
    )


def float64_error(problem: Problem, plane: Plane, coordinates: list[float], split: str) -> float | None:
    """Largest difference between float32 and float64 at the origin and one point, relative to the value.

    None where the model is too large to be copied for it, or does not run in float64.
    """
    if problem.layout.placement:
        return None  # it is never copied
    if sum(t.nbytes for t in problem.model.state_dict().values() if isinstance(t, Tensor)) > LARGEST_COPY_BYTES:
        return None
    try:
        wide = in_float64(problem)
        errors = []
        for point in (plane.origin, plane.point(coordinates)):
            values = [
                evaluate_params(each, {name: t.to(kind) for name, t in point.items()}, split)
                for each, kind in ((problem, torch.float32), (wide, torch.float64))
            ]
            first = next(iter(values[0].sums))
            errors.append(relative_error(*(np.array([found.mean(first)]) for found in values)))
    except (RuntimeError, TypeError, ProblemError):  # buffers of a fixed type, operations without float64
        return None
    return max(errors)


def peak_bytes(device: torch.device) -> int:
    """Most memory held so far: the device's, or on the CPU the whole process's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _few(problem: Problem, split: str, count: int) -> Problem:
    """The same problem with the first few examples of one split, and fixed statistics."""
    part = problem.examples[split]
    first = Examples([part.batches(count)[0]], recuttable=part.recuttable)
    return replace(problem, examples={split: first}, statistics=None)


def _end_of_first_axis(plan: Plan) -> list[float]:
    first = plan.grid.axes[0].coordinates
    end = float(first[-1] if abs(first[-1]) >= abs(first[0]) else first[0])
    return [end, *[0.0] * (plan.grid.dimension - 1)]


def _not_moved(plan: Plan, problem: Problem, plane: Plane, rules: dict[str, Rule]) -> NotMoved:
    unused = [name for name in problem.unused or () if name not in plane.moved]
    still = [name for name in problem.params if name not in (*plane.moved, *unused)]
    vectors = [name for name in still if rules[name].kind == "vector"]
    return NotMoved(
        vectors=tuple(vectors),
        held=tuple(name for name in still if name not in vectors),
        unused=tuple(unused),
        frozen=tuple(problem.frozen),
        buffers=tuple(problem.buffers),
    )
