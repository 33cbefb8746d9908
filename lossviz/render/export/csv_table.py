"""All numbers of a surface as one long CSV table: a line a point and quantity, exact and complete."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from lossviz.records.point import Status
from lossviz.records.surface import Surface


def write_csv(surfaces: Sequence[Surface], names: Sequence[str]) -> bytes:
    """Columns: surface, one a coordinate, quantity, value, stderr, examples, status; floats survive exactly."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    axes = [axis.name for axis in max((s.plan.grid for s in surfaces), key=lambda grid: grid.dimension).axes]
    writer.writerow(["surface", *axes, "quantity", "value", "stderr", "examples", "status"])
    for surface, called in zip(surfaces, names, strict=True):
        coordinates = surface.plan.grid.coordinates(range(surface.plan.grid.size)).tolist()
        for name in surface.names:
            counts = surface.splits[surface.split_of(name)]
            columns = (surface.values(name), surface.stderr(name), counts.count, counts.status)
            rows = zip(coordinates, *(column.ravel().tolist() for column in columns), strict=True)
            for at, value, stderr, count, status in rows:
                place = [*map(repr, at), *[""] * (len(axes) - len(at))]
                writer.writerow([called, *place, name, repr(value), repr(stderr), count, Status(status).name.lower()])
    return out.getvalue().encode()
