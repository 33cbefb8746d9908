"""The colour bar: the scale with a line at every contour level and numbers where they fit."""

from __future__ import annotations

import textwrap
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from lossviz.render.draw.signs import CHANCE_DASHES
from lossviz.render.paper.layout import PT, Box, label_size, stack_label
from lossviz.render.scene import Scene
from lossviz.render.values.key import Key
from lossviz.render.values.levels import TICKS_APART, spread_ticks
from lossviz.render.words.colours import colour_at, luminance

ARROW_EM = 0.9
BAR_LETTERS = 20  # of a line above a bar
BAR_LABEL_EM = 3.4  # how far right of the bar its label may reach


def draw_colour_bar(
    scene: Scene,
    figure: Figure,
    key: Key,
    box: Box,
    *,
    bands: bool = False,
    label: Literal["beside", "above"] = "beside",
) -> None:
    """Draw a bar whose axis is the position on the scale, 0 … 1; with ``bands`` in steps between levels.

    Its label stands upright beside it, or in lines above it, as far left of the paper's edge as the bar's numbers.
    """
    layout, style = scene.layout, scene.style
    k, ink = style.line_scale, style.theme.ink
    axes = figure.add_axes(box.fraction(layout.width, layout.height), gid="colour bar")
    positions = (np.arange(512) + 0.5) / 512
    colours = colour_at(key.colours, band_positions(key, positions) if bands else positions)
    axes.imshow(colours[:, None], extent=(0, 1, 0, 1), origin="lower", aspect="auto", interpolation="nearest")
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    line = 1.0 * style.small_pt * PT / box.height  # one line of type, as a share of the bar
    ticks = spread_ticks(key.ticks, key.scale, max(TICKS_APART, line))
    axes.set_yticks(key.scale.position(np.array(ticks)), [key.text(tick) for tick in ticks])
    axes.tick_params(axis="y", length=2 * k, labelsize=style.small_pt)
    if label == "beside":
        words = stack_label(key.label, box.height, style.font_pt * PT)
        axes.set_ylabel(words, labelpad=3 * k, fontsize=label_size(words, box.height, style.font_pt))
    else:
        tip = ARROW_EM * style.font_pt * PT * key.scale.clipped
        edge = layout.width - 0.3 * style.font_pt * PT
        parts = key.label.replace(" (", "\n(").split("\n")
        lines = [line for part in parts for line in textwrap.wrap(part, BAR_LETTERS)]
        axes.text(
            min(box.right + BAR_LABEL_EM * style.font_pt * PT, edge) / layout.width,
            (box.bottom + box.height + tip + 0.5 * style.font_pt * PT) / layout.height,
            "\n".join(lines),
            ha="right", va="bottom", fontsize=style.small_pt, color=ink, linespacing=1.15, gid="bar label",
            transform=figure.transFigure,
        )  # fmt: skip
    for level in key.levels:
        position = float(key.scale.position(level))
        white = luminance(colour_at(key.colours, position)) < 0.42
        axes.axhline(position, color="#ffffff" if white else "#14171c", alpha=0.7 if white else 0.45, lw=0.5 * k)
    if key.chance is not None:
        axes.axhline(float(key.scale.position(key.chance)), color="#14171c", lw=0.9 * k, ls=CHANCE_DASHES)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5 * k)
    tip = ARROW_EM * style.font_pt * PT / box.height
    for end, point in ((1.0, 1 + tip), (0.0, -tip)):
        if not key.scale.has_beyond(end):
            continue
        face = tuple(colour_at(key.colours, end))
        arrow = Polygon(
            [(0, end), (0.5, point), (1, end)], fc=face, ec=ink, lw=0.5 * k, clip_on=False, gid="clip arrow"
        )
        axes.add_patch(arrow)


def band_positions(key: Key, positions: np.ndarray) -> np.ndarray:
    """Each position moved to the middle of its band between neighbouring levels."""
    edges = np.unique(np.clip([0.0, *key.scale.position(np.array(key.levels, float)), 1.0], 0.0, 1.0))
    band = np.clip(np.searchsorted(edges, positions, side="right") - 1, 0, len(edges) - 2)
    return (edges[band] + edges[band + 1]) / 2
