"""``lossviz status``: how far a run is, here or on the cluster."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

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


@click.command(epilog=EPILOG)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN.h5…")
@click.option("--watch", is_flag=True, help="Look again until nothing runs.")
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.1), default=10.0, show_default=True,
              metavar="SECONDS", help="Time between two looks.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a run, a line each.")
def status(runs: tuple[Path, ...], watch: bool, interval_s: float, as_json: bool) -> None:
    """Count the points of RUN.h5 that are saved, and say what its jobs are doing.

    Points are counted from the file and the journals, so this works with no Slurm at all.
    """
    from lossviz.launch.status import EXIT_STATUS

    found = _look(runs)
    _show(found, as_json)
    try:
        while watch and _state(found) == "running":
            time.sleep(interval_s)
            found = _look(runs)
            if not as_json and sys.stdout.isatty():
                click.clear()
            _show(found, as_json)
    except KeyboardInterrupt:  # looking is over, the run goes on
        pass
    click.get_current_context().exit(EXIT_STATUS[_state(found)])


def _state(found: Sequence[RunStatus]) -> State:
    states = [one.state for one in found]
    return "running" if "running" in states else "stopped" if "stopped" in states else "complete"


def _show(found: Sequence[RunStatus], as_json: bool) -> None:
    click.echo("\n".join(json.dumps(one.to_json()) if as_json else describe(one) for one in found))


def _look(runs: tuple[Path, ...]) -> list[RunStatus]:
    from lossviz.launch.status import Queue, read_status

    queue = Queue()
    return [read_status(run, queue) for run in runs]


def describe(found: RunStatus) -> str:
    """A run in a few lines, the last of them what to type next."""
    share = found.done / found.total
    speed = f"   {found.point_s:.3g} s a point" if found.point_s else ""
    lines = [f"{found.path.name}   {found.done:,} of {found.total:,} points ({share:.1%}){speed}{_left(found)}"]
    lines += _describe_round(found)
    lines += [_describe_task(task) for task in found.tasks[:_SHOWN]]
    lines += [f"  and {len(found.tasks) - _SHOWN} more tasks"] if len(found.tasks) > _SHOWN else []
    if found.lives:
        wasted = f"; {found.wasted:.0%} of their time went into starting and lost points" if found.wasted else ""
        alive = sum(life.alive for life in found.lives)
        saved = "1 process has" if len(found.lives) == 1 else f"{len(found.lives)} processes have"
        lines.append(f"{saved} saved points, {alive} still at work{wasted}")
    lines += [found.note] if found.note else []
    return "\n".join([*lines, _next(found)])


def _left(found: RunStatus) -> str:
    from lossviz.launch.duration import span

    if not found.left_s or not found.left:
        return ""
    return f"   {span(found.left_s)} left with {found.workers} at work"


def _describe_round(found: RunStatus) -> list[str]:
    made = found.round
    if made is None:
        return []
    words = {"PENDING": "waiting", "COMPLETED": "done"}
    counts = [f"{count} {words.get(state, state.lower().replace('_', ' '))}" for state, count in found.queue.items()]
    why = f" ({found.waits})" if found.waits else ""
    merge = f"; merge job {made.merge} {found.merge.lower()}" if found.merge else ""
    ended = f", cancelled {made.cancelled}" if made.cancelled else ""
    jobs = ", ".join(dict.fromkeys(array.job for array in made.arrays)) or "none taken"
    return [f"round {made.number}, job {jobs}{ended}: {', '.join(counts) or f'{made.tasks} tasks'}{why}{merge}"]


def _describe_task(task: Task) -> str:
    state = task.state.lower().replace("_", " ") or "ended"
    where = f"; {task.log}: {task.said}" if task.log else ""
    return f"  task {task.job or task.number} {state} with {task.missing} points missing{where}"


def _next(found: RunStatus) -> str:
    run = shlex.quote(str(found.path))
    if found.state == "running":
        return f"Next: lossviz status {run} --watch" + (f"     (or: lossviz cancel {run})" if found.jobs_alive else "")
    if found.state == "complete":
        from lossviz.store.schema import journal_folder

        left = any(journal_folder(found.path).glob("*.jsonl"))
        return f"Next: lossviz merge {run}" if left else f"Complete. Next: lossviz plot {run}"
    how = "Cancelled" if found.cancelled else "Stopped"
    if found.round:
        goes_on, other = f"lossviz submit {run}", f"for a picture now: lossviz merge {run}"
    else:
        goes_on, other = f"lossviz work {run}", f"lossviz submit {run}"
    return f"{how}: nothing runs. Next: {goes_on}     (or {other})"
