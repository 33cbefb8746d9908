"""Traps 15-21: grid and coordinates. Every grid is rectangular; every value says where it was evaluated."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.problem.stand import Placement
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.surface import Surface
from lossviz.space.plane import Plane
from lossviz.store.run import Run
from tests import cases


class TwoNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(2))


def compass():
    """A problem whose quantities are the coordinates themselves, on the plane of the two parameters."""
    problem = Problem.make(
        TwoNumbers(),
        (torch.zeros(3),),
        lambda model, batch: {"loss": model.p[0] + 100 * model.p[1] + batch[0], "x": model.p[0], "y": model.p[1]},
        dtype=torch.float64,
    )
    eye = torch.eye(2, dtype=torch.float64)
    return problem, Plane("random", problem.params, ({"p": eye[0]}, {"p": eye[1]}))


def surface_of(grid_text):
    problem, plane = compass()
    grid = Grid.parse(grid_text)
    surface = Surface.empty(Plan(ProblemRef("compass", "0"), PlaneSpec(vectors="keep"), grid))
    for chunk in Engine(problem, plane).evaluate(grid, {"train": np.arange(grid.size)}):
        for point in chunk:
            surface.put(point)
    return surface


@pytest.mark.parametrize("grid", ["-1:1:9,-2:3:6", "0:2:3,-1:1:8", "-1:0:5,-3:-1:4"])
def test_traps_15_17_18_every_point_is_evaluated_exactly_where_its_axes_say(grid):
    surface = surface_of(grid)
    alpha, beta = (axis.coordinates for axis in surface.plan.grid.axes)
    np.testing.assert_allclose(surface.values("train_x"), np.broadcast_to(alpha, (len(beta), len(alpha))), atol=1e-15)
    np.testing.assert_allclose(surface.values("train_y").T, np.broadcast_to(beta, (len(alpha), len(beta))), atol=1e-15)


def test_trap_16_odd_symmetric_grids_sample_the_trained_point_and_even_ones_say_that_they_do_not():
    assert surface_of("-1:1:9,-2:2:5").plan.grid.origin_index is not None
    assert surface_of("-1:1:8,-2:2:5").plan.grid.origin_index is None
    spacing = np.diff(Grid.parse("-1:1:8").axes[0].coordinates)
    np.testing.assert_allclose(spacing, spacing[0])


def test_trap_18_file_and_memory_share_one_order(tmp_path):
    surface = surface_of("-1:1:9,-2:3:6")
    with Run.open(tmp_path / "net.h5", surface.plan, session={}, warn=print) as run:
        run.save([surface.point(index, "train") for index in range(surface.plan.grid.size)])
        run.publish(final=True)
    with h5py.File(tmp_path / "net.h5", locking=False) as file:
        loss = file["train_loss"]
        assert [scale.keys()[0] for scale in loss.dims] == ["beta", "alpha"]
        alpha, beta = file["alpha"][()], file["beta"][()]
        np.testing.assert_allclose(loss[()], alpha[None, :] + 100 * beta[:, None], atol=1e-12)


def test_trap_19_points_are_made_from_the_origin_and_do_not_drift():
    problem = cases.mlp(dtype=torch.float32)
    plane = make_plane(PlaneSpec(), 2, problem.params)
    placement = Placement.of(problem, plane)
    for _ in range(1000):
        placement.move_to([0.1, -0.3])
    once = plane.point([0.1, -0.3])
    for name, parameter in zip(plane.moved, placement.params, strict=True):
        torch.testing.assert_close(parameter, once[name], rtol=1e-6, atol=1e-7)
    placement.restore()
    assert all(torch.equal(p, plane.origin[n]) for n, p in zip(plane.moved, placement.params, strict=True))


def test_trap_20_a_bound_of_exactly_zero_is_a_bound():
    grid = Grid.parse("0:1:3,-1:0:2")
    assert grid.axes[0].coordinates[0] == 0.0
    assert grid.axes[1].coordinates[-1] == 0.0


def test_trap_21_the_users_model_is_left_exactly_as_it_was():
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3)).train()
    model[0].weight.grad = torch.ones(4, 5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    problem = Problem.make(model, cases.classes(20, 5), cases.cross_entropy)
    plane = make_plane(PlaneSpec(), 2, problem.params)
    Loop(problem, plane, batch_size=8).evaluate([0, 1], np.array([[1.0, 2.0], [-1.0, 0.5]]), ["train"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert model[2].training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model[0].weight.grad, torch.ones(4, 5))
