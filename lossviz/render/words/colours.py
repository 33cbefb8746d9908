"""Colour maps for surfaces: ordered by lightness, named, and turned into colours in one place.

A map of a loss should be monotone in lightness, or it shows edges that are not in the data; a reader of a rainbow or a
diverging map is told so. Differences of two surfaces take the diverging ``vik``, symmetric about 0.
"""

from __future__ import annotations

import difflib
from functools import cache

import matplotlib
import numpy as np

from lossviz.errors import UsageError
from lossviz.render.words import crameri

SEQUENTIAL = ("lipari", "navia", "oslo", "viridis", "cividis", "magma")
DIVERGING = ("vik",)
DEFAULT = "lipari"
DARK_GROUND = 0.42  # luminance below which lines are white
LIGHTNESS_TURNS = 3.0  # of CIE L*, 0 to 100, that a map may go against its own direction without being seen
PALE = "oslo60"  # one hue blended with paper: a ground on which several paths can be told apart


@cache
def colour_table(name: str) -> np.ndarray:
    """SRGB colours of a map of ours or of Matplotlib from low to high, float64 (256, 3) in 0…1, read-only.

    Raises:
        UsageError: If the map is unknown.

    Example:
        >>> colour_table("lipari").shape
        (256, 3)
    """
    if name == PALE:
        return _pale(colour_table("oslo"))
    if name not in (*crameri.NAMES, *matplotlib.colormaps):
        near = difflib.get_close_matches(name, [*SEQUENTIAL, *matplotlib.colormaps], 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"--colours is {name!r}; choose {', '.join(SEQUENTIAL)}, or any other map of Matplotlib by its name.{hint}"
        )
    table = crameri.read_table(name) if name in crameri.NAMES else _matplotlib_table(name)
    table.flags.writeable = False
    return table


def lightness(srgb: np.ndarray) -> np.ndarray:
    """CIE L* of colours (…, 3), 0 (black) to 100 (white)."""
    y = luminance(to_linear(srgb))
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def is_monotone(name: str) -> bool:
    """Whether a map's colours grow steadily lighter, or steadily darker.

    Example:
        >>> is_monotone("viridis"), is_monotone("Blues"), is_monotone("jet")
        (True, True, False)
    """
    steps = np.diff(lightness(colour_table(name)))
    return bool(min(steps[steps > 0].sum(), -steps[steps < 0].sum()) < LIGHTNESS_TURNS)


def colour_at(name: str, position: np.ndarray | float) -> np.ndarray:
    """SRGB colours at positions 0 (low) … 1 (high) of a map, linear between its entries; shape (…, 3).

    Example:
        >>> colour_at("oslo", 1.0)
        array([1., 1., 1.])
    """
    table = colour_table(name)
    place = np.clip(np.asarray(position, np.float64), 0.0, 1.0) * (len(table) - 1)
    low = np.minimum(place.astype(np.intp), len(table) - 2)
    return table[low] + (table[low + 1] - table[low]) * (place - low)[..., None]


def luminance(srgb: np.ndarray) -> np.ndarray:
    """Weighted sum of sRGB components, 0 (black) … 1 (white); what decides between light and dark ink."""
    return np.asarray(srgb)[..., :3] @ np.array([0.2126, 0.7152, 0.0722])


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light from sRGB components, both 0…1 (IEC 61966-2-1)."""
    srgb = np.asarray(srgb)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_linear`.

    Example:
        >>> float(to_srgb(to_linear(np.array(0.5))).round(12))
        0.5
    """
    linear = np.clip(linear, 0.0, None)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _pale(table: np.ndarray) -> np.ndarray:
    # 16-97 % of the map, 60 % of it and 40 % of white paper
    place = np.linspace(0.16, 0.97, 256) * 255
    low = np.minimum(place.astype(int), 254)
    part = table[low] + (table[low + 1] - table[low]) * (place - low)[:, None]
    pale = 0.6 * part + 0.4
    pale.flags.writeable = False
    return pale


def _matplotlib_table(name: str) -> np.ndarray:
    return np.array(matplotlib.colormaps[name](np.linspace(0.0, 1.0, 256))[:, :3])
