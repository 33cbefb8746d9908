"""A way of a narrow type is judged by its distance from float32, beside the plain loop's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossviz.evaluate.engine import Engine
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.ways.nearness import Nearness, disagreement
from lossviz.evaluate.ways.way import Way
from tests import cases
from tests.evaluate.ways.test_way import plane_for

WHERE = np.array([[0.5, -0.25], [1.0, 1.0]])


def points_of(problem, plane):
    return Engine(problem, plane, way=Way("loop", 16)).evaluate_points([0, 1], WHERE, ["train"])


def losses(points):
    return [replace(p, sums={"loss": p.sums["loss"]}) for p in points]


def moved(points, by):
    return [replace(p, sums={"loss": p.sums["loss"] + by(n) * p.weight}) for n, p in enumerate(points)]


@pytest.mark.parametrize(("times", "right"), [(-1.4, True), (0.0, True), (1.4, True), (1.6, False), (-20.0, False)])
def test_a_narrow_way_may_be_half_as_far_again_from_float32(times, right):
    problem, error = cases.mlp(dtype=torch.float32), 0.01
    narrow, plane = in_precision(problem, "bfloat16", error=error), plane_for(problem)
    truth, expected = losses(points_of(problem, plane)), losses(points_of(narrow, plane))
    assert truth != expected
    found = moved(truth, lambda n: times * error * truth[n].mean("loss"))
    told = Nearness(narrow, plane, batch_size=16).disagreement(expected, found, dict(enumerate(WHERE)))
    assert (told == "") == right
    # without float32 beside it what differs by more than rounding is refused
    assert (disagreement(expected, found) == "") == (times == 0.0)


def test_in_float32_the_plain_loop_is_the_measure():
    problem = cases.mlp(dtype=torch.float32)
    plane = plane_for(problem)
    expected = losses(points_of(problem, plane))
    near = Nearness(in_precision(problem, "float32"), plane, batch_size=16)
    assert near.wide is None
    found = moved(expected, lambda n: 1e-3 * expected[n].mean("loss"))
    assert "another train loss" in near.disagreement(expected, found, dict(enumerate(WHERE)))


def test_nan_where_the_loop_is_finite_is_wrong_in_any_type():
    problem = cases.mlp(dtype=torch.float32)
    narrow, plane = in_precision(problem, "bfloat16", error=0.5), plane_for(problem)
    expected = losses(points_of(narrow, plane))
    found = moved(expected, lambda n: float("nan"))
    assert Nearness(narrow, plane, 16).disagreement(expected, found, dict(enumerate(WHERE)))
