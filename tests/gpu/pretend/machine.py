"""A machine with pretend GPUs for the time of a block."""

from collections import Counter
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
import torch._dynamo  # it reads torch.cuda while it is imported

from pretend.guard import current_device, set_current_device
from pretend.streams import (
    WAITS,
    CUDAGraph,
    Event,
    State,
    Stream,
    current_stream,
    device,
    graph,
    index_of,
    stream,
    waited,
)
from pretend.tensors import Dispatch, is_pinned, pin_memory

_tensor, _as_tensor, _empty = torch.tensor, torch.as_tensor, torch.empty


@contextmanager
def machine(gpus: int = 1):
    """A machine with pretend GPUs for the time of the block; what is counted starts anew."""
    WAITS.clear()
    State.streams, State.gpus = {}, gpus
    set_current_device(0)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    with ExitStack() as stack:
        for patch in _patches(gpus):
            stack.enter_context(patch)
        stack.enter_context(Dispatch())
        try:
            yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(before)
            set_current_device(0)


@contextmanager
def waits_of():
    """The waits of a block alone: (what, where) -> how often."""
    before, found = WAITS.copy(), Counter()
    yield found
    found.update(WAITS - before)


def _patches(gpus: int):
    values = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: gpus,
        "get_device_name": lambda *_: "pretend",
        "current_device": current_device,
        "set_device": lambda chosen: set_current_device(index_of(chosen)),
        "device": device,
        "Stream": Stream,
        "stream": stream,
        "current_stream": current_stream,
        "default_stream": current_stream,
        "Event": Event,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "is_current_stream_capturing": lambda: State.capture is not None,
        "synchronize": lambda *_: waited("torch.cuda.synchronize"),
        "is_bf16_supported": lambda *_, **__: True,
        "memory_allocated": lambda *_: 0,
        "max_memory_allocated": lambda *_: 0,
        "get_rng_state_all": list,
        "get_rng_state": lambda *_: _empty(0),
    }
    nothing = ("_lazy_init", "empty_cache", "reset_peak_memory_stats", "manual_seed", "manual_seed_all",
               "set_rng_state_all", "set_rng_state")  # fmt: skip
    values |= dict.fromkeys(nothing, lambda *_, **__: None)
    yield from (mock.patch.object(torch.cuda, name, value) for name, value in values.items())
    yield mock.patch.object(torch, "empty", _made_empty)
    yield mock.patch.object(torch, "tensor", _made_tensor)
    yield mock.patch.object(torch, "as_tensor", _made_as_tensor)
    yield mock.patch.object(torch.Tensor, "new_tensor", _new_tensor)
    yield mock.patch.object(torch.Tensor, "pin_memory", pin_memory)
    yield mock.patch.object(torch.Tensor, "is_pinned", is_pinned)
    yield mock.patch.object(torch, "compile", lambda function=None, **_: function or (lambda given: given))


def _made_empty(*size, pin_memory=False, **words):
    made = _empty(*size, **words)
    return made.pin_memory() if pin_memory else made


def _made_tensor(data, *, device=None, **words):
    made = _tensor(data, **words)
    return made if device is None else made.to(device)


def _new_tensor(like, data, *, dtype=None, device=None, **words):
    return _made_tensor(data, dtype=dtype or like.dtype, device=device or like.device, **words)


def _made_as_tensor(data, dtype=None, device=None):
    made = _as_tensor(data, dtype=dtype)
    return made if device is None else made.to(device)
