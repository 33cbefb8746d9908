"""Profiles: a quantity along one axis, with its standard error, and spans without a value named for what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lossviz.records.interpolation import interpolate, refine
from lossviz.render.draw.signs import (
    CHANCE_DASHES,
    MEDIAN_PT,
    RANGE_ALPHA,
    SEED_ALPHA,
    SEED_PT,
    cell_look,
    draw_legend,
    family_colour,
    mark_line,
)
from lossviz.render.draw.title import draw_title
from lossviz.render.paper.layout import GAP_EM, PT, stack_label
from lossviz.render.scene import Scene
from lossviz.render.values.cells import Cell, cell_edges, has_value
from lossviz.render.values.key import Key
from lossviz.render.values.levels import TICKS_APART, spread_ticks
from lossviz.render.values.panel import Panel
from lossviz.render.values.scale import Scale
from lossviz.render.values.seeds import Band
from lossviz.render.words.quantity import format_coordinate
from lossviz.render.words.style import Style

LIGHT_COLOURS = ("#111111", "#D55E00", "#0072B2", "#00583F", "#E69F00", "#6B3F00")
DARK_COLOURS = ("#f2f3f7", "#ff7a3c", "#5a8ff0", "#4fd1a5", "#ffd966", "#8f6f52")
DASHES = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MANY_POINTS = 60
ON_AXES = "axes"  # the style of a scene that is drawn on axes which exist
PAD = 0.05


def draw_lines(scene: Scene, figure: Figure) -> None:
    """Draw every group of curves of a ``line`` scene."""
    layout = scene.layout
    curves: dict[int, Artist] = {}  # by the panel's index
    for index in range(len(scene.groups)):
        axes = figure.add_axes(layout.panels[index].fraction(layout.width, layout.height), gid=f"panel {index}")
        curves |= draw_profiles(scene, axes, index)
    draw_legend(scene, figure, curves)


def draw_profiles(scene: Scene, axes: Axes, index: int) -> dict[int, Artist]:
    """The curves of one group on its axes; the artist of each by its panel's index."""
    panels = [scene.panels[i] for i in scene.groups[index]]
    key = scene.key_of(panels[0])
    if scene.style.name != ON_AXES:
        _set_axes(scene, axes, panels, key, index)
    curves: dict[int, Artist] = {}
    for i in scene.groups[index]:
        _draw_holes(axes, scene.panels[i], scene)
        curves[i] = _draw_curve(axes, scene.panels[i], key, scene)
    for band in scene.bands:
        if band.group == index:
            _draw_seeds(axes, band, key, scene.style)
    if key.chance is not None:
        axes.axhline(
            float(key.scale.forward(key.chance)), color=scene.style.theme.ink, ls=CHANCE_DASHES, lw=0.8, zorder=1
        )
    _draw_marks(axes, panels, key, scene)
    return curves


def curve_colour(scene: Scene, panel: Panel) -> str:
    """One colour for each surface; on axes of the user's, those of their own cycle."""
    if scene.style.name == ON_AXES:
        cycle = rcParams["axes.prop_cycle"].by_key().get("color", LIGHT_COLOURS)
        return cycle[panel.view.source % len(cycle)]
    colours = DARK_COLOURS if scene.style.theme.name == "dark" else LIGHT_COLOURS
    return colours[panel.view.source % len(colours)]


def display_limits(key: Key) -> tuple[float, float]:
    """Ends of the value axis, in display units."""
    low, high = key.scale.display_ends
    pad = PAD * (high - low)
    return low - pad * (key.ends.low is None), high + pad * (key.ends.high is None)


