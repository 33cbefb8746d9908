"""Planes made of paths, checkpoints and gradients, from the words to the surface."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossviz.errors import PlanError, UsageError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.plane_words import PlaneRequest, PlaneWords
from lossviz.records.watch import Watch
from lossviz.run.compute import compute
from lossviz.run.load import load_plan_problem
from lossviz.run.plane import climb, read_plane, settle_plane
from lossviz.run.settings import Settings
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface
from lossviz.studies.project import project
from tests import cases

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""
SHAPES = {"0.weight": (6, 4), "0.bias": (6,), "2.weight": (3, 6), "2.bias": (3,)}


def state(seed, scale=0.5):
    generator = torch.Generator().manual_seed(seed)
    return {name: scale * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    for number, name in enumerate("abc"):
        torch.save(state(number), f"{name}.pt")
    # a path that ends in a.pt
    (tmp_path / "run").mkdir()
    start, end = state(3), state(0)
    for t in range(6):
        noise = state(10 + t, 0.02 * (5 - t))
        torch.save({n: (1 - t / 5) * start[n] + t / 5 * end[n] + noise[n] for n in end}, f"run/step-{t}.pt")
    return tmp_path


def plan_of(grid="-1:1:5,-1:1:3", checkpoint="a.pt", **spec):
    from pathlib import Path

    problem = resolve_problem("problem.py", model_args={}, checkpoint=Path(checkpoint))
    return Plan(problem, PlaneSpec(**spec), Grid.parse(grid))


def made(folder, text, *, grid="-1:1:5,-1:1:3", out="net.h5", **request):
    plan = plan_of(grid)
    asked = PlaneRequest(PlaneWords.parse(text, plan.grid.dimension), **request)
    plan, file = settle_plane(plan, asked, folder / out, settings=Settings(device="cpu"))
    return compute(plan, folder / out, plane_from=file, settings=Settings(device="cpu")).surface


def loss_of(folder, checkpoint):
    problem = load_plan_problem(plan_of(checkpoint=checkpoint), "cpu")
    return evaluate_params(problem, problem.params, "train").mean("loss")


def test_the_plane_of_three_checkpoints_passes_through_them(folder):
    surface = made(folder, "through a.pt b.pt c.pt")
    (tmp := folder / "three").mkdir()
    for number, name in enumerate("abc"):
        torch.save(state(number), tmp / f"{number}{name}.pt")
    seen = project(folder / "net.h5", {"three": tmp}, settings=Settings(device="cpu"))["three"]
    np.testing.assert_allclose(seen.coordinates[:2], [[0, 0], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(seen.distance, 0, atol=1e-6)
    np.testing.assert_allclose(seen.projected["train_loss"], seen.own["train_loss"], atol=1e-6)
    for t, name in enumerate("abc"):
        assert seen.own["train_loss"][t] == pytest.approx(loss_of(folder, f"{name}.pt"), abs=1e-6)
    assert surface.plan.plane.kind == "through"


def test_a_line_runs_from_one_checkpoint_to_the_other(folder):
    surface = made(folder, "line a.pt b.pt", grid="0:1:3")
    values = surface.values("train_loss")
    assert values[0] == pytest.approx(loss_of(folder, "a.pt"), abs=1e-6)
    assert values[2] == pytest.approx(loss_of(folder, "b.pt"), abs=1e-6)


def test_a_line_must_start_at_the_checkpoint(folder):
    with pytest.raises(UsageError, match=r"starts at b.pt, but --checkpoint"):
        made(folder, "line b.pt c.pt", grid="0:1:3")


def test_a_pca_plane_holds_its_path_on_an_automatic_grid(folder):
    surface = made(folder, "pca", snapshots=("run",), auto=(9, 7))
    path = project(folder / "net.h5", {"sgd": "run"}, settings=Settings(device="cpu"))["sgd"]
    assert path.explained_variance.sum() > 0.9
    np.testing.assert_allclose(path.coordinates[-1], 0, atol=1e-6)
    np.testing.assert_allclose(path.distance[-1], 0, atol=1e-6)
    assert path.coordinates[0, 0] < -1
    for axis, column in zip(surface.plan.grid.axes, path.coordinates.T, strict=True):
        assert axis.coordinates[0] < column.min() < column.max() < axis.coordinates[-1]
        assert 0.0 in axis.coordinates
    assert surface.plan.grid.shape == (7, 9)
    # coordinates are distances in parameter space
    np.testing.assert_allclose(surface.facts["gram"], np.eye(2), atol=1e-6)


def test_the_same_words_go_on_with_the_run_and_others_are_refused(folder):
    first = made(folder, "pca", snapshots=("run",), auto=(9, 7))
    again = made(folder, "pca", snapshots=("run",), auto=(9, 7))
    assert again.plan.digest() == first.plan.digest()
    torch.save(state(77), folder / "run" / "step-6.pt")
    with pytest.raises(PlanError, match="made on another plane, pca: snapshots differ"):
        made(folder, "pca", snapshots=("run",), auto=(9, 7))
    with pytest.raises(PlanError, match="axes"):
        made(folder, "pca1,random", snapshots=("run",), auto=(9, 7))


def test_mixed_axes_and_restricted_parameters(folder):
    surface = made(folder, "pca1,random", snapshots=("run",), params=("2.*",))
    assert (surface.plan.plane.kind, surface.facts["tensors_moved"]) == ("mixed", 2)
    plain = made(folder, "random", hold=("0.*",), out="random.h5")
    assert (plain.plan.plane.kind, plain.facts["tensors_moved"]) == ("random", 1)
    assert plain.plan.digest() != plan_of().digest()


def test_a_plain_random_plane_needs_no_file_of_directions(folder):
    asked = PlaneRequest(PlaneWords.parse("random", 2), auto=(5, 7), rise=0.5)
    plan, file = settle_plane(plan_of(), asked, folder / "net.h5", settings=Settings(device="cpu"))
    assert file is None
    assert plan.plane == PlaneSpec()
    surface = compute(plan, folder / "net.h5", settings=Settings(device="cpu")).surface
    assert np.nanmax(surface.values("train_loss")) > surface.facts["origin"]["train_loss"] + 0.5
    # asked again, the grid is the one of the run
    assert settle_plane(plan_of(), asked, folder / "net.h5", settings=Settings(device="cpu"))[0].grid == plan.grid


def test_climbing_stops_where_the_loss_has_risen():
    quadratic = cases.quadratic()
    eye = {"weight": torch.zeros(3, 2, dtype=torch.float64), "bias": torch.tensor([1.0, 0.0], dtype=torch.float64)}
    plane = Plane("random", quadratic.problem.params, (eye,))
    start = quadratic.loss(quadratic.problem.params)
    ((low, high),) = climb(quadratic.problem, plane, "train", rise=3.0)
    for end in (low, high):
        assert quadratic.loss(plane.point([end])) >= start + 3.0
        assert quadratic.loss(plane.point([end / 2])) < start + 3.0


def test_what_is_missing_is_said_before_anything_is_loaded_for_long(folder):
    with pytest.raises(UsageError, match=r"there is no file d.pt"):
        made(folder, "through a.pt b.pt d.pt")
    with pytest.raises(UsageError, match="need a plane that is made of them"):
        made(folder, "random", snapshots=("run",))
    assert not (folder / "net.directions.h5").exists()


def test_single_parameters_show_a_model_exactly(folder):
    surface = made(folder, "axes 2.bias[0] 0.weight[1,2]")
    problem = load_plan_problem(surface.plan, "cpu")
    plane = read_plane(folder / "net.h5", problem)
    moved = plane.point([1.0, -1.0])
    assert moved["2.bias"][0] == pytest.approx(float(problem.params["2.bias"][0]) + 1)
    expected = evaluate_params(problem, moved, "train").mean("loss")
    assert read_surface(folder / "net.h5").values("train_loss")[0, 4] == pytest.approx(expected, rel=1e-5)


def test_an_optimizer_starts_from_a_point_of_a_plane(folder):
    surface = made(folder, "random")
    from click.testing import CliRunner

    from lossviz.cli.main import cli

    words = ["trace", "problem.py", "--checkpoint", "a.pt", "--start", "net.h5@1,-1", "--lr", "0.05", "--steps", "5"]
    done = CliRunner().invoke(cli, [*words, "--out", "runs/sgd", "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "5 steps of sgd" in done.output
    path = project(folder / "net.h5", {"sgd": "runs/sgd"}, force=True, settings=Settings(device="cpu"))["sgd"]
    np.testing.assert_allclose(path.coordinates[0], [1, -1], atol=1e-6)
    assert path.distance[0] == pytest.approx(0, abs=1e-5)
    assert path.own["train_loss"][0] == pytest.approx(surface.values("train_loss")[0, 4], rel=1e-5)
    np.testing.assert_allclose(path.own["train_loss"][:-1], path.recorded_loss[1:], rtol=1e-5)
    assert path.own["train_loss"][-1] < path.own["train_loss"][0]
    wrong = CliRunner().invoke(cli, [*words[:5], "net.h5@1", "--out", "x", "--device", "cpu"], catch_exceptions=False)
    assert (wrong.exit_code, "1 coordinates; the plane has 2" in wrong.output) == (2, True)


BATCHNORM = PROBLEM.replace("nn.Linear(4, 6), nn.Tanh()", "nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh()")


def batchnorm_net(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
        )
        for _ in range(3):
            model(torch.randn(20, 4))
    return model


def test_with_batchnorm_recomputed_the_plane_passes_through_its_checkpoints_and_fixed_warns(folder):
    (folder / "problem.py").write_text(BATCHNORM)
    (folder / "three").mkdir()
    for number, name in enumerate("abc"):
        for path in (f"{name}.pt", f"three/{number}.pt"):
            torch.save(batchnorm_net(number).state_dict(), path)
    asked = PlaneRequest(PlaneWords.parse("through a.pt b.pt c.pt", 2))
    for batchnorm, examples in (("fixed", None), ("recompute", 23)):
        warned, out = [], folder / f"{batchnorm}.h5"
        plan = replace(plan_of(), batchnorm=batchnorm, batchnorm_examples=examples)
        plan, file = settle_plane(plan, asked, out, settings=Settings(device="cpu"), watch=Watch(warn=warned.append))
        compute(plan, out, plane_from=file, settings=Settings(device="cpu"))
        seen = project(out, {"three": folder / "three"}, settings=Settings(device="cpu"))["three"]
        difference = np.abs(seen.projected["train_loss"] - seen.own["train_loss"])
        if batchnorm == "fixed":
            assert difference[1:].max() > 1e-3
            assert "Pass --batchnorm recompute" in warned[0].text
        else:
            np.testing.assert_allclose(difference, 0, atol=1e-6)
            assert not warned


def test_uneven_snapshots_are_said(folder):
    (folder / "run" / "step-3.pt").rename(folder / "run" / "step-40.pt")
    (folder / "run" / "step-4.pt").rename(folder / "run" / "step-41.pt")
    (folder / "run" / "step-5.pt").rename(folder / "run" / "step-42.pt")
    warned = []
    asked = PlaneRequest(PlaneWords.parse("pca", 2), snapshots=("run",))
    settle_plane(plan_of(), asked, folder / "net.h5", settings=Settings(device="cpu"), watch=Watch(warn=warned.append))
    assert "1 to 38 steps apart" in warned[0].text
