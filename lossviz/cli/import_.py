"""``lossviz import``: files of loss-landscape into ours."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("import", epilog="Example: lossviz import surface.h5 --directions directions.h5 --out net.h5")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Surface file to write.")
@click.option("--directions", type=click.Path(path_type=Path), metavar="PATH", help="The surface's direction file.")
@click.option("--projection", type=click.Path(path_type=Path), metavar="PATH", help="A projected trajectory.")
def import_(file: Path, out: Path, directions: Path | None, projection: Path | None) -> None:
    """Read FILE, a surface or direction file of tomgoldstein/loss-landscape, and write it as a lossviz file."""
    from lossviz.store.exchange import import_goldstein

    made = import_goldstein(file, out, directions=directions, projection=projection)
    click.echo(f"Wrote {', '.join(map(str, made))}.")
    if made[0].name == out.name:
        click.echo(f"Try: lossviz plot {shlex.quote(str(out))}")
