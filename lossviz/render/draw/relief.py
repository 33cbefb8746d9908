"""Surfaces in three dimensions: the shaded height field over its own unlit map, with true axes drawn as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossviz.render.draw.colour_bar import draw_colour_bar
from lossviz.render.draw.height_field import GBuffer, trace
from lossviz.render.draw.lifted import draw_lifted, visible_runs
from lossviz.render.draw.lighting import Light, make_light
from lossviz.render.draw.map_axes import panel_has_values
from lossviz.render.draw.shading import Ink, shade
from lossviz.render.draw.signs import CHANCE_DASHES, draw_legend, mark_line, sample_look
from lossviz.render.draw.strip import draw_strip
from lossviz.render.draw.title import draw_title
from lossviz.render.paper.layout import LETTER_EM, PT, Box
from lossviz.render.scene import Scene
from lossviz.render.values.camera import common_bounds, picture_bounds
from lossviz.render.values.cells import Cell
from lossviz.render.values.key import Key
from lossviz.render.values.levels import even_decades, spread_ticks
from lossviz.render.values.panel import Panel
from lossviz.render.values.terrain import Terrain
from lossviz.render.words.quantity import format_coordinate

OVERSAMPLE = 2
MOST_COLUMNS = 3600
STEEPEST = 62.0  # degrees of elevation above which heights are too foreshortened for an axis


def draw_relief(scene: Scene, figure: Figure) -> None:
    """Draw every panel of a ``surface`` scene."""
    for index, panel in enumerate(scene.panels):
        Relief(scene, figure, index).draw()
        if strip := scene.layout.strips[index]:
            beside = [other for other in scene.panels if other.key == panel.key]
            draw_strip(figure, scene.layout, strip, panel, scene.key_of(panel), scene.style, beside)
        bar = scene.layout.bars[index]
        if bar and panel_has_values(scene, panel):
            middle = Box(bar.left, bar.bottom + 0.22 * bar.height, bar.width, 0.56 * bar.height)
            draw_colour_bar(scene, figure, scene.key_of(panel), middle, label="above")
    draw_legend(scene, figure)


def picture_columns(scene: Scene) -> int:
    """Width of the rendered picture in pixels of the finished file."""
    left, right, _, _ = scene.layout.margins
    inches = scene.layout.panels[0].width - (left + right) * scene.style.font_pt * PT
    return int(min(MOST_COLUMNS / OVERSAMPLE, max(64, round(inches * scene.style.dpi))))


def render_panel(scene: Scene, index: int, light: Light | None = None) -> tuple[GBuffer, np.ndarray]:
    """The G-buffer of one panel's surface and its picture, sRGB with alpha, row 0 the lowest.

    Args:
        scene: Of kind ``surface``.
        index: Of the panel.
        light: By default from the upper left of the picture.
    """
    terrain, key = scene.terrains[index], scene.key_of(scene.panels[index])
    assert scene.camera is not None
    own, common = picture_bounds(terrain, scene.camera, scene.floor), shown_bounds(scene)
    share = (own[1] - own[0]) / (common[1] - common[0])
    columns = max(64, round(picture_columns(scene) * share)) * OVERSAMPLE
    buffer = trace(terrain, scene.camera, columns=columns, floor=scene.floor)
    pixels_per_pt = scene.style.dpi / 72 * OVERSAMPLE * scene.style.line_scale
    image = shade(
        buffer,
        terrain,
        light or make_light(terrain, scene.camera),
        colours=key.colours,
        levels=key.levels,
        theme=scene.style.theme,
        ink=Ink(0.42 * pixels_per_pt, 0.72 * pixels_per_pt, max(1, round(0.3 * pixels_per_pt))),
        oversample=OVERSAMPLE,
    )
    return buffer, image


def shown_bounds(scene: Scene) -> tuple[float, float, float, float]:
    """Left, right, bottom and top on the screen that every panel shows: the scene's own, or what holds all surfaces."""
    assert scene.camera is not None
    return scene.bounds or common_bounds(scene.terrains, scene.camera, scene.floor)


