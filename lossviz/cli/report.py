"""``lossviz report``: result files in, one page with everything about them out."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from lossviz.cli.options.common import Mistakes
from lossviz.cli.plot import command_line, note, runs_among, stems
from lossviz.cli.show.figure_name import default_path

EPILOG = """\b
Examples:
  lossviz report net.h5
  lossviz report resnet.h5 plain.h5 --title ResNet-56 --title "no skips" --out report.html
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="RUN.h5…")
@click.option("--out", metavar="PATH", help="File: .html.  [the files' names with .report.html]")
@click.option("--title", "titles", multiple=True, metavar="TEXT", help="Name for each file; repeat once per file.")
def report(files: tuple[str, ...], out: str | None, titles: tuple[str, ...]) -> None:
    """Put the figures, plan, checks and warnings of result files into one HTML page that opens offline."""
    from lossviz.records.remark import distinct
    from lossviz.render.page.report import write_report
    from lossviz.render.text.caution import difference_cautions
    from lossviz.render.text.findings import doubts_on
    from lossviz.store.atomic_file import write_whole
    from lossviz.store.surface_file import read_surface

    files = runs_among(files)
    mistakes = Mistakes()
    path = Path(out) if out else default_path(files, ".report.html")
    if path.suffix.lower() not in (".html", ".htm"):
        mistakes.found.append(f"--out {path} does not end in .html.")
    if not path.absolute().parent.is_dir():
        mistakes.found.append(f"--out {path}: there is no folder {path.absolute().parent}.")
    if titles and len(titles) != len(files):
        mistakes.found.append(f"{len(titles)} titles were given for {len(files)} files; give one for each.")
    read = [mistakes.attempt(partial(read_surface, Path(file), note)) for file in files]
    mistakes.check()
    names = list(titles) or stems(files) or [Path(files[0]).stem]
    command = command_line(sys.argv[1:])
    surfaces = [surface for surface in read if surface]
    write_whole(path, write_report(surfaces, names, command=command))
    for remark in distinct([*difference_cautions(surfaces, names), *(r for s in surfaces for r in doubts_on(s))]):
        note(remark)
    click.echo(f"Wrote {path}. Open it in a browser; it needs nothing else.")
