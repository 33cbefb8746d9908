"""``lossviz export``: a surface for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from lossviz.cli.show.watch import warn

ENDINGS = {"csv": ".csv", "npz": ".npz", "netcdf": ".nc", "goldstein": ".goldstein.h5"}


@click.command(epilog="Example: lossviz export net.h5 --format csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(list(ENDINGS)), required=True, help="goldstein is loss-landscape's own.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="PATH", help="File to write.  [FILE with the format's ending]"
)
def export(file: Path, format: str, out: Path | None) -> None:
    """Write the surface in FILE in a format for other programs; works on unfinished runs too."""
    from lossviz.errors import UsageError
    from lossviz.store.exchange import export_surface
    from lossviz.store.schema import canonical_path
    from lossviz.store.surface_file import read_surface

    out = out or file.with_name(file.with_suffix("").name + ENDINGS[format])
    if canonical_path(out) == canonical_path(file):
        raise UsageError(f"{out} is the surface itself; choose another name with --out.")
    export_surface(read_surface(file, warn), out, format, warn=warn)
    click.echo(f"Wrote {out}.")
