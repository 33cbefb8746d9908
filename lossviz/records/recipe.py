"""How the directions of a plane were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossviz.records.json_record import NOTHING, JsonRecord
from lossviz.records.plan import Normalization, Vectors


class Recipe(JsonRecord):
    """How the directions of a plane were made, as the directions file and the facts of a run say it.

    Attributes:
        kind: As ``--plane`` names it.
        axes: Word of each direction: ``"pca1"``, ``"random"``.
        arguments: Checkpoints, parameters or files that the words name.
        algorithm: Of random directions, with their ``seed``, ``normalize``, ``vectors`` and ``rules``.
        eigenvalues: Per direction, None where it is no eigenvector; ``residuals`` likewise.
        explained_variance: Of all components computed; ``random_walk_null``: of a random walk as long.
        coefficients: Of each component over the snapshots.
        not_finite: Snapshots left out.
        points: Coordinates of each checkpoint that the plane was laid through.
        values: Of each parameter that is an axis, where the plane passes.
        notes: What was decided while they were made; ``warnings``: what a careful reader should know.
        source: File of another program that they were imported from, with its ``sha256``.
        request: All that determines the directions, of a plane made before its run.
        recipe: Of directions taken from another file, how they were made there.
    """

    kind: str | None = None
    axes: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    algorithm: str | None = None
    bits: str | None = None
    transform: str | None = None
    seed: int | None = None
    normalize: Normalization = "none"
    vectors: Vectors = "keep"
    rules: tuple[tuple[str, str], ...] = ()
    parameters: Any = None
    eigenvalues: tuple[float | None, ...] = ()
    residuals: tuple[float | None, ...] = ()
    explained_variance: tuple[float, ...] = ()
    random_walk_null: tuple[float, ...] = ()
    coefficients: tuple[tuple[float, ...], ...] = ()
    not_finite: tuple[str, ...] = ()
    points: Mapping[str, tuple[float, ...]] = NOTHING
    values: tuple[float, ...] = ()
    gradient_norm: float | None = None
    notes: tuple[str, ...] = ()
    source: str | None = None
    sha256: str | None = None
    request: Mapping[str, Any] = NOTHING
    warnings: tuple[str, ...] = ()
    recipe: Recipe | None = None

    @property
    def innermost(self) -> Recipe:
        """How the directions were made in the first place, whatever files they were taken from since."""
        return self.recipe.innermost if self.kind == "file" and self.recipe else self
