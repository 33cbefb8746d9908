"""``lossviz merge``: the segments of several processes into one file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from lossviz.cli.show.watch import warn


@click.command(epilog="Example: lossviz merge net.h5")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.h5")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def merge(run: Path, as_json: bool) -> None:
    """Merge the points that all processes have saved into RUN.h5; some may still be missing."""
    from lossviz.store.merge import merge as merge_run

    merged = merge_run(run, warn=warn)
    total, count = merged.surface.plan.grid.size, len(merged.segments)
    if as_json:
        found = {"file": str(run), "segments": count, "points": total, "missing": merged.missing}
        click.echo(json.dumps(found))
        return
    done = int(merged.surface.evaluated().sum())
    click.echo(f"{run}: {done} of {total} points, read from the file and {count} segments.")
    if merged.missing:
        kind = "asked for next" if merged.surface.plan.refine else "missing"
        click.echo(f"{merged.missing} points are {kind} and masked. Try: lossviz plot {shlex.quote(str(run))}")
