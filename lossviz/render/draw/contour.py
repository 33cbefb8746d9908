"""Contour maps: the values as colours, named lines at the levels, and numbers on the lines."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.path import Path

from lossviz.render.draw.colour_bar import band_positions
from lossviz.render.draw.labels import place_labels
from lossviz.render.draw.map_axes import add_map_axes, finish_figure, finish_map, place_map
from lossviz.render.draw.path_lines import path_places
from lossviz.render.draw.signs import CHANCE_DASHES, clip_pattern
from lossviz.render.scene import Scene
from lossviz.render.values.cells import Cell, has_value
from lossviz.render.values.field import Field
from lossviz.render.values.key import Key
from lossviz.render.values.levels import is_major
from lossviz.render.values.panel import Panel
from lossviz.render.values.uncertainty import ribbon
from lossviz.render.words.colours import DARK_GROUND, colour_at, luminance

MM_PER_INCH = 25.4
APART_MM = 1.0  # between places of a path that numbers keep clear of
RIBBON = 0.3  # opacity
TABLE = 4096  # colours looked up


def draw_contours(scene: Scene, figure: Figure) -> None:
    """Draw every panel of a ``contour`` or ``filled`` scene."""
    for index, panel in enumerate(scene.panels):
        axes = add_map_axes(scene, figure, index)
        lines = draw_contour_panel(scene, axes, index, numbers=False)
        finish_map(scene, figure, axes, index, bands=scene.easel.bands)
        if lines is not None:
            _draw_numbers(axes, panel, scene.key_of(panel), scene, lines)
    finish_figure(scene, figure)


def draw_contour_panel(scene: Scene, axes: Axes, index: int, *, numbers: bool = True) -> ContourSet | None:
    """Colours, clipped regions, ribbons and lines of one panel on its axes; its lines, None where there are none."""
    panel, key = scene.panels[index], scene.key_of(scene.panels[index])
    assert panel.field is not None
    draw_colours(axes, panel.field, key, bands=scene.easel.bands, smooth=scene.smooth)
    _draw_clipped(axes, panel.field, key)
    if scene.errors:
        _draw_ribbons(axes, panel, key, scene.errors[index])
    lines = _draw_lines(axes, panel, key, scene)
    if lines is not None and numbers:
        _draw_numbers(axes, panel, key, scene, lines)
    return lines


def draw_colours(axes: Axes, field: Field, key: Key, *, bands: bool, smooth: bool) -> None:
    """The colour of every fine point, transparent where there is none; with ``bands`` one between two levels."""
    position = key.scale.place(field.display)
    place = band_positions(key, position) if bands else position
    table = np.full((TABLE, 4), 255, np.uint8)  # finer than 8 bits a colour can show
    table[:, :3] = np.rint(255 * colour_at(key.colours, np.linspace(0, 1, TABLE)))
    image = table[np.rint(place * (TABLE - 1)).astype(np.int32)]
    image[~has_value(field.kinds), 3] = 0
    half_x, half_y = (field.x[1] - field.x[0]) / 2, (field.y[1] - field.y[0]) / 2
    axes.imshow(
        image,
        extent=(field.x[0] - half_x, field.x[-1] + half_x, field.y[0] - half_y, field.y[-1] + half_y),
        origin="lower",
        interpolation="bilinear" if smooth and not bands else "nearest",
        aspect="auto",
        zorder=0,
        gid="colours",
    )
    # imshow takes the limits of its image
    axes.set_xlim(field.x[0], field.x[-1])
    axes.set_ylim(field.y[0], field.y[-1])


def line_colour(key: Key, level: float) -> tuple[float, float, float, float]:
    """White on dark map colours, ink on light ones."""
    dark = luminance(colour_at(key.colours, key.scale.position(level))) < DARK_GROUND
    return (1.0, 1.0, 1.0, 0.8) if dark else (0.07, 0.08, 0.11, 0.6)


def _draw_ribbons(axes: Axes, panel: Panel, key: Key, errors: np.ndarray) -> None:
    assert panel.field is not None
    for level in key.levels:
        where = np.ma.masked_invalid(ribbon(panel, errors, level, key.scale))
        if where.count() and where.min() < 0:
            colour = line_colour(key, level)[:3]
            region = axes.contourf(
                panel.field.x, panel.field.y, where, [-1.5, 0.0], colors=[colour], alpha=RIBBON, zorder=1.8
            )
            region.set_gid("ribbon")


def _connected(path: Path) -> list[np.ndarray]:
    """Vertices of each connected piece of a contour path."""
    if path.codes is None:
        return [np.asarray(path.vertices)]
    return np.split(np.asarray(path.vertices), np.flatnonzero(path.codes == Path.MOVETO)[1:])


def _draw_lines(axes: Axes, panel: Panel, key: Key, scene: Scene) -> ContourSet | None:
    field, k = panel.field, scene.style.line_scale
    assert field is not None
    x, y, display = _line_data(panel, key, scene)
    low, high = (float(display.min()), float(display.max())) if display.count() else (0.0, 0.0)
    inside = [level for level in key.levels if low < float(key.scale.forward(level)) < high]
    if key.chance is not None and low < float(key.scale.forward(key.chance)) < high:
        at = [float(key.scale.forward(key.chance))]
        axes.contour(
            x, y, display, at, colors=[(0.07, 0.08, 0.11)], linewidths=0.9 * k, linestyles=[CHANCE_DASHES], zorder=2.2
        )
    if not inside:
        return None
    return axes.contour(
        x,
        y,
        display,
        key.scale.forward(np.array(inside)),
        colors=[line_colour(key, level) for level in inside],
        linewidths=[(0.9 if is_major(level, key.scale) else 0.55) * k for level in inside],
        linestyles="solid",
        zorder=2,
    )


def _line_data(panel: Panel, key: Key, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ma.MaskedArray]:
    # without smoothing the lines run straight between the samples themselves
    if scene.smooth:
        assert panel.field is not None
        return panel.field.x, panel.field.y, panel.field.masked
    assert panel.y is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        display = key.scale.forward(panel.z.filled(np.nan))
    return panel.x, panel.y, np.ma.masked_array(display, mask=panel.kinds != Cell.FINITE)


def _draw_clipped(axes: Axes, field: Field, key: Key) -> None:
    clipped = field.kinds == Cell.CLIPPED
    if not clipped.any():
        return
    low, high = key.scale.display_ends
    display = np.ma.masked_array(field.display, mask=~np.isin(field.kinds, (Cell.FINITE, Cell.CLIPPED)))
    ends = [[high, float(display.max()) + 1.0], [float(display.min()) - 1.0, low]][: 1 + key.scale.symmetric]
    for between in ends:
        if between[0] < between[1]:
            region = axes.contourf(field.x, field.y, display, between, colors="none", hatches=["...."], zorder=1.5)
            region.set_edgecolor(clip_pattern(key))
            region.set_linewidth(0)


def _occupied(panel: Panel, scale: np.ndarray) -> list[tuple[float, float]]:
    """Places that no number may cover: marks, and paths; ``scale`` is in millimetres on paper per coordinate."""
    marks = [(mark.x, mark.y) for mark in panel.marks]
    paths = [path_places(path, scale, APART_MM) for path in panel.paths]
    return [tuple(place) for place in np.concatenate([np.reshape(marks, (-1, 2)), *paths]).tolist()]


def _draw_numbers(axes: Axes, panel: Panel, key: Key, scene: Scene, lines: ContourSet) -> None:
    # 1. every connected line in millimetres on paper
    box, style = place_map(scene.layout.panels[scene.panels.index(panel)], panel), scene.style
    assert panel.y is not None
    scale = np.array([box.width / np.ptp(panel.x), box.height / np.ptp(panel.y)]) * MM_PER_INCH
    start = np.array([panel.x[0], panel.y[0]])
    pieces = [
        (float(level), (part - start) * scale)
        for level, path in zip(lines.levels, lines.get_paths(), strict=True)
        for part in _connected(path)
        if len(part) > 7
    ]
    # 2. where their numbers fit
    em = style.label_pt / 72 * MM_PER_INCH
    texts = {level: key.text(float(key.scale.inverse(level))) for level in lines.levels}
    labels = place_labels(
        pieces,
        [0.62 * em * len(texts[level]) + 0.6 * em for level, _ in pieces],
        (0.0, box.width * MM_PER_INCH, 0.0, box.height * MM_PER_INCH),
        avoid=[tuple((np.array(place) - start) * scale) for place in _occupied(panel, scale)],
        zoom=style.line_scale,
    )
    if not labels:
        return
    # 3. the numbers, each in a gap of its line
    places = [tuple(np.array([label.x, label.y]) / scale + start) for label in labels]
    numbers = axes.clabel(lines, fmt=texts, fontsize=style.label_pt, inline=True, inline_spacing=1.2, manual=places)
    for number in numbers:
        number.set_alpha(1.0)
        number.set_gid("level")
