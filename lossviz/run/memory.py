"""A run without a file: everything stays in memory, to be looked at, or saved later."""

from __future__ import annotations

from collections.abc import Sequence

from lossviz.problem.device import session_facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Watch
from lossviz.run.assembly import Source
from lossviz.run.compute import fill
from lossviz.run.prepare import prepare
from lossviz.run.settings import DEFAULT, Settings
from lossviz.store.run import Run


class MemoryRun(Run):
    """A run that saves nothing; stopped, it goes on as long as it is held.

    Args:
        plan: What determines the values.
        device: Where it is computed, for its provenance.
    """

    def __init__(self, plan: Plan, device: str = "auto") -> None:
        self.path, self.surface, self.resumed, self.segments = None, Surface.empty(plan), False, []  # pyright: ignore
        self.session = session_facts(device)
        self.surface.sessions.append(self.session)

    def save(self, points: Sequence[Point]) -> list[Point]:
        """Put points into the surface."""
        for point in points:
            self.surface.put(point)
        return list(points)

    def sync(self) -> list[Point]:
        """There is nothing to save."""
        return []

    def publish(self, *, final: bool = False) -> None:
        """There is nowhere to publish."""

    def publish_when_due(self) -> None:
        """There is nowhere to publish."""

    def close(self, reason: str) -> None:
        """There is nothing to give free."""

    def begin(self, source: Source, settings: Settings = DEFAULT, watch: Watch = QUIET) -> None:
        """Put everything together and check it, as a run with a file does.

        Raises:
            LossvizError: For bad input.
        """
        _, self.engine = prepare(self.surface.plan, self, source, settings, watch)

    def go_on(self, watch: Watch = QUIET) -> Surface:
        """Evaluate what is missing.

        Raises:
            StoppedError: If ``watch.stop`` says so; what was evaluated is kept.
        """
        if len(self.surface.pending()):
            fill(self, self.engine, watch)
        return self.surface
