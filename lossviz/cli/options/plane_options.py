"""The options of ``lossviz compute`` that make a plane of data: ``--plane``, ``--snapshots``, ``--grid auto``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lossviz.cli.options.common import Finite
from lossviz.errors import UsageError
from lossviz.records.plan import Plan
from lossviz.records.plane_words import PlaneWords, parse_auto

if TYPE_CHECKING:
    from lossviz.records.plane_words import PlaneRequest
    from lossviz.records.watch import Watch
    from lossviz.run.settings import Settings

WORDS = ("plane", "snapshots", "params", "hold", "rise", "snapshot_order")


snapshot_order_option = click.option(
    "--snapshot-order",
    default="",
    metavar="ORDER",
    help=r"Order of snapshots that store no step and whose names leave it open: name, time, or a regular expression "
    r"that finds the number in a name, such as 'acc0\.(\d+)'.",
)


def plane_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options, for a command that takes them as ``**words``."""
    for option in reversed(
        (
            click.option(
                "--plane",
                default="random",
                show_default=True,
                metavar="WORDS",
                help="random, pca, gradient, hessian, 'line A B', 'through A B C', 'axes NAME NAME', 'file D', or one "
                "word a direction: pca1,random or hessian1,hessian-min.",
            ),
            click.option(
                "--snapshots",
                multiple=True,
                metavar="FOLDER",
                help="Folder or quoted pattern of a training run's snapshots, for pca; its path is stored too. "
                "Repeatable.",
            ),
            snapshot_order_option,
            click.option(
                "--params",
                multiple=True,
                metavar="PATTERN",
                help="Move only the parameters that match, such as 'layer4.*'.",
            ),
            click.option("--hold", multiple=True, metavar="PATTERN", help="Keep the parameters that match fixed."),
            click.option(
                "--rise",
                type=Finite(min=0, min_open=True),
                default=1.0,
                show_default=True,
                help="How far the loss rises at the edge of --grid auto, if there is no path to fit.",
            ),
        )
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class AskedPlane:
    """The words about the plane, read.

    Attributes:
        words: How directions are made.
        auto: Points of each axis of an automatic grid; None where ranges were given.
        snapshots: One word a run.
        params: Patterns.
        hold: Patterns.
        rise: For an automatic grid.
        snapshot_order: Of snapshots that do not say it.
    """

    words: PlaneWords
    auto: tuple[int, ...] | None
    snapshots: tuple[str, ...]
    params: tuple[str, ...]
    hold: tuple[str, ...]
    rise: float
    snapshot_order: str = ""

    @classmethod
    def take(
        cls, words: dict[str, Any], checkpoint: Path | None, plane_from: Path | None
    ) -> tuple[AskedPlane, Path | None]:
        """Take the words about the plane out of a command's words; an automatic grid leaves a stand-in there.

        Returns:
            What is asked for, and the checkpoint, which a plane through checkpoints names by itself.

        Raises:
            UsageError: If the words make no sense, or say a plane beside ``--plane-from``.
        """
        mine = {name: words.pop(name) for name in WORDS}
        if mine["plane"].strip() != "random" and _is_default("grid"):
            words["grid"] = "auto"  # coordinates of such planes have units of their own
        auto = parse_auto(words["grid"])
        dimension = words["grid"].count(",") + 1 if auto is None or len(auto) > 1 else None
        asked = PlaneWords.parse(mine["plane"], dimension)
        found = cls(asked, None if auto is None else tuple(auto), *(mine[name] for name in WORDS[1:]))
        if plane_from is not None and not found.is_plain:
            raise UsageError(
                "--plane-from says the plane already; leave --plane, --snapshots, --params, --hold and auto out."
            )
        if auto is not None:
            words["grid"] = ",".join(["-1:1:3"] * asked.dimension)
        if checkpoint is None and asked.kind in ("line", "through"):
            checkpoint = Path(asked.arguments[0])
        return found, checkpoint

    @property
    def is_plain(self) -> bool:
        """Whether the plan says it all."""
        return self.words.kind == "random" and self.auto is None and not (self.snapshots or self.params or self.hold)

    @property
    def request(self) -> PlaneRequest:
        """The same, for the library."""
        from lossviz.records.plane_words import PlaneRequest

        return PlaneRequest(
            self.words, self.snapshots, self.params, self.hold, self.auto, self.rise, self.snapshot_order
        )

    def settle(
        self,
        plan: Plan,
        out: Path,
        plane_from: Path | None,
        settings: Settings,
        watch: Watch,
    ) -> tuple[Plan, Path | None]:
        """Make the plane and the grid where the plan does not say them: the plan, and the file with the directions."""
        if self.is_plain:
            return plan, plane_from
        from lossviz.run.plane import settle_plane

        return settle_plane(plan, self.request, out, settings, watch)

    def draw_paths(self, out: Path, settings: Settings, watch: Watch) -> list[str]:
        """Store the runs that the plane was made of in its file; lines that describe them."""
        if not self.snapshots:
            return []
        from lossviz.cli.show.paths import describe_trajectory, name_runs
        from lossviz.studies.project import project

        runs = dict(zip(name_runs(self.snapshots, ()), self.snapshots, strict=True))
        made = project(out, runs, settings, watch, snapshot_order=self.snapshot_order)
        return [describe_trajectory(trajectory) for trajectory in made.values()]

    def describe(self) -> list[str]:
        """What a dry run says of a plane that is made when the run begins."""
        if self.is_plain:
            return []
        of = (
            f" of {', '.join(self.words.arguments or self.snapshots)}" if self.words.arguments or self.snapshots else ""
        )
        grid = f"; the grid, {':'.join(map(str, self.auto))} points an axis, is fitted then" if self.auto else ""
        return [f"directions: {', '.join(self.words.axes)}{of}, made when the run begins{grid}"]


def _is_default(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.DEFAULT
