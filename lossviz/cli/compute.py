"""``lossviz compute``: words to a plan, a plan to a surface."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from lossviz.cli.options import Mistakes, device_option, journal_options, progress_option, split_words
from lossviz.cli.plane_options import AskedPlane, describe_plane, plane_options
from lossviz.cli.rules import describe_rules, parse_rules
from lossviz.cli.source_options import SourceWords, source_options
from lossviz.records.grid import Grid
from lossviz.records.plan import (
    ALL_QUANTITIES,
    BatchNorm,
    Normalization,
    Plan,
    PlaneSpec,
    Precision,
    ProblemRef,
    Vectors,
)

if TYPE_CHECKING:
    from lossviz.compute import Report

# how a run is carried out; the other options say what it is
SETTINGS = ("device", "strategy", "batch_size", "store_directions", "sync_interval_s", "disk_wait_s")
BATCHNORM_EXAMPLES = {"fixed": None, "recompute": 1024, "batch": 128}
EPILOG = """\b
Examples:
  lossviz compute problem.py --checkpoint net.pt
  lossviz compute problem.py --checkpoint net.pt --grid -1:1:51,-1:1:41 --split train,test --out net.h5
  lossviz compute problem.py --checkpoint net.pt --plane-from net.h5 --grid -2:2:101,-2:2:81 --out wide.h5
  lossviz compute digits --model-args skips=false --checkpoint plain.pt --grid -2:2:101
  lossviz compute --model torchvision.models:resnet18 --checkpoint net.pth --data imagefolder:val --data-args size=224
  lossviz compute --model transformers:AutoModelForCausalLM --checkpoint llama/ --data text:book.txt
