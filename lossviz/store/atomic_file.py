"""Files that are there whole or not at all: written beside, synced, checked, put in place by one rename."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from lossviz.errors import UnwritableError, UsageError
from lossviz.store.plain_file import create_plain
from lossviz.store.schema import directions_path, temporary_path

_WRITE_BYTES = 64 << 20


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte, going on after short writes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:_WRITE_BYTES]) :]


def sync_data(descriptor: int) -> None:
    """Make written bytes survive a power cut."""
    try:
        import fcntl

        full_sync = fcntl.F_FULLFSYNC  # pyright: ignore[reportAttributeAccessIssue]  # macOS: fsync stops at the drive's cache
    except (ImportError, AttributeError):
        getattr(os, "fdatasync", os.fsync)(descriptor)
    else:
        fcntl.fcntl(descriptor, full_sync)


def sync_folder(folder: Path) -> None:
    """Make names made, changed or removed in ``folder`` survive a power cut."""
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals names itself
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(
    path: Path, *, check: Callable[[Path], None] | None = None, temporary: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends; if it fails the old file stays.

    Args:
        path: What to make or replace.
        check: Called with the temporary file after it was synced; raises if it does not read back right.
        temporary: The file written first, in the same folder; by default a name of this process.

    Raises:
        OSError: If the disk is full or fails; its file name is ``path``, and nothing is left beside it.
    """
    temporary = temporary or temporary_path(path)
    try:
        with os.fdopen(create_plain(temporary), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if check:
            check(temporary)
        _rename(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            error.filename, error.filename2 = str(path), None  # the file that was asked for, not the one beside it
        raise


def replace_file(path: Path, data: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Put ``data`` at ``path`` at once and durably; arguments and errors as for :func:`whole_file`."""
    with whole_file(path, check=check) as file:
        write_all(file.fileno(), data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file for the user so that it appears whole or not at all, with the rights that the umask gives.

    Raises:
        UnwritableError: If it cannot be written there.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror}. Choose another --out.") from error


def _rename(source: Path, target: Path, attempts: int = 50) -> None:
    for attempt in range(attempts):
        try:
            source.replace(target)
            return
        except PermissionError:  # Windows, while a reader has the target open
            if os.name != "nt" or attempt == attempts - 1:
                raise
            time.sleep(0.1)


def check_writable(path: Path) -> None:
    """Fail early where a result could not be written; leaves nothing behind.

    Raises:
        UnwritableError: If the folder is read-only or has no room.
        UsageError: If ``path`` is a folder, lies in one that does not exist, or has too long a name for the files
            that come to lie beside it.
    """
    try:
        _try_writing(Path(path))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = Path(path).name
            raise UsageError(
                f"The name {name[:24]}… has {len(name)} letters, too many for this disk: names of files beside it are "
                "longer still. Choose a shorter --out."
            ) from None
        raise UnwritableError(f"{path} cannot be written: {error.strerror}. Choose another place with --out.") from None


def _try_writing(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file in it, for example {path / 'surface.h5'}.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist. Make it with: mkdir -p '{path.parent}'")
    probe = temporary_path(directions_path(path) if path.suffix == ".h5" else path)  # the longest name beside it
    try:
        descriptor = create_plain(probe)
        try:
            os.write(descriptor, b"\0" * 4096)
        finally:
            os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def free_bytes(folder: Path) -> int | None:
    """Room left for this user on the disk that holds ``folder``; None where the system does not say."""
    if not hasattr(os, "statvfs"):
        return None
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
