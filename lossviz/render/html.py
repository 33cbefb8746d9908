"""The interactive page: one HTML file that needs nothing else, and opens offline.

Values cross over as base64 float32 (float64 where float32 cannot hold them), so that the page's readout is the array's
value and not a colour's; standard errors as half floats, to three digits. The page interpolates by the same monotone
rule as the printed figures. Where there is no WebGL, or no script, a still picture stands in.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lossviz import __version__
from lossviz.render.cells import runs_of
from lossviz.render.colours import colour_table
from lossviz.render.key import Key
from lossviz.render.panel import Panel
from lossviz.render.path import Path, clip_path, frame_of
from lossviz.render.plane_text import axis_symbol
from lossviz.render.quantity import quantity_label
from lossviz.render.scene import Scene

CAMERA = (-58.0, 34.0)
STILL_DPI, STILL_COLOURS = 60, 32
LARGEST_HALF = 6e4
MOST_SNAPSHOTS = 2000  # of a path in the page; every second, third … of longer ones


def write_page(scene: Scene, still: Callable[[Scene], Figure] | None, *, command: str | None = None) -> bytes:
    """The whole page as UTF-8 HTML.

    Args:
        scene: Panels of planes; each becomes one of the page's views.
        still: Draws the scene as a figure, for readers without WebGL; None leaves it out.
        command: The command line, for the page's description of itself.
    """
    # of several surfaces and quantities the surfaces' own names: what is shown stands beneath
    several = len({panel.view.source for panel in scene.panels}) > 1 and len({p.view.name for p in scene.panels}) > 1
    titles = (panel.title.rpartition(", ")[0] if several else panel.title for panel in scene.panels)
    title = ", ".join(dict.fromkeys(filter(None, titles))) or "Loss surface"
    picture = _still(scene, still) if still else ""
    data = {
        "views": [_view(scene, panel) for panel in scene.panels],
        "colours": _base64(np.rint(colour_table(scene.keys[0].colours) * 255).astype(np.uint8)),
        "camera": [scene.camera.azimuth, scene.camera.elevation] if scene.camera else list(CAMERA),
        "dark": scene.style.theme.name == "dark",
        "caption": scene.caption,
        "metadata": {"lossviz": __version__, **scene.metadata, **({"command": command} if command else {})},
    }
    folder = resources.files("lossviz.render") / "page"
    parts = {
        "__GENERATOR__": html.escape(f"lossviz {__version__}"),
        "__TITLE__": html.escape(title[:200]),
        "__THEME__": scene.style.theme.name,
        "__STYLE__": _compact((folder / "page.css").read_text(encoding="utf-8")),
        "__STILL__": picture,
        # "<" never appears in the data, so no text in it can end the script element
        "__DATA__": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "__SCRIPT__": _compact((folder / "page.js").read_text(encoding="utf-8")),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    # in one pass, so that what one part holds is never taken for another's place
    pieces = _split_at(page, list(parts))
    return "".join(parts.get(piece, piece) for piece in pieces).encode()


def _compact(source: str) -> str:
    """Without indentation and comment lines."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _split_at(text: str, marks: list[str]) -> list[str]:
    pieces = [text]
    for mark in marks:
        pieces = [
            part
            for piece in pieces
            for i, rest in enumerate(piece.split(mark) if piece not in marks else [piece])
            for part in ([mark, rest] if i else [rest])
        ]
    return pieces


def _view(scene: Scene, panel: Panel) -> dict[str, Any]:
    key = scene.key_of(panel)
    assert panel.y is not None
    plan = panel.view.surface.plan
    words = quantity_label(panel.view.name, panel.view.split)
    values = np.where(panel.guessed, panel.guesses, panel.view.values())
    return {
        "title": panel.title or words,
        "subtitle": _subtitle(panel, words, str(plan.grid)),
        "name": panel.view.name,
        "quantity": words,
        "percent": key.percent,
        "digits": max(key.digits, 4) - 1,
        "x": panel.x.tolist(),
        "y": panel.y.tolist(),
        "labels": [panel.x_label, panel.y_label],
        "symbols": [axis_symbol(panel.view.surface, axis) for axis in panel.view.axes],
        **_values(values),
        **_errors(panel.stderr),
        "pending": runs_of(~panel.view.evaluated().ravel()),
        "key": panel.key,
        "scale": _scale(key),
        "levels": list(key.levels[:24]),
        "paths": [_path(path, panel) for path in panel.paths],
        "marks": [{"kind": mark.kind, "x": mark.x, "y": mark.y} for mark in panel.marks],
    }


def _path(path: Path, panel: Panel) -> dict[str, Any]:
    stride = max(1, -(-len(path.x) // MOST_SNAPSHOTS))
    kept = np.unique([*range(0, len(path.x), stride), *range(len(path.x) - 1, len(path.x))]).astype(int)
    pieces, _ = clip_path(np.stack([path.x, path.y], axis=1)[kept], frame_of(panel.view)) if len(kept) else ([], None)
    # pieces follow each other with a gap of NaN between them
    gap = np.full((1, 3), np.nan)
    rows = np.concatenate([part for piece in pieces for part in (piece, gap)]) if pieces else gap
    return {
        "name": path.name,
        "colour": path.colour,
        "casing": path.casing,
        "lifted": path.colour if len(panel.paths) > 1 else "#14171c",
        "unit": path.unit,
        "stride": stride,
        "steps": path.steps[kept].tolist(),
        "line": _base64(rows.astype("<f4")),
        **{name: _base64(getattr(path, name)[kept].astype("<f4")) for name in ("x", "y", "own", "beneath", "distance")},
        "dots": np.flatnonzero(np.isin(kept, path.dots)).tolist(),
        "events": [{"at": int(np.searchsorted(kept, e.at)), "kind": e.kind, "label": e.label} for e in path.events],
    }


def _subtitle(panel: Panel, words: str, grid: str) -> str:
    count = panel.view.surface.splits[panel.view.split].count
    examples = f", mean over {int(count.max())} examples" if count.max() else ""
    n_y, n_x = panel.z.shape
    part = f", {panel.done} evaluated, between them interpolated" if panel.guessed.any() else ""
    return f"{words} on {n_x} × {n_y} points{part}{examples}"


def _values(values: np.ndarray) -> dict[str, Any]:
    finite = np.abs(values[np.isfinite(values) & (values != 0)])
    fits = not len(finite) or (finite.max() < 1e38 and finite.min() > 1e-37)
    return {"z": _base64(values.astype("<f4" if fits else "<f8")), "double": not fits}


def _errors(errors: np.ndarray) -> dict[str, Any]:
    finite = errors[np.isfinite(errors)]
    if not len(finite) or not finite.max() > 0:
        return {"se": None, "seUnit": 1.0}
    unit = float(finite.max()) / LARGEST_HALF
    return {"se": _base64((errors / unit).astype("<f2")), "seUnit": unit}


def _scale(key: Key) -> dict[str, Any]:
    scale = key.scale
    unit = float(scale.inverse(1.0)) if scale.kind == "linear" else 1.0
    return {"kind": scale.kind, "low": scale.low, "high": scale.high, "clipped": scale.clipped, "unit": unit}


def _base64(table: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(table).tobytes()).decode()


def _still(scene: Scene, still: Callable[[Scene], Figure]) -> str:
    # few colours keep it small; ink and paper are among them, being the commonest
    buffer, small = io.BytesIO(), io.BytesIO()
    still(scene).savefig(buffer, format="png", dpi=STILL_DPI)
    buffer.seek(0)
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(STILL_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode()
