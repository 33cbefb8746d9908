"""What a command says of a run: the plan before it, the closing lines after it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossviz.records.facts import Facts, OtherPlane, WayFacts
from lossviz.records.plan import Plan
from lossviz.records.recipe import Recipe
from lossviz.records.remark import write_remarks

if TYPE_CHECKING:
    from lossviz.run.settings import Report, Settings


def describe_plan(plan: Plan, out: Path) -> str:
    """The plan in lines, for ``--dry-run``."""
    values = plan.to_json()
    lines = [f"{name}: {json.dumps(values[name])}" for name in values if name != "grid"]
    sizes = " × ".join(str(len(axis)) for axis in plan.grid.axes)
    return "\n".join([f"out: {out}", f"grid: {plan.grid} ({sizes} = {plan.grid.size} points)", *lines,
                      f"digest: {plan.digest()}"])  # fmt: skip


def describe_peak(plan: Plan, settings: Settings) -> str:
    """The memory a run will take at its highest, for ``--dry-run``: the problem is loaded and a few examples run.

    Raises:
        LossvizError: If the problem cannot be loaded, or its loss raises.
    """
    if plan.ranks_divide == "model":
        return f"memory: what {plan.ranks_per_point} ranks take together is known once they have divided the model"
    from lossviz.evaluate.memory import expected_peak
    from lossviz.evaluate.ways.choice import default_way
    from lossviz.run.load import choose_way, load_plan_problem

    problem = load_plan_problem(plan, settings.device, low_memory=settings.low_memory)
    way = choose_way(problem, Facts(), settings) or default_way(problem, settings.batch_size)
    peak = expected_peak(problem, plan.grid.dimension, way)
    where = f"over all devices ({problem.layout.placement})" if problem.layout.placement else f"on {problem.device}"
    return f"expected peak of memory {where}: {peak}, evaluated by {way}"


def describe_report(report: Report) -> str:
    """The closing lines: what was computed, what is doubtful, what to type next."""
    surface, facts = report.surface, report.surface.facts
    speed = f", {report.evaluated / report.seconds:.3g} points/s" if report.seconds and report.evaluated else ""
    some = f"{int(surface.evaluated().sum())} of " if surface.plan.refine else ""
    lines = [f"{report.path}: {some}{surface.plan.grid.size} points; {report.evaluated} evaluated now in "
             f"{report.seconds:.1f} s{speed}."]  # fmt: skip
    for name in surface.names:
        evaluated = surface.evaluated(surface.split_of(name))
        lines.append(_describe_quantity(surface.values(name), evaluated, name, facts.origin.get(name)))
    lines += describe_plane(facts.plane) or _describe_other(facts.plane_from)
    if facts.cosine is not None:
        low, high = (f(r) for f, r in zip((min, max), zip(*facts.norm_ratios, strict=True), strict=True))
        ratios = f"; filter norm ratios {low:.4g} to {high:.4g}" if surface.plan.plane.kind == "random" else ""
        lines.append(f"Directions: cosine {facts.cosine:+.4f}{ratios}.")
    if facts.batchnorm_layers:
        lines.append(f"BatchNorm ({facts.batchnorm_layers} layers): {_describe_batchnorm(surface.plan, facts)}.")
    if way := facts.engine.way:
        lines.append(f"Evaluated by {_describe_way(way)}.")
    lines += write_remarks(report.doubts, "terminal")
    lines.append(f"Next: lossviz plot {shlex.quote(str(report.path))} --kind {_kinds(surface.plan.grid.dimension)}")
    return "\n".join(lines)


def _describe_other(taken: OtherPlane) -> list[str]:
    if not taken:
        return []
    line = f"The plane is that of {taken.file}; "
    if taken.carried or not taken.not_carried:
        return [f"{line}{taken.carried} of its points were carried over."]
    return [f"{line}none of its points is carried over ({'; '.join(taken.not_carried)})."]


def _describe_batchnorm(plan: Plan, facts: Facts) -> str:
    examples = facts.batchnorm_examples or plan.batchnorm_examples
    return {
        "fixed": "the checkpoint's running statistics at every point",
        "recompute": f"statistics computed at every point over {examples} examples",
        "batch": f"statistics of each batch, of {examples} examples at most",
    }[plan.batchnorm]


def _describe_way(way: WayFacts) -> str:
    from lossviz.evaluate.ways.way import Way

    return str(Way.from_facts(way))


def _describe_quantity(values: Any, evaluated: Any, name: str, origin: float | None) -> str:
    import numpy as np

    values = values[evaluated]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return f"{name}: no finite value."
    centre = f", {origin:.4g} at the checkpoint" if origin is not None else ""
    return f"{name}: {finite.min():.4g} to {finite.max():.4g}{centre}; {values.size - finite.size} not finite."


def _kinds(dimension: int) -> str:
    return "line" if dimension == 1 else "contour   (or filled, heatmap, surface)"


def describe_plane(made: Recipe) -> list[str]:
    """What a run's plane was made of, in lines."""
    if not made:
        return []
    lines = [f"Directions: {', '.join(made.axes)}."]
    if made.explained_variance:
        shares, null = made.explained_variance, made.random_walk_null
        pairs = (f"pca{k + 1} {a:.1%} ({b:.1%})" for k, (a, b) in enumerate(zip(shares, null, strict=True)))
        lines.append(f"Of the path's variance they explain (of a random walk's): {', '.join(pairs)}.")
    if made.eigenvalues:
        rows = zip(made.axes, made.eigenvalues, made.residuals, strict=True)
        shown = [f"{axis} {value:.5g} ± {error:.1g}" for axis, value, error in rows if value is not None]
        lines.append(f"Eigenvalues of the Hessian along them, ± residual: {', '.join(shown)}.")
    for name, at in made.points.items():
        lines.append(f"{name} lies at ({', '.join(f'{c:.4g}' for c in at)}).")
    return lines
