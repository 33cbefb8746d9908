"""The frame of a map: axes at their place on the paper, ticks, labels, masked cells and marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lossviz.render.draw.colour_bar import draw_colour_bar
from lossviz.render.draw.path_lines import draw_paths
from lossviz.render.draw.signs import cell_patch, draw_legend, mark_line, sample_look
from lossviz.render.draw.strip import draw_strip
from lossviz.render.draw.title import draw_title
from lossviz.render.paper.layout import GAP_EM, PT, Box, label_size, map_height, stack_label
from lossviz.render.scene import Scene
from lossviz.render.values.cells import Cell, cell_outlines
from lossviz.render.values.panel import Panel, axes_agree
from lossviz.render.words.colours import colour_at
from lossviz.render.words.quantity import format_coordinate

NUMBER_EM = 3.4  # room for a number on the x axis
OUTLINED = (Cell.BELOW, Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN, Cell.NOT_EVALUATED)


def add_map_axes(scene: Scene, figure: Figure, index: int) -> Axes:
    """Axes for one panel at its own aspect; inner tick labels are left out where all panels have the same axis."""
    layout, panel = scene.layout, scene.panels[index]
    assert panel.y is not None
    box = place_map(layout.panels[index], panel)
    axes = figure.add_axes(box.fraction(layout.width, layout.height), gid=f"panel {index}")
    axes.set_xlim(panel.x[0], panel.x[-1])
    axes.set_ylim(panel.y[0], panel.y[-1])
    em = scene.style.font_pt * PT
    room = box.width + 0.7 * GAP_EM * em
    draw_title(axes, panel.title, room, scene.style)
    same_x, same_y = axes_agree(scene.panels)
    last_row = bool(layout.strips[index]) or not same_x or index + layout.columns >= len(scene.panels)
    first_column = not same_y or index % layout.columns == 0
    fitting = max(
        2, min(5, int(box.width / (NUMBER_EM * em)))
    )  # numbers side by side need room, one above another less
    for axis, outer, most in ((axes.xaxis, last_row, fitting), (axes.yaxis, first_column, 5)):
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_coordinate(value)))
        axis.set_tick_params(labelbottom=outer, labelleft=outer)
    if last_row:
        room = box.width + GAP_EM * em
        label = stack_label(panel.x_label, room, em)
        axes.set_xlabel(label, fontsize=label_size(label, room, scene.style.font_pt))
    if first_column:
        room = layout.panels[index].height
        label = stack_label(panel.y_label, room, em)
        axes.set_ylabel(label, fontsize=label_size(label, room, scene.style.font_pt))
    return axes


def place_map(box: Box, panel: Panel) -> Box:
    """The top of a panel's box, as high as a map of equal units along both axes is."""
    height = min(box.height, map_height(panel.aspect)(box.width))
    return replace(box, bottom=box.bottom + box.height - height, height=height)


def finish_map(
    scene: Scene, figure: Figure, axes: Axes, index: int, *, open_ends: bool = False, bands: bool = False
) -> None:
    """Patterns over cells without a value, grid points, marks, paths, and the panel's colour bar."""
    draw_marks(scene, axes, index, open_ends=open_ends)
    panel, style = scene.panels[index], scene.style
    key = scene.key_of(panel)
    if strip := scene.layout.strips[index]:
        draw_strip(figure, scene.layout, strip, panel, key, style, [p for p in scene.panels if p.key == panel.key])
    bar = scene.layout.bars[index]
    if bar and panel_has_values(scene, panel):
        draw_colour_bar(scene, figure, key, bar, bands=bands)


def draw_marks(scene: Scene, axes: Axes, index: int, *, open_ends: bool = False) -> None:
    """Patterns over cells without a value, grid points, marks and paths of one panel."""
    panel, style = scene.panels[index], scene.style
    assert panel.y is not None
    key = scene.key_of(panel)
    for cell in OUTLINED:
        where = (panel.kinds == cell) & ~panel.guessed
        if where.any():
            outlines = cell_outlines(panel.x, panel.y, where, open_ends=open_ends)
            axes.add_patch(cell_patch(outlines, cell, style, tuple(colour_at(key.colours, 0.0))))
    if scene.samples or panel.guessed.any():
        x, y = np.meshgrid(panel.x, panel.y)
        shown = panel.kinds != Cell.NOT_EVALUATED
        axes.plot(x[shown], y[shown], **sample_look(style))
    for mark in panel.shown_marks:
        axes.add_line(mark_line(mark, mark.x, mark.y, style, clip_on=False))
    if panel.paths:
        draw_paths(axes, panel.paths, style, place_map(scene.layout.panels[index], panel))


def finish_figure(scene: Scene, figure: Figure) -> None:
    """The legend under all panels."""
    draw_legend(scene, figure)


def panel_has_values(scene: Scene, panel: Panel) -> bool:
    """Whether any panel on this one's key has a finite value, so that a bar has something to say."""
    return any(other.extremes is not None for other in scene.panels if other.key == panel.key)