def _set_axes(scene: Scene, axes: Axes, panels: list[Panel], key: Key, index: int) -> None:
    axes.set_xlim(min(p.x[0] for p in panels), max(p.x[-1] for p in panels))
    axes.set_ylim(*display_limits(key))
    line = scene.style.small_pt * PT / scene.layout.panels[index].height  # one line of type
    ticks = spread_ticks(key.ticks, key.scale, max(TICKS_APART, 1.1 * line))
    axes.set_yticks(key.scale.forward(np.array(ticks)), [key.text(tick) for tick in ticks])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_coordinate(value)))
    em, box = scene.style.font_pt * PT, scene.layout.panels[index]
    axes.set_xlabel(stack_label(panels[0].x_label, box.width + GAP_EM * em, em))
    same = index % scene.layout.columns and scene.panels[scene.groups[index - 1][0]].key == panels[0].key
    if same:
        axes.set_yticklabels([])
    else:
        axes.set_ylabel(stack_label(key.label, box.height, em))
    if len(scene.groups) > 1:
        draw_title(axes, panels[0].view.fixed_text() or panels[0].title, box.width, scene.style)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_curve(axes: Axes, panel: Panel, key: Key, scene: Scene) -> Artist:
    k, colour = scene.style.line_scale, curve_colour(scene, panel)
    width = rcParams["lines.linewidth"] if scene.style.name == ON_AXES else 1.2 * k
    names = list(dict.fromkeys(p.view.name for p in scene.panels))
    round_ = panel.view.source // len(LIGHT_COLOURS)  # of the colours, which begin again
    dashes = DASHES[(names.index(panel.view.name) + round_ * len(names)) % len(DASHES)]
    x, display = curve_points(panel, key.scale, smooth=scene.smooth)
    if scene.bands:  # one seed of several
        look: dict[str, Any] = {"color": scene.style.theme.muted, "lw": SEED_PT * k, "alpha": SEED_ALPHA}
        return axes.plot(x, display, zorder=2.4, gid="curve", **look)[0]
    _draw_band(axes, panel, key, colour)
    (line,) = axes.plot(x, display, color=colour, lw=width, ls=dashes, zorder=3, gid="curve", solid_capstyle="round")
    if len(panel.x) <= MANY_POINTS or scene.samples or panel.guessed.any():
        known = has_value(panel.kinds)
        axes.plot(
            panel.x[known],
            key.scale.forward(panel.z[known].filled(np.nan)),
            ls="none",
            marker="o",
            ms=(2.0 if len(panel.x) <= MANY_POINTS else 1.0) * k,
            mew=0,
            color=colour,
            zorder=3.1,
            gid="samples",
        )
    return line


def curve_points(panel: Panel, scale: Scale, *, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and display values of a curve, NaN in the gaps between its runs of finite points."""
    known = (has_value(panel.kinds) & (panel.kinds != Cell.BELOW)) | panel.guessed
    values = np.where(panel.guessed, panel.guesses, panel.z.filled(np.nan))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    pieces = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        x, display = panel.x[first:last], scale.forward(values[first:last])
        if smooth and len(x) > 1:
            fine = np.union1d(refine(x, 8 * len(x)), x)
            x, display = fine, interpolate(panel.x[first:last], display, fine)
        pieces += [np.stack([x, display]), np.full((2, 1), np.nan)]
    joined = np.concatenate(pieces, axis=1) if pieces else np.zeros((2, 0))
    return joined[0], joined[1]


def _draw_band(axes: Axes, panel: Panel, key: Key, colour: str) -> None:
    known = has_value(panel.kinds) & (panel.stderr > 0)
    if not known.any():
        return
    value, error = panel.z.filled(np.nan), 2 * panel.stderr
    with np.errstate(invalid="ignore"):
        low, high = (
            key.scale.forward(np.where(known, value - error, np.nan)),
            key.scale.forward(np.where(known, value + error, np.nan)),
        )
    low = np.where(known & ~np.isfinite(low), display_limits(key)[0], low)  # a band that reaches 0 on a log scale
    axes.fill_between(panel.x, low, high, where=known, color=colour, alpha=0.22, lw=0, zorder=2, gid="band")


def _draw_seeds(axes: Axes, band: Band, key: Key, style: Style) -> None:
    colour, (bottom, top) = family_colour(band.family, style), display_limits(key)
    low, high = (np.clip(key.scale.forward(values), bottom, top) for values in (band.low, band.high))
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(band.x, low, high, where=known, color=colour, alpha=RANGE_ALPHA, lw=0, zorder=2.2, gid="range")
    median = key.scale.forward(band.median)
    x = band.x
    if np.isfinite(median).all():
        x = np.union1d(refine(band.x, 8 * len(band.x)), band.x)
        median = interpolate(band.x, median, x)
    median = np.where(np.isfinite(median), median, np.nan)
    axes.plot(x, median, color=colour, lw=MEDIAN_PT * style.line_scale, zorder=3.2, gid="median")


def _draw_holes(axes: Axes, panel: Panel, scene: Scene) -> None:
    edges = cell_edges(panel.x)
    for cell in (Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN, Cell.NOT_EVALUATED, Cell.BELOW):
        for i in np.flatnonzero((panel.kinds == cell) & ~panel.guessed):
            look = cell_look(cell, scene.style) | ({"facecolor": "none"} if cell == Cell.BELOW else {})
            span = Rectangle((edges[i], 0), edges[i + 1] - edges[i], 1, transform=axes.get_xaxis_transform())
            span.set(zorder=0.5, **look)
            axes.add_patch(span)


def _draw_marks(axes: Axes, panels: list[Panel], key: Key, scene: Scene) -> None:
    for panel in panels:
        for mark in panel.marks:
            of_checkpoint = mark.kind not in ("minimum", "maximum") and np.isfinite(mark.value)
            if of_checkpoint and (key.scale.kind != "log" or mark.value > 0):
                axes.add_line(mark_line(mark, mark.x, float(key.scale.forward(mark.value)), scene.style, clip_on=False))
