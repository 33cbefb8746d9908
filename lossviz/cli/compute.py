"""``lossviz compute``: words to a plan, a plan to a surface."""

from __future__ import annotations

import os
import shlex
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from lossviz.cli.options.common import device_option, expect_option, journal_options, progress_option
from lossviz.cli.options.plan_options import make_plan, plan_options
from lossviz.cli.options.plane_options import AskedPlane
from lossviz.cli.options.rules import describe_rules
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.closing import describe_peak, describe_plan, describe_report
from lossviz.cli.show.watch import warn, watch_of
from lossviz.errors import UsageError
from lossviz.launch.ranks import Ranks
from lossviz.records.plan import RanksDivide

if TYPE_CHECKING:
    from lossviz.evaluate.ranks.group import Group
    from lossviz.records.plan import Plan
    from lossviz.records.surface import Surface
    from lossviz.records.watch import Watch
    from lossviz.run.settings import Report, Settings

# how a run is carried out; the other options say what it is
SETTINGS = (
    "device", "strategy", "batch_size", "low_memory", "store_directions", "sync_interval_s", "disk_wait_s", "expect",
)  # fmt: skip
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
@click.option(
    "--out", type=click.Path(path_type=Path), help="Result file.  [default: CHECKPOINT's name with .h5, here]"
)
@plan_options
@click.option(
    "--rules", "show_rules", is_flag=True, help="Print every parameter's shape, filter rule and norm, and stop."
)
@click.option(
    "--plane-from", type=click.Path(path_type=Path), metavar="OTHER.h5",
    help="Use the plane of another run, and its points where the two plans allow it.",
)  # fmt: skip
@click.option(
    "--store-directions",
    type=click.Choice(["auto", "always", "recipe"]),
    default="auto",
    show_default=True,
    help="Store the directions beside the result, or only their recipe; auto stores up to 4 GiB.",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "loop", "stacked", "compiled", "replayed"]),
    default="auto",
    show_default=True,
    help="How to evaluate points; auto measures and uses the fastest.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples per forward pass.  [default: by device]")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N",
    help="Processes on this machine that share the points.  [default: 1, or one per GPU with --device cuda:all]",
)  # fmt: skip
@click.option(
    "--ranks-per-point", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Processes that evaluate each point together, started by torchrun or 'lossviz submit'.",
)  # fmt: skip
@click.option(
    "--ranks-divide", type=click.Choice(get_args(RanksDivide)), default="examples", show_default=True,
    help="What the ranks split: the examples, or the model (needs parallelize() in SOURCE).",
)  # fmt: skip
@click.option(
    "--low-memory",
    is_flag=True,
    help="Keep the plane and the examples in host memory, and only the model on the device.",
)
@expect_option
@device_option
@progress_option
@journal_options
@click.option("--requeue", is_flag=True, hidden=True)
@click.option("--prepare-only", is_flag=True, help="Prepare the run for 'lossviz work' and stop.")
@click.option("--force", is_flag=True, help="Start a new run in place of another, which is kept as NAME.1.h5.")
@click.option("--dry-run", is_flag=True, help="Print the plan and the memory it needs, and stop.")
def compute(
    problem: SourceWords, out: Path | None, plane_from: Path | None, progress: str, prepare_only: bool,
    dry_run: bool, force: bool, show_rules: bool, requeue: bool, workers: int | None, **words: Any,
) -> None:  # fmt: skip
    """Evaluate the loss on a grid around a trained checkpoint and save it in an HDF5 file.

    SOURCE is a problem file with model(), data() and loss(model, batch), an importable module that has them, or the
    built-in problem 'digits'. Without one, --model, --data and --loss name them. A run that was stopped, killed or
    interrupted goes on when the same command is run again.
    """
    ranks = Ranks.read(os.environ)
    if words["ranks_divide"] == "examples":
        refuse_ranks()
    from lossviz.run.settings import Settings

    settings = Settings(**{name: words.pop(name) for name in SETTINGS})
    asked, checkpoint = AskedPlane.take(words, problem.checkpoint, plane_from)
    plan, out = make_plan(replace(problem, checkpoint=checkpoint), out, words, plane_from)
    if dry_run:
        if not ranks.rank:
            click.echo("\n".join([*asked.describe(), describe_plan(plan, out), describe_peak(plan, settings)]))
        return
    if plan.ranks_divide == "model" and not show_rules:
        if workers:
            raise UsageError("With --ranks-divide model torchrun starts the processes: leave --workers out.")
        how = {"plane_from": plane_from, "progress": progress, "prepare_only": prepare_only}
        _compute_divided(plan, out, asked, settings, ranks, **how)
        return
    _refuse_one_process(plan, out, prepare_only or show_rules)
    if show_rules:
        click.echo(describe_rules(plan, settings.device))
        return
    from lossviz.cli.show.progress import show_progress, show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.warned import requeued_when_warned
    from lossviz.run.workers import devices_of

    devices = devices_of(settings.device, workers)
    settings = replace(settings, device=devices[0])
    if force:
        _make_room(out, plan if asked.is_plain else None, settings.device)
    stages = progress if progress == "bar" and not asked.is_plain else "none"  # json has a line a point and no other
    with stop_on_signal() as stop, requeued_when_warned(stop, requeue, warn):
        watch = watch_of(stop)
        with show_stages(stages) as stage:
            plan, plane_from = asked.settle(plan, out, plane_from, settings, replace(watch, stage=stage))
        if prepare_only:
            _prepare_only(plan, out, settings, watch, plane_from)
            return
        with show_progress(progress, plan.grid) as tell:
            report = _run(plan, out, settings, devices, replace(watch, progress=tell), plane_from)
        with show_stages(stages) as stage:
            paths = asked.draw_paths(out, settings, replace(watch, stage=stage))
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


