"""Planes through given checkpoints: linear interpolation, and the plane of three solutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.errors import UsageError
from lossviz.space.params import Params, dot, norm, subtract


def interpolate(points: Sequence[Params], names: Sequence[str] = "ABC") -> tuple[tuple[Params, ...], np.ndarray]:
    """Directions of the line through two points, or of the plane through three, from the first one.

    Of two points A and B the direction is B − A: A lies at 0 and B at 1 (Goodfellow et al., ICLR 2015). Of three, the
    second direction is what C − A has orthogonal to B − A, at the same length as B − A, so that angles and distances
    in a picture with equal axes are those of parameter space: A at (0, 0), B at (1, 0), C where it lies (Garipov et
    al., NeurIPS 2018, app. A.1).

    Args:
        points: Two or three points of one layout.
        names: Of the points, for messages.

    Returns:
        The directions, float64, and the points' coordinates (2, 1) or (3, 2).

    Raises:
        UsageError: If two points are the same, or three lie on a line.

    Example:
        >>> import torch
        >>> a, b, c = ({"w": torch.tensor(values)} for values in ([0.0, 0.0], [2.0, 0.0], [1.0, 3.0]))
        >>> directions, coordinates = interpolate([a, b, c])
        >>> [direction["w"].tolist() for direction in directions], coordinates.tolist()
        ([[2.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [1.0, 0.0], [0.5, 1.5]])
    """
    wide = [{name: tensor.detach().cpu().double() for name, tensor in point.items()} for point in points]
    first = subtract(wide[1], wide[0])
    length = norm(first)
    if not length:
        raise UsageError(f"{names[0]} and {names[1]} are the same parameters; there is no line through them.")
    if len(wide) == 2:
        return (first,), np.array([[0.0], [1.0]])
    third = subtract(wide[2], wide[0])
    along = dot(third, first) / length**2
    across = {name: third[name] - along * first[name] for name in third}
    height = norm(across)
    if height <= 1e-6 * max(norm(third), length):
        raise UsageError(
            f"{names[2]} lies on the line through {names[0]} and {names[1]}, at {along:.4g}: the three span no plane. "
            f"Draw the line: --plane 'line {names[0]} {names[1]}' with one range."
        )
    second = {name: tensor * (length / height) for name, tensor in across.items()}
    return (first, second), np.array([[0.0, 0.0], [1.0, 0.0], [along, height / length]])
