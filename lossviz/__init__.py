"""lossviz shows the loss landscape of a trained neural network.

Public names are resolved on first use, so that ``import lossviz`` is light and never imports torch by itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossviz.api.calls import check as check
    from lossviz.api.calls import compute as compute
    from lossviz.api.calls import read as read
    from lossviz.api.studies import curvature as curvature
    from lossviz.api.studies import plot as plot
    from lossviz.api.studies import project as project
    from lossviz.api.studies import sharpness as sharpness
    from lossviz.api.studies import trace as trace
    from lossviz.api.surface import Surface as Surface
    from lossviz.api.trainers import from_lightning as from_lightning
    from lossviz.api.trainers import from_trainer as from_trainer
    from lossviz.errors import LossvizError as LossvizError
    from lossviz.errors import LossvizWarning as LossvizWarning
    from lossviz.problem.data.batch import register_batch as register_batch
    from lossviz.problem.problem import Problem as Problem
    from lossviz.records.grid import Axis as Axis
    from lossviz.records.grid import Grid as Grid
    from lossviz.records.plan import Plan as Plan
    from lossviz.records.plan import PlaneSpec as PlaneSpec
    from lossviz.records.plan import ProblemRef as ProblemRef
    from lossviz.run.worker import run_task as run_task
    from lossviz.trajectory.callbacks import lightning_recorder as lightning_recorder
    from lossviz.trajectory.callbacks import transformers_recorder as transformers_recorder
    from lossviz.trajectory.recorder import TrajectoryRecorder as TrajectoryRecorder

__version__ = "0.1.0"

_HOMES = {
    "LossvizWarning": "lossviz.errors",
    "Problem": "lossviz.problem.problem",
    "check": "lossviz.api.calls",
    "from_lightning": "lossviz.api.trainers",
    "from_trainer": "lossviz.api.trainers",
    "compute": "lossviz.api.calls",
    "read": "lossviz.api.calls",
    "curvature": "lossviz.api.studies",
    "plot": "lossviz.api.studies",
    "project": "lossviz.api.studies",
    "sharpness": "lossviz.api.studies",
    "trace": "lossviz.api.studies",
    "Axis": "lossviz.records.grid",
    "Grid": "lossviz.records.grid",
    "LossvizError": "lossviz.errors",
    "Plan": "lossviz.records.plan",
    "PlaneSpec": "lossviz.records.plan",
    "ProblemRef": "lossviz.records.plan",
    "Surface": "lossviz.api.surface",
    "TrajectoryRecorder": "lossviz.trajectory.recorder",
    "lightning_recorder": "lossviz.trajectory.callbacks",
    "transformers_recorder": "lossviz.trajectory.callbacks",
    "register_batch": "lossviz.problem.data.batch",
    "run_task": "lossviz.run.worker",
}
__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lossviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
