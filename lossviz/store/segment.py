"""A segment of the journal: the points one process evaluated, a line each with its own checksum.

The first line is the header with the plan, the rest are points, and the last one, where the process had the time, says
why it ended. One process ever writes a segment; a torn or damaged line is skipped and its point counts as not
evaluated.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lossviz.errors import PlanError, StoreError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan
from lossviz.records.point import Point, Status
from lossviz.records.session import Session
from lossviz.records.surface import Surface
from lossviz.store.atomic_file import sync_data, sync_folder, write_all
from lossviz.store.line import from_line, to_line, to_point, values_text
from lossviz.store.lock import lock_descriptor
from lossviz.store.plain_file import open_plain
from lossviz.store.schema import JOURNAL_FORMAT, JOURNAL_VERSION, from_text, journal_folder, life_name


class SegmentWriter:
    """A new segment, open for appending; the only writer it will ever have."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._length = 0

    @classmethod
    def create(cls, folder: Path, plan: Plan, session: Mapping[str, Any]) -> SegmentWriter:
        """Make a segment with its header, durably; on failure nothing is left.

        Raises:
            OSError: If the disk is full or fails.
        """
        if not folder.is_dir():
            folder.mkdir()
            sync_folder(folder.parent)
        path = folder / f"{life_name()}.jsonl"
        if folder.is_symlink():  # where it leads is for others to say
            raise OSError(errno.ELOOP, "the journal is a link; remove it", str(folder))
        writer = cls(path, open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND))
        try:
            # says to those who tidy up that the writer lives; where locks do not work nothing is tidied up
            with contextlib.suppress(OSError):
                lock_descriptor(writer._descriptor)
            writer.append(to_line(_header(plan, session)))
            os.fsync(writer._descriptor)
            sync_folder(folder)
        except BaseException:
            writer.close()
            path.unlink(missing_ok=True)
            raise
        return writer

    def append(self, lines: bytes) -> None:
        """Write whole lines; once this returns a killed process has lost nothing, a power cut may take them.

        Raises:
            OSError: After cutting off what was written of ``lines``.
        """
        try:
            write_all(self._descriptor, lines)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
            raise
        self._length += len(lines)

    def sync(self) -> None:
        """Make every line survive a power cut."""
        sync_data(self._descriptor)

    def close(self) -> None:
        """Close the file; it may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _header(plan: Plan, session: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "t": "h",
        "format": JOURNAL_FORMAT,
        "version": JOURNAL_VERSION,
        "plan_digest": plan.digest(),
        "session": session,
        "plan": plan.to_json(),
    }


@dataclass(frozen=True)
class Segment:
    """What a segment held when it was read."""

    path: Path
    data: bytes

    @cached_property
    def header(self) -> dict[str, Any] | None:
        """The first record; None where it is damaged, and then nothing in the segment can be used."""
        line, end, _ = self.data.partition(b"\n")
        header = from_line(line) if end else None
        if header is None or header.get("t") != "h" or header.get("format") != JOURNAL_FORMAT:
            return None
        if header["version"] != JOURNAL_VERSION:
            raise StoreError(f"{self.path} has journal version {header['version']}; this lossviz reads 1.")
        return header

    @property
    def plan(self) -> Plan | None:
        """The plan its points belong to."""
        header = self.header
        return Plan.from_json(header["plan"]) if header else None

    @cached_property
    def session(self) -> Session:
        """Who wrote it."""
        header = self.header
        return Session.from_json(from_text(json.dumps(header["session"]))) if header else Session()

    @property
    def ended(self) -> str | None:
        """Why its writer ended; None if it was killed or is still at it."""
        record = from_line(self.data[:-1].rpartition(b"\n")[2]) if self.data.endswith(b"\n") else None
        return record.get("reason") if record and record.get("t") == "e" else None

    def points(self, grid: Grid) -> Iterator[Point | None]:
        """The points line by line; None for a line that cannot be believed."""
        lines = self.data.split(b"\n")[1:]
        if lines and not lines[-1]:
            lines.pop()
        for line in lines:
            record = from_line(line)
            if record is None:
                yield None
            elif record.get("t") == "p":
                yield to_point(record, grid)


def segment_paths(path: Path) -> list[Path]:
    """Where the segments of the run at ``path`` lie, oldest first."""
    try:
        return sorted(journal_folder(path).glob("*.jsonl"))
    except FileNotFoundError:  # tidied away while it was listed
        return []


def read_segments(path: Path) -> list[Segment]:
    """All segments beside the run at ``path``, oldest first."""
    found = []
    for name in segment_paths(path):
        # one that goes away meanwhile was published first, and the file is read after the segments
        with contextlib.suppress(FileNotFoundError):
            found.append(Segment(name, name.read_bytes()))
    return found


def read_headers(path: Path) -> list[Segment]:
    """As :func:`read_segments`, of each the first line only."""
    found = []
    for name in segment_paths(path):
        with contextlib.suppress(FileNotFoundError), name.open("rb") as file:
            found.append(Segment(name, file.readline()))
    return found


def check_plan(segment: Segment, plan: Plan) -> None:
    """Demand that a segment belongs to ``plan``; one with a damaged header passes, and nothing of it is used.

    Raises:
        PlanError: Naming the fields that differ.
    """
    header = segment.header
    if header is None or header["plan_digest"] == plan.digest():
        return
    lines = "\n".join(f"  - {line}" for line in plan.differences(Plan.from_json(header["plan"])))
    raise PlanError(f"The segment {segment.path} belongs to another plan:\n{lines}\nMove it to its own run.")


@dataclass(frozen=True)
class SegmentHealth:
    """How a segment read.

    Attributes:
        size: Bytes read; a longer file has been written to since.
        points: Lines that hold a point.
        damaged: Lines that fail their checksum before the last good one.
        torn: Lines that fail it at the end, as a killed process or a power cut leaves them.
        readable: False where the header is damaged, and then nothing was used.
    """

    path: Path
    size: int
    session: Mapping[str, Any]
    points: int = 0
    damaged: int = 0
    torn: int = 0
    ended: str | None = None
    readable: bool = True

    @property
    def healthy(self) -> bool:
        """Nothing was lost but what a kill may take."""
        return self.readable and not self.damaged

    def __str__(self) -> str:
        lost = f"{self.damaged} lines fail their" if self.readable else "its header fails the"
        return f"{self.path} is damaged: {lost} checksum; what they held counts as not evaluated."


def enter_segment(
    surface: Surface, segment: Segment, on_disagreement: Callable[[Point, Point], None] | None = None
) -> SegmentHealth:
    """Put the points of a segment into ``surface``, with its session.

    Args:
        surface: Filled in place.
        segment: Of the same plan, see :func:`check_plan`.
        on_disagreement: Called with the known and the new point where both took as many examples and differ.
    """
    if segment.header is None:
        # a writer killed before its header was whole has promised nothing
        unborn = not {10, 0} & set(segment.data)
        return SegmentHealth(segment.path, len(segment.data), {}, torn=int(unborn), readable=unborn)
    row: int | None = None
    points = damaged = torn = 0
    for point in segment.points(surface.plan.grid):
        if point is None:
            torn += 1
            continue
        points, damaged, torn = points + 1, damaged + torn, 0
        row = session_row(surface, segment.session) if row is None else row
        if on_disagreement:
            _compare(surface, point, row, on_disagreement)
        surface.put(point, row)
    if segment.ended is not None:
        damaged, torn = damaged + torn, 0
    return SegmentHealth(segment.path, len(segment.data), segment.session, points, damaged, torn, segment.ended)


def session_row(surface: Surface, session: Mapping[str, Any]) -> int:
    """Row of a session in ``surface.sessions``, added if it is new."""
    for row, known in enumerate(surface.sessions):
        if known.id == session.get("id"):
            return row
    surface.sessions.append(Session.from_json(session))
    return min(len(surface.sessions) - 1, 2**16 - 1)


def _compare(surface: Surface, new: Point, row: int, on_disagreement: Callable[[Point, Point], None]) -> None:
    counts, at = surface.splits[new.split], surface.plan.grid.position(new.index)
    if counts.status[at] == Status.NOT_COMPUTED or counts.session[at] == row:
        return  # a session may take back what it gave
    known = surface.point(new.index, new.split)
    if known.count == new.count and values_text(known) != values_text(new):
        on_disagreement(known, new)
