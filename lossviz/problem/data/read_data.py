"""Data in the usual formats, as the ``data()`` of a problem returns them: a file's tensors, images, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError
from lossviz.problem.named import READERS

INPUTS = ("x", "inputs", "input", "images", "image", "features", "data", "input_ids", "arr_0")
TARGETS = ("y", "targets", "target", "labels", "label", "arr_1")
SPLITS = ("train", "test", "val", "valid", "validation", "dev")


def read_data(reader: str, path: Path, **arguments: Any) -> Any:
    """Read what lies at a path.

    Args:
        reader: One of :data:`~lossviz.problem.named.READERS`.
        path: The file or folder.
        **arguments: Of the reader.

    Returns:
        A dict by split, or the data of the one split there is.

    Raises:
        ProblemError: If it is not what the reader expects; the message says what is there.
        TypeError: If the reader does not take an argument.
    """
    return READERS[reader].function(path, **arguments)


def read_digits(path: Path) -> Any:
    """The handwritten digits of the built-in problem."""
    from lossviz.problem.data.digits import data

    return data()


def read_npz(path: Path) -> Any:
    """The arrays of an ``.npz`` file; see :func:`arrange`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
    except Exception as error:
        raise ProblemError(f"{path} is no .npz file of plain arrays: {error}.") from error
    return arrange(found, path)


def read_tensors(path: Path) -> Any:
    """The tensors of a ``.pt`` or ``.safetensors`` file; see :func:`arrange`."""
    from lossviz.problem.checkpoint.file import read_content

    content = read_content(path)
    if isinstance(content, Mapping):
        return arrange(dict(content), path)
    if isinstance(content, Tensor) or (isinstance(content, (tuple, list)) and _all_tensors(content)):
        return tuple(content) if isinstance(content, (tuple, list)) else (content,)
    raise ProblemError(f"{path} holds an object of type {type(content).__name__}; save a dict or tuple of tensors.")


def arrange(found: dict[str, Any], path: Path) -> Any:
    """Splits and their tensors out of a file's names.

    Names may say the split at either end (``x_train``, ``test_labels``) or be nested below it; within one, the inputs
    and targets go by their usual names, and other names make a dict of the model's arguments.

    Raises:
        ProblemError: If there are no tensors.

    Example:
        >>> x, y = torch.zeros(3, 2), torch.zeros(3)
        >>> [len(part) for part in arrange({"x_train": x, "y_train": y, "x_test": x, "y_test": y}, Path("a")).values()]
        [2, 2]
    """
    by_split: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        if isinstance(value, Mapping) and name in SPLITS:
            by_split.setdefault(name, {}).update(value)
        elif isinstance(value, (tuple, list)) and name in SPLITS and _all_tensors(value):
            by_split.setdefault(name, {}).update(zip(("x", "y"), value, strict=False))
        elif isinstance(value, Tensor):
            split, rest = _split_of(name)
            by_split.setdefault(split, {})[rest] = value
    if not by_split:
        raise ProblemError(f"{path} holds no tensors by name; it has {', '.join(found) or 'nothing'}.")
    arranged = {split: _columns(tensors) for split, tensors in by_split.items()}
    if arranged.keys() == {""} and not isinstance(arranged[""], dict):
        return arranged[""]  # of whatever split is asked for
    return {split or "train": c for split, c in arranged.items()}


def _split_of(name: str) -> tuple[str, str]:
    """The split that a name says, "" for none, and what is left of it."""
    parts = name.split("_")
    for place in (0, -1):
        if parts[place] in SPLITS:
            rest = parts[1:] if place == 0 else parts[:-1]
            return parts[place], "_".join(rest) or "x"
    return "", name


def _columns(tensors: dict[str, Any]) -> Any:
    """(inputs, targets) where the names say so, bare inputs, or the dict as it is."""
    inputs = [name for name in tensors if name in INPUTS]
    targets = [name for name in tensors if name in TARGETS]
    if len(inputs) == 1 and len(targets) == 1 and len(tensors) == 2:
        return tensors[inputs[0]], tensors[targets[0]]
    if len(tensors) == 1:
        return tuple(tensors.values())
    return tensors


def _all_tensors(values: Any) -> bool:
    return bool(values) and all(isinstance(value, Tensor) for value in values)
