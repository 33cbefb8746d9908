"""A panel as a height field: heights over even ground, ready to be lit, traced and shaded.

Ground coordinates put the middle of the grid at 0 and let its longer axis span -1…1. Heights are the positions on the
scale (0…1, so on a log scale log height) times a common factor: one unit of the colour bar is one unit of height.
Cells of +inf stand at the ceiling, those of -inf on the ground, those of NaN at their nearest neighbour's height; all
carry a pattern. Where nothing has been evaluated the surface is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossviz.render.values.cells import Cell
from lossviz.render.values.field import Field
from lossviz.render.values.scale import Scale

HEIGHT = 0.85
FLATTEST = 0.4  # a grid much longer than wide is drawn no narrower than this


@dataclass(frozen=True, eq=False)
class Terrain:
    """A height field.

    Attributes:
        height: float32 (m_y, m_x), 0 … ``tall``.
        kinds: uint8 :class:`Cell` of the same shape.
        half_x: The ground reaches from -half_x to half_x.
        half_y: The same along y.
        x_ends: Coordinates of the plane at the two ends of x.
        y_ends: The same along y.
        scale: Whose positions the heights are.
        tall: Height of the top of the scale, where the longer axis of the ground spans 2.
    """

    height: np.ndarray
    kinds: np.ndarray
    half_x: float
    half_y: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    scale: Scale
    tall: float = HEIGHT

    @cached_property
    def ground_x(self) -> np.ndarray:
        """Ground coordinates of the columns, (m_x,)."""
        return np.linspace(-self.half_x, self.half_x, self.height.shape[1])

    @cached_property
    def ground_y(self) -> np.ndarray:
        """Ground coordinates of the rows, (m_y,)."""
        return np.linspace(-self.half_y, self.half_y, self.height.shape[0])

    @property
    def steps(self) -> tuple[float, float]:
        """Ground distance between columns and between rows."""
        rows, columns = self.height.shape
        return 2 * self.half_x / (columns - 1), 2 * self.half_y / (rows - 1)

    @cached_property
    def holes(self) -> bool:
        """Whether some cells have not been evaluated: they are left open."""
        return bool((self.kinds == Cell.NOT_EVALUATED).any())

    @cached_property
    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Height per ground distance along x and along y, float32 (m_y, m_x) each."""
        dx, dy = self.steps
        along_y, along_x = np.gradient(self.height, dy, dx)
        return along_x.astype(np.float32), along_y.astype(np.float32)

    def to_ground(self, x: np.ndarray | float, y: np.ndarray | float):
        """Ground coordinates of plane coordinates."""
        (x0, x1), (y0, y1) = self.x_ends, self.y_ends
        return (
            (np.asarray(x) - (x0 + x1) / 2) * (2 * self.half_x / (x1 - x0)),
            (np.asarray(y) - (y0 + y1) / 2) * (2 * self.half_y / (y1 - y0)),
        )

    def height_of(self, values: np.ndarray | float) -> np.ndarray:
        """Height at which a value lies, clipped to the scale."""
        return self.scale.position(values) * self.tall

    def sample(self, table: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Bilinear samples of a table over the ground, (m_y, m_x) or (m_y, m_x, c), at ground coordinates; float32."""
        rows, columns = self.height.shape
        dx, dy = self.steps
        # float32 keeps a pixel's place to 1e-5 of a cell, which is below what a picture shows
        fx = np.clip((np.asarray(x, np.float32) + np.float32(self.half_x)) / np.float32(dx), 0, columns - 1.001)
        fy = np.clip((np.asarray(y, np.float32) + np.float32(self.half_y)) / np.float32(dy), 0, rows - 1.001)
        i, j = fx.astype(np.int32), fy.astype(np.int32)
        fx -= i
        fy -= j
        k = j * np.int32(columns) + i
        flat = table.reshape(-1, *table.shape[2:])
        if flat.ndim == 2:
            fx, fy = fx[..., None], fy[..., None]
        near = flat[k]
        near += (flat[k + 1] - near) * fx
        far = flat[k + columns]
        far += (flat[k + columns + 1] - far) * fx
        return near + (far - near) * fy

    def kind_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Kind of the nearest fine cell at ground coordinates."""
        rows, columns = self.height.shape
        dx, dy = self.steps
        i = np.clip(np.rint((x + self.half_x) / dx), 0, columns - 1).astype(np.int32)
        j = np.clip(np.rint((y + self.half_y) / dy), 0, rows - 1).astype(np.int32)
        return self.kinds[j, i]


def make_terrain(field: Field, scale: Scale, tall: float = HEIGHT) -> Terrain:
    """The height field of a panel."""
    position = scale.place(field.display)
    position = np.where(field.kinds == Cell.PLUS_INF, 1.0, np.where(field.kinds == Cell.MINUS_INF, 0.0, position))
    width, depth = np.ptp(field.x), np.ptp(field.y)
    longest = max(width, depth)
    return Terrain(
        height=(position * tall).astype(np.float32),
        kinds=field.kinds,
        half_x=float(max(width / longest, FLATTEST)),
        half_y=float(max(depth / longest, FLATTEST)),
        x_ends=(float(field.x[0]), float(field.x[-1])),
        y_ends=(float(field.y[0]), float(field.y[-1])),
        scale=scale,
        tall=tall,
    )
