"""A run being filled: the lock, the journal and the published file as one object for the conductor.

Every point is in the journal before it is announced, and the published file is rebuilt from memory now and then; what
a kill, a power cut or a full disk can take is at most the last second of work.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from lossviz.errors import DamagedFileError, UnsavedError
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.remark import Remark, Warn
from lossviz.records.surface import Surface
from lossviz.records.watch import never
from lossviz.store.atomic_file import check_writable as check_writable
from lossviz.store.atomic_file import sync_folder
from lossviz.store.journal import Journal
from lossviz.store.lock import RunLock
from lossviz.store.resume import check_room, check_same_plan, read_known, remove_temporaries, retire
from lossviz.store.schema import canonical_path, check_names, journal_folder, life_name
from lossviz.store.segment import (
    SegmentHealth,
    check_plan,
    enter_segment,
    read_headers,
    read_segments,
    session_row,
)
from lossviz.store.surface_file import write_surface
from lossviz.store.tail import Tail

Role = Literal["filler", "worker"]
_PUBLISH_SHARE = 50


class Run:
    """A run being filled; use it as a context manager.

    Attributes:
        path: The surface file.
        surface: All that is known, in memory; ``surface.facts`` is the conductor's to fill, and is published.
        session: Who computes, as it will stand in the file; may be completed until the first point is saved.
        resumed: The run existed before.
        segments: How the segments read that were there at the start.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:3"))
        >>> with TemporaryDirectory() as folder:
        ...     with Run.open(Path(folder) / "net.h5", plan, session={}, warn=print) as run:
        ...         saved = run.save([Point(1, "train", 4, 4.0, {"loss": 2.0}, {"loss": 3.0})])
        ...         run.publish(final=True)
        ...         print(len(saved), run.surface.values("train_loss"))
        1 [nan 0.5 nan]
    """

    def __init__(
        self,
        path: Path,
        surface: Surface,
        lock: RunLock | None,
        segments: list[SegmentHealth],
        resumed: bool,
        session: dict[str, Any],
        journal: Journal,
        warn: Warn,
        publish_interval_s: float,
    ) -> None:
        self.path, self.surface, self.resumed, self.session = path, surface, resumed, session
        self._lock, self.segments, self._journal, self._warn = lock, segments, journal, warn
        self._publish_interval_s, self._publish_due, self._row = publish_interval_s, 0.0, None
        self._quantities: set[str] = set()
        self._closed = False
        self._tail = Tail(path, surface.plan)
        self._set_publish_due(0.0)

    @classmethod
    def open(
        cls,
        path: Path,
        plan: Plan,
        *,
        session: Mapping[str, Any],
        warn: Warn,
        role: Role = "filler",
        publish_interval_s: float = 60.0,
        sync_interval_s: float = 1.0,
        disk_wait_s: float = 600.0,
        stopped: Callable[[], bool] = never,
        strict: bool = False,
    ) -> Run:
        """Begin a run, or go on with the one at ``path``.

        Args:
            path: The surface file; its folder must exist.
            plan: What determines the values.
            session: Flat JSON values: host, device, versions, start.
            warn: Called with a remark on each thing that is not as it should be.
            role: ``"filler"`` locks the run and publishes; any number of ``"worker"`` only save points.
            publish_interval_s: Least time between publications.
            sync_interval_s: Most work a power cut may take.
            disk_wait_s: How long to wait for room on a full disk.
            stopped: Asked while waiting; True gives up.
            strict: Refuse segments that disagree on a point; else the later one counts.

        Raises:
            PlanError: If the run at ``path`` has another plan; the message names the fields that differ.
            StoreError: If there is a file at ``path`` that is not ours; it is not touched. With ``strict`` also if two
                segments disagree.
            StoppedError: If another process fills the run; the message names it.
            UnwritableError: If nothing can be written there.
            DamagedFileError: If the file fails its checksums and the journal does not hold all its points; it was
                renamed, and the next try computes what is gone.
        """
        path = canonical_path(path)
        check_names(plan.splits, ())
        check_same_plan(path, plan)  # before anything is written, the lock included
        lock = RunLock.take(path, warn) if role == "filler" else None
        try:
            if lock and lock.locked:
                remove_temporaries(path)
            resumed = path.exists() or bool(read_headers(path))
            surface, segments = read_known(path, plan, lock, warn, strict=strict)
            check_room(path, surface, warn)
        except BaseException:
            if lock:
                lock.release()
            raise
        session = {**session, "id": life_name()}
        journal = Journal(
            journal_folder(path),
            plan,
            session,
            warn,
            sync_interval_s=sync_interval_s,
            disk_wait_s=disk_wait_s,
            stopped=stopped,
        )
        return cls(path, surface, lock, segments, resumed, session, journal, warn, publish_interval_s)

    @property
    def locked(self) -> bool:
        """No other process fills this run."""
        return self._lock is not None and self._lock.locked

    @property
    def unsaved(self) -> int:
        """Points that a power cut would take now."""
        return self._journal.unsaved

    def save(self, points: Sequence[Point]) -> list[Point]:
        """Append points to the journal and put them into the surface.

        Returns:
            The points that are saved now, among them earlier ones; only these may be announced.

        Raises:
            StoreError: If a quantity's name cannot be stored; nothing was written.
            UnsavedError: If the disk stays full or fails; the points stay in memory.
        """
        if new := {name for point in points for name in point.sums} - self._quantities:
            check_names(self.surface.plan.splits, sorted(new))
            self._quantities |= new
        if points and self._row is None:
            self._row = session_row(self.surface, self.session)
        for point in points:
            self.surface.put(point, self._row or 0)
        return self._journal.append(points)

    def sync(self) -> list[Point]:
        """Save what is not saved yet; returns the points that became saved.

        Raises:
            UnsavedError: As for :meth:`save`.
        """
        return self._journal.sync()

    def take_in(self) -> list[Point]:
        """Read what other processes have saved since the last look, and put it into the surface."""
        new = []
        for session, points in self._tail.read():
            row = session_row(self.surface, session)
            for point in points:
                self.surface.put(point, row)
            new += points
        return new

    def take_in_whole(self) -> None:
        """Read every segment again, from its start to its end, so that all of them may be tidied away when published.

        Raises:
            PlanError: If one belongs to another plan.
        """
        self.segments = []
        for segment in read_segments(self.path):
            check_plan(segment, self.surface.plan)
            self.segments.append(enter_segment(self.surface, segment))

    def publish(self, *, final: bool = False) -> None:
        """Rebuild the surface file from memory; a worker only syncs.

        Args:
            final: Nothing more comes: compress, and remove the segments that are now in the file.

        Raises:
            UnsavedError: If the last publication fails; an earlier one only warns, the journal holds everything.
        """
        if self._lock is None:
            self._journal.flush()
            return
        started = time.monotonic()
        try:
            write_surface(self.path, self.surface, compressed=final)
        except (OSError, DamagedFileError) as error:
            self._report_failure(error, final)
        else:
            self._journal.count_as_saved()
            if final:
                self._tidy_up()
        self._set_publish_due(time.monotonic() - started)

    def publish_when_due(self) -> None:
        """Publish if the interval has passed, and 50 times what the last publication took."""
        if time.monotonic() >= self._publish_due:
            self.publish()

    def close(self, reason: str) -> None:
        """End the segment with ``reason`` and give the run free; never raises, and may be called twice.

        Points that could not be saved are tried once more, and warned about if that fails.
        """
        if self._closed:
            return
        self._closed = True
        said = self._journal.failure
        try:
            self._journal.end(reason)
        except UnsavedError as error:
            if str(error) != said:
                self._warn(Remark("doubt", "journal", str(error)))
        finally:
            if self._lock:
                self._lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("done" if kind is None else kind.__name__)

    def _set_publish_due(self, took_s: float) -> None:
        self._publish_due = time.monotonic() + max(self._publish_interval_s, _PUBLISH_SHARE * took_s)

    def _report_failure(self, error: Exception, final: bool) -> None:
        why = getattr(error, "strerror", None) or str(error)
        if not final:
            text = f"{self.path} could not be written ({why}); the journal holds every saved point."
            self._warn(Remark("doubt", "file", text))
            return
        with contextlib.suppress(UnsavedError):
            self._journal.flush()
        where = f"Every point is in {journal_folder(self.path)}"
        if self.unsaved:
            where = f"{self.unsaved} points are lost, every other is in {journal_folder(self.path)}"
        raise UnsavedError(f"{self.path} could not be written ({why}). {where}; make room and run the command again.")

    def _tidy_up(self) -> None:
        mine = self._journal.segment_path
        self._journal.end("published")
        if not self.locked:
            return
        own = [SegmentHealth(mine, mine.stat().st_size, self.session, ended="published")] if mine else []
        complete = not len(self.surface.pending())
        for segment in [*self.segments, *own]:
            with contextlib.suppress(OSError):
                retire(segment, even_of_other_hosts=complete)
        with contextlib.suppress(OSError):
            journal_folder(self.path).rmdir()
            sync_folder(self.path.parent)
