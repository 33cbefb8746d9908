"""The examples of one split: a fixed set in a fixed order, resident on a device."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError, UsageError
from lossviz.problem.data.batch import Batch, bare, children, count_examples, map_tensors, rebuild, tensors


class Examples:
    """A fixed set of D examples in a fixed order, resident on a device.

    Args:
        batches: Ready-made batches; or, when ``recuttable``, one tree in which every tensor has D as its leading
            dimension.
        own_size: Of the batches that the user's loader makes of examples that may be cut.
        recuttable: Whether batches of any size may be cut. Ready-made batches stay as the user made them, for a loss
            may depend on what shares a batch (padding, contrasts).
        together: What is wrong with these data unless the loss gives one value for all of them together.

    Example:
        >>> examples = Examples([(torch.arange(5), torch.zeros(5, 2))], recuttable=True)
        >>> examples.count, [images.tolist() for images, _ in examples.batches(2)]
        (5, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self, batches: Sequence[Batch], *, recuttable: bool = False, own_size: int | None = None, together: str = ""
    ) -> None:
        self._batches = list(batches)
        self.own_size, self.together = own_size, together
        self.recuttable = recuttable
        self._counts = [count_examples(batch) for batch in self._batches]
        self.count = sum(self._counts)
        self._place: np.ndarray | None = None  # of each example as read, where the order is another
        if not self.count:
            raise ProblemError("There are no examples: the data are empty.")

    def batches(self, batch_size: int | None) -> Sequence[Batch]:
        """All examples in their order, cut into views of at most ``batch_size``; the last may be short.

        Args:
            batch_size: Examples a batch; None takes all at once. Ready-made batches come as they are whatever it is.
        """
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"The batch size is {batch_size}; it must be at least 1.")
        if not self.recuttable or batch_size is None or batch_size >= self.count:
            return list(self._batches)
        cuts = [slice(start, start + batch_size) for start in range(0, self.count, batch_size)]
        return [map_columns(self._batches[0], lambda column, cut=cut: column[cut]) for cut in cuts]

    def growing_batches(self, first: int, batch_size: int) -> Sequence[Batch]:
        """All examples in their order, cut into views that begin with ``first`` and are doubled up to ``batch_size``.

        Example:
            >>> [len(batch) for batch in Examples([torch.arange(50)], recuttable=True).growing_batches(4, 16)]
            [4, 4, 8, 16, 16, 2]
        """
        if not self.recuttable or first >= batch_size:
            return Examples.batches(self, batch_size)
        ends = [0, first]
        while ends[-1] < self.count:
            ends.append(ends[-1] + min(ends[-1], batch_size))
        cuts = [slice(start, end) for start, end in itertools.pairwise(ends)]
        return [map_columns(self._batches[0], lambda column, cut=cut: column[cut]) for cut in cuts]

    def in_own_batches(self) -> Examples:
        """The same examples as ready-made batches of the loader's size."""
        return Examples(self.batches(self.own_size))

    def reordered(self, order: np.ndarray) -> Examples:
        """The same examples in another order, int64 (D,); :meth:`sha256` is that of the data as they were read.

        Raises:
            ProblemError: As for :meth:`check_mixable`.
        """
        self.check_mixable()
        other = Examples([map_columns(self._batches[0], lambda column: _take(column, order))], recuttable=True)
        other._place = np.argsort(order if self._place is None else np.argsort(self._place)[order])
        return other

    def shuffled(self, seed: int) -> Examples:
        """The same examples in a fixed random order."""
        return self.reordered(np.argsort(np.random.Philox(key=seed).random_raw(self.count), kind="stable"))

    def check_mixable(self) -> None:
        """Demand that examples may share batches with any others.

        Raises:
            ProblemError: If the batches are ready-made: the loss may depend on what shares one.
        """
        if not self.recuttable:
            raise ProblemError(
                "The data are ready-made batches, whose examples must not be mixed; let data() return a dataset or "
                "tensors, or leave --relative-error out."
            )

    def taken(self, indices: np.ndarray) -> Batch:
        """One batch of the examples at some indices, in that order; only of examples that may be cut."""
        return map_columns(self._batches[0], lambda column: _take(column, indices))

    def slices(self, count: int) -> list[Examples]:
        """All examples in ``count`` slices of neighbours, as equal as can be; ready-made batches stay whole.

        Raises:
            ProblemError: If a slice would be empty.

        Example:
            >>> slices = Examples([torch.arange(5)], recuttable=True).slices(2)
            >>> [one.batches(None)[0].tolist() for one in slices]
            [[0, 1], [2, 3, 4]]
        """
        many, what = (self.count, "examples") if self.recuttable else (len(self._batches), "ready-made batches")
        if many < count:
            raise ProblemError(f"There are {many} {what} for {count} ranks a point: take --ranks-per-point {many}.")
        cuts = [slice(many * k // count, many * (k + 1) // count) for k in range(count)]
        if not self.recuttable:
            return [Examples(self._batches[cut]) for cut in cuts]
        whole = self._batches[0]
        return [Examples([map_columns(whole, lambda c, cut=cut: c[cut])], recuttable=True) for cut in cuts]

    def in_cuts(self, cuts: Sequence[np.ndarray]) -> Examples:
        """Ready-made batches of the examples at some indices each; only of examples that may be cut."""
        return Examples([self.taken(cut) for cut in cuts])

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Examples:
        """The same examples with every tensor replaced by ``function`` of it, which must keep the leading dimension."""
        other = Examples([map_tensors(function, batch) for batch in self._batches], recuttable=self.recuttable)
        other._place = self._place
        return other

    @property
    def largest_batch(self) -> int:
        """Examples in the largest ready-made batch; D when batches may be cut."""
        return max(self._counts)

    @property
    def nbytes(self) -> int:
        """Bytes the tensors hold on the device."""
        return sum(tensor.nbytes for batch in self._batches for tensor in tensors(batch))

    def sha256(self) -> str:
        """SHA-256 of the tensors' types, shapes and bytes and of what else the batches hold, in order."""
        digest, place = hashlib.sha256(), self._place
        for batch in self._batches:
            _hash(bare(batch) if place is None else map_columns(batch, lambda column: _take(column, place)), digest)
        return digest.hexdigest()


def choose_subset(count: int, samples: int, seed: int) -> np.ndarray:
    """A random subset of ``range(count)``: int64 (min(samples, count),), ascending.

    Examples are ranked by one number each of the counter-based generator Philox, so that the subset depends on nothing
    but the arguments, and a larger subset contains every smaller one.

    Example:
        >>> choose_subset(10, 4, seed=0)
        array([0, 1, 2, 9])
    """
    rank = np.random.Philox(key=seed).random_raw(count)
    return np.sort(np.argsort(rank, kind="stable")[:samples])


def _take(column: Any, order: np.ndarray) -> Any:
    if isinstance(column, Tensor):
        return column[torch.from_numpy(order).to(column.device)]
    return type(column)(column[i] for i in order)


def is_column(node: Any) -> bool:
    """Whether a node holds one entry per example: a tensor, or a list of texts."""
    return isinstance(node, Tensor) or (
        isinstance(node, (list, tuple)) and bool(node) and all(isinstance(entry, (str, bytes)) for entry in node)
    )


def map_columns(tree: Any, function: Any) -> Any:
    """The same tree with every column replaced by ``function`` of it."""
    if is_column(tree):
        return function(tree)
    return rebuild(tree, [map_columns(child, function) for child in children(tree)])


def columns(tree: Any) -> list[Any]:
    """Every column of a tree, in order."""
    return [tree] if is_column(tree) else [column for child in children(tree) for column in columns(child)]


def _hash(node: Any, digest: Any) -> None:
    if isinstance(node, Tensor):
        dense = node.to_dense() if node.layout != torch.strided else node
        digest.update(f"{tuple(node.shape)} {node.dtype}\n".encode())
        if node.numel():
            digest.update(dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif children(node):
        names = list(node) if isinstance(node, Mapping) else len(children(node))
        digest.update(f"{type(node).__name__} {names}\n".encode())
        for child in children(node):
            _hash(child, digest)
    elif isinstance(node, (str, bytes, int, float, bool, type(None))):
        digest.update(f"{node!r}\n".encode())
    else:
        digest.update(f"{type(node).__name__}\n".encode())
