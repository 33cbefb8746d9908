"""The still picture of an interactive page, for readers without WebGL or scripts: in few colours, the bar's own."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lossviz.render.scene import Scene
from lossviz.render.words.colours import colour_table

DPI, LARGEST_BYTES = 80, 32_000
MAP_COLOURS, GREYS = 36, 9


def draw_still(scene: Scene, still: Callable[[Scene], Figure]) -> str:
    """A figure of a scene's first panels as the address of a PNG."""
    buffer = io.BytesIO()
    legend = tuple(tuple(entry for entry in row if entry.sign != "lifted") for row in scene.legend)  # a flat map
    first = replace(scene, panels=scene.panels[: len(scene.layout.panels)], legend=legend)
    still(first).savefig(buffer, format="png", dpi=DPI)
    buffer.seek(0)
    colours = palette(scene)
    with Image.open(buffer) as image:
        whole = image.convert("RGB")
    small = _in_colours(whole, colours)
    if len(small) > LARGEST_BYTES:  # noise, which no pixel less would show
        small = _in_colours(whole.resize((whole.width * 4 // 5, whole.height * 4 // 5)), colours)
    return "data:image/png;base64," + base64.b64encode(small).decode()


def palette(scene: Scene) -> np.ndarray:
    """At most 256 colours, (n, 3) of 0 … 255: of the colour bars in even steps, of the ground and of the paths.

    Colours that a picture's own statistics choose would be others than the bar's where a surface is nearly level.
    """
    theme = scene.style.theme
    paths = [c for panel in scene.panels for path in panel.paths for c in (path.colour, path.casing)]
    signs = [theme.path, theme.muted, theme.masked, theme.hatch, "#ffffff", "#14171c", "#f0e442"]
    names = dict.fromkeys([*signs, *paths])
    grey = np.linspace(to_rgb(theme.paper), to_rgb(theme.ink), GREYS)
    bars = [colour_table(name) for name in dict.fromkeys(key.colours for key in scene.keys)]
    maps = [table[np.linspace(0, len(table) - 1, MAP_COLOURS).round().astype(int), :3] for table in bars]
    return np.rint(255 * np.concatenate([*maps, grey, [to_rgb(name) for name in names]]))[:256].astype(np.uint8)


def _in_colours(image: Image.Image, colours: np.ndarray) -> bytes:
    table = Image.new("P", (1, 1))
    table.putpalette(np.resize(colours, (256, 3)).tobytes())
    small = io.BytesIO()
    image.quantize(palette=table, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
