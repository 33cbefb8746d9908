"""BatchNorm's three surfaces, each against torch's own layers by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import PlanError, UsageError
from lossviz.evaluate.batchnorm import batchnorm_layers, even_batches, refresh_statistics, with_batchnorm
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.compiled import Compiled
from lossviz.evaluate.ways.loop import Loop
from lossviz.evaluate.ways.way import Way
from lossviz.problem.data.examples import Examples
from lossviz.problem.data.streamed import StreamedExamples
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from tests import cases

WHERE = np.array([[0.0, 0.0], [0.7, -0.4], [-1.0, 1.5]])


def values(problem, way=Loop, **settings):
    plane = make_plane(PlaneSpec(), 2, problem.params, rules=problem.rules)
    points = way(problem, plane, batch_size=7, **settings).evaluate([0, 1, 2], WHERE, ["train"])
    return [point.mean("loss") for point in points], plane


def by_hand(problem, plane, coordinates, mode):
    """Training mode of torch's own layers on a copy; all examples as one batch."""
    model = copy.deepcopy(problem.model)
    model.load_state_dict(plane.point(coordinates), strict=False)
    (batch,) = problem.examples["train"].batches(None)
    with torch.no_grad():
        if mode != "fixed":
            for layer in batchnorm_layers(model):
                layer.train()
                layer.momentum = None
                layer.reset_running_stats()
            logits = model(batch[0])
        if mode != "batch":
            logits = model.eval()(batch[0])
        return float(nn.functional.cross_entropy(logits, batch[1]))


@pytest.mark.parametrize("mode", ["fixed", "recompute", "batch"])
def test_each_mode_is_what_torch_does(mode):
    plain = cases.batchnorm_cnn()
    expected = [by_hand(plain, values(plain)[1], at, mode) for at in WHERE]
    changed = with_batchnorm(cases.batchnorm_cnn(), mode, None if mode == "fixed" else 20, 0)
    np.testing.assert_allclose(values(changed)[0], expected, rtol=1e-10)
    plane = values(changed)[1]
    again = [evaluate_params(changed, plane.point(at), "train").mean("loss") for at in WHERE]
    np.testing.assert_allclose(again, expected, rtol=1e-10)


def test_statistics_of_some_examples_do_not_depend_on_the_batch_size_or_the_way_back():
    problem = with_batchnorm(cases.batchnorm_cnn(), "recompute", 12, 3)
    assert problem.statistics.count == 12
    there, _ = values(problem)
    plane = make_plane(PlaneSpec(), 2, problem.params, rules=problem.rules)
    back = Loop(problem, plane, batch_size=20).evaluate([2, 1, 0], WHERE[::-1], ["train"])
    np.testing.assert_allclose([point.mean("loss") for point in back][::-1], there, rtol=1e-12)


@pytest.mark.parametrize("mode", ["recompute", "batch"])
def test_the_checkpoints_buffers_come_back_exactly_even_after_a_diverged_point(mode):
    problem = with_batchnorm(cases.batchnorm_cnn(), mode, 8, 0)
    plane = make_plane(PlaneSpec(), 2, problem.params)
    Loop(problem, plane, batch_size=8).evaluate([0, 1], np.array([[1e200, 1e200], [1.0, 1.0]]), ["train"])
    buffers = dict(problem.model.named_buffers())
    assert all(torch.equal(buffers[name], kept) for name, kept in problem.buffers.items())


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_agrees_and_stacked_refuses():
    problem = with_batchnorm(cases.batchnorm_cnn(), "recompute", 12, 0)
    np.testing.assert_allclose(values(problem, Compiled)[0], values(problem)[0], rtol=1e-9)
    with pytest.raises(UsageError, match="take loop"):
        Way("stacked", 8, points=2).build(problem, make_plane(PlaneSpec(), 2, problem.params))


def test_without_batchnorm_nothing_changes_and_it_is_said():
    problem = with_batchnorm(cases.mlp(), "recompute", 12, 0)
    assert problem.statistics is None
    assert "no BatchNorm" in problem.remarks[-1].text


def test_even_batches_leave_no_straggler():
    sizes = [len(b) for b in even_batches(Examples([torch.zeros(101, 1)], recuttable=True), 10).batches(10)]
    assert sum(sizes) == 101 and set(sizes) == {10, 11}


@pytest.mark.parametrize("mode, examples", [("fixed", 5), ("recompute", None), ("batch", 1), ("frozen", None)])
def test_plans_say_how_many_examples(mode, examples):
    with pytest.raises(PlanError, match="--batchnorm"):
        Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3"), batchnorm=mode, batchnorm_examples=examples)


def test_the_mode_is_part_of_the_plan():
    plain = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3"))
    other = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3"), batchnorm="batch", batchnorm_examples=64)
    assert plain.digest() != other.digest()
    assert Plan.from_json(other.to_json()) == other


def test_batches_of_their_own_statistics_stay_on_the_host_with_low_memory():
    streamed = StreamedExamples(Examples([torch.arange(11.0)[:, None]], recuttable=True), torch.device("cpu"))
    cut = even_batches(streamed, 5)
    assert isinstance(cut, StreamedExamples) and not cut.recuttable
    assert [batch.flatten().tolist() for batch in cut.batches(None)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


def test_statistics_of_a_layer_that_is_called_twice_are_the_average_of_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.last = nn.BatchNorm1d(3), nn.Linear(3, 2)

        def forward(self, x):
            return self.last(self.norm(x) + self.norm(3 * x + 1))

    x = cases.philox(2, 20, 3).float()
    problem = Problem.make(Twice(), (x,), lambda m, b: m(b[0]).square().sum(1))
    problem = with_batchnorm(problem, "recompute", 20, 0)
    refresh_statistics(problem)
    expected = (x.mean(0) + (3 * x + 1).mean(0)) / 2
    torch.testing.assert_close(problem.model.norm.running_mean, expected, rtol=1e-5, atol=1e-6)
