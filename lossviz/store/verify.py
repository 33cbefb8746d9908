"""Does a run hold what it says: checksums, digests, segments, directions, and a few points evaluated again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.errors import DamagedFileError, LossvizError, PlanError, StoreError
from lossviz.records.doubts import rounding_of
from lossviz.records.point import Point, Status
from lossviz.records.quantity import RESIDUAL
from lossviz.records.remark import Remark, is_sound
from lossviz.records.surface import Surface
from lossviz.store.directions_file import read_directions
from lossviz.store.fingerprint import direction_sha256
from lossviz.store.hdf5 import damaged_datasets, guarded, open_ours, read_array
from lossviz.store.line import values_text
from lossviz.store.schema import SURFACE_FORMAT, canonical_path, directions_path
from lossviz.store.segment import SegmentHealth, check_plan, enter_segment, read_segments
from lossviz.store.spectrum_file import SPECTRUM_FORMAT, is_spectrum_file, read_spectra
from lossviz.store.surface_file import peek_plan, read_published

Recompute = Callable[[list[int]], list[Point]]
DAMAGED = DamagedFileError.exit_status


@dataclass
class Verification:
    """All that was looked at; ``right`` only if every check is.

    Attributes:
        surface: All that could be read; None where the plan itself is gone.
        segments: How each segment read.
    """

    path: Path
    checks: list[Remark] = field(default_factory=list)
    segments: list[SegmentHealth] = field(default_factory=list)
    surface: Surface | None = None

    @property
    def right(self) -> bool:
        """Nothing is wrong; points that are missing are not wrong."""
        return is_sound(self.checks)

    @property
    def exit_status(self) -> int:
        """0, or 65 for data that is damaged."""
        return 0 if self.right else DAMAGED

    def note(self, subject: str, mistakes: Sequence[str], otherwise: str) -> None:
        """Add a check: wrong if there are mistakes, else right with what was found."""
        self.checks.append(Remark("wrong" if mistakes else "ok", subject, " ".join(mistakes) or otherwise))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        segments = [
            {
                "name": segment.path.name,
                "points": segment.points,
                "damaged": segment.damaged,
                "torn": segment.torn,
                "ended": segment.ended,
                "readable": segment.readable,
            }
            for segment in self.segments
        ]
        checks = [{"subject": c.subject, "right": c.level == "ok", "found": c.text} for c in self.checks]
        return {"file": str(self.path), "right": self.right, "checks": checks, "segments": segments}


def verify(
    path: Path | str, *, recompute: Recompute | None = None, points: int = 3, tolerance: float = 1e-5
) -> Verification:
    """Look at everything a run has on disk; writes nothing and takes no lock.

    Args:
        path: The surface file.
        recompute: Evaluates grid points anew, given their flat indices, in every split of the plan.
        points: How many to evaluate.
        tolerance: How far a recomputed mean may be off, relative to it, beside the rounding of what cancels in it.

    Raises:
        StoreError: If there is no run, or the file is not ours.
    """
    if is_spectrum_file(Path(path)):
        return _verify_spectra(Path(path))
    path = canonical_path(path)
    result = Verification(path)
    plan = _verify_file(path, result)
    if result.surface is None and plan is not None:
        result.surface = Surface.empty(plan)
    if result.surface is not None:
        _verify_segments(path, result.surface, result)
        _verify_directions(path, result.surface, result)
        if recompute:
            _verify_points(result.surface, recompute, points, tolerance, result)
    return result


def _verify_spectra(path: Path) -> Verification:
    """A file of spectra: its checksums, and that each spectrum is one."""
    result = Verification(path)
    try:
        with open_ours(path, SPECTRUM_FORMAT) as file:
            count, damaged = damaged_datasets(file)
            result.note("checksums", damaged, f"{count} datasets")
        for name, spectrum in read_spectra(path).items():
            off = np.abs(spectrum.weights.sum(1) - 1).max(initial=0.0)
            mistakes = [f"weights of a probe add up to 1 only within {off:.1e}."] if off > 1e-6 else []
            mistakes += ["eigenvalues do not descend."] if (np.diff(spectrum.eigenvalues) > 0).any() else []
            found = f"{len(spectrum.eigenvalues)} eigenvalues, {spectrum.probes} probes, {spectrum.size} parameters"
            result.note(name, mistakes, found)
    except DamagedFileError as error:
        result.note("file", [str(error)], "")
    return result


def _verify_file(path: Path, result: Verification) -> Any:
    try:
        plan = peek_plan(path)
    except DamagedFileError as error:
        result.note("file", [str(error)], "")
        return None
    if plan is None:
        raise StoreError(f"There is no surface file {path}, nor a segment beside it.")
    if not path.exists():
        result.note("file", [], "not published yet")
        return plan
    try:
        with open_ours(path, SURFACE_FORMAT) as file:
            count, damaged = damaged_datasets(file)
            result.note("checksums", damaged, f"{count} datasets")
        result.surface = read_published(path)
        result.note("plan", [], plan.digest())
        result.note("means", _wrong_means(path, result.surface), "follow from the sums bit for bit")
    except DamagedFileError as error:
        result.note("file", [str(error)], "")
    return plan


def _wrong_means(path: Path, surface: Surface) -> list[str]:
    tables = {name: surface.values(name) for name in surface.names}
    tables |= {f"{name}_stderr": surface.stderr(name) for name in surface.names}
    with open_ours(path, SURFACE_FORMAT) as file:
        stored = guarded(path, lambda: {name: read_array(file[name]) for name in tables})
    wrong = [name for name in tables if not np.array_equal(tables[name], stored[name], equal_nan=True)]
    return [f"{name} does not follow from its sums." for name in wrong]


def _verify_segments(path: Path, surface: Surface, result: Verification) -> None:
    disagreements: list[str] = []
    for segment in read_segments(path):

        def note(known: Point, new: Point, name: str = segment.path.name) -> None:
            place = list(surface.plan.grid.position(new.index))
            disagreements.append(f"{name} has other values for {new.split} at {place}.")

        try:
            check_plan(segment, surface.plan)
        except LossvizError as error:
            result.note(segment.path.name, [str(error)], "")
            continue
        health = enter_segment(surface, segment, note)
        result.segments.append(health)
        mistakes = [] if health.healthy else [str(health)]
        result.note(segment.path.name, mistakes, f"{health.points} points, {health.ended or 'no end'}")
    if result.segments:
        result.note("agreement", disagreements[:5], "no two records of a point differ")
    result.note("points", [], f"{int(surface.evaluated().sum())} of {surface.plan.grid.size} evaluated")


def _verify_directions(path: Path, surface: Surface, result: Verification) -> None:
    known = surface.facts.directions_sha256
    file = directions_path(path)
    if not file.exists():
        if known:
            result.note("directions", [f"{file} is missing."], "")
        return
    try:
        stored = read_directions(file)
    except LossvizError as error:
        result.note("directions", [str(error)], "")
        return
    found = [direction_sha256(d) for d in stored.directions] if stored.directions else list(stored.fingerprint.sha256)
    mistakes = (
        [f"{file} holds other directions than this surface was made with."] if known and list(known) != found else []
    )
    result.note("directions", mistakes, f"{len(found)} in {file.name}")


def _verify_points(surface: Surface, recompute: Recompute, points: int, tolerance: float, result: Verification) -> None:
    done = np.all([counts.status == Status.DONE for counts in surface.splits.values()], axis=0)
    places = np.flatnonzero(done.ravel())
    chosen = places[np.unique(np.linspace(0, len(places) - 1, points).round().astype(int))] if len(places) else places
    if not len(chosen):
        result.note("recomputed", [], "nothing: no point is evaluated in every split")
        return
    try:
        again = recompute([int(place) for place in chosen])
    except (PlanError, StoreError) as error:  # what is there now is not what the file was made from
        result.note("recomputed", [str(error)], "")
        return
    mistakes, same, differing = [], 0, dict[str, float]()
    for new in again:
        old = surface.point(new.index, new.split)
        same += values_text(old) == values_text(new)
        for name in (name for name in new.sums if not name.endswith(RESIDUAL)):
            column = f"{new.split}_{name}"
            off, beyond = _apart(new, old, name, rounding_of(surface, column, new.index))
            if off:
                differing[column] = max(differing.get(column, 0.0), off)
            if not beyond <= tolerance:
                place = list(surface.plan.grid.position(new.index))
                mistakes.append(f"{new.split} {name} at {place} is {new.mean(name)!r}, stored {old.mean(name)!r}.")
    found = [
        f"{same} of {len(again)} equal bit for bit",
        *(f"{n} off by at most {x:.1e}" for n, x in differing.items()),
    ]
    allowed = ", which rounding or the residual of a search explains" if differing else ""
    result.note("recomputed", mistakes, "; ".join(found) + allowed)


def _apart(new: Point, old: Point, name: str, rounding: float) -> tuple[float, float]:
    """How far a mean is off, relative to the stored one; and the part beyond rounding and what two searches allow."""
    off, allowed = abs(new.mean(name) - old.mean(name)), rounding
    if name + RESIDUAL in new.sums:
        allowed += new.mean(name + RESIDUAL) + old.mean(name + RESIDUAL)
    both = off, off - min(off, allowed)  # NaN stays NaN
    size = abs(old.mean(name))
    relative = [0.0 if not part else part / size if size else math.inf for part in both]
    return relative[0], relative[1]
