"""From what each pixel hits to its colour: map colours, light, contour lines of constant width, and patterns.

The floor is never lit: its colour is the colour bar's. On the surface the light of :mod:`lossviz.render.draw.lighting`
multiplies linear RGB. Contour lines are drawn per pixel from the distance to the nearest level divided by the exact
screen gradient of the height field, so they keep one width on every slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import matplotlib.colors
import numpy as np

from lossviz.render.draw.height_field import GBuffer, Side
from lossviz.render.draw.lighting import Light
from lossviz.render.values.cells import Cell
from lossviz.render.values.levels import is_major
from lossviz.render.values.terrain import Terrain
from lossviz.render.words.colours import DARK_GROUND, colour_at, luminance, to_linear, to_srgb
from lossviz.render.words.style import Theme

BAND_PIXELS = 160_000
LINE_INK, LINE_LIGHT = 0.012, 0.66  # linear light of contour lines on light and on dark ground
PATTERN_STEP = 0.08  # in ground units, so that a pattern turns with the surface


@dataclass(frozen=True)
class Ink:
    """How lines and edges are drawn: widths in pixels of the G-buffer."""

    minor: float
    major: float
    outline: int


def shade(
    buffer: GBuffer,
    terrain: Terrain,
    light: Light,
    *,
    colours: str,
    levels: Sequence[float],
    theme: Theme,
    ink: Ink,
    oversample: int = 1,
) -> np.ndarray:
    """Colour every pixel: sRGB with alpha, float32 (rows, columns, 4), averaged over ``oversample`` squared."""
    painter = _Painter(buffer, terrain, light, colours, levels, theme, ink)
    rows, columns = buffer.side.shape[0] // oversample * oversample, buffer.side.shape[1] // oversample * oversample
    band = max(1, BAND_PIXELS // columns // oversample) * oversample
    starts = range(0, rows, band)

    def paint(first: int) -> np.ndarray:
        return _averaged(painter.paint(first, min(first + band, rows), columns), oversample)

    with ThreadPoolExecutor(2) as pool:  # numpy lets go of the interpreter lock
        bands = list(pool.map(paint, starts))
    return np.concatenate(bands)


class _Painter:
    def __init__(self, buffer, terrain, light, colours, levels, theme, ink) -> None:
        self.buffer, self.terrain, self.theme, self.ink = buffer, terrain, theme, ink
        # one gather serves all tables: height, slopes, and both sides' light
        self.tables = np.stack([terrain.height, *terrain.slopes, light.top, light.under], axis=-1).astype(np.float32)
        self.table = to_linear(colour_at(colours, np.linspace(0, 1, 1024))).astype(np.float32)
        heights = terrain.height_of(np.array(levels)) if len(levels) else np.zeros(0)
        self.heights = heights.astype(np.float32)
        # as on maps: light lines where the map's own colour is dark, whatever the light does to it
        dark = (
            luminance(colour_at(colours, terrain.scale.position(np.array(levels)))) < DARK_GROUND if len(levels) else []
        )
        self.line_light = np.where(dark, LINE_LIGHT, LINE_INK).astype(np.float32)
        self.widths = np.array([ink.major if is_major(v, terrain.scale) else ink.minor for v in levels], np.float32)

    def paint(self, first: int, last: int, columns: int) -> np.ndarray:
        """Premultiplied linear RGB and alpha of rows ``first`` … ``last``."""
        buffer, camera = self.buffer, self.buffer.camera
        t, side = buffer.t[first:last, :columns], buffer.side[first:last, :columns]
        image = np.zeros((*t.shape, 4), np.float32)
        hit = side != Side.NOTHING
        if not hit.any():
            return image
        rows, cols = np.nonzero(hit)
        t, side, s = t[hit], side[hit], buffer.s[cols].astype(np.float32)
        x = s * np.float32(camera.right[0]) + t * np.float32(camera.away[0])
        y = s * np.float32(camera.right[1]) + t * np.float32(camera.away[1])
        height, slope_x, slope_y, top, under = np.moveaxis(self.terrain.sample(self.tables, x, y), -1, 0)
        colour = self.table[np.rint(np.clip(height / self.terrain.tall, 0, 1) * 1023).astype(np.int32)]
        kinds = self.terrain.kind_at(x, y) if self.terrain.kinds.any() else None
        if kinds is not None:
            self._pattern(colour, kinds, x, y)
        factor = np.where(side == Side.TOP, top, np.where(side == Side.UNDER, under, np.float32(1)))
        colour *= factor[:, None]
        self._lines(colour, height, slope_x, slope_y, side, kinds)
        image[rows, cols, :3], image[rows, cols, 3] = colour, 1.0
        self._outline(image, first, last, columns)
        return image

    def _pattern(self, colour, kinds, x, y) -> None:
        u, w = (x + y) / np.float32(PATTERN_STEP), (x - y) / np.float32(PATTERN_STEP)
        rising, falling = np.abs(u - np.rint(u)) < 0.08, np.abs(w - np.rint(w)) < 0.08
        level = np.abs(2 * y / PATTERN_STEP / 1.4 - np.rint(2 * y / PATTERN_STEP / 1.4)) < 0.09
        dots = np.hypot(1.2 * u - np.rint(1.2 * u), 1.2 * w - np.rint(1.2 * w)) < 0.17
        masked, hatch, paper = (_linear(c) for c in (self.theme.masked, self.theme.hatch, self.theme.paper))
        colour[(kinds >= Cell.PLUS_INF)] = masked
        colour[kinds == Cell.NOT_EVALUATED] = 0.5 * masked + 0.5 * paper
        colour[(kinds == Cell.PLUS_INF) & falling] = hatch
        colour[(kinds == Cell.MINUS_INF) & rising] = hatch
        colour[(kinds == Cell.NAN) & (rising | falling)] = hatch
        colour[(kinds == Cell.NOT_EVALUATED) & level] = hatch
        colour[(kinds == Cell.CLIPPED) & dots] *= 0.30
        colour[(kinds == Cell.BELOW) & dots] = LINE_LIGHT

    def _lines(self, colour, height, slope_x, slope_y, side, kinds) -> None:
        if not len(self.heights):
            return
        k = np.clip(np.searchsorted(self.heights, height), 1, max(len(self.heights) - 1, 1))
        upper = np.minimum(k, len(self.heights) - 1)
        nearest = np.where(np.abs(self.heights[k - 1] - height) <= np.abs(self.heights[upper] - height), k - 1, upper)
        per_pixel = np.maximum(self._screen_gradient(slope_x, slope_y, side) * np.float32(self.buffer.pixel), 1e-7)
        distance = np.abs(height - self.heights[nearest]) / per_pixel
        cover = np.clip(self.widths[nearest] / 2 - distance + 0.5, 0, 1) * np.minimum(self.widths[nearest], 1)
        spacing = np.abs(self.heights[upper] - self.heights[k - 1]) / per_pixel
        cover *= np.where(side == Side.FLOOR, 0.62, 0.62 * np.clip((spacing - 2) / 6, 0, 1))
        cover[side == Side.UNDER] = 0
        if kinds is not None:
            cover[kinds != Cell.FINITE] = 0
        colour += cover[:, None] * (self.line_light[nearest][:, None] - colour)

    def _screen_gradient(self, slope_x, slope_y, side) -> np.ndarray:
        # dt/ds and dt/dv keep the pixel on the surface: v = t sin e + H(s, t) cos e
        camera = self.buffer.camera
        across = slope_x * np.float32(camera.right[0]) + slope_y * np.float32(camera.right[1])
        along = slope_x * np.float32(camera.away[0]) + slope_y * np.float32(camera.away[1])
        lift = np.where(side == Side.FLOOR, 0, np.float32(camera.cos))
        tilt = np.float32(camera.sin) + lift * along
        tilt = np.where(np.abs(tilt) < 1e-3, np.float32(1e-3), tilt)
        return np.hypot(across - along * lift * across / tilt, along / tilt)

    def _outline(self, image, first, last, columns) -> None:
        # the surface's own edge against what lies far behind it
        q, t = self.ink.outline, self.buffer.t
        low, high = max(first - q, 0), min(last + q, len(t))
        wide = np.minimum(t[low:high, :columns], np.float32(9))
        here = wide[first - low : last - low]
        behind = np.zeros_like(here)
        for shift in (-q, q):
            rows = np.clip(np.arange(first, last) + shift, low, high - 1) - low
            np.maximum(behind, wide[rows] - here, out=behind)
            np.maximum(
                behind, here.take(np.clip(np.arange(columns) + shift, 0, columns - 1), axis=1) - here, out=behind
            )
        surface = np.isin(self.buffer.side[first:last, :columns], (Side.TOP, Side.UNDER))
        image[..., :3] *= (1 - 0.5 * np.clip((behind - 0.06) / 0.10, 0, 1) * surface)[..., None]


def _linear(colour: str) -> np.ndarray:
    return to_linear(np.array(matplotlib.colors.to_rgb(colour))).astype(np.float32)


def _averaged(image: np.ndarray, n: int) -> np.ndarray:
    rows, columns = image.shape[0] // n, image.shape[1] // n
    mean = image.reshape(rows, n, columns, n, 4).mean(axis=(1, 3))
    alpha = mean[..., 3:]
    srgb = to_srgb(np.clip(mean[..., :3] / np.maximum(alpha, 1e-6), 0, 1))
    return np.concatenate([srgb, alpha], axis=-1).astype(np.float32)
