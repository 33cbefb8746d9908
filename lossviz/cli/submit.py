"""``lossviz submit``: a run on a Slurm cluster, prepared once, in an array of tasks with a merge behind it."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.options.common import trust_problem_option
from lossviz.cli.options.run_options import RUN_PARAMS, AskedRun, run_options
from lossviz.cli.options.slurm_options import How, inherit_words, make_request, slurm_options
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.watch import WARNING, watch_of
from lossviz.errors import LaunchError, UsageError
from lossviz.launch.division import Speed
from lossviz.records.table import Table
from lossviz.records.units import format_time

if TYPE_CHECKING:
    from lossviz.launch.script import Request
    from lossviz.launch.submit import Draft
    from lossviz.records.plan import Plan

EPILOG = """\b
Examples:
  lossviz submit problem.py --checkpoint net.pt --out net.h5 --partition gpu --gpus-per-task 1 --time 4:00:00
  lossviz submit problem.py --checkpoint net.pt --out net.h5 --dry-run      (print the script and a table)
  lossviz submit net.h5                                                     (again: what is missing)
  lossviz submit problem.py --checkpoints 'runs/*/best.pt' --out surfaces   (one run each, in one array)

Every option of 'lossviz compute' that says what is evaluated may be given too; sbatch's own variables
(SBATCH_PARTITION, SBATCH_ACCOUNT, …) count as always.
"""
_USUAL_STARTUP_S = 60.0


@click.command(epilog=EPILOG)
@source_options
@slurm_options
@trust_problem_option
@click.option("--dry-run", is_flag=True, help="Print the job script and its cost, and stop.")
@run_options
def submit(problem: SourceWords, dry_run: bool, trust_problem: bool, **words: Any) -> None:
    """Prepare a run and submit it to Slurm as an array job, followed by a merge job.

    SOURCE is a problem, as for 'lossviz compute', or a run's file: then what is missing of it is submitted. Tasks that
    are preempted or reach their time limit save and go back into the queue by themselves. The script and a record of
    the round lie in RUN.h5.journal.
    """
    again = bool(problem.source and problem.source.endswith(".h5"))
    request, how = make_request(words, _inherited(Path(problem.source or "")) if again else None)
    if how.checkpoints:
        from lossviz.cli.submit_runs import submit_runs

        submit_runs(problem, request, how, words, dry_run)
        return
    if again:
        assert problem.source is not None
        _refuse_words()
        trust = {"trust_problem": trust_problem, "trust_pickle": problem.trust_pickle}
        run, startup_s = Path(problem.source), None
    else:
        asked = AskedRun.take(problem, words)
        plan, run = asked.plan, asked.out
        trust = {"trust_problem": not dry_run, "trust_pickle": problem.trust_pickle}  # it was named, and is compared
        _refuse_division(plan, run)
        first = _draft(run, None, plan, how, request, None, dry_run, trust)
        if dry_run and not run.exists():
            click.echo(describe(first))
            return
        startup_s = None if dry_run else _prepare(asked, first)
    found = _read(run)
    draft = _draft(run, found, None, how, request, startup_s, dry_run, trust)
    if not draft.division.points:
        click.echo(f"{run}: every point is evaluated, nothing to submit. Next: lossviz status {shlex.quote(str(run))}")
    elif dry_run:
        click.echo(describe(draft))
    else:
        _submit(draft)


def _inherited(run: Path) -> dict[str, Any]:
    """What earlier rounds of a run asked of the cluster, said on stderr."""
    from lossviz.launch.rounds import read_rounds

    found, said = inherit_words(submit, [one.command_line for one in read_rounds(run)])
    if said:
        click.echo(f"As in an earlier round: {said}", err=True)
    return found


def _refuse_words() -> None:
    """A run that exists has its plan already."""
    from click.core import ParameterSource

    context = click.get_current_context()
    typed = [
        param.opts[0]
        for param in RUN_PARAMS
        if param.name not in ("source", "device", "trust_pickle")
        and context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ]
    if typed:
        raise UsageError(
            f"{context.params['source']} is a run that exists and says itself what is evaluated; leave "
            f"{', '.join(typed)} out, or name the problem in its place."
        )


def _refuse_division(plan: Plan, run: Path) -> None:
    """A run whose ranks divide the model is made by these, and this command is one process."""
    if plan.ranks_divide == "model":
        count, name = plan.ranks_per_point, shlex.quote(str(run))
        raise UsageError(
            f"With --ranks-divide model the {count} ranks that hold the model make the run too: torchrun "
            f"--nproc-per-node {count} -m lossviz compute … --out {name} --prepare-only; then: lossviz submit {name}"
        )


def _prepare(asked: AskedRun, draft: Draft) -> float:
    """Make the run unless it is there, once the cluster would take it; returns how long that took, in seconds."""
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.launch.submit import check_no_round_alive
    from lossviz.records.watch import QUIET
    from lossviz.run.compute import prepare_only

    _check_cluster(draft)
    check_no_round_alive(asked.out)
    started = time.perf_counter()
    with stop_on_signal() as stop:
        asked = asked.settle(WARNING)
        click.echo(f"Preparing {asked.out} …", err=True)
        watch, settings = replace(watch_of(stop), tell=QUIET.tell), _for_cluster(asked.settings, draft.request)
        prepare_only(asked.out, asked.plan, settings, watch, plane_from=asked.plane_from)
    return time.perf_counter() - started


def _for_cluster(settings: Any, request: Request) -> Any:
    """Settings to prepare with: what is measured on this machine's CPU says nothing about the job's GPU."""
    from lossviz.problem.device import choose_device

    there = request.worker_device
    if not there.startswith("cuda") or settings.strategy != "auto":
        return settings
    settings = replace(settings, device="auto" if settings.device.startswith("cuda") else settings.device)
    if choose_device(settings.device).type == "cuda":
        return settings
    click.echo("No GPU here: tasks will evaluate by the plain loop; --strategy chooses another.", err=True)
    return replace(settings, strategy="loop", batch_size=settings.batch_size or 4096)


def _read(run: Path) -> Any:
    from lossviz.launch.lives import read_lives
    from lossviz.store.schema import canonical_path
    from lossviz.store.surface_file import peek_plan

    path = canonical_path(run)
    plan = peek_plan(path)
    if plan is None:
        raise UsageError(f"There is no run {run}. Name its problem: lossviz submit PROBLEM.py … --out {run}")
    return read_lives(path, plan)


def _draft(
    run: Path,
    found: Any,
    plan: Plan | None,
    how: How,
    request: Request,
    startup_s: float | None,
    dry_run: bool,
    trust: dict[str, bool],
) -> Draft:
    """Divide what is missing, at the speed that is known."""
    import numpy as np

    from lossviz.launch.lives import measured_startup_s, seconds_per_point
    from lossviz.launch.submit import draft_round
    from lossviz.store.trust import trust_options, trusted_plan

    if found is None:
        assert plan is not None
        missing, size, point_s, before_s = np.arange(plan.grid.size), plan.grid.size, None, None
    else:
        surface, lives = found
        if not surface.facts.engine:
            raise UsageError(f"{run} is not prepared yet. Name its problem: lossviz submit PROBLEM.py … --out {run}")
        missing, size = surface.pending(), surface.plan.grid.size
        point_s, before_s = seconds_per_point(surface), measured_startup_s(lives)
        plan = trusted_plan(run, surface.plan, **trust)
    speed = Speed(how.seconds_per_point or point_s, max(before_s or 0.0, startup_s or 0.0) or _USUAL_STARTUP_S)
    draft = draft_round(
        run, missing, size, request, folder=Path.cwd(), speed=speed, tasks=how.tasks, merge=how.merge,
        largest_array=_largest_array(dry_run), ranks=plan.ranks_per_point, trust=trust_options(plan.problem),
        command_line=shlex.join(["lossviz", *sys.argv[1:]]),
    )  # fmt: skip
    return replace(draft, refined=plan.refine is not None)


def _largest_array(dry_run: bool) -> int:
    from lossviz.launch import slurm
    from lossviz.launch.submit import USUAL_LARGEST_ARRAY

    try:
        return slurm.largest_array()
    except LaunchError:
        if not dry_run:
            raise
        return USUAL_LARGEST_ARRAY


def _submit(draft: Draft) -> None:
    from lossviz.launch.submit import submit_round

    made = submit_round(draft)
    jobs = ", ".join(array.job for array in made.arrays)
    behind = f", merge job {made.merge}" if made.merge else ""
    name = shlex.quote(str(draft.run))
    click.echo(table(draft).to_text())
    click.echo(f"Submitted round {made.number}: job {jobs} with {made.tasks} tasks{behind}.")
    click.echo(f"Next: lossviz status {name} --watch     (or: lossviz cancel {name})")


def _check_cluster(draft: Draft) -> None:
    """Say how the partition treats its jobs; refuse what Slurm would, before anything is computed."""
    from lossviz.launch import slurm

    request = draft.request
    slurm.check_script(draft.script)
    partition = slurm.read_partition(request.partition)
    if partition is None:
        return
    limit_s = slurm.parse_time(request.time) if request.time else None
    if limit_s and partition.limit_s and limit_s > partition.limit_s:
        raise UsageError(
            f"--time {request.time} is more than partition {partition.name} allows ({format_time(partition.limit_s)}). "
            "Ask for less: a task that reaches its limit saves and goes back into the queue."
        )
    if partition.preempts:
        after = f" {partition.grace_s} s after a warning" if partition.grace_s else " without a grace time"
        click.echo(f"Partition {partition.name}: jobs may be preempted ({partition.preempts}){after}.", err=True)


def describe(draft: Draft) -> str:
    """The whole script and the table, for ``--dry-run``."""
    return "\n".join([draft.script, table(draft).to_text(), "Nothing was submitted."])


def table(draft: Draft) -> Table:
    """What a round will cost."""
    cut, asked = draft.division, draft.request
    unit = "GPU-hours" if asked.gpus_per_task else "CPU-hours"
    width = asked.gpus_per_task or asked.cpus_per_task or draft.ranks
    limit = f" of {asked.time}" if asked.time else ""
    known = f"{cut.speed.point_s:.3g} s" if cut.speed.point_s else "not known before the run is prepared"
    rows = {
        "points": _asked(draft),
        "tasks": f"{cut.tasks}, at most {cut.most} points each" + _arrays(draft),
        "one point": known,
    }
    if draft.ranks > 1:
        rows["ranks"] = f"{draft.ranks} per task, which evaluate each point together{_each(draft)}"
    if draft.ranks > 1 and (cut.speed.point_s or 0) > asked.signal_lead_s:  # ranks drop no point that is begun
        lead_s = 2 * int(cut.speed.point_s or 0)
        rows["warning"] = f"{asked.signal_lead_s} s before the limit, less than a point: add --signal-lead {lead_s}"
    if cut.task_s is not None and cut.total_s is not None and cut.wall_s is not None:
        rows |= {
            "one task": f"{format_time(cut.task_s)}{limit}, {format_time(cut.speed.startup_s)} of it to start",
            "all": f"{width * cut.total_s / 3600:.3g} {unit}",
            "time": f"{format_time(cut.wall_s)} with {min(cut.slots, cut.tasks)} tasks at once, and the queue",
        }
    return Table.pairs(rows)


def _asked(draft: Draft) -> str:
    points, size = draft.division.points, draft.made.size
    if not draft.refined:
        return f"{points} of {size} missing"
    if points == size:
        return f"{size} at most; --refine asks for some of them, round by round"
    return f"{points} of {size} asked for by --refine; submit again for what their values ask for"


def _each(draft: Draft) -> str:
    gpus = draft.request.gpus_per_task
    return f", with {gpus // draft.ranks} of the task's {gpus} GPUs each" if gpus else ""


def _arrays(draft: Draft) -> str:
    return f", in {len(draft.arrays)} arrays" if len(draft.arrays) > 1 else ""
