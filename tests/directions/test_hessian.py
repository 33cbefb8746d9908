"""Planes along eigenvectors of the Hessian, from the words to the labels."""

import numpy as np
import pytest
import torch

from lossviz.directions.kinds import Making, make_directions
from lossviz.errors import ProblemError, UsageError
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.plane_words import PlaneRequest, PlaneWords
from lossviz.render.words.plane_text import axis_label
from lossviz.run.compute import compute
from lossviz.run.plane import settle_plane
from lossviz.run.settings import Settings
from lossviz.space.params import gram
from tests import cases

SADDLE = """
import torch
from torch import nn

class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.0)), nn.Parameter(torch.tensor(0.0))

    def forward(self):
        # eigenvalues 6 along (1, 1) / sqrt 2 and SMALL along (1, -1) / sqrt 2
        return 1.5 * (self.a + self.b) ** 2 + SMALL / 4 * (self.a - self.b) ** 2

def model():
    return Point()

def data():
    return [torch.zeros(3)]

def loss(model, batch):
    return model() + 0 * batch
"""


def made(words, problem, spec=None, moved=None):
    return make_directions(
        Making(PlaneWords.parse(words), problem, spec or PlaneSpec(), moved=moved or dict(problem.params))
    )


@pytest.mark.parametrize("words", ["hessian", "hessian1,hessian2", "hessian1,hessian-min", "hessian-min,hessian2"])
def test_second_derivatives_along_them_are_the_eigenvalues(words):
    case = cases.quadratic()
    found = made(words, case.problem)
    exact = torch.linalg.eigvalsh(case.hessian)
    named = {"hessian1": exact[-1], "hessian2": exact[-2], "hessian-min": exact[0]}
    torch.testing.assert_close(gram(found.tensors), torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-6)
    for axis, word in enumerate(found.recipe.axes):
        v = case.flat(found.tensors[axis])
        assert float(v @ case.hessian @ v) == pytest.approx(float(named[word]), rel=1e-5)
        assert found.recipe.eigenvalues[axis] == pytest.approx(float(named[word]), rel=1e-6)


def test_in_a_mixed_plane_other_directions_have_no_eigenvalue():
    case = cases.quadratic()
    found = made("random,hessian-min", case.problem)
    assert found.recipe.kind == "mixed" and found.recipe.eigenvalues[0] is None
    assert found.recipe.eigenvalues[1] > 0


def test_held_parameters_leave_the_block_of_the_others():
    case = cases.quadratic()
    found = made("hessian1,hessian2", case.problem, moved={"weight": case.problem.params["weight"].cpu()})
    block = case.hessian[:6, :6]
    assert list(found.recipe.eigenvalues) == pytest.approx(torch.linalg.eigvalsh(block).flip(0)[:2].tolist(), rel=1e-6)
    assert not any(direction["bias"].any() for direction in found.tensors)


def test_words_that_span_no_plane_are_refused():
    for words, reason in {
        "hessian1,hessian1": "twice",
        "hessian0,random": "no direction",
        "hessian-max": "no direction",
        "hessian-min2": "no direction",
    }.items():
        with pytest.raises(UsageError, match=reason):
            PlaneWords.parse(words)


def test_a_model_of_two_parameters_has_two_eigenvectors(tmp_path):
    model = torch.nn.Linear(2, 1, bias=False)
    problem = Problem.make(model, (cases.philox(1, 9, 2).float(),), lambda m, b: m(b[0]).square().flatten())
    assert len(made("hessian", problem).recipe.eigenvalues) == 2
    with pytest.raises(ProblemError, match="2 parameters"):
        made("hessian1,hessian2,hessian-min", problem)


@pytest.mark.parametrize("small", [2.0, -2.0])
def test_a_saddle_and_a_minimum_are_told_apart_by_sign(tmp_path, small):
    (tmp_path / "problem.py").write_text(SADDLE.replace("SMALL", str(small)))
    words, out = PlaneWords.parse("hessian1,hessian-min"), tmp_path / "net.h5"
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    plan = Plan(problem, PlaneSpec(), Grid.parse("-1:1:5,-2:2:3"))
    plan, file = settle_plane(plan, PlaneRequest(words), out, settings=Settings(device="cpu"))
    surface = compute(plan, out, plane_from=file, settings=Settings(device="cpu", strategy="loop")).surface
    assert surface.plan.plane.kind == "hessian"
    assert surface.facts["plane"]["eigenvalues"] == pytest.approx([6.0, small], rel=1e-5)
    x, y = surface.plan.grid.axes[0].coordinates, surface.plan.grid.axes[1].coordinates[:, None]
    np.testing.assert_allclose(surface.values("train_loss"), 3 * x**2 + small / 2 * y**2, atol=1e-5)
    assert axis_label(surface, 1) == f"β (lowest Hessian eigenvector, λ = {'2' if small > 0 else '−2'})"
