"""The way of a camera over a surface: down from above the map, to and fro around the chosen view, and up again."""

from __future__ import annotations

import numpy as np

from lossviz.render.values.camera import Camera

FROM_ABOVE = 86.0  # degrees of elevation from which a surface is nearly its map
SWING = 30.0  # degrees that a flight turns in all


def flight(camera: Camera, count: int, turn: float = SWING) -> list[Camera]:
    """About ``count`` cameras of a flight that ends where it begins: down from above, to and fro, and up again.

    A turn of 180 degrees or more stays at one elevation; 360 goes once around. Every place but the highest and the
    outermost is passed twice or more, so that half of the pictures are drawn.

    Example:
        >>> [round(c.elevation) for c in flight(Camera(-58.0, 36.0), 12)]
        [86, 61, 36, 36, 36, 36, 36, 36, 36, 36, 36, 61, 86]
    """
    if abs(turn) >= 180:
        around = np.linspace(0, turn, count, endpoint=abs(turn) < 360)
        return [Camera(float(camera.azimuth + angle), camera.elevation) for angle in around]
    square = 90.0 * np.round(camera.azimuth / 90.0)
    square += 0.5 * np.sign(camera.azimuth - square)  # on the side from which the axes stay where they are
    down, quarter = max(1, count // 5), max(1, (count - 2 * (count // 5)) // 4)
    e = np.arange(down) / down
    descent = [
        Camera(float(a * square + (1 - a) * camera.azimuth), float(a * FROM_ABOVE + (1 - a) * camera.elevation))
        for a in 1 - e**2 * (3 - 2 * e)
    ]
    swings = [
        [
            Camera(float(camera.azimuth + side * turn / 2 * np.sin(np.pi / 2 * k / quarter)), camera.elevation)
            for k in range(quarter + 1)
        ]
        for side in (1, -1)
    ]
    there_and_back = [c for swing in swings for c in (*swing[:-1], *swing[:0:-1])]
    return [*descent, *there_and_back, swings[0][0], *descent[::-1]]
