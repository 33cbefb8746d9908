"""All numbers of a surface as one long CSV table: a line a point and quantity, exact and complete."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from lossviz.records.point import Status
from lossviz.records.surface import Surface


def write_csv(
    surfaces: Sequence[Surface], names: Sequence[str], *, less: Surface | None = None, ratio: bool = False
) -> bytes:
    """Columns: surface, one a coordinate, quantity, value, stderr, examples, status; floats survive exactly.

    Args:
        surfaces: At least one.
        names: What each is called.
        less: A surface on the same grid that is subtracted from each; standard errors are then not known.
        ratio: With ``less``, write log10 of each over it, and say so in the quantity's name.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    axes = [axis.name for axis in max((s.plan.grid for s in surfaces), key=lambda grid: grid.dimension).axes]
    writer.writerow(["surface", *axes, "quantity", "value", "stderr", "examples", "status"])
    for surface, called in zip(surfaces, names, strict=True):
        coordinates = surface.plan.grid.coordinates(range(surface.plan.grid.size)).tolist()
        for name in surface.names if less is None else [n for n in surface.names if n in less.names]:
            columns = _columns(surface, name) if less is None else _difference(surface, less, name, ratio)
            rows = zip(coordinates, *(column.ravel().tolist() for column in columns), strict=True)
            for at, value, stderr, count, status in rows:
                place = [*map(repr, at), *[""] * (len(axes) - len(at))]
                row = repr(value), repr(stderr), count, Status(status).name.lower()
                writer.writerow([called, *place, f"{'log10_ratio_' * ratio}{name}", *row])
    return out.getvalue().encode()


def _columns(surface: Surface, name: str) -> tuple[np.ndarray, ...]:
    counts = surface.splits[surface.split_of(name)]
    return surface.values(name), surface.stderr(name), counts.count, counts.status


def _difference(first: Surface, second: Surface, name: str, ratio: bool) -> tuple[np.ndarray, ...]:
    """As :func:`_columns`; of two points that were not both evaluated neither counts."""
    (values, _, count, status), (other, _, other_count, other_status) = _columns(first, name), _columns(second, name)
    both = (status != Status.NOT_COMPUTED) & (other_status != Status.NOT_COMPUTED)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if ratio:
            apart = np.where(both & (values > 0) & (other > 0), np.log10(values) - np.log10(other), np.nan)
        else:
            apart = np.where(both, values - other, np.nan)
    worse = np.where(both, np.maximum(status, other_status), Status.NOT_COMPUTED)
    return apart, np.full(apart.shape, np.nan), np.where(both, np.minimum(count, other_count), 0), worse
