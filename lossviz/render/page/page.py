"""The interactive page: one HTML file that needs nothing else, and opens offline.

Values cross over as numbers of one digit more than the page tells, so that its readout is the array's value and not a
colour's; standard errors to 0.2 %, of which it tells two digits. Both scales, their levels and the legend are
decided here; the page interpolates by the same monotone rule as the printed figures. Where there is no WebGL, or no
script, a still picture stands in.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
import shlex
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lossviz import __version__
from lossviz.render.page.block import Block, smallest_type
from lossviz.render.page.modules import join_modules
from lossviz.render.page.page_path import make_page_path
from lossviz.render.page.page_scale import make_page_scales
from lossviz.render.page.page_still import draw_still
from lossviz.render.scene import Scene
from lossviz.render.text.caption import how_shown
from lossviz.render.values.cells import runs_of
from lossviz.render.values.panel import Panel
from lossviz.render.words.colours import colour_table
from lossviz.render.words.plane_text import axis_symbol
from lossviz.render.words.quantity import SPLITS, quantity_label

CAMERA = (-58.0, 34.0)
LEAST_DIGITS, ERROR_DIGITS = 4, 2  # that the page tells of a value, and of its standard error
MOST_NODES = 512  # of the drawn mesh along an axis, as in field.js
MOST_BESIDE = 4  # surfaces side by side when the page opens
FACETS = {  # what views differ in: of one, and of several side by side
    "surface": ("Network", "networks"),
    "quantity": ("Quantity", "quantities"),
    "data": ("Data", "data"),
    "slice": ("Slice", "slices"),
}


def write_page(scene: Scene, still: Callable[[Scene], Figure] | None, *, command: str | None = None) -> bytes:
    """The whole page as UTF-8 HTML.

    Args:
        scene: Panels of planes; each becomes one of the page's views.
        still: Draws the scene as a figure, for readers without WebGL; None leaves it out.
        command: The command line, for the page's description of itself.
    """
    folder = resources.files("lossviz.render") / "page"
    script = _compact(join_modules(lambda name: (folder / "live" / f"{name}.js").read_text(encoding="utf-8"), "main"))
    block = Block()
    views = [_view(scene, panel, index, block) for index, panel in enumerate(scene.panels)]
    facets = _facets(views)
    data = {
        "views": block.put_words(json.dumps(views, separators=(",", ":"), allow_nan=False)),
        "facets": facets,
        "first": next((i for i, panel in enumerate(scene.panels) if panel.view.holds_origin()), 0),
        "beside": _beside(facets),
        "script": block.put_words(f'(() => {{\n"use strict";\n{script}\n}})();'),
        "block": block.text(),
        "colours": _colours(scene),
        "camera": [scene.camera.azimuth, scene.camera.elevation] if scene.camera else list(CAMERA),
        "dark": scene.style.theme.name == "dark",
        "files": _files(command) or ["FILE"],
        "metadata": {"lossviz": __version__, **scene.metadata, **({"command": command} if command else {})},
    }
    parts = {
        "__GENERATOR__": html.escape(f"lossviz {__version__}"),
        "__TITLE__": html.escape(_title(scene)[:200]),
        "__THEME__": scene.style.theme.name,
        "__STYLE__": _compact((folder / "page.css").read_text(encoding="utf-8")),
        "__CAPTION__": html.escape("\n".join([scene.caption.strip(), *_thinned(scene, views)]).strip(), quote=False),
        "__NOW__": html.escape(how_shown(scene.keys, scene.easel, scene.camera), quote=False),
        "__STILL__": draw_still(scene, still) if still else "",
        # "<" never appears in the data, so no text in it can end the script element
        "__DATA__": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "__SCRIPT__": _compact((folder / "boot.js").read_text(encoding="utf-8")),
    }
    return fill((folder / "page.html").read_text(encoding="utf-8"), parts).encode()


def fill(page: str, parts: dict[str, str]) -> str:
    """The page with its marks replaced, in one pass, so that what one part holds is never taken for another's mark.

    Example:
        >>> fill("a __B__ c __D__", {"__B__": "__D__", "__D__": "d"})
        'a __D__ c d'
    """
    pattern = re.compile("|".join(map(re.escape, parts)))
    return pattern.sub(lambda found: parts[found.group()], page)


def _compact(source: str) -> str:
    r"""Without indentation, comment lines, and comments behind a line's end.

    Example:
        >>> _compact("// why\n  a = 1; // what\n\n  b();")
        'a = 1;\nb();'
    """
    lines = (re.sub(r"(?<=[;,{})]) *// .*$", "", line.strip()) for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _title(scene: Scene) -> str:
    # of several quantities the surfaces' own names: what is shown stands beneath
    names = [_surface_name(panel) for panel in scene.panels]
    if len({panel.view.name for panel in scene.panels}) == 1:
        names = [panel.title for panel in scene.panels] if not scene.panels[0].view.at else names
    return ", ".join(dict.fromkeys(filter(None, names))) or "Loss surface"


def _surface_name(panel: Panel) -> str:
    words, fixed = quantity_label(panel.view.name, panel.view.split), panel.view.fixed_text()
    name = panel.title.removesuffix(f", {fixed}") if fixed else panel.title
    name = name.removesuffix(f", {words}")
    own = panel.view.surface.facts.problem or ""
    return own if name.lower() in ("", words) else name


def _view(scene: Scene, panel: Panel, index: int, block: Block) -> dict[str, Any]:
    assert panel.y is not None
    view, plan = panel.view, panel.view.surface.plan
    words = quantity_label(view.name, view.split)
    values, scales = np.where(panel.guessed, panel.guesses, view.values()), make_page_scales(scene, index)
    return {
        "title": panel.title or words,
        "subtitle": _subtitle(panel, words),
        "name": view.name,
        "quantity": words,
        "facets": {
            "surface": _surface_name(panel) or plan.problem.source,
            "quantity": view.quantity.replace("_", " "),
            "data": SPLITS.get(view.split, view.split),
            "slice": view.fixed_text(),
        },
        "percent": scene.key_of(panel).percent,
        "x": block.put(panel.x, "f8"),
        "y": block.put(panel.y, "f8"),
        "labels": [panel.x_label, panel.y_label],
        "symbols": [axis_symbol(view.surface, axis) for axis in view.axes],
        "values": _values(values, scales, block),
        "errors": _errors(panel.stderr, block),
        "pending": runs_of(~view.evaluated().ravel()),
        "key": panel.key,
        "scale": scene.key_of(panel).scale.kind,
        "scales": scales,
        "paths": [make_page_path(path, panel, block) for path in panel.paths],
        "source": panel.view.source,
        "marks": [
            {"kind": mark.kind, "x": mark.x, "y": mark.y}
            for mark in panel.shown_marks
            if mark.kind in ("trained", "minimum", "maximum")
        ],
    }


def _facets(views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the views differ in, with the values in order; only facets that have several."""
    found = {name: list(dict.fromkeys(view["facets"][name] for view in views)) for name in FACETS}
    return [
        {"id": name, "name": FACETS[name][0], "several": FACETS[name][1], "values": values}
        for name, values in found.items()
        if len(values) > 1
    ]


