"""Principal components of a trajectory, by the Gram matrix of its snapshots and with no more than a block in memory.

The T snapshots are read a block of parameters at a time, so that memory does not grow with P × T. The components are
those of the snapshots about their mean, as in every PCA, and the plane they span is laid through the checkpoint: where
it passes is the origin's business, and coordinates are found by least squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import UsageError
from lossviz.records.trajectory import random_walk_null
from lossviz.records.watch import QUIET, Watch
from lossviz.space.params import Params, entries
from lossviz.trajectory.snapshots import SnapshotSource

BLOCK_BYTES = 1 << 29
_RANK = 1e-12  # of the largest eigenvalue; below lies the rounding of float64


@dataclass(frozen=True)
class Components:
    """The leading principal components of T snapshots.

    Attributes:
        directions: k orthogonal displacements of length 1, so that coordinates are distances in parameter space;
            float32. Direction 1 points from the first snapshot to the last; of a later one the snapshot farthest from
            the mean is on the positive side.
        explained_variance: float64 (k,), share of the variance each explains.
        null: float64 (k,), what the components of a random walk of as many snapshots would explain; see
            :func:`~lossviz.records.trajectory.random_walk_null`.
        coefficients: float64 (T, k), such that direction k is Σ_t coefficient_tk · (snapshot_t − mean); zero for a
            snapshot left out.
        left_out: Numbers of the snapshots with values that are not finite.
    """

    directions: tuple[Params, ...]
    explained_variance: np.ndarray
    null: np.ndarray
    coefficients: np.ndarray
    left_out: tuple[int, ...] = ()


def principal_components(
    source: SnapshotSource,
    count: int,
    *,
    origin: Params,
    block_bytes: int = BLOCK_BYTES,
    watch: Watch = QUIET,
) -> Components:
    """The ``count`` leading principal components of the snapshots about their mean.

    Biases, gains and all other parameters of ``origin`` count alike, since the path moves them all; buffers are no
    parameters. Snapshots weigh alike whatever lies between their steps.

    Args:
        source: T snapshots.
        count: Components wanted, k.
        origin: Gives names and shapes; displacements are taken from it, which changes rounding only.
        block_bytes: Room for one block of all snapshots; what is held beside is k + 1 times the parameters.
        watch: Told of each stage.

    Raises:
        UsageError: If the snapshots span fewer than ``count`` directions.

    Example:
        >>> class Line:
        ...     def __len__(self): return 3
        ...     def params(self, t): return {"w": torch.tensor([3.0, 4.0]) * t}
        >>> found = principal_components(Line(), 1, origin={"w": torch.zeros(2)})
        >>> found.directions[0]["w"], found.explained_variance
        (tensor([0.6000, 0.8000]), array([1.]))
    """
    gram = snapshot_gram(source, origin, block_bytes=block_bytes, watch=watch)
    used = np.isfinite(np.diagonal(gram))
    left_out = tuple(int(t) for t in np.flatnonzero(~used))
    eigenvalues, vectors = _eigenpairs(gram[np.ix_(used, used)], count, left_out)
    coefficients = np.zeros((len(source), count))
    coefficients[used] = vectors / np.sqrt(eigenvalues[:count])
    directions = combine(source, coefficients, origin, watch=watch)
    return Components(
        directions=directions,
        explained_variance=eigenvalues[:count] / eigenvalues.sum(),
        null=random_walk_null(count, int(used.sum())),
        coefficients=coefficients,
        left_out=left_out,
    )


def snapshot_gram(
    source: SnapshotSource,
    origin: Params,
    *,
    block_bytes: int = BLOCK_BYTES,
    watch: Watch = QUIET,
) -> np.ndarray:
    """Inner products of the snapshots' displacements from ``origin``, float64 (T, T).

    Every entry of every snapshot is read once, in blocks of as many parameters as fit into ``block_bytes`` for all
    snapshots; a snapshot that is not finite makes its row so.
    """
    snapshots = len(source)
    width = max(1, block_bytes // (8 * snapshots))
    blocks = list(_cut(origin, width))
    gram, columns = np.zeros((snapshots, snapshots)), np.empty((snapshots, min(width, entries(origin))))
    for number, block in enumerate(blocks):
        watch.stage("reading snapshots", number, len(blocks))
        filled = 0
        for t in range(snapshots):
            params, filled = source.params(t), 0
            for name, start, stop in block:
                part = _flat(params[name])[start:stop].double() - _flat(origin[name])[start:stop].double()
                columns[t, filled : filled + stop - start] = part.numpy()
                filled += stop - start
        with np.errstate(invalid="ignore", over="ignore"):
            gram += columns[:, :filled] @ columns[:, :filled].T
    watch.stage("reading snapshots", len(blocks), len(blocks))
    return gram


def combine(
    source: SnapshotSource,
    coefficients: np.ndarray,
    origin: Params,
    *,
    watch: Watch = QUIET,
) -> tuple[Params, ...]:
    """Σ_t coefficient_tk · (snapshot_t − origin) for each column k of (T, k), summed in float64; float32 on the CPU.

    Snapshots whose coefficients are all zero are not read.
    """
    count = coefficients.shape[1]
    totals = {name: torch.zeros((count, tensor.numel()), dtype=torch.float64) for name, tensor in origin.items()}
    for t, row in enumerate(coefficients):
        watch.stage("adding snapshots", t, len(coefficients))
        if not row.any():
            continue
        params, weights = source.params(t), torch.from_numpy(np.ascontiguousarray(row))
        for name, total in totals.items():
            total.addr_(weights, _flat(params[name]).double() - _flat(origin[name]).double())
    watch.stage("adding snapshots", len(coefficients), len(coefficients))
    return tuple({n: totals[n][k].reshape(t.shape).float() for n, t in origin.items()} for k in range(count))


@dataclass(frozen=True)
class Joined:
    """Several runs' snapshots, one after the other."""

    parts: Sequence[SnapshotSource]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def params(self, t: int) -> Params:
        """Snapshot ``t`` of them all."""
        for part in self.parts:
            if t < len(part):
                return part.params(t)
            t -= len(part)
        raise IndexError(t)


