"""One process fills a run: a lock on a file beside it, dropped by the system however the process ends.

The file is removed by its holder before it lets go, so that nothing stays beside a result. A process that opened it
before and locks it after that holds a file that nobody else can see any more; so each that has locked looks whether its
file is still the one at that place, and begins again if not. One who was killed leaves the file, and the next to lock
it removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from datetime import datetime, timezone
from pathlib import Path

from lossviz.errors import StoppedError, UnwritableError
from lossviz.records.remark import Remark, Warn
from lossviz.store.plain_file import open_folder, open_plain
from lossviz.store.schema import lock_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
_ATTEMPTS = 100  # to lock the file that is there; in vain where a file is never the same twice


class RunLock:
    """The lock of a run, held from :meth:`take` to :meth:`release`.

    Attributes:
        locked: False where the file system has no working locks; then nothing that others might still need is removed.
    """

    def __init__(
        self, descriptor: int | None, locked: bool, removable: Path | None = None, folder: int | None = None
    ) -> None:
        self._descriptor, self._removable, self._folder = descriptor, removable, folder
        self.locked = locked

    @classmethod
    def take(cls, path: Path, warn: Warn) -> RunLock:
        """Lock the run at ``path``.

        Raises:
            StoppedError: If another process holds it; the message names the holder.
            UnwritableError: If the lock file cannot be made.
        """
        name = lock_file(path)
        folder = _opened_folder(path)
        try:
            return cls._take(path, name, folder, warn)
        except BaseException:
            _close(folder)
            raise

    @classmethod
    def _take(cls, path: Path, name: Path, folder: int | None, warn: Warn) -> RunLock:
        for attempt in range(_ATTEMPTS):
            descriptor = _opened(name, path, folder)
            try:
                lock_descriptor(descriptor)
            except OSError as error:
                if error.errno in _BUSY:
                    holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
                    os.close(descriptor)
                    raise StoppedError(
                        f"{path} is being filled by {holder}. Wait for it to end, or choose another file with --out."
                    ) from None
                os.close(descriptor)
                if error.errno == errno.ESTALE:  # removed on another host
                    continue
                text = (
                    f"Locks do not work in {path.parent} ({error.strerror}): do not run the same command twice at once."
                )
                warn(Remark("doubt", "lock", text))
                return cls(None, locked=False, folder=folder)
            there = _is_at(descriptor, name, folder)
            if there or attempt == _ATTEMPTS - 1:
                _sign(descriptor)
                return cls(descriptor, locked=True, removable=name if there else None, folder=folder)
            os.close(descriptor)  # its last holder removed it after we had opened it
        raise StoppedError(f"{path} is locked and removed again and again by others. Run the same command to go on.")

    def release(self) -> None:
        """Let others take the run; may be called twice."""
        if self._descriptor is not None:
            if self._removable is not None:
                with contextlib.suppress(OSError):
                    _unlink(self._removable, self._folder)  # while it is locked
            os.close(self._descriptor)
        _close(self._folder)
        self._folder = None
        self._descriptor, self.locked = None, False


def _opened_folder(path: Path) -> int | None:
    try:
        return open_folder(path.parent)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror}.") from None


def _opened(name: Path, path: Path, folder: int | None) -> int:
    try:
        return open_plain(name, os.O_RDWR | os.O_CREAT, folder=folder)
    except OSError as error:
        link = error.errno == errno.ELOOP
        reason = "a lock is never a link; remove it" if link else error.strerror
        raise UnwritableError(f"{path} cannot be written: {reason} ({name}).") from None


def _unlink(name: Path, folder: int | None) -> None:
    if folder is None:
        name.unlink()
    else:
        os.unlink(name.name, dir_fd=folder)


def _close(folder: int | None) -> None:
    if folder is not None:
        os.close(folder)


def _is_at(descriptor: int, name: Path, folder: int | None) -> bool:
    """Whether an open file is the one at ``name``, which is opened anew: NFS asks its server then, and only then."""
    try:
        other = open_plain(name, os.O_RDONLY, folder=folder)
    except OSError:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), os.fstat(other))
    finally:
        os.close(other)


def lock_descriptor(descriptor: int) -> None:
    """Lock an open file against every other process.

    Raises:
        OSError: With EWOULDBLOCK if it is locked, another number where locks do not work.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, "no file locks on this system")
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(descriptor: int) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    # the name only helps the one who waits: a full disk must not keep us from going on
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock on a file; False where that cannot be told."""
    if fcntl is None:
        return False
    try:
        descriptor = open_plain(path, os.O_RDWR)
    except OSError:
        return False
    try:
        lock_descriptor(descriptor)
    except OSError as error:
        return error.errno in _BUSY
    finally:
        os.close(descriptor)
    return False
