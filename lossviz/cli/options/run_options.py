"""The options of a run, which ``lossviz compute`` and ``lossviz submit`` share: what is evaluated, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from lossviz.cli.options.common import device_option, expect_option, journal_options
from lossviz.cli.options.plan_options import make_plan, plan_options
from lossviz.cli.options.plane_options import AskedPlane
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.records.plan import Plan, RanksDivide

if TYPE_CHECKING:
    from lossviz.records.watch import Watch
    from lossviz.run.settings import Settings

# how a run is carried out; the other options say what it is
SETTINGS = (
    "device", "strategy", "batch_size", "low_memory", "store_directions", "sync_interval_s", "disk_wait_s", "expect",
)  # fmt: skip
_OPTIONS = (
    click.option(
        "--out", type=click.Path(path_type=Path), help="Result file.  [default: CHECKPOINT's name with .h5, here]"
    ),
    plan_options,
    click.option(
        "--plane-from", type=click.Path(path_type=Path), metavar="OTHER.h5",
        help="Use the plane of another run, and its points where the two plans allow it.",
    ),
    click.option(
        "--store-directions",
        type=click.Choice(["auto", "always", "recipe"]),
        default="auto",
        show_default=True,
        help="Store the directions beside the result, or only their recipe; auto stores up to 4 GiB.",
    ),
    click.option(
        "--strategy",
        type=click.Choice(["auto", "loop", "stacked", "compiled", "replayed"]),
        default="auto",
        show_default=True,
        help="How to evaluate points; auto measures and uses the fastest.",
    ),
    click.option("--batch-size", type=click.IntRange(min=1), help="Examples per forward pass.  [default: by device]"),
    click.option(
        "--ranks-per-point", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
        help="Processes that evaluate each point together, started by torchrun or 'lossviz submit'.",
    ),
    click.option(
        "--ranks-divide", type=click.Choice(get_args(RanksDivide)), default="examples", show_default=True,
        help="What the ranks split: the examples, or the model (needs parallelize() in SOURCE).",
    ),
    click.option(
        "--low-memory",
        is_flag=True,
        help="Keep the plane and the examples in host memory, and only the model on the device.",
    ),
    expect_option,
    device_option,
    journal_options,
)  # fmt: skip


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that :meth:`AskedRun.take` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


RUN_PARAMS = tuple(click.command(source_options(run_options(lambda **_: None))).params)


@dataclass(frozen=True)
class AskedRun:
    """A run as the words of a command say it; a plane that is made of data is not made yet.

    Attributes:
        plan: With a stand-in for a grid that is fitted.
        out: Its file.
        plane: The words about the plane.
        plane_from: The run that the plane is taken from.
        settings: How it is carried out.
    """

    plan: Plan
    out: Path
    plane: AskedPlane
    plane_from: Path | None
    settings: Settings

    @classmethod
    def take(cls, problem: SourceWords, words: dict[str, Any]) -> AskedRun:
        """Take the words of :func:`run_options` out of a command's words; nothing heavy is imported.

        Raises:
            UsageError: With every mistake of the words.
        """
        from lossviz.run.settings import Settings

        settings = Settings(**{name: words.pop(name) for name in SETTINGS})
        out, plane_from = words.pop("out"), words.pop("plane_from")
        plane, checkpoint = AskedPlane.take(words, problem.checkpoint, plane_from)
        plan, out = make_plan(replace(problem, checkpoint=checkpoint), out, words, plane_from)
        return cls(plan, out, plane, plane_from, settings)

    def settle(self, watch: Watch) -> AskedRun:
        """The same with plane and grid, which are made now where the plan does not say them."""
        plan, plane_from = self.plane.settle(self.plan, self.out, self.plane_from, self.settings, watch)
        return replace(self, plan=plan, plane_from=plane_from)
