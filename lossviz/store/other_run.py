"""Another run whose plane a new run takes, and whose points too where they are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from lossviz.errors import StoreError, UsageError
from lossviz.records.facts import Facts, OtherPlane
from lossviz.records.plan import Plan, PlaneKind, PlaneSpec
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.directions_file import StoredDirections, read_directions
from lossviz.store.merge import carry_over, covers, hindrances
from lossviz.store.schema import DIRECTIONS_ENDING, canonical_path, directions_path
from lossviz.store.surface_file import read_surface


@dataclass(frozen=True)
class OtherRun:
    """A run as it lies on disk.

    Attributes:
        path: Its surface file, or a directions file alone.
        surface: Its points; None for a directions file.
        directions: Its plane, without the tensors.
    """

    path: Path
    surface: Surface | None
    directions: StoredDirections

    @classmethod
    def read(cls, path: Path | str) -> OtherRun:
        """Read a run and its directions file; nothing is locked, so it may still be going on.

        Raises:
            StoreError: If one of them is missing or not ours.
            DamagedFileError: If one fails its checksums.
        """
        path = Path(path)
        surface = None if path.name.endswith(DIRECTIONS_ENDING) else read_surface(path)
        file = path if surface is None else directions_path(canonical_path(path))
        if not file.exists():
            raise StoreError(
                f"There is no directions file {file}: without it the plane of {path} is not known. Both files belong "
                "together. Its own compute command makes directions again that came from a seed; a surface of "
                "loss-landscape needs 'lossviz import … --directions FILE'."
            )
        return cls(path, surface, read_directions(file, tensors=False))

    @property
    def directions_file(self) -> Path:
        """Where its directions lie."""
        return self.path if self.surface is None else directions_path(canonical_path(self.path))

    def plan_on(self, plan: Plan) -> Plan:
        """``plan`` on this run's plane.

        Of the same model and checkpoint, it is this run's own way of making the plane, so that points agree; else the
        plane is what the directions are, by their SHA-256, whatever file they lie in.

        Raises:
            UsageError: If the plane has another dimension than the plan's grid.
        """
        dimension = len(self.directions.fingerprint.sha256)
        if dimension != plan.grid.dimension:
            example = ",".join(["-1:1:51"] * dimension)
            raise UsageError(
                f"--plane-from {self.path} has {dimension} direction{'s' if dimension > 1 else ''} and the grid "
                f"{plan.grid} has {plan.grid.dimension}. Write a range for each, for example --grid {example}."
            )
        if self.surface is not None and self._is_of(plan):
            return replace(plan, plane=self.surface.plan.plane)
        return replace(plan, plane=self._taken(plan.plane))

    def points_for(self, plan: Plan) -> list[Point]:
        """Points that a run of ``plan`` need not evaluate again; none where the plans differ in what gives values."""
        if self.surface is None or hindrances(self.surface.plan, plan):
            return []
        return carry_over(self.surface, plan)

    def reasons_against(self, plan: Plan) -> list[str]:
        """Why its values are not those of a run of ``plan``, a line each; empty where they are."""
        if self.surface is None:
            return []
        lines = hindrances(self.surface.plan, plan)
        # another model or checkpoint is the reason; that the plane is named otherwise only follows
        return [line for line in lines if not line.startswith("plane.")] or lines

    def describe(self, plan: Plan, carried: Sequence[Point]) -> OtherPlane:
        """What the new run's file says of where its plane and points come from."""
        reasons = self.reasons_against(plan)
        if not reasons and self.surface is not None and not covers(self.surface, plan):
            reasons = ["quantities: a new one takes a forward pass at every point, which gives the others too"]
        return OtherPlane(
            file=str(self.path),
            plan_digest=None if self.surface is None else self.surface.plan.digest(),
            directions_sha256=self.directions.fingerprint.sha256,
            carried=len({point.index for point in carried}),
            not_carried=tuple(reasons),
        )

    @property
    def facts(self) -> Facts:
        """What the run says of itself."""
        return Facts() if self.surface is None else self.surface.facts

    def _is_of(self, plan: Plan) -> bool:
        assert self.surface is not None
        mine, theirs = self.surface.plan.identity(), plan.identity()
        return all(mine.get(name) == value for name, value in theirs.items() if name.startswith("problem."))

    def _taken(self, asked: PlaneSpec) -> PlaneSpec:
        if self.surface is not None:
            spec = self.surface.plan.plane
        else:
            made = self.directions.recipe.innermost
            spec = PlaneSpec(seed=asked.seed, normalize=made.normalize, vectors=made.vectors, move=asked.move)
        # directions made of data for a run to come keep the name of what they are
        recipe = self.directions.recipe
        kind = cast(PlaneKind, recipe.kind) if recipe.request and recipe.kind else "file"
        return replace(spec, kind=kind, directions_sha256=self.directions.fingerprint.sha256)


def find_other(plane_from: Path | None, out: Path) -> OtherRun | None:
    """The run whose plane is asked for, if any.

    Raises:
        UsageError: If it is the run to be made.
        StoreError: If there is none, or its directions are missing.
    """
    if plane_from is None:
        return None
    if canonical_path(plane_from) == canonical_path(out):
        raise UsageError(f"--plane-from {plane_from} is also the file to write; give another one with --out.")
    return OtherRun.read(plane_from)
