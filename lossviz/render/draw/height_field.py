"""Hidden surfaces of a height field, exactly: the floating horizon.

Under an orthographic camera every column of the picture is one vertical slice through the surface. Along the slice the
screen height is ``V(t) = t sin e + H(t) cos e``; walking away from the viewer, a point is seen from above where V
exceeds all before it, and from below where it is less than all before it. So the first hit of every pixel is a search
in a running maximum (or minimum), without triangles, holes or depth fighting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lossviz.render.values.camera import Camera, picture_bounds
from lossviz.render.values.cells import Cell
from lossviz.render.values.terrain import Terrain

MOST_SAMPLES = 1500


class Side(IntEnum):
    """What a pixel shows."""

    NOTHING = 0
    TOP = 1
    UNDER = 2
    FLOOR = 3


@dataclass(frozen=True, eq=False)
class GBuffer:
    """What every pixel of the picture hits; row 0 is the lowest.

    Attributes:
        t: Ground distance from the middle, away from the viewer, float32 (rows, columns); inf where nothing is hit.
        side: uint8 :class:`Side` of the same shape.
        s: Screen coordinate of the columns' middles, (columns,).
        v: Screen coordinate of the rows' middles, (rows,).
        pixel: Width and height of a pixel in ground units.
        camera: From where it was traced.
        floor: Height of the floor, below 0.
    """

    t: np.ndarray
    side: np.ndarray
    s: np.ndarray
    v: np.ndarray
    pixel: float
    camera: Camera
    floor: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the picture on the screen."""
        half = self.pixel / 2
        return self.s[0] - half, self.s[-1] + half, self.v[0] - half, self.v[-1] + half

    def visible(self, s: np.ndarray, v: np.ndarray, t: np.ndarray, bias: float = 0.012) -> np.ndarray:
        """Whether points in screen coordinates lie in front of what their pixel shows, or within ``bias`` behind it."""
        left, _, bottom, _ = self.extent
        rows, columns = self.t.shape
        i = np.clip(((np.asarray(s) - left) / self.pixel).astype(int), 0, columns - 1)
        j = np.clip(((np.asarray(v) - bottom) / self.pixel).astype(int), 0, rows - 1)
        return t <= self.t[j, i] + bias


def trace(terrain: Terrain, camera: Camera, *, columns: int, floor: float) -> GBuffer:
    """Find what each pixel of a picture of ``columns`` pixels width shows.

    Args:
        terrain: The height field.
        camera: From where.
        columns: Width of the picture in pixels; the height follows.
        floor: Height of the plane under the surface, below 0; at 0 there is none.
    """
    left, right, bottom, top = picture_bounds(terrain, camera, floor)
    pixel = (right - left) / columns
    s = left + (np.arange(columns) + 0.5) * pixel
    v = bottom + (np.arange(int(np.ceil((top - bottom) / pixel))) + 0.5) * pixel
    near, far = slice_ends(terrain, camera, s)
    crossing = np.flatnonzero(far - near > 1e-6)
    samples = int(min(MOST_SAMPLES, 1.5 * max(terrain.height.shape)))
    t = np.full((columns, len(v)), np.inf, np.float32)
    side = np.zeros((columns, len(v)), np.uint8)
    for block in np.array_split(crossing, max(1, len(crossing) * samples // 500_000)):  # temporaries stay in cache
        _trace_block(terrain, camera, block, s, v, (near, far), samples, t, side)
    if floor < 0:
        _trace_floor(camera, v, near, far, floor, t, side)
    return GBuffer(np.ascontiguousarray(t.T), np.ascontiguousarray(side.T), s, v, pixel, camera, floor)


def slice_ends(terrain: Terrain, camera: Camera, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the line at screen column ``s`` enters and leaves the ground rectangle; equal where it misses it."""
    near, far = np.full(len(s), -np.inf), np.full(len(s), np.inf)
    for right, away, half in zip(camera.right, camera.away, (terrain.half_x, terrain.half_y), strict=True):
        offset = s * right
        if abs(away) < 1e-12:
            near = np.where(np.abs(offset) > half, np.inf, near)
            continue
        ends = np.stack([(-half - offset) / away, (half - offset) / away])
        near, far = np.maximum(near, ends.min(axis=0)), np.minimum(far, ends.max(axis=0))
    missing = ~(far > near)
    return np.where(missing, 0.0, near), np.where(missing, 0.0, far)


def _trace_block(terrain, camera, block, s, v, ends, samples, t, side) -> None:
    near, far = ends[0][block], ends[1][block]
    step = (far - near) / (samples - 1)
    along = near[:, None] + step[:, None] * np.arange(samples)
    x = s[block, None] * camera.right[0] + along * camera.away[0]
    y = s[block, None] * camera.right[1] + along * camera.away[1]
    screen = along * camera.sin + terrain.sample(terrain.height, x, y) * camera.cos
    upper = lower = screen
    start = screen[:, 0]
    if terrain.holes:  # nothing was evaluated there, so nothing stands there and nothing is hidden by it
        hole = terrain.kind_at(x, y) == Cell.NOT_EVALUATED
        upper, lower = np.where(hole, -np.inf, screen), np.where(hole, np.inf, screen)
        start = screen[np.arange(len(block)), np.argmin(hole, axis=1)]
        screen = np.where(hole, np.nan, screen)
    rising, falling = np.maximum.accumulate(upper, axis=1), -np.minimum.accumulate(lower, axis=1)
    # rows of the picture between each slice's own ends
    first = np.searchsorted(v, start)
    last = np.searchsorted(v, rising[:, -1])
    lowest = np.minimum(np.searchsorted(v, -falling[:, -1]), first)
    for i, column in enumerate(block):
        for rows, horizon, sign, seen in (
            (slice(first[i], last[i]), rising[i], 1, Side.TOP),
            (slice(lowest[i], first[i]), falling[i], -1, Side.UNDER),
        ):
            if rows.stop > rows.start:
                crossing = _crossing(horizon, screen[i], v[rows], sign)
                real = ~np.isnan(crossing)
                t[column, rows] = np.where(real, near[i] + step[i] * crossing, np.inf)
                side[column, rows] = np.where(real, seen, Side.NOTHING)


def _crossing(horizon: np.ndarray, screen: np.ndarray, v: np.ndarray, sign: int) -> np.ndarray:
    # first sample past each row, then linear between it and the one before; NaN at the rim of a hole
    k = np.clip(np.searchsorted(horizon, sign * v), 1, len(screen) - 1)
    before = screen[k - 1]
    span = sign * (screen[k] - before)
    return k - 1 + np.clip(sign * (v - before) / np.maximum(span, 1e-12), 0.0, 1.0)


def _trace_floor(camera, v, near, far, floor, t, side) -> None:
    on_floor = ((v - floor * camera.cos) / camera.sin)[None, :]
    hit = (on_floor >= near[:, None]) & (on_floor <= far[:, None]) & (far > near)[:, None] & (on_floor < t)
    np.copyto(t, on_floor.astype(np.float32), where=hit)
    side[hit] = Side.FLOOR