class Relief:
    """One panel while it is being drawn: axes in ground units, and the projection of its corners.

    Attributes:
        axes: In screen coordinates.
        buffer: What each pixel shows, once it is drawn.
    """

    buffer: GBuffer

    def __init__(self, scene: Scene, figure: Figure, index: int, light: Light | None = None) -> None:
        assert scene.camera is not None
        self.scene, self.index, self.light = scene, index, light
        self.panel: Panel = scene.panels[index]
        self.key: Key = scene.key_of(self.panel)
        self.terrain: Terrain = scene.terrains[index]
        self.camera, self.floor = scene.camera, scene.floor
        layout, style = scene.layout, scene.style
        box = layout.panels[index]
        self.axes: Axes = figure.add_axes(box.fraction(layout.width, layout.height), gid=f"panel {index}")
        self.axes.set_axis_off()
        left, right, _, _ = shown_bounds(scene)
        margins = np.array(layout.margins) * style.font_pt * PT
        self.em = (right - left) / (box.width - margins[0] - margins[1]) * style.font_pt * PT  # in ground units
        self.frame_line = {"color": style.theme.muted, "lw": 0.6 * style.line_scale, "solid_capstyle": "round"}

    def draw(self) -> None:
        """Picture, frame, ticks, marks and title."""
        self.buffer, image = render_panel(self.scene, self.index, self.light)
        left, _, bottom, _ = self.buffer.extent
        rows, columns = image.shape[:2]
        pixel = self.buffer.pixel * OVERSAMPLE
        self.axes.imshow(
            np.rint(image * 255).astype(np.uint8),
            extent=(left, left + columns * pixel, bottom, bottom + rows * pixel),
            origin="lower",
            interpolation="bilinear",
            aspect="auto",
            zorder=2,
            gid="surface",
        )
        self._limits()  # imshow takes those of its image
        self._floor_frame()
        if self.camera.elevation <= STEEPEST:
            self._value_axis()
        self._chance()
        self._samples()
        self._marks()
        for path in self.panel.paths:
            alone = len(self.panel.paths) == 1
            draw_lifted(self.axes, path, self.terrain, self.buffer, self.floor, self.scene.style, alone=alone)
        draw_title(self.axes, self.panel.title, self.scene.layout.panels[self.index].width, self.scene.style)

    def _limits(self) -> None:
        left, right, bottom, top = shown_bounds(self.scene)
        wide = np.array(self.scene.layout.margins) * self.em
        self.axes.set_xlim(left - wide[0], right + wide[1])
        self.axes.set_ylim(bottom - wide[2], top + wide[3])

    def _corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Ground corners: the nearest, its neighbours along x and along y, and the farthest."""
        half = np.array([self.terrain.half_x, self.terrain.half_y])
        near = -np.sign(self.camera.away) * half
        near = np.where(near == 0, -half, near)
        return near, near * [-1, 1], near * [1, -1], -near

    def _screen(self, ground: np.ndarray, height: float) -> np.ndarray:
        s, v, _ = self.camera.project(ground[0], ground[1], height)
        return np.array([float(s), float(v)])

    def _floor_frame(self) -> None:
        near, along_x, along_y, far = self._corners()
        loop = [self._screen(c, self.floor) for c in (near, along_x, far, along_y, near)]
        self.axes.plot(*np.transpose(loop), zorder=1.5, **self.frame_line)
        self._coordinate_axis(near, along_x, 0)
        self._coordinate_axis(near, along_y, 1)
        self._units()

    def _coordinate_axis(self, start: np.ndarray, end: np.ndarray, dimension: int) -> None:
        a, b = self._screen(start, self.floor), self._screen(end, self.floor)
        direction = (b - a) / np.linalg.norm(b - a)
        outward = np.array([-direction[1], direction[0]])
        outward *= np.sign(outward @ ((a + b) / 2 - self._screen(np.zeros(2), self.floor))) or 1.0
        ends = self.terrain.y_ends if dimension else self.terrain.x_ends
        style = self.scene.style
        for tick in _ticks(*ends):
            x, y = self.terrain.to_ground(tick if dimension == 0 else 0.0, tick if dimension else 0.0)
            ground = np.array([float(x), start[1]]) if dimension == 0 else np.array([start[0], float(y)])
            at = self._screen(ground, self.floor)
            self.axes.plot(*np.transpose([at, at + outward * 0.28 * self.em]), zorder=1.5, **self.frame_line)
            text = format_coordinate(tick)
            place = at + (outward + 0.3 * direction) * self.em
            # clear of the nearest corner, where the other axis begins
            reach = (0.5 * LETTER_EM * len(text) * style.small_pt / style.font_pt + 0.2) * self.em
            side = np.sign(direction[0])
            place[0] = side * max(side * place[0], side * a[0] + reach)
            self._text(place, text, size=style.small_pt)
        angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
        angle = angle - 180 if angle > 90 else angle + 180 if angle < -90 else angle
        label = (self.panel.x_label, self.panel.y_label)[dimension]
        label = label.partition(" (")[0] if self._are_units_beneath() else label
        self._text((a + b) / 2 + outward * 2.5 * self.em, label, rotation=angle, rotation_mode="anchor")

    def _are_units_beneath(self) -> bool:
        """Whether an edge is too short for its label with its unit."""
        near, *others, _ = self._corners()
        edges = [self._screen(other, self.floor) - self._screen(near, self.floor) for other in others]
        labels = (self.panel.x_label, self.panel.y_label)
        return any(
            LETTER_EM * len(label) * self.em > np.linalg.norm(edge) for label, edge in zip(labels, edges, strict=True)
        )

    def _units(self) -> None:
        """The units of both axes in a line of their own beneath the picture, where the edges have no room for them."""
        if not self._are_units_beneath():
            return
        (x, _, x_unit), (y, _, y_unit) = (label.partition(" (") for label in (self.panel.x_label, self.panel.y_label))
        units = f"{x}: {x_unit}; {y}: {y_unit}" if x_unit != y_unit else f"{x}, {y}: {x_unit}"
        style = self.scene.style
        self.axes.annotate(
            units.replace(")", ""),
            (1.0, 0.0),
            (0.0, 0.45 * style.font_pt),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=style.label_pt,
            color=style.theme.muted,
            ha="right",
            gid="units",
        )

    def _value_axis(self) -> None:
        near, along_x, along_y, _ = self._corners()
        left = min((along_x, along_y), key=lambda corner: self._screen(corner, 0.0)[0])
        style, foot = self.scene.style, self._screen(left, 0.0)
        ink = {"color": style.theme.ink, "lw": 0.7 * style.line_scale, "zorder": 3}
        self.axes.plot(*np.transpose([foot, self._screen(left, self.terrain.tall)]), **ink)
        dotted = self.frame_line | {"lw": 0.5 * style.line_scale, "ls": (0, (1, 2))}
        for corner in (along_x, along_y, near):
            self.axes.plot(
                *np.transpose([self._screen(corner, self.floor), self._screen(corner, 0.0)]), zorder=1.4, **dotted
            )
        for value, text in self._value_ticks():
            at = self._screen(left, float(self.terrain.height_of(value)))
            self.axes.plot([at[0], at[0] - 0.28 * self.em], [at[1], at[1]], **ink)
            self._text(at - [0.5 * self.em, 0], text, size=style.small_pt, ha="right")

    def _value_ticks(self) -> list[tuple[float, str]]:
        """Powers of ten on a long log axis, else the key's ticks: a line of type apart."""
        apart = 0.85 * self.em / (self.terrain.tall * self.camera.cos)
        kept = even_decades(self.key.scale, apart) or spread_ticks(self.key.ticks, self.key.scale, apart)
        return [(value, self.key.text(value)) for value in kept]

    def _chance(self) -> None:
        """The dashed line of a guess without knowledge, on the surface and on the floor."""
        if self.key.chance is None:
            return
        terrain, height = self.terrain, float(self.terrain.height_of(self.key.chance))
        known = np.ma.masked_array(terrain.height, mask=terrain.kinds != Cell.FINITE)
        lines = contour_generator(terrain.ground_x, terrain.ground_y, known).lines(height)
        pieces = [np.reshape(np.asarray(line, float), (-1, 2)) for line in lines]
        look = {"color": "#14171c", "lw": 0.9 * self.scene.style.line_scale, "ls": CHANCE_DASHES, "zorder": 2.3}
        for level, where in ((height, "surface"), (self.floor, "floor"))[: 1 + self.scene.has_floor]:
            for piece in pieces:
                points = np.stack(np.broadcast_arrays(*self.camera.project(piece[:, 0], piece[:, 1], level)), axis=1)
                for run in visible_runs(points, self.buffer)[0]:
                    self.axes.plot(*run.T, clip_on=False, gid=f"chance on the {where}", **look)

    def _marks(self) -> None:
        style = self.scene.style
        for mark in self.panel.shown_marks:
            x, y = (float(c) for c in self.terrain.to_ground(mark.x, mark.y))
            on_surface = float(self.terrain.sample(self.terrain.height, np.array([x]), np.array([y]))[0])
            for height in (on_surface, self.floor)[: 1 + self.scene.has_floor]:
                s, v, t = (np.array(c) for c in self.camera.project(x, y, height))
                if self.buffer.visible(s, v, t):
                    size = (3.0 if mark.kind == "trained" else 4.0) * style.line_scale
                    under = {"zorder": 3.35} if mark.kind != "trained" else {}  # a path that ends there stays in sight
                    self.axes.add_line(mark_line(mark, float(s), float(v), style, markersize=size, **under))

    def _samples(self) -> None:
        if not (self.scene.samples or self.panel.guessed.any()):
            return
        rows, columns = np.nonzero(self.panel.kinds != Cell.NOT_EVALUATED)
        assert self.panel.y is not None
        x, y = self.terrain.to_ground(self.panel.x[columns], self.panel.y[rows])
        for height in (self.terrain.sample(self.terrain.height, x, y), self.floor)[: 1 + self.scene.has_floor]:
            s, v, t = self.camera.project(x, y, height)
            seen = self.buffer.visible(s, v, t)
            self.axes.plot(s[seen], v[seen], **sample_look(self.scene.style) | {"zorder": 2.5})

    def _text(
        self, at: Sequence[float] | np.ndarray, text: str, *, size: float | None = None, ha: str = "center", **more
    ) -> None:
        style = self.scene.style
        look = {"fontsize": size or style.font_pt, "ha": ha, "va": "center", "color": style.theme.ink, "zorder": 4}
        self.axes.text(float(at[0]), float(at[1]), text, clip_on=False, **look, **more)


def _ticks(first: float, last: float) -> list[float]:
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(first, last)
    reach = 1e-9 * (last - first)
    return [float(t) for t in ticks if first - reach <= t <= last + reach]
