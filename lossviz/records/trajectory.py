"""A trajectory: snapshots of an optimization seen on a plane, with what the plane does not show beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.json_record import JsonObject
from lossviz.records.shown import Shown
from lossviz.records.table import Table


@dataclass(frozen=True)
class Mark:
    """An event on a trajectory.

    Attributes:
        step: The optimizer's step after which it happened.
        kind: ``"decay"`` and ``"restart"`` of the learning rate, or the user's own word.
        label: What a figure may write beside it; may be empty.
    """

    step: int
    kind: str
    label: str = ""


class TrajectoryFacts(JsonObject):
    """Where the snapshots of a trajectory came from.

    Attributes:
        random_walk_null: Shares that a random walk as long would have of a plane of these snapshots alone.
        series: Which of a run's averages they are; empty for the parameters themselves.
        optimizer: Its name.
        unit: What a step counts, ``"step"`` or ``"epoch"``.
        folder: Of the snapshots; ``files``: their names.
        left_out: Sentences on those that were not used.
    """

    random_walk_null: tuple[float, ...] = ()
    series: str | None = None
    optimizer: str | None = None
    unit: str | None = None
    folder: str | None = None
    files: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Shown):
    """T snapshots of one optimization, each at its nearest point of a plane of k directions.

    A snapshot does not lie on the surface: it lies ``distance`` from the plane, and its own loss is not the plane's.
    So the loss comes twice, at the snapshot itself and at its nearest point of the plane, by the names a surface gives
    its quantities (``train_loss``).

    Attributes:
        name: Of the run, for legends.
        steps: int64 (T,), strictly increasing; optimizer steps.
        coordinates: float64 (T, k), in units of the directions; column 0 is alpha.
        distance: float64 (T,), Euclidean distance from the plane in parameter space.
        own: Per quantity float64 (T,), at the snapshot itself with its own buffers.
        projected: Per quantity float64 (T,), at its nearest point of the plane with the plane's buffers.
        epochs: float64 (T,), NaN where not known; None if nowhere.
        learning_rate: float64 (T,), NaN where not known; None if nowhere.
        recorded_loss: float64 (T,), what the training loop said, often of one batch; None if nowhere.
        explained_variance: float64 (k,), share of the snapshots' variance along each direction, later ones less what
            earlier ones explain; None where there is no variance.
        marks: Events, by step.
        facts: Optimizer, series, files left out, where snapshots came from.

    Example:
        >>> path = Trajectory("sgd", [0, 10], [[-1.0, 0.5], [0.0, 0.0]], [0.2, 0.0])
        >>> len(path), path.dimension, path.window(margin=0.1)
        (2, 2, array([[-1.1 ,  0.1 ],
               [-0.05,  0.55]]))
    """

    name: str
    steps: np.ndarray
    coordinates: np.ndarray
    distance: np.ndarray
    own: Mapping[str, np.ndarray] = field(default_factory=dict)
    projected: Mapping[str, np.ndarray] = field(default_factory=dict)
    epochs: np.ndarray | None = None
    learning_rate: np.ndarray | None = None
    recorded_loss: np.ndarray | None = None
    explained_variance: np.ndarray | None = None
    marks: tuple[Mark, ...] = ()
    facts: TrajectoryFacts = field(default_factory=TrajectoryFacts)

    def __post_init__(self) -> None:
        steps, coordinates = np.asarray(self.steps, np.int64), np.asarray(self.coordinates, np.float64)
        if steps.ndim != 1 or not len(steps) or not (np.diff(steps) > 0).all():
            raise UsageError(f"Trajectory {self.name!r} needs strictly increasing steps, at least one.")
        if coordinates.ndim != 2 or len(coordinates) != len(steps):
            raise UsageError(f"Trajectory {self.name!r} has {len(steps)} steps and coordinates {coordinates.shape}.")
        object.__setattr__(self, "steps", _frozen(steps))
        object.__setattr__(self, "coordinates", _frozen(coordinates))
        for name in ("distance", "epochs", "learning_rate", "recorded_loss"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, self._column(name, getattr(self, name)))
        for name in ("own", "projected"):
            table = {quantity: self._column(quantity, values) for quantity, values in getattr(self, name).items()}
            object.__setattr__(self, name, table)
        if self.explained_variance is not None:
            object.__setattr__(self, "explained_variance", _frozen(np.asarray(self.explained_variance, np.float64)))

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def dimension(self) -> int:
        """Number of directions, k."""
        return self.coordinates.shape[1]

    def heading(self) -> str:
        """Name and length."""
        return f"{self.name}: {len(self)} snapshots, steps {self.steps[0]} to {self.steps[-1]}"

    def tables(self) -> list[Table]:
        """What the plane shows of it and what it does not."""
        rows = {word: self._place(t) for t, word in ((0, "starts"), (-1, "ends"))}
        if np.isfinite(self.distance).any():
            rows["distance from the plane"] = f"{np.nanmin(self.distance):.4g} to {np.nanmax(self.distance):.4g}"
        if self.explained_variance is not None:
            parts = " + ".join(f"{share:.1%}" for share in self.explained_variance)
            rows["of its variance the plane shows"] = f"{parts} = {self.explained_variance.sum():.1%}"
            if null := self.facts.random_walk_null:
                rows["a random walk of as many snapshots"] = " + ".join(f"{share:.1%}" for share in null)
        return [Table.pairs(rows)]

    def _place(self, t: int) -> str:
        at = ", ".join(f"{c:.4g}" for c in self.coordinates[t])
        text, name = f"at ({at}), {self.distance[t]:.4g} off the plane", next(iter(self.own), None)
        if name is None or name not in self.projected:
            return text
        return f"{text}; {name} {self.own[name][t]:.4g} there, {self.projected[name][t]:.4g} on the plane beneath"

    def window(self, margin: float = 0.1) -> np.ndarray:
        """First and last coordinate of each direction that hold the path, float64 (k, 2).

        Args:
            margin: Room at each end, as a share of the extent.
        """
        low, high = self.coordinates.min(0), self.coordinates.max(0)
        return np.stack([low - margin * (high - low), high + margin * (high - low)], axis=1)

    def _column(self, name: str, values: Any) -> np.ndarray:
        column = np.asarray(values, np.float64)
        if column.shape != self.steps.shape:
            raise UsageError(f"{name} of trajectory {self.name!r} has shape {column.shape}, expected ({len(self)},).")
        return _frozen(column)


def random_walk_null(count: int, snapshots: int | None = None) -> np.ndarray:
    """Share of variance that the first ``count`` principal components of a pure random walk explain, float64 (count,).

    In many dimensions PCA makes smooth curves of pure noise and explains most of it: the k-th component of a long walk
    takes 6 / (π² k²), 61 % and 15 % for the first two (Antognini & Sohl-Dickstein, NeurIPS 2018, sec. 3). What a
    trajectory's PCA explains says something only where it differs.

    Args:
        count: Components.
        snapshots: Points of the walk, T; None takes the limit of many.

    Example:
        >>> random_walk_null(2).round(3), random_walk_null(2, snapshots=3).round(3)
        (array([0.608, 0.152]), array([0.75, 0.25]))
    """
    k = np.arange(1, count + 1)
    if snapshots is None:
        return 6.0 / (np.pi * k) ** 2
    # eigenvalues of the centred walk are 1 / (4 sin²(πk / 2T)) for k < T and add up to (T² − 1) / 6
    shares = 6.0 / (4.0 * max(snapshots**2 - 1, 1) * np.sin(np.pi * k / (2 * snapshots)) ** 2)
    return np.where(k < snapshots, shares, 0.0)


def _frozen(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values
