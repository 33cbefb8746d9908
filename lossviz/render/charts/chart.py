"""Figures that are no map of a surface, spectra and barcodes, written to files as other figures are."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lossviz.errors import UsageError
from lossviz.render.charts import barcode, spectrum
from lossviz.render.charts.barcode_scene import BarcodeScene
from lossviz.render.charts.spectrum_scene import SpectrumScene
from lossviz.render.draw.figure import ShownFigure, file_metadata, settings
from lossviz.store.atomic_file import write_whole

SUFFIXES = (".png", ".pdf", ".svg")


def draw_chart(scene: SpectrumScene | BarcodeScene, path: Path | str, *, command: str | None = None) -> list[Path]:
    """Write a chart by the suffix of its file, and ``<name>.caption.txt`` beside it; the files, the figure first.

    Raises:
        UsageError: If the suffix is none of :data:`SUFFIXES`.
        UnwritableError: If the file cannot be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--out {path} ends in {suffix or 'nothing'!r}; this figure is a {', '.join(SUFFIXES)}.")
    stream, title = io.BytesIO(), "Spectrum" if isinstance(scene, SpectrumScene) else "Barcode"
    about = file_metadata(suffix, title, scene.caption, scene.metadata, command)
    with settings(scene):
        make_chart(scene).savefig(stream, format=suffix[1:], metadata=about)
    caption = path.with_name(path.stem + ".caption.txt")
    write_whole(path, stream.getvalue())
    write_whole(caption, scene.caption.encode())
    return [path, caption]


def make_chart(scene: SpectrumScene | BarcodeScene) -> Figure:
    """Draw a chart on a new figure; call within :func:`~lossviz.render.draw.figure.settings`."""
    easel = spectrum if isinstance(scene, SpectrumScene) else barcode
    figure = ShownFigure(figsize=easel.figure_size(scene), dpi=scene.style.dpi)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    if isinstance(scene, SpectrumScene):
        spectrum.draw_spectrum(scene, figure)
    else:
        barcode.draw_barcode(scene, figure)
    return figure