def _run(
    plan: Plan, out: Path, settings: Settings, devices: list[str], watch: Watch, plane_from: Path | None
) -> Report:
    if len(devices) == 1:
        from lossviz.run.compute import compute as run_compute

        return run_compute(plan, out, settings, watch, plane_from=plane_from)
    from lossviz.run.workers import compute_with_workers

    return compute_with_workers(out, plan, settings, devices, watch, plane_from=plane_from)


def _compute_divided(
    plan: Plan, out: Path, asked: AskedPlane, settings: Settings, ranks: Ranks, *, plane_from: Path | None,
    progress: str, prepare_only: bool,
) -> None:  # fmt: skip
    """The same by ranks that hold the model together; the first of them speaks."""
    ranks.check_point(plan.ranks_per_point, "compute")
    if not asked.is_plain:
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

        settings = replace(settings, device=ranks.device(settings.device, torch.cuda.device_count()))
        # a point is finished: the other ranks would wait for ever
        watch = replace(watch_of(stop), interruptible=nullcontext)
        with show_progress("none" if prepare_only or ranks.rank else progress, plan.grid) as tell:

            def command(group: Group) -> str:
                how: dict[str, Any] = {"plane_from": plane_from, "group": group}
                if prepare_only:
                    return _describe_prepared(run_prepare_only(out, plan, settings, watch, **how), out)
                return describe_report(run_compute(plan, out, settings, replace(watch, progress=tell), **how))

            said = lead(command, plan, ranks, settings.device, stop)
    if said is not None:
        click.echo(said, err=progress == "json")


def _prepare_only(plan: Plan, out: Path, settings: Settings, watch: Watch, plane_from: Path | None) -> None:
    from lossviz.run.compute import prepare_only

    click.echo(_describe_prepared(prepare_only(out, plan, settings, watch, plane_from=plane_from), out))


def _describe_prepared(surface: Surface, out: Path) -> str:
    left = len(surface.pending())
    said = [f"{out} is prepared: {left} of {surface.plan.grid.size} points to evaluate."]
    run = shlex.quote(str(out))
    if (count := surface.plan.ranks_per_point) > 1:
        said.append(f"Next: torchrun --nproc-per-node {count} -m lossviz work {run} && lossviz merge {run}")
    else:
        said.append(f"Next: lossviz work {run} --part 1/2 & lossviz work {run} --part 2/2")
    return "\n".join(said)
