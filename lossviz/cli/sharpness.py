"""``lossviz sharpness``: how far the loss rises near solutions, in one table."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.common import Mistakes
from lossviz.cli.options.point_options import batchnorm_identity, load_point, point_options
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.table import print_line, print_table
from lossviz.records.table import Table

EPILOG = """\b
Examples:
  lossviz sharpness problem.py --checkpoint net.pt
  lossviz sharpness problem.py --checkpoint sgd.pt --also adam.pt --also sam.pt --json
  lossviz sharpness digits --checkpoint net.pt --ball 0.02 --noise 0.2 --directions 20
"""


@click.command(epilog=EPILOG)
@source_options
@click.option(
    "--also",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Another checkpoint to compare; repeatable.",
)
@click.option(
    "--ball", default=0.01, show_default=True, help="Radius of the ball for the worst rise, as a fraction of ‖θ‖."
)
@click.option("--steps", default=20, show_default=True, help="Steps of the ascent in the ball.")
@click.option("--restarts", default=3, show_default=True, help="Number of starts of the ascent.")
@click.option(
    "--step-size", default=0.5, show_default=True, help="Step size of the ascent, as a fraction of the radius."
)
@click.option(
    "--noise",
    default=0.1,
    show_default=True,
    help="Size of the filter-normalized noise; 1 moves every filter by its own norm.",
)
@click.option("--rise", default=0.1, show_default=True, help="Rise of the loss whose radius to find.")
@click.option(
    "--directions", default=10, show_default=True, help="Number of random directions, with seeds from --seed on."
)
@click.option("--seed", default=0, show_default=True, help="Seed for directions, starts and --samples.")
@point_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sharpness(problem: SourceWords, also: tuple[Path, ...], as_json: bool, **words: Any) -> None:
    """Measure how sharply the loss rises around each checkpoint: worst case, average, and radius.

    All rows have the same seeds and settings, which are printed: numbers of other settings do not compare.
    """
    mistakes = Mistakes()
    from lossviz.studies.sharpness import Balls, measure_sharpness

    balls = mistakes.attempt(lambda: Balls(**{f.name: words[f.name] for f in fields(Balls)}))
    asked = [problem, *(replace(problem, checkpoint=path) for path in also)]
    refs = [mistakes.attempt(one.resolve) for one in asked]
    mistakes.check()
    assert balls is not None
    rows = {}
    for number, (one, ref) in enumerate(zip(asked, refs, strict=True), 1):
        assert ref is not None
        name = str(one.checkpoint) if one.checkpoint else one.stem
        click.echo(f"lossviz: {name} ({number} of {len(refs)})", err=True)
        rows[name] = measure_sharpness(
            load_point(ref, words), words["split"], balls, quantity=words["quantity"], batch_size=words["batch_size"],
            progress=lambda sentence: click.echo(f"lossviz: {sentence}", err=True),
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps({**batchnorm_identity(words), "checkpoints": rows}, indent=2))
    else:
        print_rows(rows)


def print_rows(rows: dict[str, dict[str, Any]]) -> None:
    """A row a checkpoint, and the settings that all share."""
    first = next(iter(rows.values()))
    settings = first["settings"]
    columns = (
        "checkpoint",
        "loss",
        f"worst rise within {settings['ball']:g} ‖θ‖",
        f"average rise at noise {settings['noise']:g}",
        f"radius of a rise of {settings['rise']:g}",
    )
    cells = []
    for name, row in rows.items():
        low, high = row["average_rise_interval"]
        radii = [radius for radius in row["rise_radii"] if radius is not None]
        spread = f" [{min(radii):.3g}, {max(radii):.3g}]" if radii else ""
        cells.append((
            name, f"{row['loss']:.4g}", f"{row['worst_rise']:.4g}  ({min(row['worst_rises']):.3g} the least)",
            f"{row['average_rise']:.4g}  [{low:.3g}, {high:.3g}]",
            ("beyond 10" if row["rise_radius"] is None else f"{row['rise_radius']:.4g}") + spread,
        ))  # fmt: skip
    print_table(Table.of(columns, cells))
    print_line(
        f"{first['examples']} examples of {first['split']}. Worst rise: the largest of {settings['restarts']} ascents "
        f"of {settings['steps']} steps of {settings['step_size']:g} radii, a lower bound. Average: over "
        f"{settings['directions']} filter-normalized directions of seeds {settings['seed']} to "
        f"{settings['seed'] + settings['directions'] - 1}, with its 95 % interval. Radius: median over them and "
        "range, in units of filters' lengths. Rows compare only at equal settings and data."
    )
