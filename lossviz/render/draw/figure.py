"""A scene on a figure of Matplotlib, and the figure in a file."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lossviz import __version__
from lossviz.render.draw.contour import draw_contours
from lossviz.render.draw.heatmap import draw_heatmap
from lossviz.render.draw.line import draw_lines
from lossviz.render.draw.relief import draw_relief
from lossviz.render.scene import Scene

SHOWN_DPI = 150  # of a figure within a notebook
DRAWERS = {
    "contour": draw_contours,
    "filled": draw_contours,
    "heatmap": draw_heatmap,
    "surface": draw_relief,
    "line": draw_lines,
    "html": draw_contours,  # the still picture of a page
}


_FOREIGN = ("backend", "interactive", "toolbar", "timezone", "webagg", "tk.", "macosx", "datapath", "savefig.directory")


class ShownFigure(Figure):
    """A figure that shows itself at the end of a notebook's cell, whether or not pyplot is there."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=min(self.dpi, SHOWN_DPI))
        return stream.getvalue()


def make_figure(scene: Scene) -> Figure:
    """Draw a scene on a new figure, outside pyplot; call within :func:`settings`."""
    figure = ShownFigure(figsize=(scene.layout.width, scene.layout.height), dpi=scene.style.dpi)
    FigureCanvasAgg(figure)
    DRAWERS[scene.kind](scene, figure)
    return figure


def settings(scene: Any) -> Any:
    """A context in which matplotlib has its own defaults and the scene's style."""
    defaults: Any = {name: v for name, v in matplotlib.rcParamsDefault.items() if not name.startswith(_FOREIGN)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        chosen: Any = {**defaults, **scene.style.settings()}
        return matplotlib.rc_context(chosen)


def draw_bytes(scene: Scene, suffix: str, *, command: str | None = None) -> bytes:
    """A scene as the bytes of a figure's file.

    Args:
        scene: Of any kind but the page.
        suffix: ``".png"``, ``".pdf"`` or ``".svg"``.
        command: The command line, for the file's description of itself.
    """
    stream = io.BytesIO()
    with settings(scene):
        make_figure(scene).savefig(stream, format=suffix[1:], metadata=_metadata(scene, suffix, command))
    return stream.getvalue()


def about_file(metadata: dict[str, Any], command: str | None) -> str:
    """What a file says of itself, as JSON."""
    facts = {"lossviz": __version__, **metadata, **({"command": command} if command else {})}
    return json.dumps(facts, ensure_ascii=True, sort_keys=True)


def _metadata(scene: Scene, suffix: str, command: str | None) -> dict[str, Any]:
    title = ", ".join(dict.fromkeys(panel.title for panel in scene.panels if panel.title)) or "Loss surface"
    return file_metadata(suffix, title, scene.caption, scene.metadata, command)


def file_metadata(
    suffix: str, title: str, caption: str, metadata: dict[str, Any], command: str | None
) -> dict[str, Any]:
    """What matplotlib is to write of a figure into its file."""
    text = about_file(metadata, command)
    creator = f"lossviz {__version__}"
    if suffix == ".png":
        return {"Software": creator, "Title": title, "Description": caption, "lossviz": text}
    if suffix == ".pdf":
        return {"Creator": creator, "Title": title, "Subject": caption, "Keywords": text, "CreationDate": None}
    return {"Creator": creator, "Title": title, "Description": caption, "Keywords": text, "Date": None}
