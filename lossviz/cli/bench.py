"""``lossviz bench``: how fast is a point here, in every way."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import click

from lossviz.cli.options.common import device_option
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.table import print_table
from lossviz.records.table import Column, Table

if TYPE_CHECKING:
    from lossviz.studies.bench import Row

COLUMNS = {
    "way": Column("way"),
    "seconds": Column("ms per point", lambda seconds: f"{1e3 * seconds:.2f}", number=True),
    "times_faster": Column("× reference", "{:.2f}".format, number=True),
    "setup_s": Column("set-up s", "{:.1f}".format, number=True),
    "difference": Column("difference", "{:.1e}".format, number=True),
    "reason": Column("why not"),
}


@click.command(epilog="Example: lossviz bench problem.py --checkpoint net.pt")
@source_options
@click.option("--split", default="train", show_default=True)
@click.option("--samples", type=int, help="Use a fixed random subset of this many examples.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads for every way.  [default: torch's]")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Rounds to measure; the median is reported.",
)
@click.option("--compiled/--no-compiled", default=True, help="Also time the compiled ways.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    problem: SourceWords, split: str, samples: int | None, threads: int | None, rounds: int, compiled: bool,
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Time one grid point of SOURCE in every way of evaluating, next to a plain DataLoader loop."""
    from lossviz.directions.make import make_plane
    from lossviz.evaluate.ways.way import cpu_threads
    from lossviz.records.grid import Grid
    from lossviz.records.plan import Plan, PlaneSpec
    from lossviz.run.load import load_plan_problem
    from lossviz.studies.bench import bench as run_bench

    plan = Plan(problem.resolve(), PlaneSpec(), Grid.parse("-1:1:3,-1:1:3"), splits=(split,), samples=samples)
    loaded = load_plan_problem(plan, device)
    made = make_plane(plan.plane, 2, loaded.params, rules=loaded.rules)
    plane = made.to(loaded.device, next(iter(loaded.params.values())).dtype)
    with cpu_threads(threads):
        rows = run_bench(
            loaded, plane, rounds=rounds, compiled=compiled,
            progress=lambda name: click.echo(f"setting up: {name}", err=True),
        )  # fmt: skip
    table = Table(COLUMNS, [_record(row, rows[0]) for row in rows])
    if as_json:
        click.echo(json.dumps(table.to_json()))
    else:
        print_table(table)


def _record(row: Row, reference: Row) -> dict[str, object]:
    timed = math.isfinite(row.seconds)
    return {
        "way": row.name,
        "seconds": row.seconds if timed else None,
        "times_faster": reference.seconds / row.seconds if timed else None,
        "setup_s": row.setup_s if timed else None,
        "difference": row.difference if timed else None,
        "reason": row.reason,
    }
