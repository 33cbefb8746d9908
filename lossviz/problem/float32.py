"""What torch makes of float32 numbers: matrix products and convolutions in float32, or in TF32 where that is asked for.

On GPUs torch lets convolutions run in TF32 unless it is told otherwise, and a program may have turned on more. torch
2.9 added switches by operation, ``fp32_precision``, beside the old ``allow_tf32``. They contradict each other if only
one kind is turned, and torch then refuses to read the other: so both are turned, the old ones first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import torch

Switch = tuple[Callable[[], Any], Callable[[Any], Any]]  # reads, writes


@cache
def float32_switches() -> tuple[Switch, ...]:
    """All switches that this version of torch has, the ones that others follow first.

    Example:
        >>> len(float32_switches()) >= 3
        True
    """
    return (*_old_switches(), *(_attribute(owner, "fp32_precision") for owner in (*_tf32_owners(), *_host_owners())))


@contextmanager
def float32_as(kind: Literal["float32", "tf32"]) -> Iterator[None]:
    """Products and convolutions of float32 numbers in that type for the time of the block, whatever was set before.

    Example:
        >>> with float32_as("tf32"):
        ...     torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        (True, True)
        >>> with float32_as("float32"):
        ...     torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        (False, False)
    """
    before = [(write, read_switch(read)) for read, write in float32_switches()]
    try:
        for write, value in zip((write for write, _ in before), _values(kind == "tf32"), strict=True):
            write(value)
        yield
    finally:
        for write, value in before:
            if value is not None:
                write(value)


def read_switch(read: Callable[[], Any]) -> Any:
    """What a switch says; None where torch refuses to read it, since the other kind was turned."""
    with contextlib.suppress(RuntimeError):
        return read()
    return None


def general_switches() -> tuple[Switch, ...]:
    """Those for several operations at once, which :func:`float32_switches` are set after."""
    backends: Any = torch.backends
    owners = (backends, backends.cudnn, getattr(backends, "mkldnn", None))
    return tuple(_attribute(owner, "fp32_precision") for owner in owners if hasattr(owner, "fp32_precision"))


def _old_switches() -> tuple[Switch, ...]:
    # set_float32_matmul_precision is what cuda.matmul.allow_tf32 turns, with one value more
    matmul = (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    return (matmul, _attribute(torch.backends.cudnn, "allow_tf32"))


def _values(tf32: bool) -> list[Any]:
    new = "tf32" if tf32 else "ieee"
    return ["high" if tf32 else "highest", tf32, *[new] * len(_tf32_owners()), *["ieee"] * len(_host_owners())]


@cache
def _tf32_owners() -> tuple[Any, ...]:
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):  # before torch 2.9
        return ()
    return (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)


@cache
def _host_owners() -> tuple[Any, ...]:
    """oneDNN's, which may run float32 in bfloat16 on some CPUs."""
    mkldnn: Any = getattr(torch.backends, "mkldnn", None)
    if not hasattr(mkldnn, "conv"):
        return ()
    return (mkldnn.matmul, mkldnn.conv, mkldnn.rnn)


def _attribute(owner: Any, name: str) -> Switch:
    return (lambda: getattr(owner, name), lambda value: setattr(owner, name, value))
