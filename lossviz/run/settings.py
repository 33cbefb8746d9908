"""How a run is carried out, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossviz.directions.stored import StoreDirections
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.records.verdict import Check

Tell = Callable[[list[Check]], None]


Stop = Callable[[], bool]


@dataclass(frozen=True)
class Settings:
    """How a run is carried out: speed, last bits and files, never its meaning.

    Attributes:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        strategy: ``"auto"`` measures and chooses; else the name of a :data:`~lossviz.evaluate.ways.way.Strategy`.
        batch_size: Examples a forward pass; None takes the device's default.
        low_memory: Keep origin, directions and examples on the host; the device holds the model and a batch.
        store_directions: ``"auto"`` stores them up to 4 GiB and above that their recipe; ``"always"``; ``"recipe"``.
        sync_interval_s: Most work a power cut may take.
        disk_wait_s: How long to wait for room on a full disk.
    """

    device: str = "auto"
    strategy: str = "auto"
    batch_size: int | None = None
    low_memory: bool = False
    store_directions: StoreDirections = "auto"
    sync_interval_s: float = 1.0
    disk_wait_s: float = 600.0


@dataclass(frozen=True)
class Update:
    """What a progress callback is told: points just saved to disk, and how far the run is.

    Attributes:
        saved: Points that are now safe, whatever happens to the process.
        done: Grid points evaluated in every split, of earlier sessions too.
        total: Grid points, N.
    """

    saved: Sequence[Point]
    done: int
    total: int


@dataclass(frozen=True)
class Report:
    """What a finished run has to say.

    Attributes:
        surface: All values.
        path: The HDF5 file.
        seconds: Time of this session's sweep.
        evaluated: Points evaluated by this session.
        doubts: What a careful reader should know, a sentence each; empty when nothing is doubtful.
    """

    surface: Surface
    path: Path
    seconds: float
    evaluated: int
    doubts: list[str] = field(default_factory=list)


Progress = Callable[[Update], None]


Warn = Callable[[str], None]
