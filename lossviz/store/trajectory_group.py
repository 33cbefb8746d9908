"""Trajectories in the surface file: ``/trajectory/<name>/`` with one dataset a column over ``step``.

Columns are named ``alpha``, ``beta``, ``gamma``, ``distance``, ``epoch``, ``learning_rate``, ``recorded_loss``; for a
quantity ``train_loss`` the snapshot's own value is ``train_loss`` and that of its nearest point of the plane
``projected_train_loss``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np

from lossviz.records.grid import AXIS_NAMES
from lossviz.records.trajectory import Mark, Trajectory, TrajectoryFacts
from lossviz.store.hdf5 import read_array, read_text, text_of, write_array, write_attribute, write_text
from lossviz.store.schema import from_text, to_text

GROUP = "trajectory"
_PROJECTED = "projected_"
_COLUMNS = {"epoch": "epochs", "learning_rate": "learning_rate", "recorded_loss": "recorded_loss"}
_LONG_NAMES = {
    "distance": "Euclidean distance from the plane in parameter space",
    "epoch": "passes over the training examples",
    "learning_rate": "learning rate of the optimizer's first group",
    "recorded_loss": "loss that the training loop reported, often of one batch",
}


def write_trajectories(file: h5py.File, trajectories: Mapping[str, Trajectory]) -> None:
    """Add the group; nothing where there is no trajectory."""
    if not trajectories:
        return
    group = file.create_group(GROUP, track_order=True)
    for name, trajectory in trajectories.items():
        # a slash would make a group; the attribute has the name as it is
        member = group.create_group(name.replace("/", "%2F"), track_order=True)
        write_attribute(member, "name", name)
        step = write_array(member, "step", trajectory.steps)
        step.make_scale("step")
        write_attribute(step, "long_name", "optimizer step")
        for column, values, long_name, role in _columns(trajectory):
            dataset = write_array(member, column, values)
            dataset.dims[0].attach_scale(step)
            write_attribute(dataset, "long_name", long_name)
            write_attribute(dataset, "role", role)
        if trajectory.explained_variance is not None:
            write_array(member, "explained_variance", trajectory.explained_variance)
        write_text(member, "marks_json", to_text([asdict(mark) for mark in trajectory.marks]))
        write_text(member, "facts_json", to_text(trajectory.facts.to_json()))


def read_trajectories(file: h5py.File) -> dict[str, Trajectory]:
    """All trajectories of a file by name, every checksum checked; empty where there is none."""
    if GROUP not in file:
        return {}
    members: list[Any] = list(file[GROUP].values())  # pyright: ignore[reportAttributeAccessIssue]
    return {text_of(member.attrs["name"]): _read(member) for member in members}


def _columns(trajectory: Trajectory) -> Iterator[tuple[str, np.ndarray, str, str]]:
    for k, name in enumerate(AXIS_NAMES[: trajectory.dimension]):
        yield name, trajectory.coordinates[:, k], f"coordinate along direction {k + 1}", "coordinate"
    yield "distance", trajectory.distance, _LONG_NAMES["distance"], "distance"
    for column, field in _COLUMNS.items():
        if getattr(trajectory, field) is not None:
            yield column, getattr(trajectory, field), _LONG_NAMES[column], "recorded"
    for quantity, values in trajectory.own.items():
        yield quantity, values, f"{quantity} of the snapshot itself", "own"
    for quantity, values in trajectory.projected.items():
        yield _PROJECTED + quantity, values, f"{quantity} of the snapshot's nearest point of the plane", "projected"


def _read(member: Any) -> Trajectory:
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name, item in member.items():
        if item.dtype.kind != "S":
            tables.setdefault(text_of(item.attrs.get("role", "")), {})[name] = read_array(item)
    rest, recorded = tables.get("", {}), tables.get("recorded", {})
    coordinates = [tables["coordinate"][name] for name in AXIS_NAMES if name in tables["coordinate"]]
    return Trajectory(
        name=text_of(member.attrs["name"]),
        steps=rest["step"],
        coordinates=np.stack(coordinates, axis=1),
        distance=tables["distance"]["distance"],
        own=tables.get("own", {}),
        projected={n.removeprefix(_PROJECTED): values for n, values in tables.get("projected", {}).items()},
        explained_variance=rest.get("explained_variance"),
        marks=tuple(Mark(**mark) for mark in from_text(read_text(member["marks_json"]))),
        facts=TrajectoryFacts.from_json(from_text(read_text(member["facts_json"]))),
        **{field: recorded.get(column) for column, field in _COLUMNS.items()},
    )
