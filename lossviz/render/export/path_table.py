"""All numbers of optimization paths as a table: a row a snapshot, exact and complete."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from lossviz.records.surface import Surface
from lossviz.records.trajectory import Trajectory

ALWAYS = ("step", "distance")


def path_columns(surface: Surface) -> list[str]:
    """Names of the columns that some path of a surface has, besides its coordinates."""
    runs = surface.trajectories.values()
    optional = [n for n in ("epochs", "learning_rate", "recorded_loss") if any(getattr(r, n) is not None for r in runs)]
    quantities = dict.fromkeys(name for run in runs for name in (*run.own, *run.projected))
    return [*ALWAYS, *optional, *(f"{kind}_{name}" for name in quantities for kind in ("own", "projected"))]


def path_column(run: Trajectory, name: str) -> np.ndarray:
    """One column of a path, float64 (T,), NaN where not known."""
    missing = np.full(len(run), np.nan)
    if name == "step":
        return run.steps.astype(np.float64)
    if name.startswith(("own_", "projected_")):
        kind, _, quantity = name.partition("_")
        return getattr(run, kind).get(quantity, missing)
    found = getattr(run, name)
    return missing if found is None else found


def write_path_csv(surfaces: Sequence[tuple[Surface, str]]) -> bytes:
    """Columns: surface, path, one a coordinate, and :func:`path_columns` of all; floats survive exactly."""
    columns = list(dict.fromkeys(name for surface, _ in surfaces for name in path_columns(surface)))
    axes = [axis.name for axis in max((s.plan.grid for s, _ in surfaces), key=lambda grid: grid.dimension).axes]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["surface", "path", *axes, *columns])
    for surface, called in surfaces:
        for run in surface.trajectories.values():
            tables = [path_column(run, name) for name in columns]
            for i, place in enumerate(run.coordinates.tolist()):
                at = [*map(repr, place), *[""] * (len(axes) - len(place))]
                values = [
                    int(run.steps[i]) if n == "step" else repr(float(t[i]))
                    for n, t in zip(columns, tables, strict=True)
                ]
                writer.writerow([called, run.name, *at, *values])
    return out.getvalue().encode()
