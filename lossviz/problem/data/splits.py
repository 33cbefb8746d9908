"""Read what a problem's ``data()`` returned: datasets, loaders, tensors or ready-made batches, split by split."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)

from lossviz.errors import ProblemError
from lossviz.problem.data.batch import Batch, Counted, children, count_examples, find_count, is_uneven, move, rebuild
from lossviz.problem.data.dataset import ENDLESS, check_repeatable, fetch, is_map_style, read_stream, stack
from lossviz.problem.data.examples import Examples, choose_subset, columns, is_column, map_columns
from lossviz.records.remark import Remark, doubt

# what data without splits may be called
ONE_SPLIT = ("train", "test", "val", "valid", "validation", "dev", "eval", "all")
LOADER_BATCH = 256  # for loaders whose own sampler does not say
KINDS = (
    "data() must return a dataset, a DataLoader, a tuple of tensors such as (images, labels), a list of ready-made "
    'batches, or a dict of these by split, {"train": …, "test": …}'
)


@dataclass(frozen=True)
class NoData:
    """The data of a loss that takes none; ``reason`` says what is wrong if it does."""

    reason: str


class Reader:
    """Reads splits onto a device, collecting remarks.

    Args:
        device: Where the examples are to lie.
        dtype: Type their floating-point tensors get, that of the forward passes.
        samples: Examples to take from each split, a fixed random subset; None takes all.
        seed: Chooses the subset.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, *, samples: int | None = None, seed: int = 0) -> None:
        self.device, self.dtype, self.samples, self.seed = device, dtype, samples, seed
        self.remarks: list[Remark] = []

    def read_splits(self, data: Any, splits: Sequence[str]) -> dict[str, Examples]:
        """Read the splits asked for.

        Raises:
            ProblemError: If a split is not there, or its data cannot be read, hold nothing, or change when read again.
        """
        by_split = _by_split(data, splits)
        if not isinstance(data, Mapping) and list(splits) != ["train"]:
            self._doubt(
                f"data() has no splits: all of its examples are taken, under the name {splits[0]!r} that --split gives."
            )
        return {split: self.read(by_split[split], split) for split in splits}

    def read(self, data: Any, split: str) -> Examples:
        """Read one split."""
        if isinstance(data, Examples):
            return data
        if isinstance(data, NoData):
            return Examples([Counted(None, 1)], together=data.reason)
        if type(data) is TensorDataset:
            data = data.tensors
        if isinstance(data, np.ndarray) or _is_columns(data):
            return self._from_columns(data, split)
        if isinstance(data, DataLoader):
            return self._from_loader(data, split)
        if isinstance(data, IterableDataset):
            return self._from_items(read_stream(data, split), split)
        if isinstance(data, (list, tuple)):
            return self._from_ready(data, split)
        if is_map_style(data):
            return self._from_items(data, split)
        if isinstance(data, Iterable) and not isinstance(data, (str, bytes, Mapping)):
            return self._from_ready(islice(data, ENDLESS), split)
        raise ProblemError(f"The data of split {split!r} are of type {type(data).__name__}. {KINDS}.")

    def _from_columns(self, tree: Any, split: str) -> Examples:
        """Tensors with one leading dimension for all, in any tree."""
        tree = _with_tensors(tree)
        lengths = {len(column) for column in columns(tree)}
        if len(lengths) > 1:
            return Examples([self._move(tree, split)], together=_uneven(lengths, split))
        chosen = self._choose(lengths.pop(), split)
        if chosen is not None:
            tree = map_columns(tree, lambda column: _take(column, chosen))
        return Examples([self._move(tree, split)], recuttable=True)

    def _from_items(self, items: Any, split: str, own_size: int | None = None) -> Examples:
        """A map-style dataset, stacked once into resident tensors."""
        indices = self._indices(len(items), split)
        check_repeatable(items, indices, split)
        with self._enough_memory(split):
            return Examples([stack(items, indices, self.device, self.dtype, split)], recuttable=True, own_size=own_size)

    def _from_loader(self, loader: DataLoader, split: str) -> Examples:
        """A loader's dataset in its own order, every example once, whatever the loader shuffles or drops."""
        dataset: Any = loader.dataset
        streamed = isinstance(dataset, IterableDataset)
        if not streamed and not is_map_style(dataset):
            return self._from_ready(loader, split)
        if loader.batch_sampler is None:
            items = dataset if streamed else (dataset[i] for i in range(len(dataset)))
            return self._from_ready(map(loader.collate_fn, items), split)
        items = read_stream(dataset, split) if streamed else self._sampled(loader, split)
        size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or LOADER_BATCH
        if loader.collate_fn is default_collate:
            try:
                return self._from_items(items, split, own_size=size)
            except ProblemError:
                if size > 1:
                    raise
        # batches of the user's own making are not cut anew
        indices = self._indices(len(items), split)
        check_repeatable(items, indices, split)
        cuts = [indices[start : start + size] for start in range(0, len(indices), size)]
        batches = [loader.collate_fn(fetch(items, cut)) for cut in cuts]
        return self._keep(_counted(batches, [len(cut) for cut in cuts]), split)

    def _from_ready(self, batches: Iterable[Batch], split: str) -> Examples:
        """Ready-made batches; a subset takes whole batches."""
        batches = list(batches)
        for number, batch in enumerate(batches):
            _check_ready(batch, number, split)
        counts = [count_examples(batch) for batch in batches]
        if self.samples is not None and self.samples < sum(counts):
            order = np.argsort(np.random.Philox(key=self.seed).random_raw(len(counts)), kind="stable")
            enough = int(np.searchsorted(np.cumsum(np.array(counts)[order]), self.samples)) + 1
            chosen = sorted(order[:enough].tolist())
            batches, taken = [batches[i] for i in chosen], sum(counts[i] for i in chosen)
            if taken > self.samples:
                self._doubt(
                    f"Split {split!r} has ready-made batches, which are taken whole: {taken} examples instead of the "
                    f"{self.samples} asked for."
                )
        elif self.samples is not None:
            self._choose(sum(counts), split)
        return self._keep(batches, split)

    def _keep(self, batches: Iterable[Batch], split: str) -> Examples:
        moved = [self._move(batch, split) for batch in batches]
        if not moved:
            raise ProblemError(f"Split {split!r} holds no examples.")
        return Examples(moved, recuttable=False)

    def _sampled(self, loader: DataLoader, split: str) -> Any:
        """The loader's dataset, restricted as its sampler restricts it."""
        sampler = loader.sampler
        if isinstance(sampler, SubsetRandomSampler):
            return Subset(loader.dataset, sorted(int(i) for i in sampler.indices))
        if not isinstance(sampler, (SequentialSampler, RandomSampler)):
            self._doubt(
                f"The sampler {type(sampler).__name__} of split {split!r} was passed over: every example of the "
                "dataset counts once. For a part of it, return torch.utils.data.Subset(dataset, indices)."
            )
        return loader.dataset

    def _doubt(self, sentence: str) -> None:
        self.remarks += doubt("data", [sentence])

    def _indices(self, count: int, split: str) -> np.ndarray:
        chosen = self._choose(count, split)
        return np.arange(count) if chosen is None else chosen

    def _choose(self, count: int, split: str) -> np.ndarray | None:
        """Indices of the subset asked for; None when every example is taken."""
        if not count:
            raise ProblemError(f"Split {split!r} holds no examples.")
        if self.samples is None or self.samples == count:
            return None
        if self.samples > count:
            self._doubt(f"Split {split!r} holds {count} examples, fewer than --samples {self.samples}.")
            return None
        return choose_subset(count, self.samples, self.seed)

    def _move(self, batch: Batch, split: str) -> Batch:
        with self._enough_memory(split):
            return move(batch, self.device, self.dtype)

    @contextmanager
    def _enough_memory(self, split: str) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ProblemError(
                f"The examples of split {split!r} do not fit on {self.device}: leave them on the host with "
                "--low-memory, or take fewer, for example --samples 10000."
            ) from error


