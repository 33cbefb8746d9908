"""Paths as thin tubes, for programs that draw bodies: on the map's floor, and lifted to their own loss."""

from __future__ import annotations

import matplotlib.colors
import numpy as np

from lossviz.render.draw.lifted import lifted_heights
from lossviz.render.export.mesh import Mesh
from lossviz.render.values.panel import Panel
from lossviz.render.values.terrain import Terrain
from lossviz.render.values.track import Path

RADIUS, SIDES = 0.007, 6  # in ground units
LIFTED_INK = "#14171c"


def path_meshes(panel: Panel, terrain: Terrain, *, floor: float, aside: float = 0.0) -> list[Mesh]:
    """Two tubes for each path of a panel, where its own loss is known; moved ``aside`` along x."""
    meshes = []
    for path in panel.paths:
        alone = len(panel.paths) == 1
        for where, colour in (("floor", path.colour), ("own loss", LIFTED_INK if alone else path.colour)):
            tubes = [
                _path_tube(piece, path, terrain, floor if where == "floor" else None, aside) for piece in path.pieces
            ]
            meshes += _joined([tube for tube in tubes if tube is not None], f"path {path.name} {where}", colour)
    return meshes


def make_tube(
    points: np.ndarray, radius: float = RADIUS, sides: int = SIDES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tube along a polyline, its ends open.

    Args:
        points: Vertices (n, 3), neighbours apart.
        radius: Of the tube.
        sides: Of its cross-section.

    Returns:
        Vertices (n · sides, 3), faces (m, 3) outward, and unit normals like the vertices.

    Example:
        >>> vertices, faces, normals = make_tube(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
        >>> vertices.shape, faces.shape, float(np.abs(normals[:, 0]).max())
        ((12, 3), (12, 3), 0.0)
    """
    step = np.diff(points, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    along = np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]])
    short = np.linalg.norm(along, axis=1) < 1e-9  # a path that turns back on itself
    along[short] = np.concatenate([step[:1], step])[short]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.where(np.abs(along[:, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    across = np.cross(along, up)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    third = np.cross(across, along)
    angle = 2 * np.pi * np.arange(sides) / sides
    normals = across[:, None] * np.cos(angle)[None, :, None] + third[:, None] * np.sin(angle)[None, :, None]
    vertices = points[:, None] + radius * normals
    ring, corner = np.meshgrid(np.arange(len(points) - 1), np.arange(sides), indexing="ij")
    a, b = (ring * sides + corner).ravel(), (ring * sides + (corner + 1) % sides).ravel()
    faces = np.concatenate([np.stack([a, a + sides, b], 1), np.stack([b, a + sides, b + sides], 1)])
    return vertices.reshape(-1, 3), faces, normals.reshape(-1, 3)


def path_points(piece: np.ndarray, path: Path, terrain: Terrain, floor: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Places (m, 3) of a piece of a path on the floor, or with None at its own loss, and its own losses (m,)."""
    x, y = terrain.to_ground(piece[:, 0], piece[:, 1])
    height = lifted_heights(path, piece[:, 2], terrain)
    own = np.interp(piece[:, 2], np.arange(len(path.own)), path.own)
    z = np.full(len(piece), floor) if floor is not None else height
    known = np.isfinite(z)
    return np.stack([x, y, z], axis=1)[known], own[known]


def _path_tube(piece: np.ndarray, path: Path, terrain: Terrain, floor: float | None, aside: float):
    points, own = path_points(piece, path, terrain, floor)
    apart = np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-9]) if len(points) else []
    points, own = points[apart], own[apart]
    if len(points) < 2:
        return None
    return *make_tube(points + np.array([aside, 0.0, 0.0])), np.repeat(own, SIDES)


def _joined(tubes: list, name: str, colour: str) -> list[Mesh]:
    if not tubes:
        return []
    starts = np.cumsum([0, *(len(tube[0]) for tube in tubes[:-1])])
    vertices = np.concatenate([tube[0] for tube in tubes])
    faces = np.concatenate([tube[1] + start for tube, start in zip(tubes, starts, strict=True)])
    colours = np.tile(matplotlib.colors.to_rgb(colour), (len(vertices), 1))
    values = np.concatenate([tube[3] for tube in tubes])
    return [Mesh(name, vertices, faces, colours, values, np.concatenate([tube[2] for tube in tubes]))]
