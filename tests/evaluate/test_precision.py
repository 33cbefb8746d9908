import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.precision import probe_coordinates, relative_error, settle_precision
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.loop import Loop
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from tests import cases
from tests.evaluate.ways.test_way import PROBLEMS, plane_for

PLAN = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:5,-0.5:0.5:4"))


def settle(problem, **changes):
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    return settle_precision(replace(PLAN, **changes), problem, plane, batch_size=16)


def values(problem, precision):
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    engine = Engine(in_precision(problem, precision), plane, way=Way("loop", 16))
    points = engine.evaluate_points(range(9), probe_coordinates(PLAN.grid), ["train"])
    return np.array([point.mean("loss") for point in points])


def test_probes_are_centre_corners_and_edge_middles():
    found = {tuple(row) for row in probe_coordinates(PLAN.grid).tolist()}
    assert found == {(x, y) for x in (-1.0, 0.0, 1.0) for y in (-0.5, 0.0, 0.5)}


@pytest.mark.parametrize("name", ["mlp", "batchnorm_cnn", "tied"])
def test_the_stated_error_is_the_error_against_float32(name):
    problem = getattr(cases, name)(dtype=torch.float32)
    facts = settle(problem, precision="bfloat16")
    exact, narrow = values(problem, "float32"), values(problem, "bfloat16")
    assert facts.used == "bfloat16"
    assert facts.error == pytest.approx(relative_error(narrow, exact), rel=1e-6)
    assert 1e-6 < facts.error < 0.05


def test_auto_stays_under_its_tolerance():
    problem = cases.mlp(dtype=torch.float32)
    facts = settle(problem, precision="auto", precision_tolerance=1e-9)
    assert facts.used == "float32"
    assert facts.error == 0.0
    assert facts.tried["bfloat16"]["error"] > 1e-9
    loose = settle(problem, precision="auto", precision_tolerance=0.5)
    assert loose.used == min(loose.tried, key=lambda name: loose.tried[name]["seconds"])


def test_a_type_that_overflows_is_not_taken():
    model = nn.Linear(2, 1, bias=False)
    model.weight.data.fill_(3e4)
    data = torch.full((4, 2), 3.0)
    problem = Problem.make(model, (data,), lambda m, b: m(b[0]).squeeze(1).abs())
    facts = settle(problem, precision="float16")
    assert facts.error == math.inf


def test_the_origin_stays_float32_and_buffers_stay_as_they_are():
    problem = cases.batchnorm_cnn(dtype=torch.float32)
    narrow = in_precision(problem, "bfloat16")
    assert all(tensor.dtype == torch.float32 for tensor in narrow.params.values())
    assert all(p.dtype == torch.float32 for p in narrow.model.parameters())


def test_relative_error_sees_what_is_not_finite():
    assert relative_error(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0.0
    assert relative_error(np.array([np.inf, 1.0]), np.array([2.0, 1.0])) == math.inf
    assert relative_error(np.array([1.01]), np.array([1.0])) == pytest.approx(0.01)
    assert relative_error(np.array([1.01e-9]), np.array([1e-9])) == pytest.approx(0.01)


@pytest.mark.parametrize("way", [Way("loop", 7), Way("stacked", 7, points=3)], ids=str)
def test_narrow_values_agree_between_ways(way):
    problem = in_precision(cases.mlp(dtype=torch.float32), "bfloat16")
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    engine = Engine(problem, plane, way=way)
    points = engine.evaluate_points(range(9), probe_coordinates(PLAN.grid), ["train"])
    assert engine.way.strategy == way.strategy, engine.remarks
    exact = values(cases.mlp(dtype=torch.float32), "float32")
    np.testing.assert_allclose([p.mean("loss") for p in points], exact, rtol=0.03)


def in_float64(problem):
    """The same problem with parameters, examples and passes in float64."""

    def wide(tensor):
        return tensor.double() if tensor.is_floating_point() else tensor

    examples = {split: part.mapped(wide) for split, part in problem.examples.items()}
    params = {name: tensor.double() for name, tensor in problem.params.items()}
    buffers = {name: wide(tensor) for name, tensor in problem.buffers.items()}
    model = copy.deepcopy(problem.model).double()
    return replace(problem, model=model, examples=examples, params=params, buffers=buffers)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_kind_of_model_is_within_the_stated_error_of_float64(name, precision):
    problem = PROBLEMS[name]()
    grid = Grid.parse("-1:1:5,-0.5:0.5:3")
    plan = Plan(ProblemRef("problem", "0"), PlaneSpec(), grid, precision=precision)
    plane = plane_for(problem)
    facts = settle_precision(plan, problem, plane, batch_size=5)
    wide, truths = in_float64(problem), []
    wide_plane = plane.to(torch.device("cpu"), torch.float64)
    coordinates = probe_coordinates(grid)
    for c in coordinates:
        point = evaluate_params(wide, wide_plane.point(c), "train")
        truths.append(point.mean(next(iter(point.sums))))
    found = Loop(in_precision(problem, precision), plane, batch_size=5).evaluate(range(9), coordinates, ["train"])
    values = np.array([point.mean(next(iter(point.sums))) for point in found])
    assert relative_error(values, np.array(truths)) <= (facts.error or 0.0) + 2e-5
    if precision == "bfloat16" and name not in ("batch means", "embedding"):  # which hold no matrix product to narrow
        assert facts.error > 1e-6
