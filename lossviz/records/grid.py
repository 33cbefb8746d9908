"""The coordinates at which a surface is evaluated.

Axis 1 is ``alpha``, the coordinate along direction 1, and is drawn as x. Arrays over a grid have shape
``(n_k, …, n_2, n_1)``: the *last* array axis is alpha, so that ``contourf(alpha, beta, values)`` is right as it stands.
Memory, file and picture share this one order and nothing is ever transposed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lossviz.errors import UsageError, join_mistakes

AXIS_NAMES = ("alpha", "beta", "gamma")
MAX_COUNT, MAX_POINTS = 1_000_000, 100_000_000  # of an axis, of a grid


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a grid: a name and strictly increasing coordinates.

    Attributes:
        name: ``"alpha"``, ``"beta"`` or ``"gamma"``.
        coordinates: float64, shape (n,), in units of the direction.
    """

    name: str
    coordinates: np.ndarray

    def __post_init__(self) -> None:
        coordinates = np.array(self.coordinates, dtype=np.float64)
        if coordinates.ndim != 1 or len(coordinates) < 2:
            raise UsageError(f"Axis {self.name} needs at least 2 coordinates in one row, found {coordinates.shape}.")
        if not np.isfinite(coordinates).all() or not (np.diff(coordinates) > 0).all():
            raise UsageError(f"Axis {self.name} needs finite, strictly increasing coordinates.")
        coordinates.flags.writeable = False
        object.__setattr__(self, "coordinates", coordinates)

    def __len__(self) -> int:
        return len(self.coordinates)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Axis) and self.name == other.name and np.array_equal(self.coordinates, other.coordinates)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.coordinates.tobytes()))


@dataclass(frozen=True)
class Grid:
    """The k axes of a plane's grid, ``axes[0]`` being alpha.

    Example:
        >>> grid = Grid.parse("-1:1:5,0:2:3")
        >>> grid.shape, grid.size
        ((3, 5), 15)
        >>> grid.coordinates([0, 1, 5])
        array([[-1. ,  0. ],
               [-0.5,  0. ],
               [-1. ,  1. ]])
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.axes) <= len(AXIS_NAMES):
            raise UsageError(f"A grid has 1 to {len(AXIS_NAMES)} axes, found {len(self.axes)}.")
        names = tuple(axis.name for axis in self.axes)
        if names != AXIS_NAMES[: len(names)]:
            raise UsageError(f"Grid axes are named {', '.join(AXIS_NAMES)} in this order, found {', '.join(names)}.")

    @classmethod
    def parse(cls, text: str) -> Grid:
        """Read a grid from ``first:last:count`` ranges, one per direction, separated by commas.

        Both ends are sampled. A symmetric range with an odd count samples 0 exactly.

        Raises:
            UsageError: With every mistake of ``text``.
        """
        parts = [part.strip() for part in text.split(",")]
        mistakes = [mistake for part in parts if (mistake := _range_mistake(part))]
        if len(parts) > len(AXIS_NAMES):
            mistakes.append(f"{len(parts)} ranges were given; a plane has at most {len(AXIS_NAMES)} directions.")
        if not mistakes and (points := math.prod(_numbers(part)[2] for part in parts)) > MAX_POINTS:
            mistakes.append(f"It has {points:,} points; {MAX_POINTS:,} is the most.")
        if mistakes:
            example = "Write first:last:count for each direction, for example --grid -1:1:51,-1:1:41."
            raise UsageError(f"The grid {text!r} does not parse. {join_mistakes([*mistakes])}\n{example}")
        return cls(
            tuple(Axis(name, _evenly_spaced(*_numbers(part))) for name, part in zip(AXIS_NAMES, parts, strict=False))
        )

    @property
    def dimension(self) -> int:
        """Number of directions, k."""
        return len(self.axes)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(n_k, …, n_1)`` of an array over the grid."""
        return tuple(len(axis) for axis in reversed(self.axes))

    @property
    def size(self) -> int:
        """Number of grid points, N."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes in array order, alpha last."""
        return tuple(axis.name for axis in reversed(self.axes))

    def coordinates(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Coordinates of flat ``indices`` (K,) as float64 (K, k), column 0 being alpha."""
        positions = np.unravel_index(np.asarray(indices, dtype=np.int64), self.shape)
        return np.stack([axis.coordinates[p] for axis, p in zip(self.axes, reversed(positions), strict=True)], axis=-1)

    def position(self, index: int) -> tuple[int, ...]:
        """Array position, in array order, of a flat index.

        Example:
            >>> Grid.parse("-1:1:5,0:2:3").position(7)
            (1, 2)
        """
        return tuple(int(p) for p in np.unravel_index(index, self.shape))

    def index(self, position: Sequence[int]) -> int:
        """Flat index of an array position; the inverse of :meth:`position`."""
        return int(np.ravel_multi_index(tuple(position), self.shape))

    @property
    def origin_index(self) -> int | None:
        """Flat index of the grid point at coordinates 0, or None when the grid does not sample it."""
        columns = [np.flatnonzero(axis.coordinates == 0.0) for axis in reversed(self.axes)]
        return self.index([int(c[0]) for c in columns]) if all(len(c) for c in columns) else None

    def to_json(self) -> list[dict[str, Any]]:
        """The axes as plain JSON values; floats survive exactly."""
        return [{"name": axis.name, "coordinates": axis.coordinates.tolist()} for axis in self.axes]

    @classmethod
    def from_json(cls, axes: list[dict[str, Any]]) -> Grid:
        """The inverse of :meth:`to_json`."""
        return cls(tuple(Axis(axis["name"], np.array(axis["coordinates"])) for axis in axes))

    def __str__(self) -> str:
        return ",".join(f"{a.coordinates[0]:g}:{a.coordinates[-1]:g}:{len(a)}" for a in self.axes)


def _numbers(part: str) -> tuple[float, float, int]:
    first, last, count = part.split(":")
    return float(first), float(last), int(count)


def _range_mistake(part: str) -> str | None:
    try:
        first, last, count = _numbers(part)
    except ValueError:
        if part.strip().isdigit():
            return f"{part!r} is a count without its range; --grid -1:1:{part},-1:1:{part} is a square of such axes."
        return f"{part!r} is not first:last:count."
    if not np.isfinite([first, last]).all():
        return f"{part!r} has an end that is not finite."
    if first >= last:
        kind = "has no width" if first == last else "runs backwards"
        return f"{part!r} {kind}: the first end must be below the last."
    if not 2 <= count <= MAX_COUNT:
        return f"{part!r} has {count} points; an axis takes at least 2, at most {MAX_COUNT:,}."
    return None


def _evenly_spaced(first: float, last: float, count: int) -> np.ndarray:
    # weighted ends rather than linspace, so that the middle of a symmetric range comes out exactly 0
    step = np.arange(count, dtype=np.float64)
    coordinates = (first * (count - 1 - step) + last * step) / (count - 1)
    coordinates[0], coordinates[-1] = first, last
    return coordinates
