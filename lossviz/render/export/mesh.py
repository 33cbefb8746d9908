"""A panel as triangles: for Blender, slides and 3-D printing.

Ground coordinates and heights are those of :class:`~lossviz.render.values.terrain.Terrain`, z up; cells not evaluated
are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossviz.render.values.cells import Cell
from lossviz.render.values.key import Key
from lossviz.render.values.terrain import Terrain
from lossviz.render.words.colours import colour_at

LARGEST = 121  # vertices along an axis: finer adds megabytes and no shape


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles.

    Attributes:
        name: What it shows.
        vertices: float64 (n, 3), z up.
        faces: int64 (m, 3), counter-clockwise seen from above.
        colours: sRGB of the vertices, float64 (n, 3) in 0…1; the colours of the bar.
        values: The quantity at the vertices, float64 (n,), NaN where it has no finite value.
        normals: Unit normals at the vertices, float64 (n, 3).
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    values: np.ndarray
    normals: np.ndarray


def make_mesh(terrain: Terrain, key: Key, *, name: str, aside: float = 0.0, floor: float | None = None) -> Mesh:
    """The surface, or with ``floor`` its map at that height; moved ``aside`` along x."""
    rows, columns = (_chosen(n) for n in terrain.height.shape)
    height, kinds = terrain.height[np.ix_(rows, columns)].astype(float), terrain.kinds[np.ix_(rows, columns)]
    x, y = np.meshgrid(terrain.ground_x[columns], terrain.ground_y[rows])
    z = height if floor is None else np.full_like(height, floor)
    low, high = terrain.scale.display_ends
    values = terrain.scale.inverse(low + height / terrain.tall * (high - low))
    return Mesh(
        name=name,
        vertices=np.stack([x + aside, y, z], axis=-1).reshape(-1, 3),
        faces=_faces(kinds != Cell.NOT_EVALUATED),
        colours=colour_at(key.colours, height.ravel() / terrain.tall),
        values=np.where(kinds.ravel() <= Cell.BELOW, values.ravel(), np.nan),
        normals=_normals(z, terrain.ground_x[columns], terrain.ground_y[rows]).reshape(-1, 3),
    )


def make_solid(terrain: Terrain, *, base: float = 0.12) -> tuple[np.ndarray, np.ndarray]:
    """A closed body for printing: the surface on a base ``base`` thick, cells not evaluated at the base's height.

    Returns:
        Vertices (n, 3) and faces (m, 3), outward; every edge belongs to exactly two faces.
    """
    rows, columns = (_chosen(n) for n in terrain.height.shape)
    kinds = terrain.kinds[np.ix_(rows, columns)]
    height = np.where(kinds == Cell.NOT_EVALUATED, 0.0, terrain.height[np.ix_(rows, columns)])
    x, y = np.meshgrid(terrain.ground_x[columns], terrain.ground_y[rows])
    top = np.stack([x, y, height], axis=-1).reshape(-1, 3)
    under = top * [1, 1, 0] - [0, 0, base]
    faces = _faces(np.ones(height.shape, bool))
    n = len(top)
    rim = _rim(*height.shape)
    after = np.roll(rim, -1)
    walls = np.concatenate([np.stack([rim, rim + n, after], 1), np.stack([after, rim + n, after + n], 1)])
    return np.concatenate([top, under]), np.concatenate([faces, faces[:, ::-1] + n, walls])


def _chosen(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, LARGEST)).round().astype(int))


def _faces(solid: np.ndarray) -> np.ndarray:
    n_y, n_x = solid.shape
    a = (np.arange(n_y - 1)[:, None] * n_x + np.arange(n_x - 1)).ravel()
    whole = (solid[:-1, :-1] & solid[:-1, 1:] & solid[1:, :-1] & solid[1:, 1:]).ravel()
    a = a[whole]
    return np.concatenate([np.stack([a, a + 1, a + n_x], 1), np.stack([a + 1, a + n_x + 1, a + n_x], 1)])


def _rim(n_y: int, n_x: int) -> np.ndarray:
    """Indices of the border vertices, counter-clockwise seen from above."""
    index = np.arange(n_y * n_x).reshape(n_y, n_x)
    return np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])


def _normals(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    along_y, along_x = np.gradient(z, y, x)
    normal = np.stack([-along_x, -along_y, np.ones_like(z)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)
