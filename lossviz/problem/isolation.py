"""Settings of the whole process that user code may change, put back as they were."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from lossviz.problem.float32 import Switch, float32_as, float32_switches, general_switches, read_switch

FIXED_SEED = 0


@contextmanager
def preserved_globals(*, seed: int = FIXED_SEED) -> Iterator[None]:
    """Seed the global random generators for the time of the block, then put every global setting back.

    Kept are the random states of Python, NumPy and torch, the default type and device, gradient mode, the number of
    threads, determinism and the precision of matrix products. The seed makes ``model()`` without a checkpoint give the
    same parameters in every run.
    """
    settings = [(write, read_switch(read)) for read, write in _settings()]
    with warnings.catch_warnings():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the global generator is what user code draws from)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for (read, _), (write, value) in zip(_settings(), settings, strict=True):
                if value is not None and not _same(read_switch(read), value):
                    # a switch that this build of torch cannot turn back was not turned by user code either
                    with contextlib.suppress(RuntimeError):
                        write(value)


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Gradient mode as it is, but out of ``torch.inference_mode``, whose tensors can never be differentiated."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def untracked() -> Iterator[None]:
    """Gradients off, and out of ``torch.inference_mode``."""
    with outside_inference_mode(), torch.no_grad():
        yield


@contextmanager
def passes_on(device: torch.device) -> Iterator[None]:
    """What every pass of a model needs: its GPU is torch's current one, and float32 numbers are float32.

    Streams, graphs and what a loss puts on ``"cuda"`` belong to the current GPU, whichever the model lies on.
    """
    with float32_as("float32"), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        yield


def _settings() -> list[Switch]:
    """Pairs of reader and writer, the ones that depend on others last."""
    cudnn = torch.backends.cudnn
    return [
        (random.getstate, random.setstate),
        (_numpy_state, np.random.set_state),
        (torch.get_rng_state, torch.set_rng_state),
        (_cuda_states, torch.cuda.set_rng_state_all),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, _set_default_device),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_num_threads, torch.set_num_threads),
        (_determinism, lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1])),
        *(
            (lambda name=name: getattr(cudnn, name), lambda value, name=name: setattr(cudnn, name, value))
            for name in ("enabled", "benchmark", "deterministic")
        ),
        *general_switches(),
        *float32_switches(),
    ]


def _numpy_state() -> Any:
    return np.random.get_state()  # noqa: NPY002


def _cuda_states() -> Any:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None


def _set_default_device(device: torch.device) -> None:
    # unset rather than set to the CPU, for a set default costs time in every call
    torch.set_default_device(None if device.type == "cpu" else device)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
