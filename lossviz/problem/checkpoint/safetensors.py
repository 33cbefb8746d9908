"""Files in the safetensors format: a length, a JSON table of names, types, shapes and places, and the bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import CheckpointError

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "C64": torch.complex64,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
LONGEST_HEADER = 100_000_000


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, mapped from disk and not read until they are used; no code is ever run.

    Raises:
        CheckpointError: If the file is cut short or is no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise CheckpointError(f"{path} ({size:,} bytes) is no safetensors file, or was cut short.")
        try:
            table = json.loads(file.read(length))
            rows = {name: row for name, row in table.items() if name != "__metadata__"}
            return {name: _tensor(path, row, 8 + length, size) for name, row in rows.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is a damaged safetensors file: {error}.") from error


def _tensor(path: Path, row: dict[str, Any], offset: int, size: int) -> Tensor:
    first, last = row["data_offsets"]
    kind, shape = TYPES[row["dtype"]], [int(n) for n in row["shape"]]
    if not 0 <= first <= last <= size - offset or last - first != math.prod(shape) * kind.itemsize:
        raise ValueError(f"its table places a tensor at {first}…{last}, the file has {size - offset:,} bytes of data")
    if first == last:
        return torch.empty(shape, dtype=kind)
    # copy on write, so that the tensor may be changed and the file not
    data = np.memmap(path, np.uint8, "c", offset + first, (last - first,))
    return torch.frombuffer(data, dtype=kind).reshape(shape)
