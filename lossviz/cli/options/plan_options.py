"""The words of a plan on the command line: range, plane, data, precision; and the plan they make."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from lossviz.cli.options.common import Mistakes, split_words
from lossviz.cli.options.plane_options import plane_options
from lossviz.cli.options.rules import parse_rules
from lossviz.cli.options.source_options import SourceWords
from lossviz.records.grid import Grid
from lossviz.records.plan import (
    BATCHNORM_EXAMPLES,
    BatchNorm,
    Normalization,
    Plan,
    PlaneSpec,
    Precision,
    ProblemRef,
    Vectors,
)

_GRID = (
    click.option(
        "--grid",
        default="-1:1:51,-1:1:51",
        show_default=True,
        metavar="RANGES",
        help="first:last:count for each of 1 to 3 directions, where 1 is one whole direction; or auto, or auto:41.",
    ),
)
_REST = (
    click.option(
        "--move",
        multiple=True,
        metavar="PATTERN",
        help="Also move these parameters, even if they are frozen or unused, such as 'encoder.*'.",
    ),
    click.option("--seed", default=0, show_default=True, help="Seed for directions and --samples."),
    click.option("--normalize", type=click.Choice(get_args(Normalization)), default="filter", show_default=True),
    click.option(
        "--vectors",
        type=click.Choice(get_args(Vectors)),
        default="zero",
        show_default=True,
        help="Biases and gains: zero holds them fixed, keep moves each as one filter.",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="PATTERN=RULE",
        callback=lambda _, __, words: parse_rules(words),
        help="Override which slices of a parameter are its filters, such as 'head.*=axis 1'.",
    ),
    click.option(
        "--split", "splits", default="train", show_default=True, metavar="NAMES", help="Splits of the data to evaluate."
    ),
    click.option(
        "--quantity",
        "quantities",
        default="all",
        show_default=True,
        metavar="NAMES",
        help="Which values of the loss to evaluate; also min_eigenvalue, max_eigenvalue, gradient_norm.",
    ),
    click.option("--samples", type=int, help="Use a fixed random subset of this many examples per split."),
    click.option(
        "--relative-error",
        type=float,
        metavar="R",
        help="At each point use only as many examples as a standard error of R times the loss needs.",
    ),
    click.option(
        "--refine",
        type=float,
        metavar="TOL",
        help="Skip points that interpolation gives within TOL of the value; its error is measured.",
    ),
    click.option(
        "--precision-tolerance",
        default=1e-3,
        show_default=True,
        help="Largest relative error that --precision auto may cause.",
    ),
    click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True),
    click.option(
        "--batchnorm",
        type=click.Choice(get_args(BatchNorm)),
        default="fixed",
        show_default=True,
        help="BatchNorm statistics: the checkpoint's, recomputed at every point, or of each batch.",
    ),
    click.option(
        "--batchnorm-examples",
        type=click.IntRange(min=2),
        metavar="N",
        help="Examples for recomputed statistics, or per batch.  [default: 1024, or batches of 128]",
    ),
)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every option that :func:`make_plan` reads."""
    for option in reversed((*_GRID, plane_options, *_REST)):
        command = option(command)
    return command


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
    plan = read_plan(source, words, mistakes)
    sound = not mistakes.found
    mistakes.attempt(lambda: check_writable(out))
    other = mistakes.attempt(lambda: find_other(plane_from, out)) if plane_from else None
    if other is not None and plan is not None and sound:
        plan = mistakes.attempt(partial(other.plan_on, plan)) or plan
        mistakes.found += _plane_mistakes(plan.plane, plane_from)
    mistakes.check()
    assert plan is not None
    return plan, out


def read_plan(source: SourceWords, words: dict[str, Any], mistakes: Mistakes) -> Plan | None:
    """The plan that a command's words make, what is wrong in them noted; None where they make none."""
    grid = mistakes.attempt(lambda: Grid.parse(words["grid"]))
    problem = mistakes.attempt(source.resolve)
    spec = PlaneSpec(
        seed=words["seed"],
        normalize=words["normalize"],
        vectors=words["vectors"],
        rules=words.get("rules", ()),
        move=words.get("move", ()),
    )
    # stand-ins for what failed, so that the rest is checked too
    return mistakes.attempt(
        lambda: Plan(
            problem=problem or ProblemRef("", ""),
            plane=spec,
            grid=grid or Grid.parse("-1:1:2"),
            splits=split_words(words["splits"]),
            quantities=split_words(words["quantities"]),
            samples=words["samples"],
            relative_error=words["relative_error"],
            refine=words["refine"],
            precision=words["precision"],
            precision_tolerance=words["precision_tolerance"],
            batchnorm=words["batchnorm"],
            batchnorm_examples=words["batchnorm_examples"] or BATCHNORM_EXAMPLES[words["batchnorm"]],
            ranks_per_point=words.get("ranks_per_point", 1),
            ranks_divide=words.get("ranks_divide", "examples"),
        )
    )


def _plane_mistakes(spec: PlaneSpec, plane_from: Path | None) -> list[str]:
    """Words typed about the plane that contradict the one it is taken from."""
    context = click.get_current_context()
    typed = [
        name
        for name in ("seed", "normalize", "vectors", "rules", "move")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return [
        f"--{name} is {context.params[name]}, but the plane of {plane_from} was made with {getattr(spec, name)}; "
        f"leave --{name} out."
        for name in typed
        if context.params[name] != getattr(spec, name)
    ]