def _by_split(data: Any, splits: Sequence[str]) -> Mapping[str, Any]:
    """The data of every split; without a dict there is one, which goes by a usual name."""
    if not isinstance(data, Mapping):
        if len(splits) == 1 and splits[0] not in ONE_SPLIT:
            raise ProblemError(
                f"There is no split {splits[0]!r}: data() returned no dict of splits, so there is one, 'train'. For "
                f'another name return {{"{splits[0]}": …}}; --split also takes {", ".join(ONE_SPLIT[1:])} for it.'
            )
        if len(splits) == 1:
            return {splits[0]: data}
        raise ProblemError(
            f"Splits {', '.join(splits)} were asked for, but data() returned no dict of splits. Return "
            "{" + ", ".join(f'"{split}": …' for split in splits) + "}, or ask for one split."
        )
    unknown = [split for split in splits if split not in data]
    if unknown:
        known = ", ".join(str(name) for name in data) or "none"
        hint = ""
        if data and all(is_column(value) for value in data.values()):
            hint = f' If these are the inputs of one split, return {{"{splits[0]}": …}} around the dict.'
        raise ProblemError(
            f"There is no split {' and no split '.join(map(repr, unknown))}; data() has the splits {known}.{hint}"
        )
    return data


def _is_columns(data: Any) -> bool:
    """A tensor, a tuple of tensors, or a dict of tensors: one entry per example in each."""
    if isinstance(data, Tensor):
        return True
    if isinstance(data, Mapping):
        return bool(data) and all(isinstance(v, np.ndarray) or is_column(v) for v in data.values())
    return isinstance(data, tuple) and bool(data) and all(isinstance(v, (Tensor, np.ndarray)) for v in data)


def _with_tensors(tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree)
    held = [] if is_column(tree) else children(tree)
    return rebuild(tree, [_with_tensors(child) for child in held]) if held else tree


def _take(column: Any, chosen: np.ndarray) -> Any:
    if isinstance(column, Tensor):
        return column[torch.from_numpy(chosen).to(column.device)]
    return [column[i] for i in chosen]


def _counted(batches: Sequence[Batch], items: Sequence[int]) -> list[Batch]:
    """The batches, each with its number of items where its first tensor has not a row, or as many rows, per item."""
    rows = [find_count(batch) for batch in batches]
    even = not is_uneven(batches)
    if even and all(row and row * items[0] == count * (rows[0] or 0) for row, count in zip(rows, items, strict=True)):
        return list(batches)
    return [Counted(batch, count) for batch, count in zip(batches, items, strict=True)]


def _uneven(lengths: Collection[int], split: str) -> str:
    return (
        f"The tensors of split {split!r} differ in their number of examples: {sorted(lengths)}. They can only be one "
        "batch together, for a loss that gives one value for all of it."
    )


def _check_ready(batch: Batch, number: int, split: str) -> None:
    """Refuse a list of single examples, which looks almost like a list of batches."""
    last = batch[-1] if isinstance(batch, (tuple, list)) and batch else None
    single = isinstance(last, (int, float)) or (isinstance(last, Tensor) and not last.ndim)
    if single or find_count(batch) is None:
        raise ProblemError(
            f"data() returned a list for split {split!r}, which is read as ready-made batches, but entry {number} is "
            f"no batch: its tensors need a leading dimension, the example. For a list of single examples return "
            "DataLoader(examples, batch_size=256)."
        )
