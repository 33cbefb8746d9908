"""Random probes that depend on (seed, number, parameter name) and on nothing else: not on device, order or library.

Bits are Philox4x64-10's, whose stream numpy promises to keep (NEP 19).
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from lossviz.space.params import Params


def sign_direction(like: Params, seed: int, number: int) -> Params:
    """Independent signs ±1, float64: Rademacher's, with the least variance in Hutchinson's estimator.

    Args:
        like: Gives names, shapes and device.
        seed: Of a family of probes.
        number: Of the probe in it.

    Example:
        >>> sign_direction({"w": torch.zeros(4)}, seed=0, number=0)["w"].abs().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    return {name: _signs(tensor, seed, number, name) for name, tensor in like.items()}


def uniform_direction(like: Params, seed: int, number: int) -> Params:
    """Independent entries, uniform in ±1, float64: a start that no eigenvector is orthogonal to by symmetry."""
    return {name: _uniform(tensor, seed, number, name) for name, tensor in like.items()}


def _signs(tensor: Tensor, seed: int, number: int, name: str) -> Tensor:
    words = _bits(seed, number, name, "signs").random_raw(-(-tensor.numel() // 64))
    bits = np.unpackbits(np.asarray(words, "<u8").view(np.uint8), bitorder="little")[: tensor.numel()]
    return _as(1.0 - 2.0 * bits, tensor)


def _uniform(tensor: Tensor, seed: int, number: int, name: str) -> Tensor:
    words = _bits(seed, number, name, "uniform").random_raw(tensor.numel())
    return _as((np.asarray(words, np.uint64) >> np.uint64(11)) * 2.0**-52 - 1.0, tensor)


def _as(values: np.ndarray, like: Tensor) -> Tensor:
    dtype = torch.float32 if like.device.type == "mps" else torch.float64
    return torch.from_numpy(values).reshape(like.shape).to(like.device, dtype)


def _bits(seed: int, number: int, name: str, kind: str) -> np.random.Philox:
    digest = hashlib.sha256(f"curvature\0{kind}\0{seed}\0{number}\0{name}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))
