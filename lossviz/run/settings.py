"""How a run is carried out, and what it reports at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lossviz.directions.stored import StoreDirections
from lossviz.records.expected import Expected
from lossviz.records.remark import Remark
from lossviz.records.surface import Surface


@dataclass(frozen=True)
class Settings:
    """How a run is carried out: speed, last bits and files, never its meaning.

    Attributes:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        strategy: ``"auto"`` measures and chooses; else the name of a :data:`~lossviz.evaluate.ways.way.Strategy`. A run
            that goes on keeps the way it began with.
        batch_size: Examples per forward pass; None takes the device's default.
        low_memory: Keep origin, directions and examples on the host; the device holds the model and a batch.
        store_directions: ``"auto"`` stores them up to 4 GiB and above that their recipe; ``"always"``; ``"recipe"``.
        sync_interval_s: Maximum work lost in a power failure.
        disk_wait_s: How long to wait for room on a full disk.
        expect: What values at the centre should be: pairs of a name and a number in the digits that are known.
    """

    device: str = "auto"
    strategy: str = "auto"
    batch_size: int | None = None
    low_memory: bool = False
    store_directions: StoreDirections = "auto"
    sync_interval_s: float = 1.0
    disk_wait_s: float = 600.0
    expect: Expected = ()


DEFAULT = Settings()


@dataclass(frozen=True)
class Report:
    """What a finished run has to say.

    Attributes:
        surface: All values.
        path: The HDF5 file.
        seconds: Time of this session's sweep.
        evaluated: Points evaluated by this session.
        doubts: What a careful reader should know; empty when nothing is doubtful.
    """

    surface: Surface
    path: Path
    seconds: float
    evaluated: int
    doubts: list[Remark] = field(default_factory=list)
