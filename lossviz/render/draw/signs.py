"""Signs of a figure: marks on the plane, patterns of masked cells, and the legend that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from lossviz.render.draw.path_lines import path_handle
from lossviz.render.paper.layout import LEGEND_ROW_EM, PT
from lossviz.render.paper.legend import LegendEntry
from lossviz.render.scene import Scene
from lossviz.render.values.cells import HATCHES, Cell
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Mark
from lossviz.render.words.colours import colour_at, luminance
from lossviz.render.words.style import Style, Theme

FURTHER = {"checkpoint B": "s", "checkpoint C": "^"}  # markers of further checkpoints on the plane
CHANCE_DASHES = (0, (4, 2))
MEDIAN_PT, SEED_PT = 1.9, 0.55  # widths of the median of several seeds, and of one seed
RANGE_ALPHA, SEED_ALPHA = 0.22, 0.75
LIGHT_FAMILIES = ("#D55E00", "#0072B2", "#00583F", "#6B3F00")
DARK_FAMILIES = ("#ff7a3c", "#5a8ff0", "#4fd1a5", "#ffd966")


def family_colour(family: int, style: Style) -> str:
    """Colour of the median and range of a family of seeds."""
    colours = DARK_FAMILIES if style.theme.name == "dark" else LIGHT_FAMILIES
    return colours[family % len(colours)]


def mark_line(mark: Mark, x: float, y: float, style: Style, **line: Any) -> Line2D:
    """The sign of a mark at a place of the axes: a ringed disc for the trained parameters, a cross for the best."""
    k = style.line_scale
    if mark.kind == "trained":
        look: dict[str, Any] = {"marker": "o", "ms": 3.8 * k, "mfc": "#ffffff", "mec": "#14171c", "mew": 1.1 * k}
        halo = []
    elif mark.kind in FURTHER:
        look = {"marker": FURTHER[mark.kind], "ms": 3.8 * k, "mfc": "#ffffff", "mec": "#14171c", "mew": 1.1 * k}
        halo = []
    else:
        look = {"marker": "P", "ms": 4.4 * k, "mfc": "#14171c", "mec": "#ffffff", "mew": 0.6 * k}
        halo = [patheffects.withStroke(linewidth=1.4 * k, foreground="#ffffff")]
    return Line2D([x], [y], ls="none", path_effects=halo, gid=mark.kind, **{"zorder": 6, **look, **line})


def sample_look(style: Style) -> Any:
    """How evaluated points are dotted: dark with a light rim, so that they show on every colour."""
    k = style.line_scale
    look: dict[str, Any] = {
        "ls": "none",
        "marker": "o",
        "ms": 1.3 * k,
        "mew": 0.3 * k,
        "mfc": "#14171c",
        "mec": "#ffffff",
    }
    return {**look, "alpha": 0.75, "zorder": 1.9, "rasterized": True, "gid": "samples"}


def cell_patch(
    outlines: Sequence[np.ndarray], cell: Cell, style: Style, ground: Any = None, pattern: Any = None
) -> PathPatch:
    """The pattern of a kind of cells over the rectangles that cover them exactly."""
    path = Path.make_compound_path(*[Path([*box, box[0]], closed=True) for box in outlines])
    look = cell_look(cell, style, ground) | ({"edgecolor": pattern} if pattern else {})
    return PathPatch(path, zorder=1.6, gid=cell.name.lower(), **look)


def cell_look(cell: Cell, style: Style, ground: Any = None) -> dict[str, Any]:
    """Face, pattern and pattern colour of a kind of cells."""
    theme = style.theme
    faces = {Cell.NOT_EVALUATED: theme.paper, Cell.CLIPPED: ground or "none", Cell.BELOW: ground or "none"}
    return {
        "facecolor": faces.get(cell, theme.masked),
        "edgecolor": pattern_colour(cell, theme),
        "hatch": HATCHES[cell],
        "linewidth": 0,
    }


def clip_pattern(key: Key) -> Any:
    """Colour of the dots on clipped values: what can be seen on the top of the map."""
    return (1.0, 1.0, 1.0, 0.6) if luminance(colour_at(key.colours, 1.0)) < 0.42 else (0.0, 0.0, 0.0, 0.45)


def pattern_colour(cell: Cell, theme: Theme) -> Any:
    """Colour of a kind's pattern: on map colours it follows them, elsewhere the theme."""
    if cell == Cell.BELOW:
        return (1.0, 1.0, 1.0, 0.75)
    return (*to_rgba(theme.muted)[:3], 0.45) if cell == Cell.NOT_EVALUATED else theme.hatch


