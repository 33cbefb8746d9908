"""Files of tomgoldstein/loss-landscape, the reference tool of Li et al. (NeurIPS 2018): read, and written for it.

Its conventions, as its code has them: surfaces hold means per example, accuracy in percent, −1 (for ``min_eig`` +1)
where nothing was computed, and are laid out ``(nx, ny)`` in memory but filled in the order ``[iy, ix]``; direction
files hold groups ``xdirection``, ``ydirection`` with one dataset a tensor, named ``"0"``, ``"1"``, …; its ``cos``
projections are distances, while surface axes count multiples of the directions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from lossviz.errors import StoreError, UsageError
from lossviz.records.facts import Facts
from lossviz.records.grid import AXIS_NAMES, Axis, Grid
from lossviz.records.plan import Normalization, Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.remark import Remark, Warn, ignore
from lossviz.records.surface import Surface
from lossviz.store.atomic_file import replace_file
from lossviz.store.hdf5 import guarded, image_of, text_of

SOURCE = "import:goldstein"
Kind = Literal["surface", "directions", "projection"]
Arrays = dict[str, np.ndarray]
_PERCENT = 100.0
_LETTERS = "xy"
# their quantity: ours, and the number that means nothing was computed
_QUANTITIES = {"loss": ("loss", -1.0), "acc": ("error", -1.0)}
_EIGENVALUES = {"min_eig": ("min_eigenvalue", 1.0), "max_eig": ("max_eigenvalue", -1.0)}
_TOGETHER = (("loss", "error"), ("min_eigenvalue", "max_eigenvalue"), ("max_eigenvalue", "min_eigenvalue"))
_NORMS: dict[str, Normalization] = {"filter": "filter", "layer": "layer"}


def detect_kind(path: Path | str) -> Kind:
    """Which of the reference tool's files this is.

    Raises:
        StoreError: If it is none of them.
    """
    with _open(path) as file:
        for name, kind in _MARKS.items():
            if name in file:
                return kind
    raise StoreError(
        f"{path} is not a file of loss-landscape: it has none of {', '.join(_MARKS)} at its root. "
        f"lossviz's own files need no import."
    )


_MARKS: dict[str, Kind] = {"xcoordinates": "surface", "xdirection": "directions", "proj_xcoord": "projection"}


def read_goldstein_surface(path: Path | str) -> Surface:
    """Read a surface file of the reference tool, whole or half computed, 1-D or 2-D.

    ``train_loss`` stays what it is, ``train_acc`` becomes the fraction ``train_error``, ``min_eig`` and ``max_eig``
    become ``train_min_eigenvalue`` and ``train_max_eigenvalue``. The file does not say over how many examples it took
    its means, so every count is 1 and there are no standard errors. A loss of 0 counts as computed.

    Raises:
        StoreError: If it is not such a file, or its arrays do not fit its coordinates.
    """
    with _open(path) as file:
        return guarded(Path(path), lambda: _read_surface(Path(path), file))


def _read_surface(path: Path, file: h5py.File) -> Surface:
    if "xcoordinates" not in file:
        raise StoreError(f"{path} is not a surface file of loss-landscape: there are no xcoordinates.")
    grid, order = _read_grid(file)
    dir_file = _scalar_text(file, "dir_file")
    splits = [split for split in ("train", "test") if any(f"{split}_{name}" in file for name in _QUANTITIES)]
    if any(name in file for name in _EIGENVALUES) and "train" not in splits:
        splits.insert(0, "train")
    if not splits:
        raise StoreError(f"{path} holds no train_loss, test_loss, min_eig or max_eig.")
    tables = {split: _tables(path, file, split, grid, order) for split in splits}
    names = tuple(dict.fromkeys(name for table in tables.values() for name in table))
    plan = Plan(
        ProblemRef(SOURCE, hashlib.sha256(path.read_bytes()).hexdigest()),
        _plane_spec(dir_file or path.name),
        grid,
        tuple(splits),
        names,
    )
    surface = Surface.empty(plan)
    for split, table in tables.items():
        _enter(surface, split, table)
    surface.facts = Facts(
        problem=f"loss-landscape file {path.name}",
        dir_file=dir_file,
        notes=("Imported from loss-landscape: means only, so counts are 1 and standard errors are not known.",),
    )
    return surface


def _read_grid(file: h5py.File) -> tuple[Grid, list[np.ndarray]]:
    axes, order = [], []
    for letter, name in zip(_LETTERS, AXIS_NAMES, strict=False):
        if f"{letter}coordinates" in file:
            coordinates = np.asarray(_dataset(file, f"{letter}coordinates"), np.float64).ravel()
            order.append(np.argsort(coordinates, kind="stable"))
            axes.append(Axis(name, coordinates[order[-1]]))
    return Grid(tuple(axes)), order


def _tables(path: Path, file: h5py.File, split: str, grid: Grid, order: list[np.ndarray]) -> dict[str, Arrays]:
    """Per quantity of ours its values and where they are computed, both of the grid's shape."""
    names = {f"{split}_{theirs}": ours for theirs, ours in _QUANTITIES.items()}
    if split == "train":
        names |= _EIGENVALUES
    found = {}
    for theirs, (ours, missing) in names.items():
        if theirs not in file:
            continue
        values = np.asarray(_dataset(file, theirs), np.float64)
        if values.size != grid.size:
            raise StoreError(f"{path}: {theirs} has {values.size} values for a grid of {grid.size} points.")
        # made as (nx, ny) but filled by the flat index of meshgrid(x, y): a reshape, never a transpose
        values = values.reshape(grid.shape)[np.ix_(*reversed(order))]
        computed = values != missing
        if theirs.endswith("_acc"):
            values = 1.0 - values / _PERCENT
        found[ours] = {"values": values, "computed": computed}
    # what is computed together tells a value from the same number meaning that nothing was computed
    for one, other in _TOGETHER:
        if one in found and other in found:
            found[one]["computed"] = found[one]["computed"] | found[other]["computed"]
    return found


