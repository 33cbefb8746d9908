"""A plane in parameter space: an origin and the span of k directions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import LayoutError
from lossviz.space.params import Params, check_layout, dot, gram, norm, subtract


@dataclass(frozen=True)
class Plane:
    """All points ``origin + Σ c_i · direction_i``; coordinate 1 is one whole direction.

    Points are always built from the origin, never from another point, so that no rounding error accumulates along a
    sweep. Directions need not be orthogonal: coordinates of a projection are a least-squares solution.

    Attributes:
        kind: How the directions were made, as in :class:`~lossviz.records.plan.PlaneSpec`.
        origin: The point the plane passes through, P entries.
        directions: k displacements with the origin's names and shapes.

    Example:
        >>> origin = {"w": torch.tensor([1.0, 1.0, 0.0])}
        >>> x, y = {"w": torch.tensor([2.0, 0.0, 0.0])}, {"w": torch.tensor([1.0, 1.0, 0.0])}
        >>> plane = Plane("random", origin, (x, y))
        >>> plane.point([0.5, 1.0])
        {'w': tensor([3., 2., 0.])}
        >>> plane.project({"w": torch.tensor([3.0, 2.0, 4.0])})
        (array([0.5, 1. ]), 4.0)
    """

    kind: str
    origin: Params
    directions: tuple[Params, ...]

    def __post_init__(self) -> None:
        for direction in self.directions:
            check_layout(direction, self.origin)

    @property
    def dimension(self) -> int:
        """Number of directions, k."""
        return len(self.directions)

    @cached_property
    def gram(self) -> Tensor:
        """Inner products of the directions: float64 (k, k) on the CPU."""
        return gram(self.directions)

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """Names of the parameters that some direction moves."""
        return tuple(name for name in self.origin if any(bool(d[name].any()) for d in self.directions))

    def point(self, coordinates: np.ndarray | list[float]) -> Params:
        """Parameters at ``coordinates`` (k,), in the origin's type and on its device."""
        return {name: stacked[0] for name, stacked in self.points(np.asarray(coordinates)[None]).items()}

    def points(self, coordinates: np.ndarray | Tensor) -> Params:
        """Parameters at ``coordinates`` (K, k), stacked: each tensor has a leading axis of length K."""
        given = coordinates if isinstance(coordinates, Tensor) else torch.from_numpy(np.array(coordinates, np.float64))
        columns, stacked = given, {}
        for name, start in self.origin.items():
            if (columns.device, columns.dtype) != (start.device, start.dtype):  # once: a copy to a GPU makes it wait
                columns = given.to(start.dtype).to(start.device)
            total = start.expand(len(columns), *start.shape)
            for column, direction in zip(columns.T, self.directions, strict=True):
                total = total + column.view(-1, *[1] * start.dim()) * direction[name]
            stacked[name] = total
        return stacked

    def project(self, params: Params) -> tuple[np.ndarray, float]:
        """Coordinates (k,), in units of the directions, of the nearest point of the plane, and the distance to it.

        Least squares through the Gram matrix; dividing inner products by norms would be right for orthonormal
        directions only.

        Raises:
            LayoutError: If ``params`` has other names or shapes than the origin.
        """
        check_layout(params, self.origin)
        displacement = subtract({n: t.double() for n, t in params.items()}, self.origin)
        right = torch.tensor([dot(direction, displacement) for direction in self.directions], dtype=torch.float64)
        coordinates = coordinates_from(self.gram, right).numpy()
        for c, direction in zip(coordinates, self.directions, strict=True):
            displacement = {n: displacement[n] - float(c) * direction[n].double() for n in displacement}
        return coordinates, norm(displacement)

    def cosine(self, first: int = 0, second: int = 1) -> float:
        """Cosine of the angle between two directions; NaN when one is zero."""
        matrix = self.gram
        scale = (matrix[first, first] * matrix[second, second]).sqrt()
        return float(matrix[first, second] / scale) if scale > 0 else float("nan")

    def without(self, names: Collection[str]) -> Plane:
        """The same plane seen without some parameters, which no direction moves."""

        def kept(params: Params) -> Params:
            return {name: tensor for name, tensor in params.items() if name not in names}

        return Plane(self.kind, kept(self.origin), tuple(kept(d) for d in self.directions)) if names else self

    def beside(self, params: Params, dtype: torch.dtype) -> Plane:
        """The same plane in a type, each tensor on the device that ``params`` has its name on."""

        def move(given: Params) -> Params:
            return {name: tensor.to(params[name].device, dtype) for name, tensor in given.items()}

        return Plane(self.kind, move(self.origin), tuple(move(d) for d in self.directions))

    def to(self, device: torch.device, dtype: torch.dtype) -> Plane:
        """The same plane on a device, in a type."""

        def move(params: Params) -> Params:
            return {name: tensor.to(device=device, dtype=dtype) for name, tensor in params.items()}

        return Plane(self.kind, move(self.origin), tuple(move(d) for d in self.directions))


def coordinates_from(gram: Tensor, right: Tensor) -> Tensor:
    """Least-squares coordinates (k,) from the Gram matrix (k, k) and inner products (k,) with the directions; float64.

    Solved for directions of unit length, so that one a millionth as long as another is not taken for rounding.

    Example:
        >>> coordinates_from(torch.diag(torch.tensor([1.0, 1e-20]).double()), torch.tensor([0.5, 2e-20]).double())
        tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    length = gram.diagonal().sqrt()
    length = torch.where(length > 0, length, torch.ones_like(length))
    scaled = gram / length / length[:, None]
    return torch.linalg.lstsq(scaled, (right / length)[:, None], driver="gelsd").solution[:, 0] / length


def check_plane(plane: Plane, *, largest_cosine: float = 0.999) -> None:
    """Refuse a plane that is not one: a direction that is zero or not finite, or two that are parallel.

    Raises:
        LayoutError: With the direction's number and what to do.
    """
    matrix = plane.gram
    for i in range(plane.dimension):
        if not torch.isfinite(matrix[i, i]):
            raise LayoutError(f"Direction {i + 1} has entries that are not finite: does the checkpoint hold NaN?")
        if matrix[i, i] == 0:
            raise LayoutError(
                f"Direction {i + 1} is zero: nothing would move. Parameters with fewer than two axes are held fixed "
                "by default; pass --vectors keep to move them too."
            )
        for j in range(i):
            if abs(plane.cosine(i, j)) > largest_cosine:
                raise LayoutError(
                    f"Directions {j + 1} and {i + 1} are parallel (cosine {plane.cosine(i, j):.4f}) and span no plane. "
                    "Use another --seed, or a 1-D grid when the model has a single parameter to move."
                )
