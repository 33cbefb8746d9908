"""From where a surface is looked at: an orthographic camera, and the choice of the one that shows the basin.

Ground coordinates are those of :class:`~lossviz.render.values.terrain.Terrain`: the grid's longer axis spans -1…1. On
the screen ``s`` runs right and ``v`` up, both in ground units; ``t`` is the distance away from the viewer along the
ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.render.values.terrain import Terrain
from lossviz.render.values.track import Path

ELEVATIONS = (30.0, 36.0, 42.0)
COVER_ELEVATIONS = (14.0, 18.0, 22.0)
# name -> azimuth and elevation; of a cover both are chosen
PRESETS: dict[str, tuple[float, float] | None] = {"cover": None, "map": (-90.0, 85.0), "profile": (-90.0, 8.0)}
AZIMUTHS = tuple(np.arange(-178.0, 180.0, 15.0))
MOST_TARGETS = 300
SIDE_ON = 0.5  # |sin 2a| below which one side of the ground is seen too obliquely to be read
OBLIQUE = 0.87  # |sin 2a| of the best views, 30° off an axis: broader than from a corner, and two sides told apart


@dataclass(frozen=True)
class Camera:
    """An orthographic camera.

    Attributes:
        azimuth: Direction in which the camera stands, in degrees from the alpha axis towards the beta axis.
        elevation: Its angle above the ground, in degrees, above 0 and below 90.

    Example:
        >>> s, v, t = Camera(-90.0, 30.0).project(0.5, 1.0, 0.0)
        >>> float(s.round(3)), float(v.round(3)), float(t.round(3))
        (0.5, 0.5, 1.0)
    """

    azimuth: float
    elevation: float

    @property
    def away(self) -> np.ndarray:
        """Unit vector on the ground, away from the viewer."""
        a = np.radians(self.azimuth)
        return -np.array([np.cos(a), np.sin(a)])

    @property
    def right(self) -> np.ndarray:
        """Unit vector on the ground, to the right of the picture."""
        a = np.radians(self.azimuth)
        return np.array([-np.sin(a), np.cos(a)])

    @property
    def sin(self) -> float:
        """Sine of the elevation: screen height per unit of ``t``."""
        return float(np.sin(np.radians(self.elevation)))

    @property
    def cos(self) -> float:
        """Cosine of the elevation: screen height per unit of height."""
        return float(np.cos(np.radians(self.elevation)))

    def project(self, x: np.ndarray | float, y: np.ndarray | float, height: np.ndarray | float):
        """Screen coordinates ``s``, ``v`` and ground distance ``t`` of points in ground coordinates."""
        t = x * self.away[0] + y * self.away[1]
        return x * self.right[0] + y * self.right[1], t * self.sin + height * self.cos, t


def choose_camera(
    terrains: Sequence[Terrain],
    paths: Sequence[Sequence[Path]] = (),
    elevations: Sequence[float] = ELEVATIONS,
) -> Camera:
    """The camera that sees most of the low ground of all terrains, from azimuths 15° apart and 3 elevations.

    The score is the share of the lowest 6 % of the area, and of the lifted paths, that is not hidden, less small costs
    for high, side-on and rear views.
    """
    aims = [_low_ground(terrain) for terrain in terrains]
    lines = [_lifted(terrain, own) for terrain, own in zip(terrains, paths, strict=bool(paths))]
    best, best_score = Camera(-58.0, elevations[1]), -np.inf
    for elevation in elevations:
        for azimuth in AZIMUTHS:
            if abs(np.sin(np.radians(2 * azimuth))) < SIDE_ON:
                continue
            camera = Camera(float(azimuth), elevation)
            seen = np.mean([_visible_share(t, camera, *aim) for t, aim in zip(terrains, aims, strict=True)])
            on_paths = [_visible_share(terrains[i], camera, *line) for i, line in enumerate(lines) if len(line[0])]
            seen = 0.5 * (seen + np.mean(on_paths)) if on_paths else seen
            a = np.radians(azimuth)
            # costs: a high camera, other than oblique views, alpha not running to the right and beta not away
            score = (
                seen
                - 0.006 * (elevation - elevations[0])
                - 0.3 * abs(abs(np.sin(2 * a)) - OBLIQUE)
                - 0.04 * (np.sin(a) > 0)
            )
            score = float(score) - 0.01 * (np.cos(a) < 0)
            if score > best_score + 1e-9:
                best, best_score = camera, score
    return best


def _low_ground(terrain: Terrain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low = terrain.height <= np.quantile(terrain.height, 0.06)
    rows, columns = np.nonzero(low)
    chosen = np.linspace(0, len(rows) - 1, min(MOST_TARGETS, len(rows))).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    return terrain.ground_x[columns], terrain.ground_y[rows], terrain.height[rows, columns]


def _lifted(terrain: Terrain, paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = [np.empty((3, 0))]
    for path in paths:
        kept = np.isfinite(path.own) & path.inside((*terrain.x_ends, *terrain.y_ends))
        at = np.flatnonzero(kept)[:: max(1, int(kept.sum()) // MOST_TARGETS)]
        places.append(np.stack([*terrain.to_ground(path.x[at], path.y[at]), terrain.height_of(path.own[at])]))
    x, y, height = np.concatenate(places, axis=1)
    return x, y, height


def _visible_share(terrain: Terrain, camera: Camera, x: np.ndarray, y: np.ndarray, height: np.ndarray) -> float:
    step = np.arange(1, 160) * 0.0125
    to_x, to_y = x[:, None] - camera.away[0] * step, y[:, None] - camera.away[1] * step
    inside = (np.abs(to_x) < terrain.half_x) & (np.abs(to_y) < terrain.half_y)
    ray = height[:, None] + 0.03 + step * (camera.sin / camera.cos)
    hidden = (terrain.sample(terrain.height, to_x, to_y) > ray) & inside
    return 1.0 - float(hidden.any(axis=1).mean())


MARGIN = 0.02


def picture_bounds(terrain: Terrain, camera: Camera, floor: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top on the screen of surface, floor and value axis, with a small margin."""
    x, y = np.meshgrid([-terrain.half_x, terrain.half_x], [-terrain.half_y, terrain.half_y])
    s, v, _ = camera.project(x, y, 0.0)
    axis = v.ravel()[s.argmin()] + terrain.tall * camera.cos  # the value axis stands at the leftmost corner
    _, surface, _ = camera.project(terrain.ground_x[None, :], terrain.ground_y[:, None], terrain.height)
    top = max(float(surface.max()), float(v.max()) + floor * camera.cos, float(axis))
    return s.min() - MARGIN, s.max() + MARGIN, v.min() + floor * camera.cos - MARGIN, top + MARGIN


def common_bounds(terrains: Sequence[Terrain], camera: Camera, floor: float) -> tuple[float, float, float, float]:
    """Bounds on the screen that hold the pictures of several surfaces."""
    bounds = np.array([picture_bounds(terrain, camera, floor) for terrain in terrains])
    left, bottom, right, top = *bounds[:, [0, 2]].min(axis=0), *bounds[:, [1, 3]].max(axis=0)
    return float(left), float(right), float(bottom), float(top)