def _eigenpairs(gram: np.ndarray, count: int, left_out: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All eigenvalues of the centred Gram matrix, falling, and the ``count`` leading vectors (T, k), signs chosen."""
    snapshots = len(gram)
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean() if snapshots else gram
    eigenvalues, vectors = np.linalg.eigh(centred) if snapshots else (np.zeros(0), np.zeros((0, 0)))
    eigenvalues, vectors = eigenvalues[::-1].clip(min=0), vectors[:, ::-1]
    rank = int((eigenvalues > _RANK * max(eigenvalues.max(initial=0.0), np.finfo(float).tiny)).sum())
    if rank < count:
        without = f", {len(left_out)} others having values that are not finite" if left_out else ""
        raise UsageError(
            f"The {snapshots} snapshots{without} span {rank} direction{'s' if rank != 1 else ''} about their mean, and "
            f"{count} principal components were asked for. "
            + ("Are they all alike?" if not rank else f"Take a grid of {rank} range{'s' if rank > 1 else ''}, or "
               "--plane pca1,random.")
        )  # fmt: skip
    vectors = vectors[:, :count].copy()
    for k in range(count):
        sign = vectors[-1, k] - vectors[0, k] if k == 0 else vectors[np.abs(vectors[:, k]).argmax(), k]
        vectors[:, k] *= -1.0 if sign < 0 else 1.0
    return eigenvalues, vectors


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1)


def _cut(origin: Params, width: int) -> Iterator[list[tuple[str, int, int]]]:
    """Cut the parameters, laid end to end, into blocks of at most ``width`` entries: lists of (name, start, stop)."""
    block: list[tuple[str, int, int]] = []
    room = width
    for name, tensor in origin.items():
        start, size = 0, tensor.numel()
        while start < size:
            stop = min(size, start + room)
            block.append((name, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield block
                block, room = [], width
    if block:
        yield block
