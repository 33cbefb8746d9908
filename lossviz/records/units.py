"""Sizes in memory and times, as people read them."""

from __future__ import annotations

import math


def format_bytes(size: float) -> str:
    """Bytes in the unit that reads best.

    Example:
        >>> format_bytes(500), format_bytes(3 * 2**20), format_bytes(5 * 2**30)
        ('500 B', '3.0 MiB', '5.0 GiB')
    """
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def format_time(seconds: float) -> str:
    """A time in the largest unit that suits it; no shorter than 0.1 s.

    Example:
        >>> [format_time(seconds) for seconds in (0.664, 6.16, 12.34, 118, 310, 6000, 9000, 864_000)]
        ['0.66 s', '6 s', '12 s', '118 s', '5.17 min', '100 min', '2.5 h', '10 days']
        >>> format_time(float("nan"))
        'an unknown time'
    """
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 1:
        return f"{max(seconds, 0.1):.2g} s"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}" if unit > 1 else f"{seconds:.0f} {name}"
    return f"{seconds / 86400:.3g} days"
