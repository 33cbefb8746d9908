"""``lossviz status``: how far a run is, here or on the cluster."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lossviz.cli.options.common import Finite

if TYPE_CHECKING:
    from lossviz.launch.status import RunStatus, State, Task

EPILOG = """\b
Examples:
  lossviz status net.h5
  lossviz status net.h5 --watch
  lossviz status surfaces/*.h5 --json

Exit status: 0 every point is evaluated, 3 some process or job is at it, 4 stopped with points missing.
"""
_SHOWN = 5
_WIDTH = 40
_ORDER = ("RUNNING", "PENDING", "COMPLETED")  # first what goes on, last what went wrong


@click.command(epilog=EPILOG)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN.h5…")
@click.option("--watch", is_flag=True, help="Keep updating until nothing runs.")
@click.option("--interval", "interval_s", type=Finite(min=0.1), default=10.0, show_default=True,
              metavar="SECONDS", help="Time between updates.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per run, one per line.")
def status(runs: tuple[Path, ...], watch: bool, interval_s: float, as_json: bool) -> None:
    """Show how many points of RUN.h5 are saved and what its jobs are doing.

    Points are counted from the file and the journals, so this works with no Slurm at all.
    """
    from lossviz.launch.status import EXIT_STATUS

    found = _look(runs)
    page = watch and not as_json and sys.stdout.isatty() and _state(found) == "running"
    if page:
        click.clear()
    try:
        while watch and _state(found) == "running":
            _show(found, as_json, interval_s if page else None)
            time.sleep(interval_s)
            found = _look(runs)
    except KeyboardInterrupt:  # looking is over, the run goes on
        click.echo()
    else:
        click.echo("\x1b[H\x1b[J" if page else "", nl=False, color=page)  # in the page's place
        _show(found, as_json)
    click.get_current_context().exit(EXIT_STATUS[_state(found)])


def _state(found: Sequence[RunStatus]) -> State:
    states = [one.state for one in found]
    return "running" if "running" in states else "stopped" if "stopped" in states else "complete"


def _show(found: Sequence[RunStatus], as_json: bool, again_s: float | None = None) -> None:
    """Print what was found; on a page that is looked at ``again_s`` later, over what is there and without a flicker."""
    if as_json:
        click.echo("\n".join(json.dumps(one.to_json()) for one in found))
    elif again_s is None:
        click.echo("\n".join(describe(one) for one in found))
    else:
        looked = f"looked at {time.strftime('%H:%M:%S')}, again every {again_s:g} s; Ctrl-C ends the look, not the run"
        lines = [line for one in found for line in [*describe(one, watched=True).split("\n"), ""]]
        page = "".join(f"{line}\x1b[K\n" for line in [*lines, looked])
        click.echo(f"\x1b[H{page}\x1b[J", nl=False, color=True)


def _look(runs: tuple[Path, ...]) -> list[RunStatus]:
    from lossviz.launch.status import Queue, read_status

    queue = Queue()
    return [read_status(run, queue) for run in runs]


def describe(found: RunStatus, *, watched: bool = False) -> str:
    """A run in a few lines, the last of them what to type next, or where it is ``watched`` how to end it."""
    share = found.done / found.total
    speed = f"   {found.point_s:.3g} s a point" if found.point_s else ""
    lines = [f"{found.path.name}   {found.done:,} of {found.total:,} points ({share:.1%}){speed}{_left(found)}"]
    lines += [_bar(share)] if watched else []
    lines += _describe_round(found)
    lines += [_describe_task(task) for task in found.tasks[:_SHOWN]]
    lines += [f"  and {len(found.tasks) - _SHOWN} more tasks"] if len(found.tasks) > _SHOWN else []
    if found.lives:
        wasted = f"; {found.wasted:.0%} of their time went into starting and lost points" if found.wasted else ""
        alive = sum(life.alive for life in found.lives)
        saved = "1 process has" if len(found.lives) == 1 else f"{len(found.lives)} processes have"
        lines.append(f"{saved} saved points, {alive} of them still at work{wasted}")
    lines += [found.note] if found.note else []
    if watched and found.state == "running":
        return "\n".join([*lines, *([f"To end it: lossviz cancel {_name(found.path)}"] if found.jobs_alive else [])])
    return "\n".join([*lines, _next(found)])


def _bar(share: float) -> str:
    """How far it is, as a bar.

    Example:
        >>> _bar(0.5).count("█"), len(_bar(0.5))
        (20, 40)
    """
    full = int(share * _WIDTH)
    return "█" * full + "░" * (_WIDTH - full)


def _name(path: Path) -> str:
    """A path as one would type it here.

    Example:
        >>> _name(Path.cwd() / "my runs" / "net.h5")
        "'my runs/net.h5'"
    """
    with contextlib.suppress(ValueError, OSError):  # somewhere else
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


def _left(found: RunStatus) -> str:
    from lossviz.records.units import format_time

    if not found.left_s or not found.left:
        return ""
    return f"   {format_time(found.left_s)} left with {found.workers} at work"


def _describe_round(found: RunStatus) -> list[str]:
    made = found.round
    if made is None:
        return []
    states = sorted(found.queue, key=lambda state: _ORDER.index(state) if state in _ORDER else len(_ORDER))
    counts = [f"{found.queue[state]} {_word(state, found.waits)}" for state in states]
    merge = f"; merge job {made.merge} {found.merge.lower()}" if found.merge else ""
    ended = f", cancelled {made.cancelled}" if made.cancelled else ""
    jobs = ", ".join(dict.fromkeys(array.job for array in made.arrays)) or "none taken"
    return [f"round {made.number}, job {jobs}{ended}: {', '.join(counts) or f'{made.tasks} tasks'}{merge}"]


def _word(state: str, waits: str) -> str:
    """A state of the queue, in words."""
    if state == "PENDING":
        # so Slurm names the pause before a job that was requeued starts again
        why = "to start again after its requeue" if waits == "BeginTime" else waits
        return f"waiting ({why})" if why else "waiting"
    return "done" if state == "COMPLETED" else state.lower().replace("_", " ")


def _describe_task(task: Task) -> str:
    state = task.state.lower().replace("_", " ") or "ended"
    where = f"; see {_name(task.log)}" + (f": {task.said}" if task.said else "") if task.log else ""
    return f"  task {task.job or task.number} {state} with {task.missing} points missing{where}"


def _next(found: RunStatus) -> str:
    run = _name(found.path)
    if found.state == "running":
        return f"Next: lossviz status {run} --watch" + (f"     (or: lossviz cancel {run})" if found.jobs_alive else "")
    if found.state == "complete":
        from lossviz.store.schema import journal_folder

        left = any(journal_folder(found.path).glob("*.jsonl"))
        return f"Next: lossviz merge {run}" if left else f"Complete. Next: lossviz plot {run}"
    how = "Cancelled" if found.cancelled else "Stopped"
    if found.round and found.asks_more:
        return (
            f"Round {found.round.number} is done, and its values ask for {found.left} points more (--refine). Next: "
            f"lossviz submit {run}"
        )
    if found.round:
        goes_on, other = f"lossviz submit {run}", f"for a picture now: lossviz merge {run}"
    else:
        goes_on, other = f"lossviz work {run}", f"lossviz submit {run}"
    return f"{how}: nothing runs. Next: {goes_on}     (or {other})"
