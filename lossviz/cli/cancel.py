"""``lossviz cancel``: end a run's jobs; what they saved stays."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command(epilog="Example: lossviz cancel net.h5     (then: lossviz submit net.h5, to go on)")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN.h5…")
@click.option(
    "--trust-problem", is_flag=True, help="Cancel the jobs named in the file, even if you did not submit them."
)
def cancel(runs: tuple[Path, ...], trust_problem: bool) -> None:
    """Cancel the jobs of RUN.h5's last round; everything they have saved stays."""
    for run in runs:
        click.echo(_cancel(run, trusted=trust_problem))


def _cancel(run: Path, *, trusted: bool) -> str:
    from lossviz.errors import StoreError
    from lossviz.launch.submit import cancel_round
    from lossviz.store.surface_file import peek_plan

    done, name = cancel_round(run, trusted=trusted), shlex.quote(str(run))
    if done is None:
        if peek_plan(run) is None:
            raise StoreError(f"There is no run {run}.")
        return f"{run}: it was never submitted, so there is nothing to cancel."
    made, alive = done
    if not alive:
        return f"{run}: no job of round {made.number} is alive. Next: lossviz status {name}"
    return f"{run}: cancelled round {made.number} ({len(alive)} jobs were alive). Next: lossviz status {name}"
