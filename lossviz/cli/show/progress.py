"""How a running sweep is shown: a live bar, one JSON line per saved point, or nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lossviz.records.remark import ignore

if TYPE_CHECKING:
    from lossviz.records.grid import Grid
    from lossviz.records.watch import Update


@contextmanager
def show_progress(kind: str, grid: Grid | None) -> Iterator[Callable[[Update], None]]:
    """Give a callback for :func:`lossviz.run.compute.compute` that shows progress as ``kind`` says."""
    shown = {"bar": _bar, "json": _json_lines}.get(kind, _silence)
    with _silence() if grid is None else shown(grid) as tell:
        yield tell


@contextmanager
def _silence(*_: Any) -> Iterator[Callable[..., None]]:
    yield ignore


@contextmanager
def _json_lines(grid: Grid) -> Iterator[Callable[[Update], None]]:
    yield lambda update: _print_json(update, grid)


def _print_json(update: Update, grid: Grid) -> None:
    for point in update.saved:
        values = {f"{point.split}_{name}": _plain(point.mean(name)) for name in point.sums}
        line = {"saved": list(grid.position(point.index)), "split": point.split, **values}
        click.echo(json.dumps({**line, "done": update.done, "total": update.total}))


def _plain(value: float) -> float | str:
    return value if value - value == 0 else str(value)


@contextmanager
def _bar(grid: Grid) -> Iterator[Callable[[Update], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("points"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    start, evaluated = time.perf_counter(), set()
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("evaluating", total=grid.size, rate="")

    def tell(update: Update) -> None:
        progress.start()  # with the first point, so that a refused run shows no bar
        evaluated.update(point.index for point in update.saved)
        rate = len(evaluated) / max(time.perf_counter() - start, 1e-9)
        progress.update(task, completed=update.done, rate=f"{rate:.3g}/s")

    try:
        yield tell
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def show_stages(kind: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give a callback that shows what is being done and how far it is: a bar a stage, JSON lines, or nothing."""
    with {"bar": _stage_bars, "json": _stage_lines}.get(kind, _silence)() as tell:
        yield tell


@contextmanager
def _stage_lines() -> Iterator[Callable[[str, int, int], None]]:
    yield lambda stage, done, total: click.echo(json.dumps({"stage": stage, "done": done, "total": total}))


@contextmanager
def _stage_bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done, total=total or None)

        yield tell
