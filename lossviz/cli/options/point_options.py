"""Options of the commands that look at the loss around one point: which loss of which examples, how exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

import click

from lossviz.cli.options.common import device_option
from lossviz.records.plan import BATCHNORM_EXAMPLES, BatchNorm, ProblemRef

if TYPE_CHECKING:
    from lossviz.problem.problem import Problem


def point_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--split``, ``--quantity``, ``--samples``, ``--precision``, ``--batchnorm``, ``--batch-size``, ``--device``."""
    for option in reversed(
        (
            click.option("--split", default="train", show_default=True, help="Split of the data to use."),
            click.option("--quantity", default="loss", show_default=True, help="Which value of the loss to use."),
            click.option("--samples", type=click.IntRange(min=1),
                help="Use a fixed random subset of this many examples."),
            click.option(
                "--precision", type=click.Choice(["float64", "float32"]), default="float32", show_default=True
            ),
            click.option(
                "--batchnorm", type=click.Choice(get_args(BatchNorm)), default="fixed", show_default=True,
                help="BatchNorm statistics: the checkpoint's, recomputed once, or of each batch.",
            ),
            click.option(
                "--batchnorm-examples", type=click.IntRange(min=2), metavar="N",
                help="Examples for recomputed statistics, or per batch.  [default: 1024, or batches of 128]",
            ),
            click.option("--batch-size", type=click.IntRange(min=1), help="Examples per pass.  [default: by device]"),
            device_option,
        )
    ):  # fmt: skip
        function = option(function)
    return function


def load_point(ref: ProblemRef, words: dict[str, Any]) -> Problem:
    """Load model, checkpoint and examples as the words say, BatchNorm statistics included.

    Raises:
        LossvizError: As for :func:`lossviz.problem.load.load_problem`.
    """
    from lossviz.studies.point import PointWords
    from lossviz.studies.point import load_point as load

    return load(ref, PointWords(**{f.name: words[f.name] for f in fields(PointWords)}))


def batchnorm_identity(words: dict[str, Any]) -> dict[str, Any]:
    """What of the statistics determines a result; nothing where they are the checkpoint's."""
    mode = words["batchnorm"]
    if mode == "fixed":
        return {}
    return {"batchnorm": mode, "batchnorm_examples": words["batchnorm_examples"] or BATCHNORM_EXAMPLES[mode]}
