"""One recorded snapshot on disk: an ordinary checkpoint, with what the training loop said about it beside.

A file is what ``torch.save`` makes of ``{"state_dict": …, "lossviz_snapshot": {…}}``, named by series and step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossviz.store.atomic_file import whole_file

KEY = "lossviz_snapshot"
_NAME = re.compile(r"(?P<series>.+)-(?P<step>\d{10})(?P<marked>-marked)?\.pt")
_RAW = "step"


@dataclass(frozen=True)
class Snapshot:
    """What is known about saved parameters beside their values.

    Attributes:
        step: Steps of the optimizer before it.
        epoch: Passes over the examples; None if not known.
        loss: What the training loop reported; None if nothing.
        learning_rate: Of the optimizer's first group.
        optimizer: Its class.
        series: ``""`` for the parameters that are trained; the name of an average otherwise.
        marks: Kind and label of events.
    """

    step: int
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    series: str = ""
    marks: tuple[tuple[str, str], ...] = ()

    def of_series(self, series: str) -> Snapshot:
        """The same moment, of an average."""
        return replace(self, series=series)


@dataclass(frozen=True)
class SnapshotFile:
    """What a file's name says."""

    path: Path
    step: int
    series: str
    marked: bool


def snapshot_name(snapshot: Snapshot) -> str:
    """File name of a snapshot; names sort as steps do.

    Example:
        >>> snapshot_name(Snapshot(50)), snapshot_name(Snapshot(50, series="ema", marks=(("decay", ""),)))
        ('step-0000000050.pt', 'ema-0000000050-marked.pt')
    """
    series = re.sub(r"[^\w.]", "_", snapshot.series) or _RAW
    return f"{series}-{snapshot.step:010d}{'-marked' if snapshot.marks else ''}.pt"


def parse_name(path: Path) -> SnapshotFile | None:
    """The inverse of :func:`snapshot_name`; None for a file of another name."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    series = "" if found["series"] == _RAW else found["series"]
    return SnapshotFile(path, int(found["step"]), series, bool(found["marked"]))


def snapshots_in(folder: Path) -> list[SnapshotFile]:
    """The recorded snapshots of a folder, by step."""
    found = [parse_name(path) for path in folder.glob("*.pt")]
    return sorted((file for file in found if file is not None), key=lambda file: (file.step, file.series))


def write_snapshot(path: Path, snapshot: Snapshot, state: Mapping[str, Tensor]) -> None:
    """Write a snapshot, whole or not at all.

    Raises:
        OSError: If the disk is full or fails; nothing is left behind.
        RuntimeError: The same, in torch's words.
    """
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    facts = {**asdict(snapshot), "marks": [list(mark) for mark in snapshot.marks], "version": 1}
    with whole_file(path, temporary=part) as file:
        torch.save({"state_dict": dict(state), KEY: facts}, file)


def read_facts(content: Any) -> Snapshot | None:
    """What a file's content says about it, if lossviz recorded it; None otherwise.

    Example:
        >>> read_facts({"state_dict": {}, KEY: {"step": 50, "marks": [["decay", "LR ÷10"]]}}).marks
        (('decay', 'LR ÷10'),)
    """
    stored = content.get(KEY) if isinstance(content, Mapping) else None
    if not isinstance(stored, Mapping) or not isinstance(stored.get("step"), int):
        return None
    known = {name: stored[name] for name in Snapshot.__dataclass_fields__ if name in stored}
    known["marks"] = tuple((str(kind), str(label)) for kind, label in stored.get("marks", ()))
    return Snapshot(**known)
