"""A line of the journal: ``%08x SPACE json LF``, the CRC-32 of the JSON before it.

::

    {"t":"h","format":"lossviz-journal","version":1,"plan_digest":…,"session":{…},"plan":{…}}
    {"t":"p","i":[ib,ia],"c":[beta,alpha],"s":"train","n":50000,"w":50000.0,"sums":{…},"m2":{…},"st":1,"sec":1.9}
    {"t":"e","reason":"done"}

The header comes first, the end last if there was time. A line whose ``t`` is not known is skipped. Floats survive
bit for bit; NaN and infinities are text.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from lossviz.records.grid import Grid
from lossviz.records.point import Point, Status
from lossviz.store.schema import to_text


def to_line(record: Mapping[str, Any]) -> bytes:
    r"""One record as it lies in a segment.

    Example:
        >>> to_line({"t": "e", "reason": "done"})
        b'915d756d {"t":"e","reason":"done"}\n'
    """
    text = to_text(record).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def from_line(line: bytes) -> dict[str, Any] | None:
    """The inverse of :func:`to_line`, without the line feed; None for a line that is torn or damaged."""
    text = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(text):
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def point_lines(points: Sequence[Point], grid: Grid) -> list[bytes]:
    """One line a point; coordinates go along, so that a segment can be used with nothing else."""
    coordinates = grid.coordinates([point.index for point in points])[:, ::-1]  # array order, alpha last
    return [
        to_line(
            {
                "t": "p",
                "i": grid.position(point.index),
                "c": place,
                "s": point.split,
                "n": int(point.count),
                "w": float(point.weight),
                "sums": {name: float(value) for name, value in point.sums.items()},
                "m2": {name: float(value) for name, value in point.m2.items()},
                "st": int(point.status),
                "sec": float(point.seconds),
            }
        )
        for point, place in zip(points, coordinates, strict=True)
    ]


def to_point(record: Mapping[str, Any], grid: Grid) -> Point:
    """The point a record holds; the inverse of :func:`point_lines`."""
    return Point(
        index=grid.index(record["i"]),
        split=record["s"],
        count=record["n"],
        weight=float(record["w"]),  # float() reads "nan" and "inf" too
        sums={name: float(value) for name, value in record["sums"].items()},
        m2={name: float(value) for name, value in record["m2"].items()},
        seconds=float(record["sec"]),
        partial=record["st"] == Status.PARTIAL,
    )


def values_text(point: Point) -> str:
    """All that a point says about the loss, as text that is equal exactly where the numbers are equal bit for bit."""
    names = sorted(point.sums)
    return to_text([point.count, point.weight, [[n, point.sums[n], point.m2.get(n, float("nan"))] for n in names]])
