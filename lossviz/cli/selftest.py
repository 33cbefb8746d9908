"""``lossviz selftest``: is every way right on this machine, and how fast."""

from __future__ import annotations

import json

import click

from lossviz.cli.options.common import device_option
from lossviz.cli.show.table import print_table
from lossviz.records.table import Column, Table

COLUMNS = {
    "problem": Column("network"),
    "way": Column("way"),
    "precision": Column("precision"),
    "error": Column("off float64", "{:.1e}".format, number=True),
    "times_faster": Column("× reference", "{:.1f}".format, number=True),
    "memory": Column("memory / expected", "{:.2f}".format, number=True),
    "verdict": Column("verdict"),
    "reason": Column("why"),
}


@click.command(epilog="Example: lossviz selftest --device cuda")
@device_option
@click.option("--compiled/--no-compiled", default=True, help="Also try the compiled ways, which take a minute or more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def selftest(context: click.Context, device: str, compiled: bool, as_json: bool) -> None:
    """Test every way of evaluating on this machine, with small networks, against float64.

    The table gives each way's distance from float64 and its speed next to the loop everybody writes first. The exit
    status is 1 where a value is wrong. A way that is not usable here is never chosen.
    """
    from lossviz.problem.device import choose_device
    from lossviz.studies.selftest import selftest as run

    found = list(run(choose_device(device), compiled=compiled, progress=lambda text: click.echo(text, err=True)))
    table = Table(COLUMNS, [finding.to_json() for finding in found])
    if as_json:
        click.echo(json.dumps(table.to_json()))
    else:
        print_table(table)
    wrong = [finding for finding in found if finding.verdict == "wrong"]
    if not as_json:
        click.echo(f"{len(wrong)} of {len(found)} are wrong." if wrong else f"All {len(found)} are as they should be.")
    context.exit(1 if wrong else 0)
