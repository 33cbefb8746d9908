"""What a careful reader of a surface should know: asked of every finished one, and stored in its file."""

from __future__ import annotations

import math

import numpy as np

from lossviz.records.facts import Facts, RefinementFacts
from lossviz.records.point import Status
from lossviz.records.quantity import EIGENVALUES, RESIDUAL, is_derivative
from lossviz.records.refinement import excluded_share
from lossviz.records.remark import Remark, doubt, texts
from lossviz.records.surface import Surface

RELATIVE_TOLERANCE = 1e-4
ROUNDING = 1e-5  # of what single examples differ by, where a mean is small because they cancel
NEAR = 1.5  # times as far from float32 as the plain loop another program of a narrow type may be
RANGE_ROUNDING = 1e-6  # of what a quantity varies by over the surface


def doubts_of(surface: Surface) -> list[Remark]:
    """What a careful reader of a finished surface should know."""
    doubts = doubt("run", [*surface.facts.warnings, *surface.facts.engine.doubts])
    doubts += _search_doubts(surface)
    for name in surface.names:
        values = surface.values(name)[surface.evaluated(surface.split_of(name))]
        if bad := int((~np.isfinite(values)).sum()):
            doubts += doubt(name, [f"{name} is not finite at {bad} of {values.size} points."])
        finite = values[np.isfinite(values)]
        if finite.size > 1 and np.ptp(finite) == 0 and not is_derivative(name):
            same = f"{name} is the same at every point: the plane does not move what the loss depends on."
            doubts += doubt(name, [same])
    doubts += _centre_doubts(surface)
    cosine = surface.facts.cosine or 0.0
    if abs(cosine) > 0.1:
        skew = f"The directions are not nearly orthogonal (cosine {cosine:.3f}): angles in a picture mislead."
        doubts += doubt("directions", [skew])
    return doubts


def closing_facts(surface: Surface) -> Facts:
    """The facts when nothing is left to evaluate: with doubts, and what refinement measured of its own error."""
    if surface.plan.refine is None:
        return surface.facts.evolve(doubts=texts(doubts_of(surface)))
    refinement = surface.refinement().facts
    doubts = texts([*doubts_of(surface), *_left_out(surface, refinement)])
    return surface.facts.evolve(doubts=doubts, refinement=refinement)


def _left_out(surface: Surface, refinement: RefinementFacts) -> list[Remark]:
    left = int((~surface.evaluated()).sum())
    if not left:
        return []
    sentence = (
        f"{left} of {surface.plan.grid.size} points were left out, for interpolation does there (--refine "
        f"{surface.plan.refine:g}); it was tested at {refinement.tests} more"
    )
    if refinement.largest is not None and refinement.median is not None:
        sentence += f" and was off by {refinement.median:.2g} of the value, at most {refinement.largest:.2g}"
    if refinement.failed:
        sentence += f"; around {refinement.failed} points where it failed all were evaluated"
    return doubt("refinement", [f"{sentence}. {excluded_by_tests(refinement)}".strip()])


def excluded_by_tests(refinement: RefinementFacts) -> str:
    """What the random tests of ``--refine`` can exclude, failed ones counted in; empty where it is not known.

    Example:
        >>> excluded_by_tests(RefinementFacts(tests=84, failed_tests=0))
        '0 of 84 tests failed: fewer than 3.5 % of the points left out do, with 95 % confidence.'
    """
    if refinement.failed_tests is None or not refinement.tests:
        return ""
    share = f"{100 * excluded_share(refinement.tests, refinement.failed_tests):.2g} %"
    counted = f"{refinement.failed_tests} of {refinement.tests} tests failed: fewer than {share} of the points"
    if refinement.failed_tests:
        return f"{counted} did before what lies around failures was evaluated, with 95 % confidence."
    return f"{counted} left out do, with 95 % confidence."


def rounding_of(surface: Surface, name: str, index: int) -> float:
    """What rounding may change a value by beside its own size, from the examples' spread and the surface's range."""
    at, values = surface.plan.grid.position(index), surface.values(name)
    counts = surface.splits[surface.split_of(name)]
    spread = float(np.sqrt(counts.count[at] * surface.m2[name][at]) / counts.weight[at]) if counts.status[at] else 0.0
    distances = np.abs(values[np.isfinite(values)] - values[at]) if np.isfinite(values[at]) else np.empty(0)
    reach = float(np.median(distances)) if distances.size else 0.0
    return ROUNDING * (spread if math.isfinite(spread) else 0.0) + RANGE_ROUNDING * reach


def _search_doubts(surface: Surface) -> list[Remark]:
    """Where the search for eigenvalues ended before its tolerance was met."""
    tolerance = surface.facts.derivatives.tolerance
    doubts: list[Remark] = []
    for split in surface.splits:
        ends = [f"{split}_{end}" for end in EIGENVALUES if f"{split}_{end}" in surface.sums]
        sizes = [np.abs(surface.values(name)) for name in ends]
        for name, size in zip(ends, sizes, strict=True):
            allowed = 1.01 * tolerance * np.maximum(size, 0.01 * np.max(sizes, axis=0))
            if missed := int((surface.values(name + RESIDUAL) > allowed).sum()):
                text = f"{name} did not reach its tolerance at {missed} points; its residual bounds the error."
                doubts += doubt(name, [text])
    return doubts


def _centre_doubts(surface: Surface) -> list[Remark]:
    index = surface.plan.grid.origin_index
    if index is None:
        return doubt("grid", ["The grid does not sample the trained point; a symmetric range with an odd count does."])
    doubts: list[Remark] = []
    for name, untouched in surface.facts.origin.items():
        centre = surface.values(name)[surface.plan.grid.position(index)]
        at, counts = surface.plan.grid.position(index), surface.splits[surface.split_of(name)]
        sampled = counts.status[at] == Status.PARTIAL and abs(centre - untouched) <= 5 * surface.stderr(name)[at]
        # in a narrow type two programs differ by what either does from float32
        slack = rounding_of(surface, name, index) + (1 + NEAR) * (surface.facts.precision.error or 0.0) * abs(untouched)
        if not sampled and not agree(name, centre, untouched, int(counts.count.max()), slack):
            text = f"{name} at the centre is {centre:.6g}, but the untouched checkpoint has {untouched:.6g}."
            doubts += doubt(f"centre {name}", [text])
    return doubts


def agree(
    name: str, value: float, expected: float, count: int, slack: float = 0.0, tolerance: float = RELATIVE_TOLERANCE
) -> bool:
    """Whether a value is the expected one up to rounding; both may be NaN or the same infinity.

    No tolerance is absolute: losses of 1e-9 are compared as strictly as losses of 1.

    Args:
        name: Of the quantity; of shares of right or wrong answers, two examples may differ.
        value: As found.
        expected: As it should be.
        count: Number of examples.
        slack: Rounding beside the relative one, in units of the quantity; see :func:`rounding_of`.
        tolerance: Relative to the expected value.

    Example:
        >>> agree("loss", 1.00001, 1.0, count=100), agree("loss", 1.01, 1.0, count=100)
        (True, False)
        >>> agree("loss", 1.1e-9, 1.0e-9, count=100), agree("error", 0.11, 0.1, count=100)
        (False, True)
    """
    if value == expected or (math.isnan(value) and math.isnan(expected)):
        return True
    # a share of right answers may flip for an example or two that lie on a decision boundary
    if name.endswith(("error", "accuracy", "correct")):
        slack = max(slack, 2.0 / count)
    return bool(abs(value - expected) <= tolerance * abs(expected) + slack)