def _enter(surface: Surface, split: str, table: dict[str, Arrays]) -> None:
    computed = np.any([arrays["computed"] for arrays in table.values()], axis=0)
    for index in np.flatnonzero(computed):
        sums = {
            name: float(arrays["values"].flat[index]) if arrays["computed"].flat[index] else float("nan")
            for name, arrays in table.items()
        }
        surface.put(Point(int(index), split, count=1, weight=1.0, sums=sums, m2={}))


def _plane_spec(name: str) -> PlaneSpec:
    """What the name of its direction file says of the directions: ``…xignore=biasbn_xnorm=filter…``."""
    normalization = re.search(r"xnorm=([a-z]+)", name)
    return PlaneSpec(
        kind="imported",
        normalize=_NORMS.get(normalization[1], "none") if normalization else "none",
        vectors="zero" if "xignore=biasbn" in name else "keep",
    )


def read_goldstein_directions(path: Path | str) -> list[Arrays]:
    """Read a direction file: one or two directions, tensors named ``"0"``, ``"1"``, … in its order of the parameters.

    Raises:
        StoreError: If it is not such a file.
    """
    with _open(path) as file:
        return guarded(Path(path), lambda: _read_directions(path, file))


def _read_directions(path: Path | str, file: h5py.File) -> list[Arrays]:
    groups: list[Any] = [file[f"{letter}direction"] for letter in _LETTERS if f"{letter}direction" in file]
    if not groups:
        raise StoreError(f"{path} is not a direction file of loss-landscape: there is no xdirection.")
    return [{name: np.asarray(group[name], np.float32) for name in sorted(group, key=int)} for group in groups]


