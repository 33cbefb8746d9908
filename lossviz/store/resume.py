"""Going on with a run: what is known of it, whether it is the same run, and whether there is room for the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from lossviz.errors import DamagedFileError, PlanError, StoreError, UnwritableError
from lossviz.records.plan import ALL_QUANTITIES, Plan
from lossviz.records.point import Point
from lossviz.records.remark import Remark, Warn
from lossviz.records.surface import Surface
from lossviz.records.units import format_bytes
from lossviz.store.atomic_file import free_bytes, sync_folder
from lossviz.store.hdf5 import guarded, is_ours, open_ours, read_integer
from lossviz.store.lock import RunLock, lock_descriptor
from lossviz.store.plain_file import open_plain
from lossviz.store.schema import SURFACE_FORMAT, host_of, life_name
from lossviz.store.segment import Segment, SegmentHealth, check_plan, enter_segment, read_headers, read_segments
from lossviz.store.surface_file import peek_plan, read_published

_SHOWN = 10
_LINE_BYTES = 250
_FILE_BYTES = 128 << 10


def check_same_plan(path: Path, plan: Plan) -> None:
    """Demand that what lies at ``path`` is a run of ``plan``, or nothing; reads only.

    Raises:
        PlanError: Naming the fields that differ.
        StoreError: If there is a file that is not ours.
    """
    try:
        known = peek_plan(path)
    except DamagedFileError:
        if not is_ours(path):
            raise
        return
    if known is not None and known.digest() != plan.digest():
        lines = "\n".join(f"  - {line}" for line in plan.differences(known))
        raise PlanError(
            f"{path} was made by another plan (here: this command; there: the file):\n{lines}\n"
            f"Give another --out, or the same options to go on with it."
        )
    for segment in read_headers(path):
        check_plan(segment, plan)


def read_known(
    path: Path, plan: Plan, lock: RunLock | None, warn: Warn, *, strict: bool = False
) -> tuple[Surface, list[SegmentHealth]]:
    """All points of the file and of the segments; a damaged file is kept aside if the lock is ours to decide.

    Raises:
        DamagedFileError: If the file is damaged and the journal does not hold all points.
        PlanError: If a segment has another plan.
        StoreError: With ``strict``, if two segments disagree on a point.
    """
    segments = read_segments(path)
    damage: DamagedFileError | None = None
    surface = Surface.empty(plan)
    try:
        if path.exists():
            surface = read_published(path)
    except DamagedFileError as error:
        if lock is None:
            raise
        damage = error
    health: list[SegmentHealth] = []
    disagreements: list[str] = []
    for segment in segments:
        check_plan(segment, plan)
        health.append(enter_segment(surface, segment, _note_in(disagreements, surface, segment) if strict else None))
        if not health[-1].healthy:
            warn(Remark("doubt", "journal", str(health[-1])))
    if disagreements:
        raise StoreError(_story(disagreements))
    if damage:
        _keep_aside(path, surface, damage, warn)
    return surface, health


def _note_in(found: list[str], surface: Surface, segment: Segment) -> Callable[[Point, Point], None]:
    def note(known: Point, new: Point) -> None:
        at = surface.plan.grid.position(new.index)
        session = surface.splits[new.split].session[at]
        other = (surface.sessions[session].id or "another segment") if surface.sessions else "the published file"
        values = [", ".join(f"{name} {point.mean(name)!r}" for name in point.sums) for point in (known, new)]
        found.append(f"{new.split} at {list(at)}: {values[0]} from {other}, {values[1]} from {segment.path.name}.")

    return note


def _story(disagreements: list[str]) -> str:
    shown = [f"  - {line}" for line in disagreements[:_SHOWN]]
    rest = [f"  and {len(disagreements) - _SHOWN} more"] if len(disagreements) > _SHOWN else []
    return "\n".join(
        [
            f"{len(disagreements)} points were computed twice with different results; nothing was written:",
            *shown,
            *rest,
            "Points of one run must agree bit for bit: look for another device, version or a model that is not "
            "deterministic, and move the segment you do not trust away.",
        ]
    )


def _keep_aside(path: Path, surface: Surface, damage: DamagedFileError, warn: Warn) -> None:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}-{os.getpid()}")
    path.replace(aside)
    sync_folder(path.parent)
    done = surface.evaluated()
    missing = np.flatnonzero(~done)
    story = f"{damage} It was kept as {aside}."
    if done.sum() >= _points_said(aside, surface.plan.grid.size):
        warn(Remark("doubt", "file", f"{story} The journal holds all its points, so nothing is lost."))
        return
    places = ", ".join(str(tuple(row)) for row in surface.plan.grid.coordinates(missing[:4]).tolist())
    raise DamagedFileError(
        f"{story} The journal holds {int(done.sum())} of {surface.plan.grid.size} points; not "
        f"those at {places}{' …' if len(missing) > 4 else ''}. Run the same command again to compute the rest."
    )


def _points_said(path: Path, otherwise: int) -> int:
    try:
        with open_ours(path, SURFACE_FORMAT) as file:
            return guarded(path, lambda: read_integer(file, "points_done"))
    except StoreError:
        return otherwise


def check_room(path: Path, surface: Surface, warn: Warn) -> None:
    """Warn where the rest of the run may not fit on the disk.

    Raises:
        UnwritableError: If not even one surface file fits.
    """
    free = free_bytes(path.parent)
    if free is None:
        return
    splits, size = surface.plan.splits, surface.plan.grid.size
    quantities = 2 if surface.plan.quantities == ALL_QUANTITIES else len(surface.plan.quantities)
    file_bytes = _FILE_BYTES + size * len(splits) * (quantities * 4 * 8 + 23)
    left = sum(len(surface.pending(split)) for split in splits)
    if free < file_bytes:
        raise UnwritableError(
            f"{path} needs about {format_bytes(file_bytes)}, {format_bytes(free)} are free in {path.parent}."
        )
    if free < left * _LINE_BYTES + 2 * file_bytes:
        text = f"Only {format_bytes(free)} are free in {path.parent}; the run may have to wait for space."
        warn(Remark("doubt", "disk", text))


def remove_temporaries(path: Path) -> None:
    """Remove what killed processes left half-written; only for the one who holds the lock."""
    prefix = f"{path.name}.tmp-"
    for name in path.parent.iterdir():
        if name.name.startswith(prefix):
            with contextlib.suppress(OSError):
                name.unlink()


def retire(segment: SegmentHealth, *, even_of_other_hosts: bool) -> None:
    """Remove a segment that is in the published file, unless its writer may still write; keep a damaged one aside.

    Raises:
        OSError: If it is in use, or gone.
    """
    here = host_of(life_name())
    if segment.ended is None and host_of(segment.path.stem) != here and not even_of_other_hosts:
        return  # its writer's lock may not be seen from here
    descriptor = open_plain(segment.path, os.O_RDWR)
    try:
        lock_descriptor(descriptor)
        if os.fstat(descriptor).st_size != segment.size:
            return
        if segment.healthy:
            segment.path.unlink()
        else:
            segment.path.rename(segment.path.with_suffix(".damaged"))
    finally:
        os.close(descriptor)
