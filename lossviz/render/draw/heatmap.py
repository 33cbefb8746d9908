"""Heat maps: every grid point as its own cell, in full, with nothing interpolated."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from lossviz.render.draw.map_axes import add_map_axes, finish_figure, finish_map
from lossviz.render.draw.signs import cell_patch, clip_pattern
from lossviz.render.scene import Scene
from lossviz.render.values.cells import Cell, cell_edges, cell_outlines
from lossviz.render.words.colours import colour_table


def draw_heatmap(scene: Scene, figure: Figure) -> None:
    """Draw every panel of a ``heatmap`` scene."""
    for index in range(len(scene.panels)):
        axes = add_map_axes(scene, figure, index)
        draw_cells(scene, axes, index)
        finish_map(scene, figure, axes, index, open_ends=True)
    finish_figure(scene, figure)


def draw_cells(scene: Scene, axes: Axes, index: int) -> None:
    """The cells of one panel on its axes, with a pattern over those that are clipped."""
    panel, key = scene.panels[index], scene.key_of(scene.panels[index])
    assert panel.y is not None
    edges_x, edges_y = cell_edges(panel.x, open_ends=True), cell_edges(panel.y, open_ends=True)
    position = np.ma.masked_array(key.scale.position(panel.z.filled(key.scale.low)), mask=np.ma.getmaskarray(panel.z))
    axes.pcolormesh(
        edges_x,
        edges_y,
        position,
        cmap=ListedColormap(colour_table(key.colours)),
        norm=Normalize(0, 1),
        rasterized=True,
        antialiased=False,
        zorder=0,
    )
    axes.set_xlim(edges_x[0], edges_x[-1])
    axes.set_ylim(edges_y[0], edges_y[-1])
    if panel.counts[Cell.CLIPPED]:
        outlines = cell_outlines(panel.x, panel.y, panel.kinds == Cell.CLIPPED, open_ends=True)
        axes.add_patch(cell_patch(outlines, Cell.CLIPPED, scene.style, pattern=clip_pattern(key)))