def read_goldstein_projection(
    path: Path | str, directions: list[Arrays] | None = None, method: Literal["cos", "lstsq"] | None = None
) -> np.ndarray:
    """Read a projected trajectory as coordinates on the plane, float64 (T, k), in units of the directions.

    Args:
        path: The projection file.
        directions: Its directions; a ``cos`` projection is a distance and is divided by their norms.
        method: How it was projected; None takes it from the file's name, as the reference tool writes it.

    Raises:
        StoreError: If it is not such a file.
        UsageError: If a ``cos`` projection comes without its directions.
    """
    with _open(path) as file:
        if "proj_xcoord" not in file:
            raise StoreError(f"{path} is not a projection file of loss-landscape: there is no proj_xcoord.")
        names = [f"proj_{letter}coord" for letter in _LETTERS if f"proj_{letter}coord" in file]
        columns = guarded(Path(path), lambda: [np.asarray(_dataset(file, name), np.float64) for name in names])
    coordinates = np.stack(columns, axis=-1)
    method = method or ("lstsq" if "lstsq" in Path(path).name else "cos")
    if method == "lstsq":
        return coordinates
    if directions is None:
        raise UsageError(f"{path} holds distances, not coordinates: give its direction file too, to divide by norms.")
    norms = [np.sqrt(sum(float(np.vdot(t, t)) for t in map(np.float64, d.values()))) for d in directions]
    return coordinates / np.array(norms[: coordinates.shape[1]])


def write_goldstein_surface(path: Path, surface: Surface, *, warn: Warn = ignore) -> None:
    """Write a surface file as the reference tool's plotting programs read it.

    What is not evaluated becomes −1, error becomes accuracy in percent; a diverged point keeps its NaN or infinity.

    Args:
        path: The file to make.
        surface: With one or two directions.
        warn: Called if a value cannot be told from "not computed" there, and for quantities it has no name for.

    Raises:
        UsageError: If the surface has three directions.
        OSError: If writing fails.
    """
    grid = surface.plan.grid
    if grid.dimension > len(_LETTERS):
        raise UsageError("loss-landscape files hold one or two directions; export this surface as npz, csv or netcdf.")
    tables = _their_tables(surface, warn)

    def fill(file: h5py.File) -> None:
        for letter, axis in zip(_LETTERS, grid.axes, strict=False):
            file[f"{letter}coordinates"] = axis.coordinates
        file["dir_file"] = str(surface.facts.dir_file or surface.facts.directions_file or "")
        for name, values in tables.items():
            file[name] = values.reshape(grid.shape[::-1])  # their layout: (nx, ny), filled as [iy, ix]

    replace_file(path, image_of(fill))


def _their_tables(surface: Surface, warn: Warn) -> Mapping[str, np.ndarray]:
    tables = {}
    for name in surface.names:
        split = surface.split_of(name)
        quantity, evaluated = name[len(split) + 1 :], surface.evaluated(split)
        theirs, missing = _their_name(split, quantity)
        if theirs is None:
            warn(Remark("doubt", name, f"{name} is left out: loss-landscape has no name for it."))
            continue
        values = surface.values(name)
        if theirs.endswith("_acc"):
            values = _PERCENT * (1.0 - values if quantity == "error" else values)
        if clashes := int((values[evaluated] == missing).sum()):
            text = f"{clashes} values of {name} are exactly {missing:g}, which means not computed there."
            warn(Remark("doubt", name, text))
        tables[theirs] = np.where(evaluated, values, missing)
    return tables


def _their_name(split: str, quantity: str) -> tuple[str | None, float]:
    if quantity in ("loss", "error", "accuracy"):
        return f"{split}_{'loss' if quantity == 'loss' else 'acc'}", -1.0
    found = [(theirs, missing) for theirs, (ours, missing) in _EIGENVALUES.items() if ours == quantity]
    return found[0] if found and split == "train" else (None, -1.0)


def _open(path: Path | str) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise StoreError(f"There is no file {path}.") from None
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be read as HDF5 ({error}).") from None


def _dataset(file: h5py.File, name: str) -> Any:
    item: Any = file[name]
    return item[()]


def _scalar_text(file: h5py.File, name: str) -> str | None:
    return text_of(_dataset(file, name)) if name in file else None
