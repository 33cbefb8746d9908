"""Shape-preserving interpolation between grid points (PCHIP), in numpy.

Fritsch and Butland's slopes (SIAM J. Sci. Stat. Comput. 5, 1984) make the cubic monotone between neighbouring
samples: it never overshoots, so a picture shows no minimum that was not measured. Bicubic interpolation does.
"""

from __future__ import annotations

import numpy as np


def interpolate(x: np.ndarray, values: np.ndarray, at: np.ndarray, axis: int = -1) -> np.ndarray:
    """Monotone piecewise-cubic interpolation along one axis.

    Args:
        x: Coordinates of the samples, strictly increasing, shape (n,), n at least 2.
        values: Finite samples; their ``axis`` has length n.
        at: Where to interpolate, within ``x[0]`` … ``x[-1]``, shape (m,).
        axis: The axis of ``values`` that ``x`` belongs to.

    Returns:
        float64, like ``values`` with ``axis`` of length m.

    Example:
        >>> interpolate(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]), np.array([1.5]))
        array([1.])
    """
    values = np.asarray(values, np.float64)
    if np.array_equal(x, at):
        return values
    # the interpolated axis goes first, so that whole rows are combined at once
    v = np.moveaxis(values, axis, 0)
    shape = (-1,) + (1,) * (v.ndim - 1)
    h = np.diff(x)
    d = _slopes(h.reshape(shape), np.diff(v, axis=0) / h.reshape(shape))
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t, step = ((at - x[k]) / h[k]).reshape(shape), h[k].reshape(shape)
    rise = v[k + 1] - v[k]
    start, end = step * d[k], step * d[k + 1]
    cubic = v[k] + t * (start + t * (3 * rise - 2 * start - end + t * (start + end - 2 * rise)))
    return np.moveaxis(cubic, 0, axis)


def interpolate_grid(
    x: np.ndarray, y: np.ndarray, values: np.ndarray, x_at: np.ndarray, y_at: np.ndarray
) -> np.ndarray:
    """Interpolate ``values`` (n_y, n_x) at every pair of ``x_at`` and ``y_at``: shape (len(y_at), len(x_at))."""
    return interpolate(y, interpolate(x, values, x_at, axis=1), y_at, axis=0)


def refine(coordinates: np.ndarray, fewest: int) -> np.ndarray:
    """Evenly spaced coordinates over the same range, at least ``fewest``, through the given ones if those are even.

    Example:
        >>> refine(np.array([-1.0, 0.0, 1.0]), 5)
        array([-1. , -0.5,  0. ,  0.5,  1. ])
    """
    n = len(coordinates)
    between = max(1, -(-(fewest - 1) // (n - 1)))
    first, last = coordinates[0], coordinates[-1]
    fine = np.linspace(first, last, (n - 1) * between + 1)
    if np.allclose(np.diff(coordinates), (last - first) / (n - 1), rtol=1e-6, atol=0):
        fine[::between] = coordinates
    return fine


def _slopes(h: np.ndarray, delta: np.ndarray) -> np.ndarray:
    if len(delta) == 1:
        return np.concatenate([delta, delta])
    before, after = delta[:-1], delta[1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = np.sign(before) * np.sign(after) > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inner = np.where(same, (w1 + w2) / (w1 / before + w2 / after), 0.0)
    first = _end_slope(h[0], h[1], delta[0], delta[1])
    last = _end_slope(h[-1], h[-2], delta[-1], delta[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_slope(h0: np.ndarray, h1: np.ndarray, d0: np.ndarray, d1: np.ndarray) -> np.ndarray:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    slope = np.where(np.sign(slope) != np.sign(d0), 0.0, slope)
    turned = (np.sign(d0) != np.sign(d1)) & (np.abs(slope) > 3 * np.abs(d0))
    return np.where(turned, 3 * d0, slope)
