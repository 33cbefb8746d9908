"""Light on a height field: how much of the sky each place sees, which places lie in shadow, and the resulting factor.

The factor multiplies linear RGB. It is 1 on a flat, open patch, so that such a patch keeps exactly its colour-bar
colour, and is clamped to 0.42…1.18, so that no place changes its colour beyond recognition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossviz.render.values.camera import Camera
from lossviz.render.values.terrain import Terrain

DARKEST, BRIGHTEST = 0.42, 1.18
AMBIENT = 0.46
SUN_TURN, SUN_ALTITUDE = (
    215.0,
    46.0,
)  # degrees from the camera's azimuth (behind the scene, to the left), and above ground
LARGEST = 360  # cells along an axis on which sky and shadow are computed
AZIMUTHS, RADII = 16, 9


@dataclass(frozen=True, eq=False)
class Light:
    """Factors on linear RGB, float32 (m_y, m_x) each: on the top side, and on the underside."""

    top: np.ndarray
    under: np.ndarray


def make_light(terrain: Terrain, camera: Camera) -> Light:
    """Light from the upper left of the picture, whatever the camera."""
    sun = sun_direction(camera)
    slope_x, slope_y = _soft_slopes(terrain)
    upright = 1.0 / np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    facing = (-slope_x * sun[0] - slope_y * sun[1] + sun[2]) * upright
    sky, sunlit = _coarse_light(terrain, sun)
    direct = (1 - AMBIENT) * np.clip(facing, 0, 1) * (0.35 + 0.65 * sunlit) / sun[2]
    top = np.clip(AMBIENT * sky**1.3 + direct, DARKEST, BRIGHTEST)
    under = 0.30 + 0.22 * np.clip(-facing, 0, 1)
    return Light(top.astype(np.float32), under.astype(np.float32))


def _soft_slopes(terrain: Terrain) -> tuple[np.ndarray, np.ndarray]:
    # monotone interpolation bends at the samples, and light would show the bends as pleats
    dx, dy = terrain.steps
    soft = _blurred(terrain.height, max(1, round(max(terrain.height.shape) / 80)))
    along_y, along_x = np.gradient(soft, dy, dx)
    return along_x, along_y


def sun_direction(camera: Camera) -> np.ndarray:
    """Unit vector towards the sun, in ground coordinates and height."""
    azimuth, altitude = np.radians([camera.azimuth + SUN_TURN, SUN_ALTITUDE])
    return np.array([np.cos(azimuth) * np.cos(altitude), np.sin(azimuth) * np.cos(altitude), np.sin(altitude)])


def sky_view(height: np.ndarray, steps: tuple[float, float]) -> np.ndarray:
    """Share of the sky each place sees, 1 where nothing around is higher; from 16 azimuths and 9 distances.

    Args:
        height: Heights, (m_y, m_x).
        steps: Ground distance between columns and between rows.
    """
    reach = 0.35 * max(steps[0] * height.shape[1], steps[1] * height.shape[0])
    distances = np.geomspace(max(steps), max(reach, 2 * max(steps)), RADII)
    seen = np.zeros_like(height)
    for azimuth in np.arange(AZIMUTHS) * (2 * np.pi / AZIMUTHS):
        horizon = np.zeros_like(height)
        for distance in distances:
            columns = round(np.cos(azimuth) * distance / steps[0])
            rows = round(np.sin(azimuth) * distance / steps[1])
            away = float(np.hypot(columns * steps[0], rows * steps[1]))
            if away:
                np.maximum(horizon, (_shifted(height, rows, columns) - height) / away, out=horizon)
        seen += 1.0 - horizon / np.sqrt(1.0 + horizon * horizon)
    return seen / AZIMUTHS


def sun_light(height: np.ndarray, steps: tuple[float, float], sun: np.ndarray) -> np.ndarray:
    """Share of the sun each place sees, with an edge that softens with the distance of what casts the shadow."""
    flat = float(np.hypot(sun[0], sun[1]))
    rise, stride = sun[2] / flat, 1.5 * max(steps)
    covered = np.zeros_like(height)
    for distance in np.arange(stride, float(height.max()) * 1.05 / rise, stride):
        columns, rows = round(sun[0] / flat * distance / steps[0]), round(sun[1] / flat * distance / steps[1])
        over = _shifted(height, rows, columns) - height - distance * rise
        np.maximum(covered, over / (0.35 * distance + 0.02), out=covered)
    return 1.0 - np.clip(covered, 0, 1)


def _coarse_light(terrain: Terrain, sun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # sky and shadow vary slowly: computed on every n-th cell and spread bilinearly
    stride = max(1, -(-max(terrain.height.shape) // LARGEST))
    height = _blurred(terrain.height, stride // 2)[::stride, ::stride]
    steps = (terrain.steps[0] * stride, terrain.steps[1] * stride)
    sky = _blurred(sky_view(height, steps), 2)
    sunlit = _blurred(sun_light(height, steps, sun), 4)
    if stride == 1:
        return sky, sunlit
    rows = np.arange(terrain.height.shape[0]) / stride
    columns = np.arange(terrain.height.shape[1]) / stride
    return _spread(sky, rows, columns), _spread(sunlit, rows, columns)


def _shifted(table: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """``table[j + rows, i + columns]``, its border repeated outwards."""
    n, m = table.shape
    j = np.clip(np.arange(n) + rows, 0, n - 1)
    i = np.clip(np.arange(m) + columns, 0, m - 1)
    return table.take(j, axis=0).take(i, axis=1)


def _blurred(table: np.ndarray, passes: int) -> np.ndarray:
    # binomial 1-2-1 along both axes, border repeated; n passes have a variance of n / 2 cells
    for _ in range(passes):
        for axis in (0, 1):
            pad = [(1, 1) if a == axis else (0, 0) for a in (0, 1)]
            wide = np.pad(table, pad, mode="edge")
            low, middle, high = (np.take(wide, range(k, k + table.shape[axis]), axis=axis) for k in (0, 1, 2))
            table = 0.25 * (low + high) + 0.5 * middle
    return table


def _spread(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    j = np.clip(rows.astype(int), 0, max(table.shape[0] - 2, 0))
    i = np.clip(columns.astype(int), 0, max(table.shape[1] - 2, 0))
    fj, fi = np.clip(rows - j, 0, 1)[:, None], np.clip(columns - i, 0, 1)[None, :]
    low = table[j][:, i] * (1 - fi) + table[j][:, i + 1] * fi
    high = table[j + 1][:, i] * (1 - fi) + table[j + 1][:, i + 1] * fi
    return low * (1 - fj) + high * fj
