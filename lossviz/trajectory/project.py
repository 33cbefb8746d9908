"""Where snapshots lie relative to a plane: coordinates by least squares, and what the plane does not show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import UsageError
from lossviz.records.watch import QUIET, Watch
from lossviz.space.params import Params
from lossviz.space.plane import Plane, coordinates_from
from lossviz.trajectory.snapshots import SnapshotSource

# a path of which less is seen on a plane is a dot there: its spread is a tenth of what it is in parameter space
SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Projection:
    """T snapshots seen on a plane of k directions.

    Attributes:
        coordinates: float64 (T, k), in units of the directions; NaN for a snapshot that is not finite.
        distance: float64 (T,), Euclidean, from the plane in parameter space; NaN likewise.
        explained_variance: float64 (k,), share of the snapshots' variance along each direction, of later ones what
            earlier ones leave; None where the snapshots do not vary.
    """

    coordinates: np.ndarray
    distance: np.ndarray
    explained_variance: np.ndarray | None


def project_snapshots(source: SnapshotSource, plane: Plane, watch: Watch = QUIET) -> Projection:
    """Find the nearest point of ``plane`` to each snapshot, and the distance to it.

    Coordinates solve the normal equations with the Gram matrix of the directions, for inner products divided by norms
    are coordinates only where directions are orthonormal. The distance is the norm of what is left, not a difference
    of squares. Snapshots are read one at a time.

    Args:
        source: T snapshots.
        plane: Any plane, on any device; its directions may be far from orthogonal.
        watch: Told of each stage.

    Example:
        >>> class Two:
        ...     def __len__(self): return 2
        ...     def params(self, t): return {"w": torch.tensor([1.0 + t, 0.0, 2.0])}
        >>> plane = Plane("random", {"w": torch.zeros(3)}, ({"w": torch.tensor([2.0, 0.0, 0.0])},))
        >>> found = project_snapshots(Two(), plane)
        >>> found.coordinates[:, 0], found.distance
        (array([0.5, 1. ]), array([2., 2.]))
    """
    names = [name for name in plane.origin if plane.origin[name].numel()]
    origin = {name: plane.origin[name].detach().cpu().double().reshape(-1) for name in names}
    stacked = {n: torch.stack([d[n].detach().cpu().reshape(-1) for d in plane.directions]) for n in names}  # (k, n)
    total = {name: torch.zeros_like(tensor) for name, tensor in origin.items()}
    coordinates, distance, squares = np.empty((len(source), plane.dimension)), np.empty(len(source)), 0.0
    for t in range(len(source)):
        watch.stage("projecting snapshots", t, len(source))
        step = _displacement(source.params(t), origin)
        coordinates[t], distance[t] = _least_squares(step, stacked, plane.gram)
        if np.isfinite(distance[t]):
            squares += sum(float(part @ part) for part in step.values())
            for name, part in step.items():
                total[name] += part
    watch.stage("projecting snapshots", len(source), len(source))
    finite = np.isfinite(distance)
    variance = squares - sum(float(part @ part) for part in total.values()) / max(finite.sum(), 1)
    return Projection(coordinates, distance, _shares(coordinates[finite], plane.gram, variance, squares))


def check_visible(projection: Projection, kind: str, name: str) -> None:
    """Refuse a plane on which a path is no more than a dot.

    Raises:
        UsageError: With the share of the path that the plane shows, and what to do.
    """
    if projection.explained_variance is None or projection.explained_variance.sum() >= SMALLEST_SHARE:
        return
    raise UsageError(
        f"On this {kind} plane the path {name!r} would be a dot: {projection.explained_variance.sum():.2g} of its "
        "variance lies in the plane. In many dimensions a random plane is nearly orthogonal to any path. Compute a "
        "plane of the path itself with --plane pca --snapshots …, or pass --force."
    )


def _displacement(params: Params, origin: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: params[name].detach().reshape(-1).double() - tensor for name, tensor in origin.items()}


def _least_squares(step: dict[str, Tensor], stacked: dict[str, Tensor], gram: Tensor) -> tuple[np.ndarray, float]:
    """Coordinates (k,) and distance of one displacement."""
    right = sum(stacked[name].double() @ part for name, part in step.items())
    assert isinstance(right, Tensor)
    if not torch.isfinite(right).all():
        return np.full(len(gram), np.nan), float("nan")
    solution = coordinates_from(gram, right)
    rest = sum(float(torch.sum((part - solution @ stacked[name].double()) ** 2)) for name, part in step.items())
    return solution.numpy(), rest**0.5


def _shares(coordinates: np.ndarray, gram: Tensor, variance: float, squares: float) -> np.ndarray | None:
    """Share of ``variance`` along each direction, orthogonalized in their order."""
    if len(coordinates) < 2 or not variance > 1e-14 * squares:
        return None
    root = np.linalg.cholesky(gram.numpy())  # gram = root rootᵀ: rootᵀ c are coordinates in an orthonormal basis
    inside = ((coordinates - coordinates.mean(0)) @ root) ** 2
    return inside.sum(0) / variance
