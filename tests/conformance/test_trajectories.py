"""Traps 35-39: where an optimizer went, and what a plane does not show of it."""

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.gaussian import sample_gaussian
from lossviz.directions.make import make_plane
from lossviz.directions.pca import principal_components
from lossviz.errors import UsageError
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from lossviz.records.plane_words import window_text
from lossviz.records.trajectory import random_walk_null
from lossviz.space.params import dot, norm
from lossviz.space.plane import Plane
from lossviz.studies.project import Projector
from lossviz.trajectory.project import project_snapshots
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshots import open_snapshots
from tests import cases
from tests.trajectory.sources import Listed


def test_trap_35_a_checkpoint_of_a_filter_normalized_plane_is_reported_where_it_is():
    problem = cases.mlp(dtype=torch.float32)
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    there = plane.point([0.5, 0.25])
    found = project_snapshots(Listed([there]), plane)
    np.testing.assert_allclose(found.coordinates, [[0.5, 0.25]], atol=1e-6)
    # what dividing by the norm reports instead
    step = {name: there[name] - plane.origin[name] for name in there}
    wrong = [dot(step, direction) / norm(direction) for direction in plane.directions]
    assert abs(wrong[0] - 0.5) > 0.3


def test_trap_36_own_loss_projected_loss_and_distance_are_three_columns(tmp_path):
    quadratic = cases.quadratic()
    problem = quadratic.problem
    plane = Plane("random", problem.params, make_plane(PlaneSpec(), 2, problem.params).directions)
    away = {"weight": problem.params["weight"] + 0.3, "bias": problem.params["bias"] - 0.7}
    for step, state in enumerate((problem.params, away)):
        torch.save(state, tmp_path / f"step-{step}.pt")
    seen = Projector(problem, plane).project(open_snapshots(tmp_path, problem)[""], "sgd", force=True)
    nearest = plane.point(seen.coordinates[1])
    assert seen.own["train_loss"][1] == pytest.approx(quadratic.loss(away))
    assert seen.projected["train_loss"][1] == pytest.approx(quadratic.loss(nearest))
    assert seen.own["train_loss"][1] != pytest.approx(seen.projected["train_loss"][1], rel=1e-2)
    assert seen.distance[1] == pytest.approx(float(torch.linalg.norm(quadratic.flat(away) - quadratic.flat(nearest))))
    assert seen.distance[1] > 0.5


def test_trap_37_a_random_walk_explains_what_the_null_beside_it_says():
    size, snapshots = 20_000, 40
    steps = np.stack([sample_gaussian({"w": torch.zeros(size)}, 7, t)["w"].numpy() for t in range(snapshots)])
    walk = Listed([{"w": torch.from_numpy(row)} for row in np.cumsum(steps, axis=0, dtype=np.float64)])
    found = principal_components(walk, 2, origin={"w": torch.zeros(size)})
    np.testing.assert_allclose(found.explained_variance, [0.61, 0.15], atol=0.02)
    np.testing.assert_allclose(found.null, found.explained_variance, rtol=0.03)
    np.testing.assert_allclose(random_walk_null(2), 6 / (np.pi * np.array([1, 2])) ** 2)


class Watched(Listed):
    """Notes how many snapshots are in use at once."""

    def params(self, t):
        return {name: Slices(tensor, self) for name, tensor in super().params(t).items()}

    largest = 0


class Slices:
    """A tensor of which only slices are given out, as of a mapped file."""

    def __init__(self, tensor, owner):
        self.tensor, self.owner = tensor, owner

    def detach(self):
        return self

    def reshape(self, *_):
        return self

    def __getitem__(self, cut):
        self.owner.largest = max(self.owner.largest, cut.stop - cut.start)
        return self.tensor.reshape(-1)[cut]

    def double(self):
        return self.tensor.reshape(-1).double()  # the pass that adds up directions, one snapshot at a time


def test_trap_38_principal_components_hold_a_block_of_all_snapshots_never_all_of_them():
    generator = np.random.Generator(np.random.Philox(key=2))
    matrix = generator.standard_normal((12, 5000))
    source = Watched([{"w": torch.from_numpy(row)} for row in matrix])
    found = principal_components(source, 2, origin={"w": torch.zeros(5000)}, block_bytes=12 * 8 * 100)
    assert source.largest == 100
    shares = np.linalg.svd(matrix - matrix.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.explained_variance, (shares / shares.sum())[:2])


def test_trap_39_the_window_holds_the_path_and_the_path_ends_at_the_checkpoint(tmp_path):
    model = nn.Linear(4, 3)
    average = nn.Linear(4, 3)
    problem = Problem.make(model, cases.classes(9, 4), cases.cross_entropy)
    with TrajectoryRecorder(tmp_path, model, every=1) as recorder, torch.no_grad():
        for t in range(8):
            model.weight.add_(0.1 * torch.sin(torch.arange(12.0).reshape(3, 4) + t))
            recorder.step(averages={"ema": average})
    torch.save(model.state_dict(), tmp_path / "last.pt")  # the final snapshot once more
    warned = []
    found = open_snapshots(tmp_path, problem, warn=lambda remark: warned.append(remark.text))
    # averages are apart and duplicates are dropped, said aloud
    assert {name: len(path) for name, path in found.items()} == {"": 9, "ema": 1}
    assert any("8 snapshots that equal an earlier one" in text for text in warned)
    # the plane goes through the final parameters, though components are about the mean
    origin = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    plane = Plane("pca", origin, principal_components(found[""], 2, origin=origin).directions)
    seen = project_snapshots(found[""], plane)
    np.testing.assert_allclose(seen.coordinates[-1], 0, atol=1e-6)
    assert seen.distance[-1] == pytest.approx(0, abs=1e-6)
    assert np.abs(seen.coordinates.mean(0)).max() > 0.01
    grid = Grid.parse(window_text(np.stack([seen.coordinates.min(0), seen.coordinates.max(0)], axis=1), [9, 7]))
    for axis, column in zip(grid.axes, seen.coordinates.T, strict=True):
        assert axis.coordinates[0] <= column.min()
        assert column.max() <= axis.coordinates[-1]
    # a plane that cannot hold it says so
    with pytest.raises(UsageError, match="automatic axes and the plane 1"):
        window_text(np.zeros((1, 2)), [5, 5])
