"""The published file: HDF5 built in memory and put in place whole, read with every checksum checked.

Datasets lie at the root under names that need no explanation, ``/train_loss`` and ``/train_loss_stderr`` for drawing,
``/train_loss_sum``, ``/train_loss_m2``, ``/train_count``, ``/train_weight`` for adding more examples, on the named
dimension scales ``/alpha``, ``/beta``, ``/gamma``; so plain h5py, xarray and the netCDF tools read them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from lossviz.errors import DamagedFileError, StoreError
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.point import Status
from lossviz.records.remark import Remark, Warn, ignore
from lossviz.records.session import Session
from lossviz.records.surface import SplitCounts, Surface
from lossviz.store.atomic_file import replace_file
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
from lossviz.store.schema import (
    FORMAT_VERSION,
    PROVENANCE,
    SHARED,
    SURFACE_FORMAT,
    canonical_path,
    check_names,
    from_text,
    to_text,
)
from lossviz.store.segment import check_plan, enter_segment, read_headers, read_segments
from lossviz.store.trajectory_group import read_trajectories, write_trajectories

_AXIS_LETTERS = {"alpha": "X", "beta": "Y", "gamma": "Z"}
# facts, and words of the first session, that where there are also laid flat at the root for strangers
_FLAT_FACTS = ("state_sha256", "dataset_id", "dataset_sha256", "directions_file", "directions_sha256")
_FLAT_SESSION = {
    "created": "started",
    "device": "device",
    "torch_version": "torch",
    "code_version": "lossviz",
    "command_line": "command_line",
}


# ---------------------------------------------------------------- writing


def write_surface(path: Path, surface: Surface, *, compressed: bool = False) -> None:
    """Publish a surface at ``path``: the old file stays until the new one is whole, synced and checked.

    Raises:
        OSError: If the disk is full or fails; the old file is untouched.
    """
    replace_file(path, build_image(surface, compressed=compressed), check_surface_file)


def build_image(surface: Surface, *, compressed: bool = False) -> bytes:
    """The bytes of a surface file."""
    check_names(surface.plan.splits, (name[len(surface.split_of(name)) + 1 :] for name in surface.names))

    def fill(file: h5py.File) -> None:
        for axis in surface.plan.grid.axes:
            _write_axis(file, axis.name, axis.coordinates)
        for split in surface.plan.splits:
            _write_split(file, surface, split, compressed)
        provenance = file.create_group("provenance", track_order=True)
        parts = (surface.plan.to_json(), surface.facts, surface.sessions)
        for name, values in zip(PROVENANCE, parts, strict=True):
            write_text(provenance, f"{name}_json", to_text(values))
        write_trajectories(file, surface.trajectories)
        for name, value in root_attributes(surface).items():
            write_attribute(file, name, value)

    return image_of(fill)


def root_attributes(surface: Surface) -> dict[str, str | int]:
    """What strangers see first; everything here follows from plan, facts and status."""
    plan, facts, first = surface.plan, surface.facts, (surface.sessions or [Session()])[0]
    done = int(surface.evaluated().sum())
    return {
        "Conventions": "CF-1.11",
        "format": SURFACE_FORMAT,
        "format_version": FORMAT_VERSION,
        "title": f"Loss landscape of {plan.problem.source} on {plan.grid}",
        "plan_digest": plan.digest(),
        "problem_source": plan.problem.source,
        "problem_sha256": plan.problem.source_sha256,
        **({"checkpoint_path": plan.problem.checkpoint} if plan.problem.checkpoint else {}),
        **({"checkpoint_sha256": plan.problem.checkpoint_sha256} if plan.problem.checkpoint_sha256 else {}),
        "plane": plan.plane.kind,
        "normalize": plan.plane.normalize,
        "precision": plan.precision,
        "batchnorm": plan.batchnorm,
        **{name: to_text(facts[name]).strip('"') for name in _FLAT_FACTS if name in facts},
        **{name: str(first[word]) for name, word in _FLAT_SESSION.items() if first.get(word)},
        "seed": plan.plane.seed,
        "complete": int(done == plan.grid.size),
        "points_total": plan.grid.size,
        "points_done": done,
    }


def _write_axis(file: h5py.File, name: str, coordinates: np.ndarray) -> None:
    dataset = write_array(file, name, coordinates)
    dataset.make_scale(name)
    number = list(_AXIS_LETTERS).index(name) + 1
    write_attribute(dataset, "long_name", f"coordinate along direction {number}")
    write_attribute(dataset, "units", "1")
    write_attribute(dataset, "axis", _AXIS_LETTERS[name])


def _write_split(file: h5py.File, surface: Surface, split: str, compressed: bool) -> None:
    packing = {"shuffle": True, "compression": "gzip", "compression_opts": 1} if compressed else {}

    def add(name: str, values: np.ndarray, long_name: str, *, nan: bool = True) -> h5py.Dataset:
        fill = np.array(np.nan if nan else 0, values.dtype)[()]
        dataset = write_array(file, name, values, fillvalue=fill, **packing)
        for axis, axis_name in enumerate(surface.plan.grid.names):
            dataset.dims[axis].attach_scale(file[axis_name])
        write_attribute(dataset, "long_name", long_name)
        if nan:  # a count with a fill value would come out of xarray as float
            dataset.attrs["_FillValue"] = fill
        return dataset

    names = [name for name in surface.names if surface.split_of(name) == split]
    for name in names:
        quantity = f"{name[len(split) + 1 :]} over the {split} examples"
        mean = add(name, surface.values(name), f"mean {quantity}")
        write_attribute(mean, "units", "1")
        add(f"{name}_stderr", surface.stderr(name), f"standard error of the mean {quantity}")
        add(f"{name}_sum", surface.sums[name], f"weighted sum of {quantity}")
        add(f"{name}_m2", surface.m2[name], f"sum of squared weighted deviations of {quantity}")
    for name, (dtype, long_name) in SHARED.items():
        values = getattr(surface.splits[split], name).astype(dtype)
        dataset = add(f"{split}_{name}", values, long_name, nan=name == "weight")
        if name == "status":
            dataset.attrs["flag_values"] = np.array([status.value for status in Status], np.uint8)
            write_attribute(dataset, "flag_meanings", " ".join(status.name.lower() for status in Status))


# ---------------------------------------------------------------- reading


def read_surface(path: Path | str, warn: Warn = ignore) -> Surface:
    """Read all that is known of a run: the published file, and the points in segments beside it.

    Takes no lock and writes nothing, so it works while the run goes on and in folders that are read-only.

    Args:
        path: The surface file.
        warn: Called with a remark on every segment that is damaged.

    Raises:
        StoreError: If there is no such file, or it is not a surface file.
        DamagedFileError: If it fails its checksums; nothing of it is believed.
    """
    path = canonical_path(path)
    plan = peek_plan(path) or peek_plan(path)  # again, as a first publication may tidy the segments away meanwhile
    if plan is None:
        raise StoreError(f"There is no surface file {path}. Make one with: lossviz compute … --out '{path}'")
    segments = read_segments(path)  # before the file: what is tidied away meanwhile is in the file by then
    surface = read_published(path) if path.exists() else Surface.empty(plan)
    for segment in segments:
        check_plan(segment, surface.plan)
        health = enter_segment(surface, segment)
        if not health.healthy:
            warn(Remark("doubt", "journal", str(health)))
    return surface


def read_published(path: Path) -> Surface:
    """Read the published file alone, every checksum checked.

    Raises:
        StoreError: If it is not a surface file.
        DamagedFileError: Naming what fails.
    """
    with open_ours(path, SURFACE_FORMAT) as file:
        return guarded(path, lambda: _read(file))


def check_surface_file(path: Path) -> None:
    """Read a file back, every dataset of it.

    Raises:
        DamagedFileError: Naming what fails.
    """
    read_published(path)


def peek_plan(path: Path) -> Plan | None:
    """The plan of the run at ``path``, from the file or, where that is missing or damaged, from a segment.

    Raises:
        StoreError: If there is a file that is not ours.
        DamagedFileError: If the file is damaged and no segment says the plan.
    """
    try:
        if path.exists():
            with open_ours(path, SURFACE_FORMAT) as file:
                return guarded(path, lambda: _read_plan(file))
    except DamagedFileError:
        if plan := _journal_plan(path):
            return plan
        raise
    return _journal_plan(path)


def _journal_plan(path: Path) -> Plan | None:
    return next((segment.plan for segment in read_headers(path) if segment.header), None)


def _read_plan(file: h5py.File) -> Plan:
    values = from_text(read_text(file["provenance/plan_json"]))
    try:
        plan = Plan.from_json(values)
    except (TypeError, KeyError) as error:
        raise StoreError(f"Its plan was written by another version of lossviz ({error}). Update lossviz.") from None
    if text_of(file.attrs["plan_digest"]) != plan.digest():
        raise DamagedFileError("its plan does not have the digest it should have.")
    return plan


def _read(file: h5py.File) -> Surface:
    plan = _read_plan(file)
    tables = {name: read_array(item) for name, item in file.items() if isinstance(item, h5py.Dataset)}
    for axis in plan.grid.axes:
        if not np.array_equal(tables[axis.name], axis.coordinates):
            raise DamagedFileError(f"{axis.name} is not the axis of its plan.")
    splits = {split: SplitCounts(**{name: tables[f"{split}_{name}"] for name in SHARED}) for split in plan.splits}
    names = [name.removesuffix("_sum") for name in tables if name.endswith("_sum")]
    facts, sessions = (from_text(read_text(file[f"provenance/{name}_json"])) for name in PROVENANCE[1:])
    surface = Surface(
        plan, splits, {n: tables[f"{n}_sum"] for n in names}, {n: tables[f"{n}_m2"] for n in names},
        Facts.from_json(facts), [Session.from_json(session) for session in sessions], read_trajectories(file),
    )  # fmt: skip
    for name, values in _grid_tables(surface):
        if values.shape != plan.grid.shape:
            raise DamagedFileError(f"{name} has shape {values.shape}, the plan's grid {plan.grid.shape}.")
    if read_integer(file, "points_done") != int(surface.evaluated().sum()):
        raise DamagedFileError("it does not hold as many points as it says.")
    return surface


def _grid_tables(surface: Surface) -> Iterator[tuple[str, np.ndarray]]:
    for split, counts in surface.splits.items():
        for name in SHARED:
            yield f"{split}_{name}", getattr(counts, name)
    for tables, suffix in ((surface.sums, "sum"), (surface.m2, "m2")):
        for name, values in tables.items():
            yield f"{name}_{suffix}", values
