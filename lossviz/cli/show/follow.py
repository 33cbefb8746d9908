"""Draw a figure again and again while other processes fill the runs it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from lossviz.errors import DamagedFileError, LossvizError
from lossviz.records.remark import ignore
from lossviz.records.surface import Surface
from lossviz.records.watch import never

_PATIENCE = 3  # readings in a row that may fail while files are being replaced


def follow(
    files: Sequence[Path],
    redraw: Callable[[list[Surface]], None],
    *,
    interval_s: float = 2.0,
    tell: Callable[[str], None] = ignore,
    stop: Callable[[], bool] = never,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Call ``redraw`` with the surfaces in ``files`` whenever points were added, until all runs are finished.

    Published files and the journals beside them are read, without a lock, so that every point saved is seen. A run
    that is not there yet, or has no point yet, is waited for.

    Args:
        files: Surface files.
        redraw: Draws what is known.
        interval_s: Time between two readings.
        tell: Called with a sentence on what is waited for or was drawn.
        stop: Asked often; True ends it.
        sleep: Waits for some seconds.

    Returns:
        Whether all runs are finished.

    Raises:
        LossvizError: If a file is not ours, is damaged, or a figure cannot be drawn.
    """
    seen, failed, waiting = None, 0, ""
    while not stop():
        surfaces, missing = [], [file for file in files if not _exists(file)]
        if not missing:
            try:
                surfaces, failed = _read(files), 0
            except LossvizError:
                failed += 1
                if failed >= _PATIENCE:
                    raise
        if surfaces and all(surface.names for surface in surfaces):
            if (progress := [_progress(*pair) for pair in zip(files, surfaces, strict=True)]) != seen:
                redraw(surfaces)
                tell(f"Drawn with {', '.join(f'{p.done} of {p.total}' for p in progress)} points.")
                seen = progress
            if all(p.finished for p in progress):
                return True
        elif waiting != (waiting := f"Waiting for {', '.join(map(str, missing or files))}."):
            tell(waiting)
        _pause(interval_s, stop, sleep)
    return False


def follow_quietly(files: Sequence[Path], redraw: Callable[[list[Surface]], None]) -> None:
    """Follow with notes on standard error; control-C ends it without a complaint."""
    try:
        follow(files, redraw, tell=lambda text: click.echo(f"lossviz: {text}", err=True))
    except KeyboardInterrupt:
        click.echo("lossviz: Left; the figure shows what was there.", err=True)


def _exists(file: Path) -> bool:
    from lossviz.store.surface_file import peek_plan

    try:
        return peek_plan(file) is not None
    except DamagedFileError:
        return True  # reading it says what is wrong


def _read(files: Sequence[Path]) -> list[Surface]:
    from lossviz.store.surface_file import read_surface

    return [read_surface(file) for file in files]


class _Progress(NamedTuple):
    evaluations: int  # over all splits
    done: int
    total: int
    finished: bool


def _progress(file: Path, surface: Surface) -> _Progress:
    from lossviz.store.schema import canonical_path, journal_folder

    done, total = int(surface.evaluated().sum()), surface.plan.grid.size
    evaluations = sum(int(surface.evaluated(split).sum()) for split in surface.splits)
    closed = surface.facts.doubts is not None or not journal_folder(canonical_path(file)).exists()
    return _Progress(evaluations, done, total, closed and (done == total or not len(surface.pending())))


def _pause(interval_s: float, stop: Callable[[], bool], sleep: Callable[[float], None]) -> None:
    left_s = interval_s
    while left_s > 0 and not stop():
        sleep(min(left_s, 0.2))
        left_s -= 0.2
