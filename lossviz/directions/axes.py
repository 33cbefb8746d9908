"""Directions along single parameters, so that a model of two parameters is shown exactly as it is."""

from __future__ import annotations

import re

import torch

from lossviz.errors import UsageError
from lossviz.space.params import Params, entries

_NAME = re.compile(r"(?P<tensor>[^\[\]]+)(\[(?P<index>-?\d+(\s*,\s*-?\d+)*)\])?")


def axis_direction(name: str, origin: Params) -> Params:
    """The direction that adds 1 to one entry of one parameter.

    Args:
        name: A parameter of one entry (``"a"``), or one entry of a parameter (``"fc.weight[3,0]"``).
        origin: Gives names and shapes.

    Raises:
        UsageError: If there is no such entry; the message says what there is.

    Example:
        >>> axis_direction("w[1,0]", {"w": torch.zeros(2, 2), "b": torch.zeros(1)})["w"].tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """
    found = _NAME.fullmatch(name.strip())
    if found is None or found["tensor"] not in origin:
        known = ", ".join(list(origin)[:6]) + (" …" if len(origin) > 6 else "")
        raise UsageError(f"--plane axes: there is no parameter {name!r}. There are {known}.")
    shape = tuple(origin[found["tensor"]].shape)
    index = tuple(int(part) for part in found["index"].split(",")) if found["index"] else None
    if index is None and origin[found["tensor"]].numel() != 1:
        raise UsageError(
            f"--plane axes: {name} has shape {shape}; name one entry, for example {name}[{','.join('0' * len(shape))}]."
        )
    direction = {key: torch.zeros(tensor.shape) for key, tensor in origin.items()}
    target = direction[found["tensor"]]
    try:
        if index is not None and len(index) != len(shape):
            raise IndexError
        target[index if index is not None else (0,) * len(shape)] = 1.0
    except IndexError:
        raise UsageError(f"--plane axes: {name} is outside {found['tensor']}, whose shape is {shape}.") from None
    assert entries(direction)
    return direction
