"""The directions of a run in a file of their own, written once: a seed alone is not a plane.

Layout: ``/directions/<k>/<parameter name>``, float32 in the parameter's shape, with the attribute ``index`` for the
order; where scale factors are stored, ``/scales/<k>/<parameter name>``. Recipe and fingerprint are JSON texts beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lossviz.errors import DamagedFileError, UnwritableError
from lossviz.records.recipe import Recipe
from lossviz.records.units import format_bytes
from lossviz.store.atomic_file import free_bytes, replace_file
from lossviz.store.fingerprint import Fingerprint, direction_sha256
from lossviz.store.hdf5 import (
    guarded,
    image_of,
    open_ours,
    read_array,
    read_integer,
    read_text,
    text_of,
    write_array,
    write_attribute,
    write_text,
)
from lossviz.store.schema import DIRECTIONS_FORMAT, FORMAT_VERSION, canonical_path, from_text, to_text

Arrays = dict[str, np.ndarray]
WITHOUT_DIRECTIONS = (
    "The surface is whole without them: plot, info, report and export work. 'lossviz project', --plane-from, --start "
    "and 'verify --recompute' need them: put a copy back, or compute the run anew with --force."
)


@dataclass(frozen=True)
class StoredDirections:
    """What a directions file holds.

    Attributes:
        directions: Per direction one array a parameter name, in the parameters' order; None where only the recipe is
            stored.
        recipe: How they were made.
        fingerprint: Tells bit-identical, rounded and other directions apart.
        scales: Per direction the scale factors of the normalization, float64, one a filter; None where not stored.
    """

    directions: list[Arrays] | None
    recipe: Recipe
    fingerprint: Fingerprint
    scales: list[Arrays] | None = None


def write_directions(
    path: Path,
    directions: Sequence[Mapping[str, np.ndarray]],
    *,
    recipe: Recipe,
    origin: Mapping[str, np.ndarray] | None = None,
    scales: Sequence[Mapping[str, np.ndarray]] | None = None,
    tensors: bool = True,
) -> Fingerprint:
    """Write directions, whole or not at all.

    Args:
        path: Usually :func:`lossviz.store.schema.directions_path` of the run.
        directions: As they are used, after normalization, in the parameters' order; stored as float32.
        recipe: How to make them again: kind, algorithm, seed, normalization.
        origin: For the directions' dot products with it.
        scales: Scale factors of the normalization.
        tensors: False stores recipe and fingerprint only.

    Returns:
        The fingerprint, also stored.

    Raises:
        UnwritableError: If there is no room.
        OSError: If writing fails; an older file is untouched.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "net.directions.h5"
        ...     _ = write_directions(path, [{"w": np.array([3.0, 4.0], np.float32)}], recipe=Recipe(seed=1))
        ...     read_directions(path).directions
        [{'w': array([3., 4.], dtype=float32)}]
    """
    path = canonical_path(path)
    kept = [{name: np.asarray(values, np.float32) for name, values in d.items()} for d in directions]
    _check_room(path, sum(values.nbytes for d in kept for values in d.values()) if tensors else 0)
    fingerprint = Fingerprint.of(kept, origin)

    def fill(file: h5py.File) -> None:
        for name, value in {"format": DIRECTIONS_FORMAT, "format_version": FORMAT_VERSION}.items():
            write_attribute(file, name, value)
        file.attrs["dimension"] = len(kept)
        _write_group(file, "directions", kept if tensors else [])
        _write_group(file, "scales", [{n: np.asarray(v, np.float64) for n, v in d.items()} for d in scales or []])
        write_text(file, "recipe_json", to_text(recipe.to_json()))
        write_text(file, "fingerprint_json", to_text(fingerprint.to_json()))

    replace_file(path, image_of(fill), lambda written: _check(written, fingerprint))
    return fingerprint


def read_directions(path: Path | str, *, tensors: bool = True) -> StoredDirections:
    """Read a directions file, every checksum checked.

    Args:
        path: The file.
        tensors: False leaves the directions on disk; recipe, scale factors and fingerprint are small.

    Raises:
        StoreError: If there is no such file, or it is something else.
        DamagedFileError: If it fails its checksums.
    """
    path = canonical_path(path)
    with open_ours(path, DIRECTIONS_FORMAT) as file:
        return guarded(path, lambda: _read(file, tensors))


def _write_group(file: h5py.File, name: str, tables: Sequence[Mapping[str, np.ndarray]]) -> None:
    group = file.create_group(name, track_order=True)
    for k, table in enumerate(tables):
        member = group.create_group(str(k), track_order=True)
        for index, (parameter, values) in enumerate(table.items()):
            # a slash would make a group; the attribute has the name as it is
            dataset = write_array(member, parameter.replace("/", "%2F"), values)
            dataset.attrs["index"] = index
            write_attribute(dataset, "name", parameter)


def _read(file: h5py.File, tensors: bool) -> StoredDirections:
    fingerprint = Fingerprint.from_json(from_text(read_text(file["fingerprint_json"])))
    directions = _read_group(file["directions"]) if tensors else []
    scales = _read_group(file["scales"])
    if directions and tuple(map(direction_sha256, directions)) != fingerprint.sha256:
        raise DamagedFileError("its directions do not have the SHA-256 they should have.")
    recipe = Recipe.from_json(from_text(read_text(file["recipe_json"])))
    return StoredDirections(directions or None, recipe, fingerprint, scales or None)


def _read_group(group: Any) -> list[Arrays]:
    tables = []
    for k in range(len(group)):
        members = sorted(group[str(k)].values(), key=lambda dataset: read_integer(dataset, "index"))
        tables.append({text_of(dataset.attrs["name"]): read_array(dataset) for dataset in members})
    return tables


def _check(path: Path, fingerprint: Fingerprint) -> None:
    # as text, in which NaN equals NaN
    if to_text(read_directions(path).fingerprint.to_json()) != to_text(fingerprint.to_json()):
        raise DamagedFileError(f"{path} does not read back as it was written.")


def _check_room(path: Path, size: int) -> None:
    free = free_bytes(path.parent) if path.parent.is_dir() else None
    if free is not None and free < size + (1 << 16):
        raise UnwritableError(
            f"{path} needs {format_bytes(size)}, {format_bytes(free)} are free in {path.parent}. "
            f"Make room, or keep only their recipe with --store-directions recipe."
        )