"""


@click.command(epilog=EPILOG)
@source_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="Result file.  [default: CHECKPOINT's name with .h5, here]"
)
@click.option(
    "--grid",
    default="-1:1:51,-1:1:51",
    show_default=True,
    metavar="RANGES",
    help="first:last:count for each of 1 to 3 directions; coordinate 1 is one whole direction. Or auto, auto:41.",
)
@plane_options
@click.option("--seed", default=0, show_default=True, help="Of the random directions and of --samples.")
@click.option("--normalize", type=click.Choice(get_args(Normalization)), default="filter", show_default=True)
@click.option(
    "--vectors", type=click.Choice(get_args(Vectors)), default="zero", show_default=True,
    help="Biases and gains: held fixed, or moved, each as one filter.",
)  # fmt: skip
@click.option(
    "--rule", "rules", multiple=True, metavar="PATTERN=RULE", callback=lambda _, __, words: parse_rules(words),
    help="Which slices of a parameter are its filters, where its module's type does not say: 'head.*=axis 1'.",
)  # fmt: skip
@click.option("--rules", "show_rules", is_flag=True, help="Print every parameter's shape, rule and norm, and stop.")
@click.option(
    "--plane-from", type=click.Path(path_type=Path), metavar="OTHER.h5",
    help="Use the plane of another run; where only range, grid, splits or quantities differ, keep its points.",
)  # fmt: skip
@click.option(
    "--store-directions",
    type=click.Choice(["auto", "always", "recipe"]),
    default="auto",
    show_default=True,
    help="Beside the result: the directions, or what makes them again; auto stores up to 4 GiB.",
)
@click.option("--split", "splits", default="train", show_default=True, metavar="NAMES", help="Parts of the data.")
@click.option(
    "--quantity", "quantities", default="all", show_default=True, metavar="NAMES", help="Of what loss returns."
)
@click.option("--samples", type=int, help="Use a fixed random subset of so many examples of each split.")
@click.option(
    "--relative-error",
    type=float,
    metavar="R",
    help="Take examples at each point until the standard error of its loss is under R of it.",
)
@click.option(
    "--refine",
    type=float,
    metavar="TOL",
    help="Leave out points where interpolation is off by less than TOL of the value; its error is measured and stored.",
)
@click.option(
    "--precision-tolerance", default=1e-3, show_default=True, help="Relative error against float32 that auto may make."
)
@click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True)
@click.option(
    "--batchnorm", type=click.Choice(get_args(BatchNorm)), default="fixed", show_default=True,
    help="Statistics: the checkpoint's, computed anew at every point, or of each batch.",
)  # fmt: skip
@click.option(
    "--batchnorm-examples", type=click.IntRange(min=2), metavar="N",
    help="Examples to compute statistics over, or in a batch.  [default: 1024 to recompute, batches of 128]",
)  # fmt: skip
@click.option(
    "--strategy",
    type=click.Choice(["auto", "loop", "stacked", "compiled", "replayed"]),
    default="auto",
    show_default=True,
    help="How points are evaluated; auto measures and takes the fastest.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples a forward pass.  [default: by device]")
@device_option
@progress_option
@journal_options
@click.option("--prepare-only", is_flag=True, help="Make the run for 'lossviz work' and stop.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def compute(
    problem: SourceWords, out: Path | None, plane_from: Path | None, progress: str, prepare_only: bool,
    dry_run: bool, show_rules: bool, **words: Any,
) -> None:  # fmt: skip
    """Evaluate the loss on a grid around a trained checkpoint and save it in an HDF5 file.

    SOURCE is a problem file with model(), data() and loss(model, batch), an importable module that has them, or the
    built-in problem 'digits'. Without one, --model, --data and --loss name them. A run that was stopped, killed or
    interrupted goes on when the same command is run again.
    """
    settings = {name: words.pop(name) for name in SETTINGS}
    asked, checkpoint = AskedPlane.take(words, problem.checkpoint, plane_from)
    plan, out = make_plan(replace(problem, checkpoint=checkpoint), out, words, plane_from)
    if dry_run:
        click.echo("\n".join([*asked.describe(), describe_plan(plan, out)]))
        return
    if show_rules:
        click.echo(describe_rules(plan, settings["device"]))
        return
    from lossviz.cli.progress import show_progress
    from lossviz.cli.signals import stop_on_signal

    plan, plane_from = asked.settle(plan, out, plane_from, settings["device"], _warn)
    if prepare_only:
        with stop_on_signal() as stop:
            _prepare_only(plan, out, plane_from, settings, stop)
        return
    from lossviz.compute import compute as run_compute

    with show_progress(progress, plan.grid) as tell, stop_on_signal() as stop:
        report = run_compute(plan, out, plane_from=plane_from, progress=tell, stop=stop, warn=_warn, **settings)
        paths = asked.draw_paths(out, settings["device"], stop, _warn)
    click.echo("\n".join([*paths, describe_report(report)]), err=progress == "json")


def _warn(message: str) -> None:
    click.echo(f"lossviz: warning: {message}", err=True)


def _prepare_only(
    plan: Plan, out: Path, plane_from: Path | None, settings: dict[str, Any], stop: Callable[[], bool]
) -> None:
    from lossviz.prepare import Settings
    from lossviz.work import prepare_only

    surface = prepare_only(out, plan, Settings(**settings), plane_from=plane_from, warn=_warn, stop=stop)
    left = len(surface.pending())
    click.echo(f"{out} is prepared: {left} of {plan.grid.size} points to evaluate.")
    click.echo(
        f"Next: lossviz work {shlex.quote(str(out))} --part 1/2 & lossviz work {shlex.quote(str(out))} --part 2/2"
    )


def make_plan(
    source: SourceWords, out: Path | None, words: dict[str, Any], plane_from: Path | None = None
) -> tuple[Plan, Path]:
    """Turn the command's words into a plan and an output path; nothing heavy is imported.

    Raises:
        UsageError: With every mistake of the words.
    """
    from lossviz.store.other_run import find_other
    from lossviz.store.run import check_writable

    mistakes = Mistakes()
    out = out or Path(f"{source.stem}.h5")
    grid = mistakes.attempt(lambda: Grid.parse(words["grid"]))
    problem = mistakes.attempt(source.resolve)
    mistakes.attempt(lambda: check_writable(out))
    spec = PlaneSpec(
        seed=words["seed"], normalize=words["normalize"], vectors=words["vectors"], rules=words.get("rules", ())
    )
    # stand-ins for what failed, so that the rest is checked too
    plan = mistakes.attempt(
        lambda: Plan(
            problem=problem or ProblemRef("", ""),
            plane=spec,
            grid=grid or Grid.parse("-1:1:2"),
            splits=split_words(words["splits"]),
            quantities=split_words(words["quantities"]) or ALL_QUANTITIES,
            samples=words["samples"],
            relative_error=words["relative_error"],
            refine=words["refine"],
            precision=words["precision"],
            precision_tolerance=words["precision_tolerance"],
            batchnorm=words["batchnorm"],
            batchnorm_examples=words["batchnorm_examples"] or BATCHNORM_EXAMPLES[words["batchnorm"]],
        )
    )
    other = mistakes.attempt(lambda: find_other(plane_from, out)) if plane_from else None
    if other is not None and plan is not None and grid is not None and problem is not None:
        plan = mistakes.attempt(partial(other.plan_on, plan)) or plan
        mistakes.found += _plane_mistakes(plan.plane, plane_from)
    mistakes.check()
    assert plan is not None
    return plan, out


def _plane_mistakes(spec: PlaneSpec, plane_from: Path | None) -> list[str]:
    """Words typed about the plane that contradict the one it is taken from."""
    context = click.get_current_context()
    typed = [
        name
        for name in ("seed", "normalize", "vectors", "rules")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return [
        f"--{name} is {context.params[name]}, but the plane of {plane_from} was made with {getattr(spec, name)}; "
        f"leave --{name} out."
        for name in typed
        if context.params[name] != getattr(spec, name)
    ]


def describe_plan(plan: Plan, out: Path) -> str:
    """The plan in lines, for ``--dry-run``."""
    values = plan.to_json()
    lines = [f"{name}: {json.dumps(values[name])}" for name in values if name != "grid"]
    sizes = " × ".join(str(len(axis)) for axis in plan.grid.axes)
    return "\n".join([f"out: {out}", f"grid: {plan.grid} ({sizes} = {plan.grid.size} points)", *lines,
                      f"digest: {plan.digest()}"])  # fmt: skip


def describe_report(report: Report) -> str:
    """The closing lines: what was computed, what is doubtful, what to type next."""
    surface, facts = report.surface, report.surface.facts
    speed = f", {report.evaluated / report.seconds:.3g} points/s" if report.seconds and report.evaluated else ""
    some = f"{int(surface.evaluated().sum())} of " if surface.plan.refine else ""
    lines = [f"{report.path}: {some}{surface.plan.grid.size} points; {report.evaluated} evaluated now in "
             f"{report.seconds:.1f} s{speed}."]  # fmt: skip
    for name in surface.names:
        evaluated = surface.evaluated(surface.split_of(name))
        lines.append(_describe_quantity(surface.values(name), evaluated, name, facts.get("origin", {}).get(name)))
    lines += describe_plane(facts.get("plane")) or _describe_other(facts.get("plane_from"))
    if "cosine" in facts:
        low, high = (f(r) for f, r in zip((min, max), zip(*facts["norm_ratios"], strict=True), strict=True))
        ratios = f"; filter norm ratios {low:.4g} to {high:.4g}" if surface.plan.plane.kind == "random" else ""
        lines.append(f"Directions: cosine {facts['cosine']:+.4f}{ratios}.")
    if facts.get("batchnorm_layers"):
        lines.append(f"BatchNorm ({facts['batchnorm_layers']} layers): {_describe_batchnorm(surface.plan)}.")
    if way := facts.get("engine", {}).get("way"):
        lines.append(f"Evaluated by {_describe_way(way)}.")
    lines += [f"Doubt: {doubt}" for doubt in report.doubts]
    lines.append(f"Next: lossviz plot {shlex.quote(str(report.path))} --kind {_kinds(surface.plan.grid.dimension)}")
    return "\n".join(lines)


def _describe_other(taken: dict[str, Any] | None) -> list[str]:
    if not taken:
        return []
    line = f"The plane is that of {taken['file']}; "
    if taken["carried"] or not taken["not_carried"]:
        return [f"{line}{taken['carried']} of its points were carried over."]
    return [f"{line}none of its points is carried over ({'; '.join(taken['not_carried'])})."]


def _describe_batchnorm(plan: Plan) -> str:
    return {
        "fixed": "the checkpoint's running statistics at every point",
        "recompute": f"statistics computed at every point over {plan.batchnorm_examples} examples",
        "batch": f"statistics of each batch of {plan.batchnorm_examples}",
    }[plan.batchnorm]


def _describe_way(way: dict[str, Any]) -> str:
    from lossviz.evaluate.way import Way

    return str(Way.from_json(way))


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
