"""Streams, events and graphs of pretend devices, with clocks that tell what may be read where."""

import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils._pytree import tree_flatten

from pretend.guard import current_device, set_current_device

HERE = Path(__file__).parent
WAITS: Counter[tuple[str, str]] = Counter()  # (what, where) -> how often the host waited


class State:
    """What a machine is doing."""

    gpus = 1
    streams: dict = {}  # noqa: RUF012  the current one of each device
    capture = None  # the graph being recorded


def index_of(device) -> int:
    """Number of a device; that of the current one where it has none."""
    index = device if isinstance(device, int) else None if device is None else torch.device(device).index
    return current_device() if index is None or index < 0 else index


class Stream:
    """A line of work on one device, with a clock and what it knows of the others'."""

    def __init__(self, device=None, priority=0, **_):
        self.device, self.tick, self.seen = torch.device("cuda", index_of(device)), 0, {}

    def wait_stream(self, other):
        self.seen.update({k: max(v, self.seen.get(k, 0)) for k, v in other.seen.items()})
        self.seen[other] = other.tick

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        self.seen.update({k: max(v, self.seen.get(k, 0)) for k, v in event.seen.items()})

    def synchronize(self):
        waited("Stream.synchronize")

    def query(self):
        return True


class Event:
    """A mark in a stream."""

    def __init__(self, *_, **__):
        self.seen = {}

    def record(self, stream=None):
        stream = stream or current_stream()
        self.seen = {**stream.seen, stream: stream.tick}

    def wait(self, stream=None):
        (stream or current_stream()).wait_event(self)

    def synchronize(self):
        waited("Event.synchronize")

    def query(self):
        return True

    def elapsed_time(self, other):
        return 0.0


def current_stream(device=None) -> Stream:
    """The current stream of a device."""
    index = index_of(device)
    return State.streams.setdefault(index, Stream(index))


@contextmanager
def stream(chosen):
    """A stream, and its device, made current."""
    if chosen is None:
        yield
        return
    index, device = chosen.device.index, current_device()
    before = current_stream(index)
    State.streams[index] = chosen
    set_current_device(index)
    try:
        yield
    finally:
        State.streams[index] = before
        set_current_device(device)


@contextmanager
def device(chosen):
    """A device made current."""
    before = current_device()
    set_current_device(index_of(chosen))
    try:
        yield
    finally:
        set_current_device(before)


class CUDAGraph:
    """What was recorded: operations with the very tensors they read and wrote."""

    def __init__(self, *_, **__):
        self.operations, self.device = [], None

    def replay(self):
        now = current_stream(self.device)
        now.tick += 1
        with torch._C._DisableTorchDispatch():
            for func, args, kwargs, outs in self.operations:
                made = func(*args, **kwargs)
                for old, new in zip(tree_flatten(outs)[0], tree_flatten(made)[0], strict=True):
                    if isinstance(old, torch.Tensor):
                        vars(old.untyped_storage())["made"] = (now, now.tick)
                        if old is not new and old.data_ptr() != new.data_ptr():
                            old.copy_(new)

    def reset(self):
        self.operations = []

    def pool(self):
        return (0, 1)


@contextmanager
def graph(made, pool=None, stream=None, capture_error_mode="global", **_):
    """Record what is done on a stream of the current device."""
    own = stream or Stream()
    own.seen = {s: s.tick for s in State.streams.values()}  # torch waits for all before
    made.device, made.stream = own.device, own
    with globals()["stream"](own):
        State.capture = made
        try:
            yield
        finally:
            State.capture = None
    current_stream(own.device).wait_stream(own)
    if not made.operations:
        warnings.warn("The CUDA graph is empty: it was recorded on the wrong device or stream.", stacklevel=3)


def where() -> str:
    """The innermost lines that are neither torch's nor the machine's."""
    frames = [f for f in traceback.extract_stack() if "/torch/" not in f.filename and Path(f.filename).parent != HERE]
    shown = [f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno}" for f in frames[-2:]]
    return " < ".join(reversed(shown))


def waited(what: str) -> None:
    """The host waits for a device, which no capture allows."""
    if State.capture is not None:
        raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what} at {where()})")
    WAITS[what, where()] += 1


def launch(tensors) -> None:
    """A kernel that reads and writes ``tensors`` in their devices' current streams."""
    for index in {t.device.index for t in tensors} or {current_device()}:
        now = current_stream(index)
        for t in tensors:
            made, tick = t.held_by.get("made", (now, 0))
            if t.device.index == index and made is not now and now.seen.get(made, -1) < tick:
                shape = tuple(t.shape)
                raise RuntimeError(f"RACE: {shape} is read on {now.device} while another stream makes it, at {where()}")
