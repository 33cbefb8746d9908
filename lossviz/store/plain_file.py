"""Opening files of ours for writing where others may write too: never through a link, never what is no file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def open_plain(path: Path, flags: int, *, folder: int | None = None) -> int:
    """Open an ordinary file, with the rights that the umask gives to a new one.

    Args:
        path: Its place; links in its folder's path are followed, the last part must be no link.
        flags: Of :func:`os.open`.
        folder: Descriptor of its folder, from :func:`open_folder`; the folder's path is not walked again then.

    Raises:
        OSError: ``ELOOP`` for a symbolic link, ``EINVAL`` for what has another name too or is no file, or as
            :func:`os.open`.
    """
    name, where = (path, None) if folder is None else (path.name, folder)
    descriptor = os.open(name, flags | _NOFOLLOW, 0o666, dir_fd=where)
    found = os.fstat(descriptor)
    # a second name may be that of somebody's file, which is to stay as it is
    if not stat.S_ISREG(found.st_mode) or (found.st_nlink > 1 and flags & (os.O_WRONLY | os.O_RDWR)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no ordinary file, or has a second name", str(path))
    return descriptor


def create_plain(path: Path, flags: int = os.O_WRONLY) -> int:
    """Make a file that was not there; what a killed process left under its name, a link too, is removed.

    Raises:
        OSError: As :func:`open_plain`.
    """
    path.unlink(missing_ok=True)
    return open_plain(path, flags | os.O_CREAT | os.O_EXCL)


def open_folder(folder: Path) -> int | None:
    """A descriptor of a folder that keeps to it when its path is changed; None on systems without.

    Raises:
        OSError: If it is missing or no folder.
    """
    if os.open not in os.supports_dir_fd:
        return None
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def write_plain(path: Path, text: str) -> None:
    """Write a small text in place of what is there, which is not followed where it is a link.

    Raises:
        OSError: As :func:`open_plain`.
    """
    with os.fdopen(create_plain(path), "w", encoding="utf-8") as file:
        file.write(text)
