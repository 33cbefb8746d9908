"""What other processes add to a run's journal, from one look to the next."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.store.segment import Segment, check_plan, segment_paths


@dataclass
class _Place:
    """How far one segment was read."""

    header: bytes = b""
    offset: int = 0
    session: Mapping[str, Any] = field(default_factory=dict)


class Tail:
    """Reads only what is new; half-written lines wait for the next look.

    Args:
        path: The run's surface file.
        plan: What its segments must belong to.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path, self._plan = path, plan
        self._places: dict[Path, _Place] = {}

    def read(self) -> list[tuple[Mapping[str, Any], list[Point]]]:
        """New points since the last look, and the session that saved them.

        Raises:
            PlanError: If a segment belongs to another plan.
        """
        found = []
        for path in segment_paths(self._path):
            place = self._places.setdefault(path, _Place())
            with contextlib.suppress(OSError):  # tidied away meanwhile: it is in the file then
                if points := self._read(path, place):
                    found.append((place.session, points))
        return found

    def _read(self, path: Path, place: _Place) -> list[Point]:
        with path.open("rb") as file:
            file.seek(place.offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return []
        segment = Segment(path, place.header + data)
        if segment.header is None:
            return []
        if not place.header:
            check_plan(segment, self._plan)
            place.header, place.session = data[: data.find(b"\n") + 1], segment.session
        place.offset += len(data)
        return [point for point in segment.points(self._plan.grid) if point is not None]
