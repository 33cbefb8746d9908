"""How long something takes, for people."""

from __future__ import annotations


def span(seconds: float) -> str:
    """A time in the largest unit that suits it.

    Example:
        >>> span(12.34), span(310), span(6000), span(9000), span(864_000)
        ('12 s', '5.17 min', '100 min', '2.5 h', '10 days')
    """
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}" if unit > 1 else f"{seconds:.0f} {name}"
    return f"{seconds / 86400:.3g} days"
