"""Eigenvalues and gradient norms at grid points: exact on a quadratic, resumable, independent of who computed them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.evaluate.derivatives import Derivatives
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.records.grid import Grid
from lossviz.records.order import coarse_to_fine
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.quantity import DERIVATIVES, with_derived
from lossviz.records.remark import texts
from lossviz.records.surface import Surface
from lossviz.render.scene import make_scene
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface
from tests import cases
from tests.hessian.test_products import dense_hessian, smooth

GRID = Grid.parse("-1:1:5,-2:1:4")


def plane_of(problem):
    directions = [
        {n: cases.philox(20 + k, *t.shape).to(t) for n, t in problem.params.items()} for k in range(GRID.dimension)
    ]
    return Plane("random", dict(problem.params), tuple(directions))


def evaluated(problem, names=DERIVATIVES, splits=("train",), indices=None):
    plane = plane_of(problem)
    engine = Engine(problem, plane, derivatives=Derivatives(problem, plane, names, splits))
    surface = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), GRID, splits=splits))
    pending = np.arange(GRID.size) if indices is None else indices
    for points in engine.evaluate(GRID, dict.fromkeys(splits, pending)):
        for point in points:
            surface.put(point)
    return surface


def test_the_map_of_a_quadratic_is_constant_and_exact_in_absolute_units():
    case = cases.quadratic()
    surface = evaluated(case.problem)
    exact = torch.linalg.eigvalsh(case.hessian)
    assert surface.evaluated().all()
    # all eight parameters are searched through, so that only rounding is left
    np.testing.assert_allclose(surface.values("train_max_eigenvalue"), float(exact[-1]), rtol=1e-9)
    np.testing.assert_allclose(surface.values("train_min_eigenvalue"), float(exact[0]), rtol=1e-9)
    ratio = with_derived(surface, ["train_convexity_ratio"]).values("train_convexity_ratio")
    np.testing.assert_allclose(ratio, float(exact[0] / exact[-1]), rtol=1e-9)
    assert ratio.shape == (4, 5)
    plane = plane_of(case.problem)
    for index, at in enumerate(GRID.coordinates(range(GRID.size))):
        step = case.flat(plane.point(at)) - case.minimum
        place = GRID.position(index)
        assert surface.values("train_gradient_norm")[place] == pytest.approx(float((case.hessian @ step).norm()))
        assert surface.values("train_loss")[place] == pytest.approx(case.loss(plane.point(at)))
        assert np.isnan(surface.stderr("train_max_eigenvalue")[place])


def test_every_point_lies_within_its_residual_of_a_dense_solver_and_the_model_is_left_alone():
    problem = smooth(examples=30)
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    surface, plane = evaluated(problem), plane_of(problem)
    for index in (0, 7, 19):
        exact = torch.linalg.eigvalsh(dense_hessian(replace(problem, params=plane.point(GRID.coordinates([index])[0]))))
        for name, value in (("min", exact[0]), ("max", exact[-1])):
            found, error = (surface.values(f"train_{name}_eigenvalue{end}").flat[index] for end in ("", "_residual"))
            assert abs(found - float(value)) <= error + 1e-9
            assert error <= 0.00101 * max(abs(found), 0.01 * float(exact.abs().max()))
    assert all(torch.equal(before[name], tensor) for name, tensor in problem.model.state_dict().items())


def test_what_is_asked_for_alone_is_computed():
    surface = evaluated(cases.quadratic().problem, names=("max_eigenvalue",))
    assert surface.names == ("train_loss", "train_max_eigenvalue", "train_max_eigenvalue_residual")
    surface = evaluated(cases.quadratic().problem, names=("gradient_norm",))
    assert surface.names == ("train_loss", "train_gradient_norm")


def test_shares_of_two_processes_agree_with_one_within_residuals():
    problem = smooth(examples=30)
    whole = evaluated(problem)
    parts = [evaluated(problem, indices=np.arange(GRID.size)[part::2]) for part in (0, 1)]
    for name in ("train_min_eigenvalue", "train_max_eigenvalue"):
        for part in parts:
            done = part.evaluated()
            error = (whole.values(f"{name}_residual") + part.values(f"{name}_residual"))[done]
            assert done.sum() == GRID.size // 2
            assert (np.abs(part.values(name) - whole.values(name))[done] <= error + 1e-9).all()


def test_statistics_recomputed_at_a_point_are_those_derivatives_are_taken_with():
    from lossviz.evaluate.batchnorm import with_batchnorm

    problem = with_batchnorm(cases.batchnorm_cnn(examples=20), "recompute", 20, 0)
    plane = plane_of(problem)
    grid_point = GRID.coordinates([3])[0]
    derivatives = Derivatives(problem, plane, ("gradient_norm",), ("train",))
    point = evaluate_params(problem, plane.point(grid_point), "train", index=3)
    (found,) = derivatives.extend([point], {3: grid_point})
    # the same by a difference of losses whose statistics are those of the point
    from lossviz.evaluate.batchnorm import refresh_statistics
    from lossviz.problem.stand import standing

    with standing(problem.model, plane.point(grid_point)):
        refresh_statistics(problem)
        derivatives._ends["train"].operator.move_to(plane.point(grid_point))
        gradient = derivatives._ends["train"].operator.objective.gradient()[1]
    want = sum(float(t.square().sum()) for t in gradient.values()) ** 0.5
    assert found.mean("gradient_norm") == pytest.approx(want)
    fixed = Derivatives(cases.batchnorm_cnn(examples=20), plane, ("gradient_norm",), ("train",))
    assert fixed.extend([point], {3: grid_point})[0].mean("gradient_norm") != pytest.approx(want, rel=1e-3)


def test_points_that_follow_each_other_are_neighbours():
    grid = Grid.parse("-1:1:9,-1:1:7")
    order = coarse_to_fine(grid, np.arange(63), snake=True)
    assert sorted(order.tolist()) == list(range(63))
    rows, columns = np.divmod(order, 9)
    steps = np.maximum(np.abs(np.diff(rows)), np.abs(np.diff(columns)))
    straight = coarse_to_fine(grid, np.arange(63))
    assert np.mean(steps) < 0.7 * np.mean(np.abs(np.diff(straight % 9))) and np.median(steps) <= 2


PROBLEM = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    one = torch.randn(23, 4, generator=generator), torch.arange(23) % 3
    return {"train": one, "test": (one[0][:9] + 0.1, one[1][:9])}

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


WORDS = ("compute", "problem.py", "--grid", "-1:1:5,-2:1:4", "--device", "cpu", "--progress", "none")
QUANTITIES = "loss,min_eigenvalue,max_eigenvalue,gradient_norm"


def test_a_stopped_run_goes_on_and_agrees_within_residuals(folder):
    words = (*WORDS, "--quantity", QUANTITIES, "--split", "train,test")
    assert run(*words, "--out", "straight.h5").exit_code == 0
    assert run(*words, "--out", "shared.h5", "--prepare-only").exit_code == 0
    assert run("work", "shared.h5", "--part", "1/2", "--device", "cpu", "--progress", "none").exit_code == 0
    done = run(*words, "--out", "shared.h5")
    assert done.exit_code == 0, done.output
    straight, shared = (read_surface(folder / f"{name}.h5") for name in ("straight", "shared"))
    assert shared.evaluated().all() and shared.facts["derivatives"]["tolerance"] == 0.001
    for split in ("train", "test"):
        for end in ("min", "max"):
            name = f"{split}_{end}_eigenvalue"
            apart = np.abs(straight.values(name) - shared.values(name))
            assert (apart <= straight.values(f"{name}_residual") + shared.values(f"{name}_residual") + 1e-6).all()
        np.testing.assert_allclose(
            straight.values(f"{split}_gradient_norm"), shared.values(f"{split}_gradient_norm"), rtol=1e-4
        )
    verified = run("verify", "shared.h5", "--recompute", "3", "--device", "cpu")
    assert verified.exit_code == 0, verified.output
    # a finer picture of the same plane takes them over, and one of fewer quantities too
    wide = (*WORDS[:3], "-1:1:9,-2:1:4", *WORDS[4:])
    assert (
        run(*wide, "--quantity", "loss,max_eigenvalue", "--plane-from", "straight.h5", "--out", "w.h5").exit_code == 0
    )
    assert read_surface(folder / "w.h5").facts["plane_from"]["carried"] == 20


def test_points_without_eigenvalues_are_not_carried_into_a_run_that_wants_them(folder):
    assert run(*WORDS, "--out", "loss.h5").exit_code == 0
    done = run(*WORDS, "--quantity", "all,max_eigenvalue", "--plane-from", "loss.h5", "--out", "more.h5")
    assert done.exit_code == 0, done.output
    surface = read_surface(folder / "more.h5")
    assert surface.facts["plane_from"]["carried"] == 0 and np.isfinite(surface.values("train_max_eigenvalue")).all()


def test_what_cannot_be_done_is_said(folder):
    said = run(*WORDS, "--quantity", "loss,gradient_norm", "--relative-error", "0.1", "--out", "a.h5")
    assert said.exit_code == 2 and "--relative-error" in said.output
    said = run(*WORDS, "--quantity", "loss,eigenvalue", "--out", "a.h5")
    assert said.exit_code == 2 and "max_eigenvalue" in said.output
    assert not list(folder.glob("a*.h5"))


def test_maps_of_what_follows_are_drawn_and_labelled(folder):
    assert run(*WORDS, "--quantity", QUANTITIES, "--out", "net.h5").exit_code == 0
    surface = read_surface(folder / "net.h5")
    scene = make_scene([surface], quantity="convexity_ratio")
    low, high = surface.values("train_min_eigenvalue"), surface.values("train_max_eigenvalue")
    np.testing.assert_allclose(scene.panels[0].z.filled(np.nan), np.abs(low / high))
    assert scene.keys[0].label.startswith("|λmin / λmax| of the training loss")
    # second differences: where both neighbours are, on a scale symmetric about 0
    scene = make_scene([surface], quantity="second_difference_alpha,train_second_difference_beta")
    alpha, beta = scene.panels
    assert (alpha.z.shape, beta.z.shape) == ((4, 3), (2, 5))
    x, values = surface.plan.grid.axes[0].coordinates, surface.values("train_loss")
    want = (values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]) / (x[1] - x[0]) ** 2
    np.testing.assert_allclose(alpha.z.filled(np.nan), want, rtol=1e-6)
    np.testing.assert_allclose(alpha.x, x[1:-1])
    key = scene.key_of(alpha)
    assert key.scale.symmetric and key.label == "second difference along α of the training loss"
    assert any("no" not in text and "eigenvalues reach beyond" in text for text in texts(scene.remarks))
    drawn = run("plot", "net.h5", "--quantity", "convexity_ratio", "--out", "ratio.png")
    assert drawn.exit_code == 0 and (folder / "ratio.png").exists()
    said = run("plot", "net.h5", "--quantity", "ratio")
    assert said.exit_code == 2 and "train_convexity_ratio" in said.output