def draw_legend(scene: Scene, figure: Figure, curves: Mapping[int, Artist] = MappingProxyType({})) -> None:
    """Draw the legend rows and, where wanted, the footer."""
    layout, style = scene.layout, scene.style
    em = style.font_pt * PT
    box = layout.legend
    for number, row in enumerate(scene.legend):
        figure.legend(
            [sign_of(scene, entry, curves) for entry in row],
            [entry.text for entry in row],
            loc="upper left",
            bbox_to_anchor=(
                box.left / layout.width,
                (box.bottom + box.height - number * LEGEND_ROW_EM * em) / layout.height,
            ),
            ncols=len(row),
            fontsize=style.small_pt,
            labelcolor=style.theme.ink,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=1.6,
            handletextpad=0.6,
            columnspacing=1.4,
            labelspacing=0.45,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
        )
    if scene.footer:
        text = "\n".join(scene.footer)
        left, bottom = 0.3 * em / layout.width, 0.25 * em / layout.height
        figure.text(left, bottom, text, fontsize=style.label_pt, color=style.theme.muted, va="bottom", linespacing=1.35)


def sign_of(scene: Scene, entry: LegendEntry, curves: Mapping[int, Artist] = MappingProxyType({})) -> Any:
    """The artist that stands for an entry in a legend."""
    style, k = scene.style, scene.style.line_scale
    if entry.sign in ("trained", "minimum", "maximum", *FURTHER):
        return mark_line(Mark(entry.sign, 0, 0, 0), 0, 0, style)  # type: ignore[arg-type]
    if entry.sign == "chance":
        return Line2D([], [], color=style.theme.ink, lw=0.9 * k, ls=(0, (4.6, 2.2, 4.6, 20)))  # two whole dashes
    if entry.path is not None:
        return path_handle(entry.sign, entry.path, style)
    if entry.sign == "more":
        return Line2D([], [], ls="none")
    if entry.sign == "samples":
        return Line2D([0], [0], **sample_look(style))
    if entry.sign == "curve":
        assert entry.curve is not None
        return curves[entry.curve]
    if entry.sign == "seed":
        return Line2D([0, 1], [0, 0], color=style.theme.muted, lw=SEED_PT * k, alpha=SEED_ALPHA)
    if entry.sign == "median":
        return Line2D([0, 1], [0, 0], color=family_colour(entry.family, style), lw=MEDIAN_PT * k)
    if entry.sign == "range":
        return Patch(facecolor=family_colour(0, style), alpha=RANGE_ALPHA, linewidth=0)
    if entry.sign == "band":
        return Patch(facecolor=style.theme.muted, alpha=0.35, linewidth=0)
    assert entry.cell is not None
    if entry.cell != Cell.CLIPPED:
        return Patch(**cell_look(entry.cell, style, tuple(colour_at(scene.keys[0].colours, 0.0))))
    patches = [_clip_patch(key, end, style) for key, end in _clipped_ends(scene)]
    return patches[0] if len(patches) == 1 else tuple(patches)


def _clipped_ends(scene: Scene) -> list[tuple[Key, float]]:
    """The ends of the scale, 0 or 1, beyond which values of the panels are clipped."""
    key = next(key for key in scene.keys if key.scale.clipped)
    values = np.concatenate([panel.z.compressed() for panel in scene.panels if scene.key_of(panel) is key])
    beyond = ((0.0, key.scale.symmetric and (values < key.scale.low).any()), (1.0, (values > key.scale.high).any()))
    return [(key, end) for end, there in beyond if there] or [(key, 1.0)]


def _clip_patch(key: Key, end: float, style: Style) -> Patch:
    look = cell_look(Cell.CLIPPED, style, tuple(colour_at(key.colours, end)))
    return Patch(**look | {"edgecolor": clip_pattern(key)})
