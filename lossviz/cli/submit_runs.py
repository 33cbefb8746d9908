"""``lossviz submit --checkpoints``: one run each, on one seed, grid and scale, in one array."""

from __future__ import annotations

import glob
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lossviz.cli.options.plan_options import make_plan
from lossviz.cli.options.plane_options import AskedPlane
from lossviz.cli.options.run_options import RUN_PARAMS, SETTINGS
from lossviz.cli.options.source_options import SourceWords
from lossviz.errors import UsageError
from lossviz.records.table import Table
from lossviz.records.units import format_time

if TYPE_CHECKING:
    from lossviz.cli.options.slurm_options import How
    from lossviz.launch.script import Request

_SHOWN = 3
# said for each task by itself, or not at all
_APART = ("source", "checkpoint", "out", "device")


def submit_runs(problem: SourceWords, request: Request, how: How, words: dict[str, Any], dry_run: bool) -> None:
    """Submit a run for each checkpoint that the pattern matches and whose run is not complete."""
    from lossviz.launch.many import draft_runs, names_of, submit_many

    assert how.checkpoints is not None
    checkpoints, folder = _find(how.checkpoints, problem), Path(words.pop("out") or "surfaces").absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file; with --checkpoints name a folder, which takes a file for each.")
    runs = [folder / f"{name}.h5" for name in names_of(checkpoints)]
    common = _typed()
    sizes = _check_plans(problem, checkpoints, words)
    left = [k for k, run in enumerate(runs) if not _is_complete(run)]
    if not left:
        click.echo(f"Every run in {folder} is complete. Next: lossviz status {shlex.quote(str(folder))}/*.h5")
        return
    source = [problem.source] if problem.source else []
    commands = [["compute", *source, "--checkpoint", str(checkpoints[k]), "--out", str(runs[k]), *common] for k in left]
    draft = draft_runs(
        folder, [runs[k] for k in left], [sizes[k] for k in left], commands, request, work_folder=Path.cwd(),
        command_line=shlex.join(["lossviz", *sys.argv[1:]]),
    )  # fmt: skip
    table = _table(draft.sizes, len(checkpoints), how).to_text()
    if dry_run:
        click.echo("\n".join([draft.script, table, "Nothing was submitted."]))
        return
    job = submit_many(draft)
    click.echo(table)
    click.echo(f"Submitted job {job} with {len(left)} tasks, a run each; script and logs are in {folder}.")
    click.echo(f"Next: lossviz status {shlex.quote(str(folder))}/*.h5 --watch")


def _find(pattern: str, problem: SourceWords) -> list[Path]:
    if problem.checkpoint:
        raise UsageError("--checkpoint and --checkpoints are both given; leave one out.")
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  # a pattern may be absolute
    if not found:
        raise UsageError(f"No file matches --checkpoints {pattern!r}; quote it, for example 'runs/*/best.pt'.")
    return found


def _typed() -> list[str]:
    """The words of ``lossviz compute`` that were typed, to be typed again in each task."""
    context = click.get_current_context()
    again = []
    for param in RUN_PARAMS:
        if param.name in _APART or context.get_parameter_source(param.name or "") is not ParameterSource.COMMANDLINE:
            continue
        for value in _values(param, context.params[param.name or ""]):
            again += [param.opts[0], *value]
    return again


def _values(param: click.Parameter, value: Any) -> list[list[str]]:
    if isinstance(param, click.Option) and param.is_flag:
        return [[]]
    values = value if param.multiple else [value]
    # pairs such as OLD=NEW were split when they were read
    return [["=".join(one) if isinstance(one, tuple) else str(one)] for one in values]


def _check_plans(problem: SourceWords, checkpoints: list[Path], words: dict[str, Any]) -> list[int]:
    """Grid points of each run, after every word was checked; nothing heavy is imported."""
    words = {name: value for name, value in words.items() if name not in SETTINGS}
    plane_from = words.pop("plane_from")
    asked, _ = AskedPlane.take(words, checkpoints[0], plane_from)
    if not asked.is_plain:
        raise UsageError(
            "--checkpoints gives every run the same seed, grid and scale, so that they compare; planes of data and "
            "--grid auto differ from run to run. Submit those one by one."
        )
    if (count := words.get("ranks_per_point", 1)) > 1:
        raise UsageError(
            f"With --checkpoints a task evaluates a whole run in one process, and --ranks-per-point is {count}. Submit "
            "those one by one."
        )
    problems = [replace(problem, checkpoint=one) for one in checkpoints]
    return [make_plan(one, Path(f"{one.stem}.h5"), dict(words), plane_from)[0].grid.size for one in problems]


def _is_complete(run: Path) -> bool:
    from lossviz.store.surface_file import peek_plan, read_surface

    if peek_plan(run) is None:
        return False
    surface = read_surface(run)
    return surface.facts.doubts is not None and not len(surface.pending())


def _table(sizes: Any, runs: int, how: How) -> Table:
    rows = {"runs": f"{len(sizes)} of {runs} to compute, {sizes[0]} points each, one task per run"}
    if how.seconds_per_point:
        time = format_time(sizes[0] * how.seconds_per_point)
        rows["one task"] = f"{time} at {how.seconds_per_point:g} s per point"
    return Table.pairs(rows)
