"""The figures of ``lossviz plot`` that are no map of a surface: spectra of 'lossviz curvature', and barcodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lossviz.cli.options.common import Mistakes
from lossviz.cli.show.figure_name import default_path

TAKEN = frozenset({"files", "kind", "out", "titles", "style", "dark", "dpi"})


@dataclass(frozen=True)
class Chart:
    """One kind of chart.

    Attributes:
        kind: What ``--kind`` calls it.
        parts: Of a spectrum, those that it shows; none where it is drawn from surfaces.
        takes: The options it takes.
    """

    kind: str
    parts: tuple[str, ...] = ()
    takes: frozenset[str] = TAKEN


CHARTS = {
    chart.kind: chart
    for chart in (
        Chart("spectrum", ("density", "layers")),
        Chart("density", ("density",)),
        Chart("layers", ("layers",)),
        Chart("barcode", takes=TAKEN | {"quantity"}),
    )
}


def is_chart(files: Sequence[str], kind: str | None) -> bool:
    """Whether these words ask for a chart: by the kind, or because a file is a spectrum file."""
    from lossviz.store.spectrum_file import is_spectrum_file

    return kind in CHARTS or any(is_spectrum_file(Path(file)) for file in files)


def draw_charts(
    files: Sequence[str], out: str | None, words: dict[str, Any], called: Callable[[Sequence[str]], str], tell: Any
) -> str:
    """Draw a chart of files.

    Args:
        files: Spectrum files, or for a barcode surface files.
        out: Where to write.
        words: Of the command.
        called: Turns the command line into what the file tells of it.
        tell: Called with sentences about what was read.

    Returns:
        The closing line.

    Raises:
        UsageError: With every mistake of the words.
    """
    from lossviz.render.charts.chart import SUFFIXES, draw_chart

    kind, mistakes = words["kind"] or "spectrum", Mistakes()
    chart = CHARTS.get(kind, CHARTS["spectrum"])
    for name in _typed():
        if name not in chart.takes:
            mistakes.found.append(f"--{name.replace('_', '-')} has no meaning for --kind {kind}; leave it out.")
    if kind not in CHARTS:
        spectra = ", ".join(chart.kind for chart in CHARTS.values() if chart.parts)
        mistakes.found.append(f"--kind is {kind!r}; a spectrum file is drawn as {spectra}.")
    if words["titles"] and len(words["titles"]) != len(files):
        mistakes.found.append(f"{len(words['titles'])} titles were given for {len(files)} files; give one for each.")
    if out and Path(out).suffix.lower() not in SUFFIXES:
        mistakes.found.append(f"--out {out} does not end in {', '.join(SUFFIXES)}.")
    if out and not Path(out).absolute().parent.is_dir():
        mistakes.found.append(f"--out {out}: there is no folder {Path(out).absolute().parent}.")
    look = {"style": words["style"] or "text", "dark": words["dark"], "dpi": _dots(words["dpi"], mistakes)}
    titles = list(words["titles"]) or [_stem(file) for file in files]
    scene = mistakes.attempt(
        lambda: _spectrum(files, titles, chart, look) if chart.parts else _barcode(files, titles, words, look, tell)
    )
    mistakes.check()
    assert scene is not None
    path = Path(out) if out else default_path(files, f".{kind}.png")
    written = draw_chart(scene, path, command=called(sys.argv[1:]))
    return f"Wrote {' and '.join(map(str, written))}."


def _spectrum(files: Sequence[str], titles: Sequence[str], chart: Chart, look: dict[str, Any]) -> Any:
    from lossviz.render.charts.spectrum_scene import make_spectrum_scene, name_spectra
    from lossviz.store.spectrum_file import read_spectra

    spectra = name_spectra([(title, read_spectra(file)) for title, file in zip(titles, files, strict=False)])
    return make_spectrum_scene(spectra, parts=chart.parts, title=", ".join(titles), **look)


def _barcode(
    files: Sequence[str], titles: Sequence[str], words: dict[str, Any], look: dict[str, Any], tell: Any
) -> Any:
    from lossviz.render.charts.barcode_scene import make_barcode_scene
    from lossviz.store.surface_file import read_surface

    surfaces = [read_surface(Path(file), tell) for file in files]
    return make_barcode_scene(surfaces, quantity=words["quantity"], titles=titles, **look)


def _stem(file: str) -> str:
    return Path(file).name.removesuffix(".h5").removesuffix(".spectrum")


def _typed() -> list[str]:
    context = click.get_current_context()
    return [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def _dots(text: str | None, mistakes: Mistakes) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or not 20 <= int(text) <= 1200:
        mistakes.found.append(f"--dpi is {text}; it must be a whole number from 20 to 1200.")
        return None
    return int(text)
