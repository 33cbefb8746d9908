"""Names and forms of what lies on disk: the files beside a run, the datasets of a surface file, JSON that keeps NaN.

Files beside each other: ``RUN.h5`` (published), ``RUN.h5.journal/`` (segments), ``RUN.directions.h5``; while it is
filled ``RUN.h5.lock``, and for a moment ``RUN.h5.tmp-<host>-<pid>``.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.errors import StoreError, join_mistakes

SURFACE_FORMAT = "lossviz-surface"
DIRECTIONS_FORMAT = "lossviz-directions"
DIRECTIONS_ENDING = ".directions.h5"
JOURNAL_FORMAT = "lossviz-journal"
FORMAT_VERSION = "1.0"
JOURNAL_VERSION = 1

# what all quantities of a split share, with its fill value and unit
SHARED = {
    "count": (np.dtype("<i8"), "examples evaluated; 0 where not computed"),
    "weight": (np.dtype("<f8"), "sum of the examples' weights"),
    "status": (np.dtype("u1"), "what is known about the point"),
    "seconds": (np.dtype("<f4"), "time spent on the point"),
    "session": (np.dtype("<u2"), "row of provenance/sessions_json that computed the point"),
}
SUFFIXES = ("_sum", "_m2", "_stderr")
PROVENANCE = ("plan", "facts", "sessions")


def canonical_path(path: Path | str) -> Path:
    """The file a path means, links followed, so that everyone finds the same files beside it."""
    return Path(os.path.realpath(path))


def journal_folder(path: Path) -> Path:
    """Where a run's segments lie.

    Example:
        >>> journal_folder(Path("net.h5")).name
        'net.h5.journal'
    """
    return path.with_name(f"{path.name}.journal")


def lock_file(path: Path) -> Path:
    """The file whose lock says that a run is being filled; removed by the one who held it."""
    return path.with_name(f"{path.name}.lock")


def directions_path(path: Path) -> Path:
    """Where the directions of a run are stored.

    Example:
        >>> directions_path(Path("net.h5")).name
        'net.directions.h5'
    """
    return path.with_name(f"{path.with_suffix('').name}{DIRECTIONS_ENDING}")


def process_name() -> str:
    """``<host>-<pid>``, fit for a file name."""
    return f"{re.sub(r'[^A-Za-z0-9_.]', '_', socket.gethostname())}-{os.getpid()}"


def life_name() -> str:
    """A name that no other life of any process has: ``<time_ns>-<host>-<pid>-<6 hex>``; sorts by time."""
    return f"{time.time_ns():020d}-{process_name()}-{secrets.token_hex(3)}"


def host_of(name: str) -> str:
    """The host in a :func:`life_name`.

    Example:
        >>> host_of("00000000000000000007-my-host-12-abcdef")
        'my-host'
    """
    return "-".join(name.split("-")[1:-2])


def temporary_path(path: Path) -> Path:
    """The file this process writes before it takes the place of ``path``."""
    return path.with_name(f"{path.name}.tmp-{process_name()}")


def check_names(splits: Sequence[str], quantities: Iterable[str]) -> None:
    """Demand names that make one dataset each in a file.

    Raises:
        StoreError: With every name that cannot be stored, and why.

    Example:
        >>> check_names(["train", "test"], ["loss", "acc@1"])
    """
    quantities = list(quantities)
    mistakes = [
        f"{kind} {name!r} is empty or holds '/', blanks at an end or control characters."
        for kind, names in (("Split", splits), ("Quantity", quantities))
        for name in names
        if not name or "/" in name or name != name.strip() or not name.isprintable()
    ]
    mistakes += [
        f"Quantity {name!r} is taken: the file holds the examples' {name} under this name."
        for name in quantities
        if name in SHARED
    ]
    mistakes += [
        f"Quantity {name!r} ends like the file's own tables ({', '.join(SUFFIXES)})."
        for name in quantities
        if name.endswith(SUFFIXES)
    ]
    mistakes += [
        f"Split {longer!r} begins with split {shorter!r} and an underscore: their quantities could not be told apart."
        for longer in splits
        for shorter in splits
        if longer.startswith(f"{shorter}_")
    ]
    if mistakes:
        raise StoreError(f"{join_mistakes(mistakes)}\nRename them in the problem's loss or data.")


def to_text(values: Any) -> str:
    """JSON on one line in ASCII; numpy values become plain ones, NaN and infinities ``"nan"``, ``"inf"``, ``"-inf"``.

    Example:
        >>> to_text({"loss": np.float64(0.1), "norms": np.array([1.0, np.inf])})
        '{"loss":0.1,"norms":[1.0,"inf"]}'
    """
    return json.dumps(_plain(values), separators=(",", ":"), allow_nan=False)


def from_text(text: str | bytes) -> Any:
    """The inverse of :func:`to_text`.

    Example:
        >>> from_text('{"loss":"-inf"}')
        {'loss': -inf}
    """
    return _restored(json.loads(text))


def _plain(values: Any) -> Any:
    if isinstance(values, np.generic | np.ndarray):
        values = values.tolist()
    if isinstance(values, float) and not math.isfinite(values):
        return repr(values)
    if isinstance(values, Mapping):
        return {str(name): _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return str(values) if isinstance(values, Path) else values


def _restored(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _restored(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_restored(value) for value in values]
    return float(values) if values in ("nan", "inf", "-inf") else values
