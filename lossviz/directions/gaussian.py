"""Standard normal directions that depend on (seed, axis, parameter name) and on nothing else.

``torch.randn`` gives other numbers on another device, and the order of drawing is part of its recipe. Here every tensor
has a counter-based stream of its own, made on the CPU, so device, parameter order, sharding and the library's version
do not matter, and any tensor can be drawn alone. The bits are Philox4x64-10, whose stream numpy promises to keep (NEP
19); the transform is Box and Muller's in float64, rounded to float32 at the end.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from lossviz.space.params import Params

ALGORITHM = "lossviz-normal-1"
_BLOCK = 1 << 21  # pairs drawn at once: 64 MiB of temporaries whatever the tensor's size


def sample_gaussian(origin: Params, seed: int, axis: int) -> Params:
    """Draw one direction of independent standard normal entries, float32 on the CPU.

    Args:
        origin: Gives names and shapes; its values, order, types and devices do not matter.
        seed: From 0 to 2^63 − 1.
        axis: Number of the direction, from 0.

    Returns:
        One tensor per name of ``origin``, P entries in all.

    Example:
        >>> a = sample_gaussian({"w": torch.zeros(2, 2), "b": torch.zeros(1)}, seed=0, axis=0)
        >>> b = sample_gaussian({"b": torch.zeros(1), "w": torch.ones(2, 2)}, seed=0, axis=0)
        >>> torch.equal(a["w"], b["w"])
        True
    """
    return {name: _sample_tensor(tuple(tensor.shape), seed, axis, name) for name, tensor in origin.items()}


def _sample_tensor(shape: tuple[int, ...], seed: int, axis: int, name: str) -> Tensor:
    bits = np.random.Philox(key=_key(seed, axis, name))
    size = int(np.prod(shape, dtype=np.int64))
    normal = np.empty(size + size % 2, np.float32)
    for start in range(0, len(normal), 2 * _BLOCK):
        block = normal[start : start + 2 * _BLOCK]
        # 53 random bits each; half a step up keeps the logarithm finite
        uniform = ((bits.random_raw(len(block)) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2.0 * np.log(uniform[0::2])), 2.0 * np.pi * uniform[1::2]
        block[0::2], block[1::2] = radius * np.cos(angle), radius * np.sin(angle)
    return torch.from_numpy(normal[:size].reshape(shape).copy())


def _key(seed: int, axis: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}\0{axis}\0{name}".encode()).digest()
    return int.from_bytes(digest[:16], "little")
