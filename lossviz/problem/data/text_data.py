"""Tokens: plain text cut into blocks of one length, and Hugging Face data sets saved on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import MissingExtraError, ProblemError

BLOCK = 128
SPLIT_FILES = {"train": ("train",), "test": ("test", "val", "valid", "validation")}


def read_text(path: Path, *, tokenizer: str = "bytes", block: int = BLOCK) -> Any:
    """Blocks of tokens (D, block), int64, of a text file, or of a folder with ``train.txt`` and ``test.txt``.

    What is left over at the end and fills no block is left out.

    Args:
        path: UTF-8 text.
        tokenizer: ``"bytes"`` (the tokens 0…255) or ``"characters"`` (those of the text, in order), or a folder that
            transformers reads a tokenizer from.
        block: Tokens an example.

    Raises:
        ProblemError: If the text is too short, no UTF-8, or the tokenizer cannot be read.
    """
    if path.is_dir():
        files = {
            split: next((path / f"{n}.txt" for n in names if (path / f"{n}.txt").is_file()), None)
            for split, names in SPLIT_FILES.items()
        }
        found = {split: file for split, file in files.items() if file is not None}
        if not found:
            raise ProblemError(f"In {path} is no train.txt or test.txt; name a file, or put these there.")
        return {split: read_text(file, tokenizer=tokenizer, block=block) for split, file in found.items()}
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    tokens = _encode(text, tokenizer)
    whole = len(tokens) // block
    if not whole:
        raise ProblemError(f"{path} has {len(tokens)} tokens, fewer than a block of {block}; pass --data-args block=…")
    return (tokens[: whole * block].reshape(whole, block),)


def read_dataset(path: Path, *, columns: str | None = None) -> Any:
    """A data set that ``save_to_disk`` of the datasets library wrote, with its splits if it has them.

    Args:
        path: The folder.
        columns: The columns to take, with spaces between; None takes those that are numbers or images.

    Raises:
        MissingExtraError: If the datasets library is not installed.
        ProblemError: If it cannot be read, or has no such columns.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError("Data sets of Hugging Face need their library: pip install datasets") from error
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:
        raise ProblemError(f"{path} is no data set that save_to_disk wrote: {error}") from error
    if isinstance(found, Mapping):
        return {split: Rows(part, columns) for split, part in found.items()}
    return Rows(found, columns)


class Rows(torch.utils.data.Dataset):
    """Rows of a data set as dicts of tensors.

    Args:
        rows: With items by index, each a dict.
        columns: Those to take, with spaces between; None takes those that become tensors.
    """

    def __init__(self, rows: Any, columns: str | None) -> None:
        self._rows = rows
        first = rows[0] if len(rows) else {}
        asked = columns.split() if columns else [name for name, value in first.items() if _tensor(value) is not None]
        missing = [name for name in asked if name not in first]
        if missing or not asked:
            what = f"no column {', '.join(missing)}" if missing else "no column of numbers"
            raise ProblemError(f"The data set has {what}; its columns are {', '.join(first) or 'none'}.")
        self.columns = asked

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row, found = self._rows[index], {}
        for name in self.columns:
            value = _tensor(row[name])
            if value is None:
                raise ProblemError(f"Column {name} of row {index} is of type {type(row[name]).__name__}, not numbers.")
            found[name] = value
        return found


def _encode(text: str, tokenizer: str) -> Tensor:
    if tokenizer == "bytes":
        return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).astype(np.int64))
    if tokenizer == "characters":
        known = {character: i for i, character in enumerate(sorted(set(text)))}
        return torch.tensor([known[character] for character in text], dtype=torch.int64)
    try:
        from transformers import AutoTokenizer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            f"The tokenizer {tokenizer} needs transformers: pip install transformers. Or take tokenizer=bytes."
        ) from error
    if not Path(tokenizer).is_dir():
        raise ProblemError(f"There is no folder {tokenizer} to read a tokenizer from; or take tokenizer=bytes.")
    try:
        reader = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        return torch.tensor(reader(text, add_special_tokens=False)["input_ids"], dtype=torch.int64)
    except Exception as error:
        raise ProblemError(f"The tokenizer in {tokenizer} cannot be read: {error}") from error


def _tensor(value: Any) -> Tensor | None:
    """Numbers, lists of numbers and images as a tensor; None for texts and the like."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "convert") and hasattr(value, "tobytes"):  # an image
        pixels = np.asarray(value.convert("RGB"))
        return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return torch.from_numpy(array.copy()) if array.dtype.kind in "bifu" else None
