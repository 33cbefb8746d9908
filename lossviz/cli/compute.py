"""``lossviz compute``: words to a plan, a plan to a surface."""

from __future__ import annotations

import os
import shlex
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.options.common import progress_option
from lossviz.cli.options.log_to import check_log, log_option, send_to_log
from lossviz.cli.options.rules import describe_rules
from lossviz.cli.options.run_options import AskedRun, run_options
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.closing import describe_peak, describe_plan, describe_report
from lossviz.cli.show.watch import warn, watch_of
from lossviz.errors import UsageError
from lossviz.launch.ranks import Ranks

if TYPE_CHECKING:
    from lossviz.evaluate.ranks.group import Group
    from lossviz.records.plan import Plan
    from lossviz.records.surface import Surface
    from lossviz.records.watch import Watch
    from lossviz.run.settings import Report

EPILOG = """\b
Examples:
  lossviz compute problem.py --checkpoint net.pt
  lossviz compute problem.py --checkpoint net.pt --grid -1:1:51,-1:1:41 --split train,test --out net.h5
  lossviz compute problem.py --checkpoint net.pt --plane-from net.h5 --grid -2:2:101,-2:2:81 --out wide.h5
  lossviz compute digits --model-args skips=false --checkpoint plain.pt --grid -2:2:101
  lossviz compute --model torchvision.models:resnet18 --checkpoint net.pth --data imagefolder:val --data-args size=224
  lossviz compute --model transformers:AutoModelForCausalLM --checkpoint llama/ --data text:book.txt
"""


@click.command(epilog=EPILOG)
@source_options
@run_options
@click.option(
    "--rules", "show_rules", is_flag=True, help="Print every parameter's shape, filter rule and norm, and stop."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes on this machine that share the points.  [default: 1, or one per GPU with --device cuda:all]",
)  # fmt: skip
@log_option
@progress_option
@click.option("--requeue", is_flag=True, hidden=True)
@click.option("--prepare-only", is_flag=True, help="Prepare the run for 'lossviz work' and stop.")
@click.option("--force", is_flag=True, help="Start a new run in place of another, which is kept as NAME.1.h5.")
@click.option("--dry-run", is_flag=True, help="Print the plan and the memory it needs, and stop.")
def compute(
    problem: SourceWords, progress: str, prepare_only: bool, dry_run: bool, force: bool, show_rules: bool,
    requeue: bool, log_to: str | None, **words: Any,
) -> None:  # fmt: skip
    """Evaluate the loss on a grid around a trained checkpoint and save it in an HDF5 file.

    SOURCE is a problem file with model(), data() and loss(model, batch), an importable module that has them, or the
    built-in problem 'digits'. Without one, --model, --data and --loss name them. A run that was stopped, killed or
    interrupted goes on when the same command is run again.
    """
    check_log(log_to)
    ranks = Ranks.read(os.environ)
    if words["ranks_divide"] == "examples":
        refuse_ranks()
    workers = words.pop("workers")
    asked = AskedRun.take(problem, words)
    plan, out = asked.plan, asked.out
    if dry_run:
        if not ranks.rank:
            told = [*asked.plane.describe(), describe_plan(plan, out), describe_peak(plan, asked.settings)]
            click.echo("\n".join(told))
    elif plan.ranks_divide == "model" and not show_rules:
        if workers:
            raise UsageError("With --ranks-divide model torchrun starts the processes: leave --workers out.")
        _compute_divided(asked, ranks, progress, prepare_only)
    else:
        _refuse_one_process(plan, out, prepare_only or show_rules)
        if show_rules:
            click.echo(describe_rules(plan, asked.settings.device))
        else:
            how = {"prepare_only": prepare_only, "requeue": requeue, "force": force, "log_to": log_to}
            _compute_here(asked, workers, progress, **how)


def _compute_here(
    asked: AskedRun, workers: int | None, progress: str, *, prepare_only: bool, requeue: bool, force: bool,
    log_to: str | None,
) -> None:  # fmt: skip
    """The same by this process and its workers."""
    from lossviz.cli.show.progress import show_progress, show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.warned import requeued_when_warned
    from lossviz.run.workers import devices_of
    from lossviz.store.surface_file import read_surface

    devices = devices_of(asked.settings.device, workers)
    asked = replace(asked, settings=replace(asked.settings, device=devices[0]))
    if force:
        _make_room(asked.out, asked.plan if asked.plane.is_plain else None, devices[0])
    # json has a line a point and no other
    stages = progress if progress == "bar" and not asked.plane.is_plain else "none"
    with stop_on_signal() as stop, requeued_when_warned(stop, requeue, warn):
        watch = watch_of(stop)
        with show_stages(stages) as stage:
            asked = asked.settle(replace(watch, stage=stage))
        if prepare_only:
            _prepare_only(asked, watch)
            return
        with show_progress(progress, asked.plan.grid) as tell:
            report = _run(asked, devices, replace(watch, progress=tell))
        with show_stages(stages) as stage:
            paths = asked.plane.draw_paths(asked.out, asked.settings, replace(watch, stage=stage))
    send_to_log({asked.out.stem: read_surface(asked.out) if paths else report.surface}, log_to)
    click.echo("\n".join([*paths, describe_report(report)]), err=progress == "json")


