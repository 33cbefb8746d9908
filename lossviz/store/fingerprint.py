"""What stays of a direction when its last bits do not: a fingerprint that tells rounding from another plane.

Regenerating or normalizing a direction on another machine changes last bits, which leaves the plane what it is; another
generator or another order of drawing makes another plane. The fingerprint holds, in float64, the norm of every tensor,
16 dot products with fixed vectors of ±1, and the Gram matrix of the directions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lossviz.errors import LayoutError

PROBES = 16
ROUNDING = 1e-5
Likeness = Literal["identical", "rounding", "different"]
_BLOCK = 1 << 12  # the probes' signs of a block stay in the cache: five times faster than 1 << 18


@dataclass(frozen=True)
class Fingerprint:
    """Of k directions.

    Attributes:
        sha256: Per direction, of names, shapes and little-endian bytes in the order of the names.
        norms: Per direction the norm of each tensor.
        dots: Per direction the dot products with the 16 probes.
        gram: Gram matrix of the directions, (k, k).
        gram_origin: Dot products of the directions with the origin, (k,), where it was given.
    """

    sha256: tuple[str, ...]
    norms: tuple[dict[str, float], ...]
    dots: tuple[tuple[float, ...], ...]
    gram: tuple[tuple[float, ...], ...]
    gram_origin: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls, directions: Sequence[Mapping[str, np.ndarray]], origin: Mapping[str, np.ndarray] | None = None
    ) -> Fingerprint:
        """The fingerprint of directions, one mapping of parameter name to array each.

        Raises:
            LayoutError: If names or shapes differ among them.

        Example:
            >>> Fingerprint.of([{"w": np.array([3.0, 4.0], np.float32)}]).norms
            ({'w': 5.0},)
        """
        _check_layouts([*directions, *([origin] if origin is not None else [])])
        return cls(
            sha256=tuple(direction_sha256(direction) for direction in directions),
            norms=tuple({name: math.sqrt(_dot(d[name], d[name])) for name in d} for d in directions),
            dots=tuple(_probe_dots(direction) for direction in directions),
            gram=tuple(tuple(_inner(a, b) for b in directions) for a in directions),
            gram_origin=tuple(_inner(d, origin) for d in directions) if origin is not None else None,
        )

    def compare(self, other: Fingerprint) -> Likeness:
        """``"identical"`` bit for bit, the same plane up to ``"rounding"``, or ``"different"``.

        Every number must agree to 1e-5 of the direction's norm (of the tensor's, for tensors).
        """
        if self.sha256 == other.sha256:
            return "identical"
        return "rounding" if self._is_near(other) else "different"

    def _is_near(self, other: Fingerprint) -> bool:
        if [list(norms) for norms in map(sorted, self.norms)] != [list(norms) for norms in map(sorted, other.norms)]:
            return False
        lengths = np.sqrt(np.diag(np.array(self.gram)))
        tensors = all(
            math.isclose(mine[name], theirs[name], rel_tol=ROUNDING)
            for mine, theirs in zip(self.norms, other.norms, strict=True)
            for name in mine
        )
        dots = np.abs(np.array(self.dots) - np.array(other.dots)) <= ROUNDING * lengths[:, None]
        gram = np.abs(np.array(self.gram) - np.array(other.gram)) <= ROUNDING * np.outer(lengths, lengths)
        return tensors and bool(dots.all()) and bool(gram.all())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "sha256": list(self.sha256),
            "norms": list(self.norms),
            "dots": [list(row) for row in self.dots],
            "gram": [list(row) for row in self.gram],
            "gram_origin": None if self.gram_origin is None else list(self.gram_origin),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fingerprint:
        """The inverse of :meth:`to_json`."""
        origin = values["gram_origin"]
        return cls(
            tuple(values["sha256"]),
            tuple(values["norms"]),
            tuple(map(tuple, values["dots"])),
            tuple(map(tuple, values["gram"])),
            None if origin is None else tuple(origin),
        )


def probe_signs(name: str, start: int, stop: int) -> np.ndarray:
    """The 16 probes' entries for elements ``start`` to ``stop`` of a tensor: ±1, float64 (16, stop − start).

    Bit j of splitmix64's output for ``key + element`` is the sign of probe j, with the key the first 8 bytes,
    little-endian, of the SHA-256 of the tensor's name: the same on every machine and for any order of tensors.
    """
    key = np.frombuffer(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "<u8")[0]
    with np.errstate(over="ignore"):
        bits = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return 1.0 - 2.0 * ((bits >> np.arange(PROBES, dtype=np.uint64)[:, None]) & np.uint64(1)).astype(np.float64)


def _probe_dots(direction: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    total = np.zeros(PROBES)
    for name in sorted(direction):
        for start, block in _blocks(direction[name]):
            total += probe_signs(name, start, start + len(block)) @ block
    return tuple(total.tolist())


def _blocks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    flat = values.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        yield start, flat[start : start + _BLOCK].astype(np.float64)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return math.fsum(float(x @ y) for (_, x), (_, y) in zip(_blocks(a), _blocks(b), strict=True))


def _check_layouts(all_params: Sequence[Mapping[str, np.ndarray]]) -> None:
    layouts = [{name: np.shape(values) for name, values in params.items()} for params in all_params]
    for layout in layouts[1:]:
        if layout != layouts[0]:
            name = next(n for n in {**layout, **layouts[0]} if layout.get(n) != layouts[0].get(n))
            found, expected = layout.get(name, "none"), layouts[0].get(name, "none")
            raise LayoutError(f"Directions differ at {name}: shape {found}, expected {expected}.")


def _inner(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return math.fsum(_dot(a[name], b[name]) for name in sorted(a))


def direction_sha256(direction: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes, types and little-endian bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(direction):
        values = np.asarray(direction[name])
        values = np.asarray(values, values.dtype.newbyteorder("<"))
        digest.update(f"{name} {values.shape} {values.dtype.str}\n".encode("utf-8", "surrogateescape"))
        digest.update(values.tobytes())
    return digest.hexdigest()
