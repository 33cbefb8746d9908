"""Where the parts of a moving picture lie: title and words on top, map and surface side by side, the strip beneath."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossviz.render.draw.relief import shown_bounds
from lossviz.render.paper.layout import LEGEND_ROW_EM, PT, Box, Layout, relief_height
from lossviz.render.paper.legend import arrange
from lossviz.render.paper.sheet import strip_height
from lossviz.render.scene import Scene
from lossviz.render.words.style import Style

FILM = Style("film", 9.6, 10.0, dpi=100)
FILM_WIDTH_IN, FLIGHT_WIDTH_IN = 9.6, 7.2
HEAD_EM = 5.4  # title, and a line of words
TALLEST_EM = 28.0  # map and surface
MAP_SHARE = 0.36
SEQUENCE_EM = 5.0  # strip of a sequence


def lay_out_film(plane: Scene, surface: Scene, subject: str) -> tuple[Scene, Scene, Box | None]:
    """Put a map and a surface on one paper; both scenes get the same layout but for their panels.

    Returns:
        The map, the surface, and the box of a sequence's strip.
    """
    style = plane.style
    em = style.font_pt * PT
    width = FILM_WIDTH_IN
    panel = plane.panels[0]
    assert panel.y is not None
    legend = arrange([entry for row in surface.legend for entry in row], width / em - 5)
    strip_em = 0.85 * strip_height(panel.paths) if subject == "path" else SEQUENCE_EM * (len(plane.panels) > 1)
    # 1. from the foot: legend, strip with its labels, panels, words
    legend_height = (len(legend) * LEGEND_ROW_EM + 0.5) * em
    strip_bottom = legend_height + 3.2 * em
    panels_bottom = (strip_bottom + (strip_em + 1.9) * em if strip_em else legend_height) + 3.6 * em
    left = 5.2 * em
    bar_room = (3.0 + 0.62 * max(3, *map(len, plane.keys[0].tick_texts or ("",)))) * em + 0.6 * em
    map_width, map_height = _fit(float(np.ptp(panel.y) / np.ptp(panel.x)), MAP_SHARE * width, TALLEST_EM * em)
    free = width - left - map_width - bar_room
    margins = surface.layout.margins
    tall, below = relief_height(shown_bounds(surface), em, margins), margins[2] * em
    tallest = TALLEST_EM * em + below
    wide = free if tall(free) <= tallest else _inverse(tall, tallest)
    panels_height = max(map_height, tall(wide) - below)
    height = _even(panels_bottom + panels_height + HEAD_EM * em, style.dpi)
    # 2. the boxes
    box = Box(left, panels_bottom + (panels_height - map_height) / 2, map_width, map_height)
    relief = Box(
        width - 0.5 * em - wide - (free - wide) / 2,
        panels_bottom - below + (panels_height + below - tall(wide)) / 2,
        wide,
        tall(wide),
    )
    bar = Box(box.right + 0.9 * em, box.bottom, 0.95 * em, map_height)
    strip = Box(left, strip_bottom, width - left - 1.2 * em, strip_em * em) if strip_em else None
    legend_box = Box(left, 0.3 * em, width - left, len(legend) * LEGEND_ROW_EM * em)

    def layout(panel_box: Box, bar_box: Box | None, under: Box | None) -> Layout:
        return Layout(width, height, (panel_box,), (bar_box,), 1, 1, legend_box, (under,), margins)

    under = strip if subject == "path" else None
    plane = replace(plane, layout=layout(box, bar, under), legend=legend)
    surface = replace(surface, layout=layout(relief, None, None), legend=())
    return plane, surface, None if subject == "path" else strip


def flight_layout(scene: Scene) -> Scene:
    """Put surfaces side by side under a title, with their colour bar and legend."""
    em = scene.style.font_pt * PT
    count = len(scene.panels)
    width = FLIGHT_WIDTH_IN if count == 1 else FILM_WIDTH_IN
    legend = arrange([entry for row in scene.legend for entry in row], width / em - 5)
    foot = (len(legend) * LEGEND_ROW_EM + 0.6) * em
    bar_room = (4.0 + 0.62 * max(3, *map(len, scene.keys[0].tick_texts or ("",)))) * em
    wide = (width - bar_room - 0.6 * em) / count
    tall = relief_height(shown_bounds(scene), em, scene.layout.margins)(wide)
    height = _even(foot + tall + 3.2 * em, scene.style.dpi)
    boxes = tuple(Box(0.3 * em + i * wide, foot, wide, tall) for i in range(count))
    bar = Box(width - bar_room + 0.6 * em, foot + 0.1 * tall, 0.95 * em, 0.8 * tall)
    bars = (*[None] * (count - 1), bar)
    legend_box = Box(1.5 * em, 0.3 * em, width, len(legend) * LEGEND_ROW_EM * em)
    layout = Layout(width, height, boxes, bars, 1, count, legend_box, (None,) * count, scene.layout.margins)
    return replace(scene, layout=layout, legend=legend)


def _fit(aspect: float, width: float, height: float) -> tuple[float, float]:
    aspect = min(max(aspect, 0.3), 3.0)
    return (width, width * aspect) if width * aspect <= height else (height / aspect, height)


def _inverse(tall, height: float) -> float:
    # the height of a surface is linear in its width
    a, b = tall(1.0), tall(2.0)
    return (height - a) / (b - a) + 1.0


def _even(inches: float, dpi: int) -> float:
    """A height of an even number of dots, which films need."""
    return 2 * np.ceil(inches * dpi / 2) / dpi
