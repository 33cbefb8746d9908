"""Surfaces from and for other programs: loss-landscape, numpy archives, tables of text, netCDF."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lossviz.errors import DamagedFileError, UsageError
from lossviz.records.point import Status
from lossviz.records.recipe import Recipe
from lossviz.records.remark import Warn, ignore
from lossviz.records.surface import Surface
from lossviz.store.atomic_file import check_writable, replace_file
from lossviz.store.directions_file import write_directions
from lossviz.store.goldstein import (
    detect_kind,
    read_goldstein_directions,
    read_goldstein_projection,
    read_goldstein_surface,
    write_goldstein_surface,
)
from lossviz.store.schema import canonical_path, directions_path, to_text
from lossviz.store.surface_file import write_surface


def export_surface(surface: Surface, path: Path | str, format: str, *, warn: Warn = ignore) -> None:
    """Write a surface in a format of :data:`FORMATS`, whole or not at all.

    Raises:
        UsageError: If there is no such format, or it cannot hold the surface.
        UnwritableError: If nothing can be written there.
    """
    if format not in FORMATS:
        raise UsageError(f"--format is {format!r}; choose one of {', '.join(FORMATS)}.")
    path = canonical_path(path)
    check_writable(path)
    FORMATS[format](path, surface, warn)


def import_goldstein(
    file: Path | str,
    out: Path | str,
    *,
    directions: Path | str | None = None,
    projection: Path | str | None = None,
) -> list[Path]:
    """Turn files of loss-landscape into a surface file and its directions.

    Args:
        file: A surface file, or a direction file alone.
        out: The surface file to make; directions go beside it.
        directions: The surface's direction file.
        projection: A trajectory on it; its coordinates, in units of the directions, become the fact ``trajectory``.

    Returns:
        The files made.

    Raises:
        UsageError: If ``out`` exists already, or the files do not belong together.
        StoreError: If a file is not what it should be.
    """
    out, kind = canonical_path(out), detect_kind(file)
    if kind == "projection":
        raise UsageError(f"{file} is a projection; give its surface file, and this one as --projection.")
    if kind == "directions":
        if directions or projection:
            raise UsageError(f"{file} is a direction file; give its surface file first, and this one as --directions.")
        return [_import_directions(file, out, read_goldstein_directions(file))]
    surface = read_goldstein_surface(file)
    arrays = read_goldstein_directions(directions) if directions else None
    if projection:
        surface.facts = surface.facts.evolve(trajectory=read_goldstein_projection(projection, arrays))
    _check_new(out)
    made = [_import_directions(directions, out, arrays)] if directions and arrays else []
    write_surface(out, surface, compressed=True)
    return [out, *made]


def _import_directions(file: Path | str, out: Path, arrays: list[dict[str, np.ndarray]]) -> Path:
    path = directions_path(out)
    _check_new(path)
    sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    recipe = Recipe(kind="imported", source=Path(file).name, sha256=sha256)
    write_directions(path, arrays, recipe=recipe)
    return path


def _check_new(path: Path) -> None:
    check_writable(path)
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name with --out.")


def columns_of(surface: Surface) -> dict[str, np.ndarray]:
    """One column a coordinate, quantity, standard error, count and status, each flat (N,), in array order.

    Status is text as in :class:`~lossviz.records.point.Status`, in lower case.
    """
    grid = surface.plan.grid
    coordinates = grid.coordinates(np.arange(grid.size))
    columns = {axis.name: coordinates[:, k] for k, axis in enumerate(grid.axes)}
    for name in surface.names:
        columns[name] = surface.values(name).ravel()
        columns[f"{name}_stderr"] = surface.stderr(name).ravel()
    words = np.array([status.name.lower() for status in Status])
    for split, counts in surface.splits.items():
        columns[f"{split}_n"] = counts.count.ravel()
        columns[f"{split}_status"] = words[counts.status.ravel()]
    return columns


def write_csv(path: Path, surface: Surface, warn: Warn = ignore) -> None:
    """A line a grid point with its coordinates; floats in full, NaN and infinities as ``nan``, ``inf``, ``-inf``."""
    columns = columns_of(surface)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    data = text.getvalue().encode()
    replace_file(path, data, lambda written: _check_bytes(written, data))


def write_npz(path: Path, surface: Surface, warn: Warn = ignore) -> None:
    """A compressed numpy archive of axes, means, standard errors, counts and status; plan and facts as JSON text."""
    arrays = {axis.name: axis.coordinates for axis in surface.plan.grid.axes}
    for name in surface.names:
        arrays |= {name: surface.values(name), f"{name}_stderr": surface.stderr(name)}
    for split, counts in surface.splits.items():
        arrays |= {f"{split}_count": counts.count, f"{split}_weight": counts.weight, f"{split}_status": counts.status}
    texts = {
        "plan_json": surface.plan.to_json(),
        "facts_json": surface.facts.to_json(),
        "plan_digest": surface.plan.digest(),
    }
    arrays |= {name: np.array(value if isinstance(value, str) else to_text(value)) for name, value in texts.items()}
    image = io.BytesIO()
    np.savez_compressed(image, allow_pickle=False, **arrays)
    replace_file(path, image.getvalue(), lambda written: _check_bytes(written, image.getvalue()))


def write_netcdf(path: Path, surface: Surface, warn: Warn = ignore) -> None:
    """A surface file, which netCDF-4 programs read as it is; the name should end in ``.nc`` for them."""
    write_surface(path, surface, compressed=True)


def _write_goldstein(path: Path, surface: Surface, warn: Warn) -> None:
    write_goldstein_surface(path, surface, warn=warn)


def _check_bytes(path: Path, data: bytes) -> None:
    if path.read_bytes() != data:
        raise DamagedFileError(f"{path} does not read back as it was written.")


FORMATS: dict[str, Callable[[Path, Surface, Warn], None]] = {
    "goldstein": _write_goldstein,
    "npz": write_npz,
    "csv": write_csv,
    "netcdf": write_netcdf,
}