def _beside(facets: list[dict[str, Any]]) -> str:
    """Several networks are seen side by side at once: unlike pictures on one scale are the message."""
    return next((f["id"] for f in facets if f["id"] == "surface" and len(f["values"]) <= MOST_BESIDE), "")


def _colours(scene: Scene) -> str:
    table = np.rint(colour_table(scene.keys[0].colours) * 255).astype(np.uint8)
    return base64.b64encode(table.tobytes()).decode()


def _files(command: str | None) -> list[str]:
    """The files of the command, as they were typed."""
    words = shlex.split(command) if command else []
    named = [shlex.quote(word) for word in words if word.endswith((".h5", ".hdf5"))]
    return list(dict.fromkeys(named))


def _subtitle(panel: Panel, words: str) -> str:
    count = panel.view.surface.splits[panel.view.split].count
    examples = f", mean over {int(count.max())} examples" if count.max() else ""
    n_y, n_x = panel.z.shape
    part = f", {panel.done} evaluated, between them interpolated" if panel.guessed.any() else ""
    fixed = f", {panel.view.fixed_text()}" if panel.view.at else ""
    return f"{words} on {n_x} × {n_y} points{fixed}{part}{examples}"


def _thinned(scene: Scene, views: list[dict[str, Any]]) -> list[str]:
    """What the page draws in fewer points than there are, in sentences."""
    sizes = dict.fromkeys(panel.z.shape for panel in scene.panels if max(panel.z.shape) > MOST_NODES)
    found = [
        f"Of {n_x} × {n_y} points {min(n_x, MOST_NODES)} × {min(n_y, MOST_NODES)} are drawn here, "
        "with every peak and pit of the rest; values under the pointer are those of all points."
        for n_y, n_x in sizes
    ]
    paths = {path["name"]: path for view in views for path in view["paths"]}
    for path in paths.values():
        shown = int(path["steps"][3])  # columns of the table
        if shown < path["snapshots"]:
            found.append(
                f"Of the {path['snapshots']:,} snapshots of {path['name']} {shown:,} are drawn here, "
                "among them the extremes of its place and losses."
            )
    return found


def _values(values: np.ndarray, scales: dict[str, dict[str, Any]], block: Block) -> list[int | str]:
    digits = _digits(values, scales)
    shown = sorted({max(LEAST_DIGITS, scale["digits"]) for scale in scales.values()})
    return block.put(values, smallest_type(values, digits), digits=digits, shown=shown)


def _digits(values: np.ndarray, scales: dict[str, dict[str, Any]]) -> int:
    """As many as the page tells, and as it takes to draw each of 1,000 heights where it belongs."""
    finite = np.abs(values[np.isfinite(values)])
    top = min(float(finite.max(initial=0)), max(abs(end) for s in scales.values() for end in (s["low"], s["high"])))
    drawn = min(s["high"] - s["low"] for s in scales.values())
    fine = 3 + math.ceil(math.log10(max(1.0, top / drawn))) if drawn > 0 and math.isfinite(top / drawn) else 9
    return max(LEAST_DIGITS, fine, *(s["digits"] for s in scales.values()))


def _errors(errors: np.ndarray, block: Block) -> list[int | str] | None:
    if not (np.isfinite(errors) & (errors > 0)).any():
        return None
    kind = smallest_type(errors, ERROR_DIGITS)
    return block.put(errors, kind, digits=ERROR_DIGITS, shown=[ERROR_DIGITS])
