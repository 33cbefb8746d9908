"""Room for a new run under a name that is taken: the files there are renamed, and nothing is deleted."""

from __future__ import annotations

import itertools
from pathlib import Path

from lossviz.errors import StoreError, UnwritableError
from lossviz.records.plan import Plan
from lossviz.records.remark import ignore
from lossviz.store.hdf5 import is_ours
from lossviz.store.lock import RunLock
from lossviz.store.schema import canonical_path, directions_path, journal_folder
from lossviz.store.surface_file import peek_plan, read_surface


def move_aside(path: Path, plan: Plan | None) -> Path | None:
    """Rename a run's file, directions and journal to ``NAME.1.h5`` and the like, or the next number that is free.

    Args:
        path: Of the run.
        plan: Of the new run; an unfinished run of this very plan stays, to go on with it. None moves any run.

    Returns:
        The new path of the file; None where nothing was moved.

    Raises:
        StoreError: If there is a file that is not ours.
        StoppedError: If another process fills the run.
        UnwritableError: If it cannot be renamed.
    """
    path = canonical_path(path)
    if not any(place.exists() for place in _places(path)) or (plan is not None and _goes_on(path, plan)):
        return None
    if path.exists() and not is_ours(path):
        raise StoreError(f"{path} is not a result of lossviz, and --force leaves it alone. Choose another --out.")
    free = (path.with_name(f"{path.stem}.{n}{path.suffix}") for n in itertools.count(1))
    new = next(other for other in free if not any(place.exists() for place in _places(other)))
    lock = RunLock.take(path, ignore)
    try:
        for old, other in zip(_places(path), _places(new), strict=True):
            if old.exists():
                old.rename(other)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be renamed to {new}: {error.strerror}.") from error
    finally:
        lock.release()
    return new


def _places(path: Path) -> tuple[Path, Path, Path]:
    return path, directions_path(path), journal_folder(path)


def _goes_on(path: Path, plan: Plan) -> bool:
    """Whether an unfinished run of the same plan lies there."""
    known = peek_plan(path)
    if known is None or known.digest() != plan.digest():
        return False
    surface = read_surface(path)
    return surface.facts.doubts is None or bool(len(surface.pending()))
