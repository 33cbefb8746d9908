"""The journal of one process: points are appended to its segment, and are *saved* only once that was synced."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lossviz.errors import UnsavedError
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.remark import Remark, Warn
from lossviz.store.line import point_lines, to_line
from lossviz.store.segment import SegmentWriter

_FULL = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())
_SYNC_SHARE = 0.05
_LONGEST_PAUSE_S = 2.0


class Journal:
    """Appends points and keeps every one in memory until a sync has succeeded.

    A sync that costs less than 5 % of the time since the one before is done at once, so slow points are saved one by
    one; fast ones in groups, at the latest after ``sync_interval_s``. After a failed write or sync every record since
    the last good sync is written again, to a new segment: the system may have dropped the pages of the old one, and
    would report success on a second try.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        session: Mapping[str, Any],
        warn: Warn,
        *,
        sync_interval_s: float,
        disk_wait_s: float,
        stopped: Callable[[], bool],
    ) -> None:
        self._folder, self._plan, self._session, self._warn = folder, plan, session, warn
        self._sync_interval_s, self._disk_wait_s, self._stopped = sync_interval_s, disk_wait_s, stopped
        self._segment: SegmentWriter | None = None
        self._unsynced: list[tuple[Point, bytes]] = []
        self._saved: list[Point] = []
        self.failure = ""  # what the last error said
        self._synced_at, self._sync_took_s = time.monotonic(), 0.0

    @property
    def unsaved(self) -> int:
        """Points that are in memory only, or not synced yet."""
        return len(self._unsynced)

    @property
    def segment_path(self) -> Path | None:
        """The segment being written, if any point was appended."""
        return self._segment.path if self._segment else None

    def append(self, points: Sequence[Point]) -> list[Point]:
        """Write points, and sync if it is time; returns the points that became saved.

        Raises:
            UnsavedError: If writing failed for longer than the disk was waited for; the points stay in memory.
        """
        if not points:
            return []
        lines = point_lines(points, self._plan.grid)
        self._unsynced.extend(zip(points, lines, strict=True))
        try:
            if self._segment is None:
                self._open_segment()
            else:
                self._segment.append(b"".join(lines))
        except OSError as error:
            self._start_over(error)
            return self._take_saved()
        if self._sync_is_due():
            self.flush()
        return self._take_saved()

    def sync(self) -> list[Point]:
        """Sync now; returns the points that became saved.

        Raises:
            UnsavedError: As for :meth:`append`.
        """
        self.flush()
        return self._take_saved()

    def flush(self) -> None:
        """Sync now; the points that became saved are returned by the next call that returns some."""
        if not self._unsynced:
            return
        try:
            segment, started = self._open_segment(), time.monotonic()
            segment.sync()
        except OSError as error:
            self._start_over(error)
            return
        self._synced_at = time.monotonic()
        self._sync_took_s = self._synced_at - started
        self.count_as_saved()

    def count_as_saved(self) -> None:
        """All points are safe, here or in the published file."""
        self._saved.extend(point for point, _ in self._unsynced)
        self._unsynced.clear()

    def end(self, reason: str) -> None:
        """Close the segment with the reason; what could not be written before is tried once more.

        Raises:
            UnsavedError: If points are still unsaved.
        """
        if self._unsynced:
            self._disk_wait_s = 0.0
            self.flush()
        if self._segment:
            with contextlib.suppress(OSError):
                self._segment.append(to_line({"t": "e", "reason": reason}))
                self._segment.sync()
            self._segment.close()
            self._segment = None

    def _open_segment(self) -> SegmentWriter:
        # a new segment begins with all that is not known to be saved
        if self._segment is None:
            self._segment = SegmentWriter.create(self._folder, self._plan, self._session)
            self._segment.append(b"".join(line for _, line in self._unsynced))
        return self._segment

    def _sync_is_due(self) -> bool:
        since_s = time.monotonic() - self._synced_at
        return self._sync_took_s < _SYNC_SHARE * since_s or since_s >= self._sync_interval_s

    def _take_saved(self) -> list[Point]:
        saved, self._saved = self._saved, []
        return saved

    def _start_over(self, error: OSError) -> None:
        self._leave_segment()
        deadline, pause_s, warned = time.monotonic() + self._disk_wait_s, 0.1, False
        while True:
            try:
                self._open_segment().sync()
                self.count_as_saved()
                return
            except OSError as again:
                error = again
                self._leave_segment(remove=True)
            if error.errno not in _FULL or time.monotonic() >= deadline or self._stopped():
                raise self._unsaved_error(error) from error
            if not warned:
                text = (
                    f"{self._folder.parent}: {error.strerror}. {self.unsaved} points are kept in memory; "
                    f"waiting up to {self._disk_wait_s:g} s for space."
                )
                self._warn(Remark("doubt", "disk", text))
                warned = True
            time.sleep(min(pause_s, max(deadline - time.monotonic(), 0.0)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _leave_segment(self, *, remove: bool = False) -> None:
        if self._segment:
            with contextlib.suppress(OSError):
                self._segment.close()
            if remove:  # made a moment ago, and nothing in it was promised
                with contextlib.suppress(OSError):
                    self._segment.path.unlink()
        self._segment = None

    def _unsaved_error(self, error: OSError) -> UnsavedError:
        self.failure = (
            f"Writing to {self._folder} failed: {error.strerror}. {self.unsaved} points could not be saved; all before "
            f"them are. Make room and run the same command again: it goes on from there."
        )
        return UnsavedError(self.failure)
