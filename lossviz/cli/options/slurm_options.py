"""The options of ``lossviz submit`` that say what is asked of the cluster."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lossviz.cli.options.common import Finite
from lossviz.errors import LaunchError, UsageError
from lossviz.launch.script import Request

_OPTIONS = (
    click.option("--partition", metavar="NAME", help="Slurm partition.  [default: the cluster's]"),
    click.option("--account", metavar="NAME", help="Slurm account to charge."),
    click.option("--qos", metavar="NAME", help="Quality of service."),
    click.option("--gpus-per-task", type=click.IntRange(min=1), metavar="N",
        help="GPUs per task; its ranks share them."),
    click.option("--cpus-per-task", type=click.IntRange(min=1), metavar="N", help="CPUs per task."),
    click.option("--mem", metavar="SIZE", help="Memory per task, such as 64G."),
    click.option("--time", metavar="H:MM:SS",
        help="Time limit of a task; a task that reaches it saves and is requeued."),
    click.option("--tasks", default="auto", show_default=True, metavar="auto|N", help="Number of array tasks."),
    click.option("--max-running", type=click.IntRange(min=1), metavar="N",
        help="Maximum number of tasks running at once."),
    click.option("--sbatch", multiple=True, metavar="WORDS",
        help="Another option for sbatch, such as '--constraint=a100'. Repeatable."),
    click.option(
        "--setup", type=click.Path(path_type=Path), metavar="FILE",
        help="Shell lines to insert into the job script, such as module load or conda activate.",
    ),
    click.option("--python", metavar="COMMAND", help="Python command on the cluster nodes.  [default: this Python]"),
    click.option(
        "--signal-lead", "signal_lead_s", type=click.IntRange(1, 65535), default=120, show_default=True,
        metavar="SECONDS", help="How long before the time limit a task starts saving.",
    ),
    click.option("--merge/--no-merge", default=True,
        help="Also submit the job that merges the results.  [default: merge]"),
    click.option(
        "--seconds-per-point", type=Finite(min=0, min_open=True), metavar="S",
        help="Expected time per point on the cluster.  [default: measured here]",
    ),
    click.option(
        "--checkpoints", metavar="PATTERN", help="One run per checkpoint, with the same seeds, grid and scale.",
    ),
)  # fmt: skip

INHERITED = (
    "partition", "account", "qos", "gpus_per_task", "cpus_per_task", "mem", "time", "max_running", "sbatch", "setup",
    "python", "signal_lead_s", "device",
)  # fmt: skip


def slurm_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options, for a command that takes them as ``**words``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class How:
    """How a run is submitted.

    Attributes:
        tasks: Into how many it is cut; None finds a number.
        merge: Whether a job behind the array publishes.
        seconds_per_point: What a point takes; None takes what was measured.
        checkpoints: Pattern of many checkpoints; None for one run.
    """

    tasks: int | None
    merge: bool
    seconds_per_point: float | None
    checkpoints: str | None


def make_request(words: dict[str, Any], inherited: Mapping[str, Any] | None = None) -> tuple[Request, How]:
    """Take the words about the cluster out of a command's words.

    Args:
        words: Of the command; those about the cluster are removed.
        inherited: Words of an earlier round, which count where they were not typed again.

    Raises:
        UsageError: If they make no sense.
    """
    inherited = inherited or {}
    words.update(inherited)
    tasks, setup, python = words.pop("tasks"), words.pop("setup"), words.pop("python")
    how = How(_tasks(tasks), words.pop("merge"), words.pop("seconds_per_point"), words.pop("checkpoints"))
    asked = {
        name: words.pop(name)
        for name in ("partition", "account", "qos", "gpus_per_task", "cpus_per_task", "mem", "time", "max_running",
                     "signal_lead_s")
    }  # fmt: skip
    _check_lead(asked["time"], asked["signal_lead_s"])
    if asked["mem"] and not re.fullmatch(r"\d+[KMGT]?B?", asked["mem"], re.IGNORECASE):
        raise UsageError(f"--mem is {asked['mem']!r}; write a size as sbatch takes it, for example --mem 16G.")
    typed = "device" in inherited or is_typed(click.get_current_context(), "device")
    extra = words.pop("sbatch")
    for option in extra:
        _check_extra(option)
    return Request(
        **asked,
        sbatch=tuple(extra),
        setup=_pasted(setup),
        device=words["device"] if typed else None,
        **({"python": python} if python else {}),
    ), how


def is_typed(context: click.Context, name: str) -> bool:
    """Whether a parameter stands on the command line."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def inherit_words(command: click.Command, lines: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Words about the cluster that were typed for earlier rounds, and not for this one.

    Args:
        command: ``lossviz submit``.
        lines: Command lines of the rounds, oldest first; the latest that has a word counts.

    Returns:
        Values by name, and the words as they would be typed.
    """
    context, found, said = click.get_current_context(), {}, []
    for line in reversed(lines):
        _, _, typed = line.partition(" submit ")
        with command.make_context("submit", shlex.split(typed), resilient_parsing=True) as earlier:
            for param in command.params:
                name = param.name or ""
                if name in INHERITED and name not in found and not is_typed(context, name) and is_typed(earlier, name):
                    found[name] = value = earlier.params[name]
                    values = value if param.multiple else [value]
                    said += [f"{param.opts[0]} {shlex.quote(str(one))}" for one in values]
    return found, " ".join(said)


def _check_lead(time: str | None, lead_s: int) -> None:
    """A task that is warned as soon as it starts would save nothing, and start for ever."""
    from lossviz.launch.slurm import parse_time

    try:
        limit_s = parse_time(time) if time else None
    except LaunchError as error:
        raise UsageError(str(error)) from None
    if limit_s == 0:
        raise UsageError(f"--time {time} is no time at all; leave it out for the partition's own limit.")
    if limit_s is not None and limit_s <= lead_s:
        raise UsageError(
            f"--time {time} is {limit_s:g} s and --signal-lead {lead_s}: a task would be told to save before it has "
            f"begun. Ask for more time, or for --signal-lead {max(1, int(limit_s) // 4)}."
        )


def _tasks(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--tasks is {text!r}; write auto, or a number from 1.")


def _check_extra(words: str) -> None:
    reserved = ("--array", "-a", "--requeue", "--no-requeue", "--signal", "--open-mode", "--output", "-o", "--ntasks",
                "-n")  # fmt: skip
    try:
        first = (shlex.split(words) or [""])[0].partition("=")[0]
    except ValueError:
        first = ""
    if not first.startswith("-") or "\n" in words:
        raise UsageError(f"--sbatch is {words!r}; write an option of sbatch, for example --sbatch '--constraint=a100'.")
    if first in reserved:
        raise UsageError(f"--sbatch {words!r}: lossviz sets {first} itself; leave it out.")


def _pasted(setup: Path | None) -> str:
    if setup is None:
        return ""
    try:
        return setup.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--setup {setup} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
