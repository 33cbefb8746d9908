"""The ``lossviz`` command: subcommands loaded on use, and errors turned into one clean message."""

from __future__ import annotations

import difflib
import errno
import importlib
import keyword
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import click

import lossviz
from lossviz.errors import LossvizError

COMMANDS = {
    "compute": "Evaluate the loss on a grid around a trained checkpoint.",
    "init": "Write a problem file from a few words or questions.",
    "check": "Check a problem and its checkpoint before computing a grid.",
    "trace": "Run an optimizer on a problem and record its path.",
    "project": "Project training runs onto the plane of a surface.",
    "plot": "Draw a surface: contour, filled, heatmap, 3-D surface or line.",
    "report": "Put figures, plan, checks and warnings into one HTML page.",
    "info": "Show what a result file contains and how it was made.",
    "inspect": "Show what a checkpoint contains and how it would fit a model.",
    "submit": "Run on a Slurm cluster: an array of tasks, then a merge job.",
    "status": "Count the saved points, and show what the jobs are doing.",
    "cancel": "Cancel a run's jobs; what they saved stays.",
    "work": "Evaluate one share of a prepared run, next to other processes.",
    "merge": "Merge what several processes have saved.",
    "verify": "Check a result file's checksums, digests and points.",
    "import": "Read files of tomgoldstein/loss-landscape.",
    "export": "Write a surface as npz, csv, netCDF or for loss-landscape.",
    "curvature": "Measure eigenvalues, trace and density of the Hessian, with errors.",
    "sharpness": "Measure how sharply the loss rises around solutions, in one table.",
    "bench": "Time one grid point in every way of evaluating.",
    "selftest": "Test every way of evaluating on this machine against float64.",
    "teach": "Show optimizers on a classic function or a formula.",
    "demo": "Train two small networks on real digits and draw their landscapes.",
}


_UNWRITTEN = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EFBIG", "EROFS", "EACCES", "EBADF", "ENAMETOOLONG")
    if hasattr(errno, name)
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that ``--help`` needs no heavy library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``lossviz.cli.<name>`` and return its function of that name."""
        if cmd_name not in COMMANDS:
            return None
        module_name = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
        return getattr(importlib.import_module(f"lossviz.cli.{module_name}"), module_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a slip of the pen is answered with what may have been meant."""
        if args and args[0] not in COMMANDS and (near := difflib.get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours becomes its message and its exit status."""
        try:
            return super().invoke(ctx)
        except LossvizError as error:
            click.echo(f"lossviz: {error}", err=True)
            ctx.exit(error.exit_status)
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and "out of memory" not in str(error):
                raise
            line = (str(error).splitlines() or [""])[0]
            advice = "Use a smaller --batch-size, --low-memory, a device with more memory, or --device cpu."
            click.echo(f"lossviz: Out of memory. {line} {advice} What was saved is kept.", err=True)
            ctx.exit(2)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with 'lossviz demo', or 'lossviz compute problem.py --checkpoint net.pt --out net.h5'.",
)
@click.version_option(lossviz.__version__, "--version", prog_name="lossviz")
def cli() -> None:
    """Show the loss landscape of a trained neural network."""


def main() -> None:
    """Entry point of the console script."""
    if sys.stdout is None:  # closed by the shell (>&-)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            cli(prog_name="lossviz")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # a pipe closed early (| head) is not an error worth a traceback
        _stop_printing(0)
    except OSError as error:
        if error.errno not in _UNWRITTEN:
            raise
        click.echo(f"lossviz: {_unwritten(error)}", err=True)
        _stop_printing(74)


def _unwritten(error: OSError) -> str:
    """What could not be written: a file of ours, or what is printed."""
    if error.filename is not None:
        return f"{error.filename} cannot be written: {error.strerror}."
    rooms = {Path(frame.filename).parent.name for frame in traceback.extract_tb(error.__traceback__)}
    if rooms & {"store", "draw", "export", "film", "page"}:
        return f"The result cannot be written: {error.strerror}. What was saved before is kept."
    return f"What is printed cannot be written: {error.strerror}."


def _stop_printing(status: int) -> NoReturn:
    """Leave with what was not printed dropped, so that the interpreter does not try it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)