def _make_room(out: Path, plan: Plan | None, device: str) -> None:
    """Move an earlier run aside, once the words of the new one are known to be right."""
    from lossviz.problem.device import choose_device
    from lossviz.store.aside import move_aside

    choose_device(device)
    if kept := move_aside(out, plan):
        click.echo(f"The earlier run is kept as {kept}.", err=True)


def refuse_ranks() -> None:
    """A whole run cannot be made by several ranks at once: they would wait for each other's lock."""
    if (count := Ranks.read(os.environ).count) > 1:
        raise UsageError(
            f"torchrun started {count} ranks of 'lossviz compute'. Prepare the run once, with 'lossviz compute … "
            f"--prepare-only', then let the ranks share it: torchrun --nproc-per-node {count} -m lossviz work RUN.h5"
        )


def _refuse_one_process(plan: Plan, out: Path, ready: bool) -> None:
    """Points that several ranks take together are not evaluated by this command."""
    if (count := plan.ranks_per_point) > 1 and not ready:
        run = shlex.quote(str(out))
        raise UsageError(
            f"With --ranks-per-point {count} the points are evaluated under torchrun. Add --prepare-only to this "
            f"command, then: torchrun --nproc-per-node {count} -m lossviz work {run} && lossviz merge {run}     (on a "
            "Slurm cluster: 'lossviz submit' with the same words)"
        )


def _run(asked: AskedRun, devices: list[str], watch: Watch) -> Report:
    plan, out, settings = asked.plan, asked.out, asked.settings
    if len(devices) == 1:
        from lossviz.run.compute import compute as run_compute

        return run_compute(plan, out, settings, watch, plane_from=asked.plane_from)
    from lossviz.run.workers import compute_with_workers

    return compute_with_workers(out, plan, settings, devices, watch, plane_from=asked.plane_from)


def _compute_divided(asked: AskedRun, ranks: Ranks, progress: str, prepare_only: bool) -> None:
    """The same by ranks that hold the model together; the first of them speaks."""
    plan, out = asked.plan, asked.out
    ranks.check_point(plan.ranks_per_point, "compute")
    if not asked.plane.is_plain:
        raise UsageError(
            "The directions of this plane are made by one process with the whole model. Make them first, on the CPU if "
            "need be: lossviz compute … --device cpu --prepare-only --out plane.h5, without --ranks-divide; then add "
            "--plane-from plane.h5 to this command in place of the words for the plane."
        )
    from lossviz.cli.show.progress import show_progress
    from lossviz.cli.show.signals import stop_on_signal

    with stop_on_signal() as stop:
        import torch

        from lossviz.run.compute import compute as run_compute
        from lossviz.run.compute import prepare_only as run_prepare_only
        from lossviz.run.ranks import lead

        settings = replace(asked.settings, device=ranks.device(asked.settings.device, torch.cuda.device_count()))
        # a point is finished: the other ranks would wait for ever
        watch = replace(watch_of(stop), interruptible=nullcontext)
        with show_progress("none" if prepare_only or ranks.rank else progress, plan.grid) as tell:

            def command(group: Group) -> str:
                how: dict[str, Any] = {"plane_from": asked.plane_from, "group": group}
                if prepare_only:
                    return _describe_prepared(run_prepare_only(out, plan, settings, watch, **how), out)
                return describe_report(run_compute(plan, out, settings, replace(watch, progress=tell), **how))

            said = lead(command, plan, ranks, settings.device, stop)
    if said is not None:
        click.echo(said, err=progress == "json")


def _prepare_only(asked: AskedRun, watch: Watch) -> None:
    from lossviz.run.compute import prepare_only

    surface = prepare_only(asked.out, asked.plan, asked.settings, watch, plane_from=asked.plane_from)
    click.echo(_describe_prepared(surface, asked.out))


def _describe_prepared(surface: Surface, out: Path) -> str:
    left = len(surface.pending())
    said = [f"{out} is prepared: {left} of {surface.plan.grid.size} points to evaluate."]
    run = shlex.quote(str(out))
    if (count := surface.plan.ranks_per_point) > 1:
        said.append(f"Next: torchrun --nproc-per-node {count} -m lossviz work {run} && lossviz merge {run}")
    else:
        said.append(f"Next: lossviz work {run} --part 1/2 & lossviz work {run} --part 2/2")
    return "\n".join(said)
