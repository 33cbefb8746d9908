from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.gradient import mean_gradient
from lossviz.errors import ProblemError
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.way import Way
from lossviz.hessian.objective import Objective
from lossviz.hessian.operator import Operator
from lossviz.problem.loss_call import take_loss, weighted_loss
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.space.plane import Plane
from lossviz.trajectory.descent import Descent, descend
from lossviz.trajectory.snapshots import open_snapshots

IGNORED = -100


def token_means(model, batch):
    """A mean over the counted targets of each example, 0/0 where there is none."""
    inputs, targets = batch
    each = nn.functional.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none", ignore_index=IGNORED)
    counted = (targets != IGNORED).sum(1)
    return {"loss": each.sum(1) / counted, "weight": counted}


def batch_mean(model, batch):
    """A mean over all counted targets of a batch, 0/0 where there is none."""
    inputs, targets = batch
    loss = nn.functional.cross_entropy(model(inputs).transpose(1, 2), targets, ignore_index=IGNORED)
    return {"loss": loss, "weight": (targets != IGNORED).sum(1)}


def tokens(loss):
    """A problem whose second batch of four counts nothing, and the same without it."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(12, 5, 3, generator=generator), torch.randint(0, 4, (12, 5), generator=generator)
    targets[torch.rand(12, 5, generator=generator) < 0.4] = IGNORED
    targets[4:8] = IGNORED
    torch.manual_seed(0)
    model, kept = nn.Linear(3, 4), torch.cat([torch.arange(4), torch.arange(8, 12)])
    cut = [(inputs[start : start + 4], targets[start : start + 4]) for start in (0, 4, 8)]
    return Problem.make(model, cut, loss), Problem.make(model, [cut[0], cut[2]], loss), (inputs[kept], targets[kept])


@pytest.fixture(params=[token_means, batch_mean])
def pair(request):
    whole, counted, _ = tokens(request.param)
    return whole, counted


def test_what_counts_nothing_adds_nothing_to_a_point(pair):
    whole, counted = pair
    expected = evaluate_params(counted, counted.params, "train")
    oracle = evaluate_params(whole, whole.params, "train")
    plane = Plane("random", whole.params, ({name: torch.ones_like(t) for name, t in whole.params.items()},))
    (fast,) = Way("loop", 4).build(whole, plane).evaluate([0], np.zeros((1, 1)), ["train"])
    (stacked,) = Way("stacked", 4, points=2).build(whole, plane).evaluate([0], np.zeros((1, 1)), ["train"])
    for found in (oracle, fast, stacked):
        assert found.weight == expected.weight
        assert found.mean("loss") == pytest.approx(expected.mean("loss"), rel=1e-6)
        assert found.m2["loss"] == pytest.approx(expected.m2["loss"], rel=1e-6, nan_ok=True)


def test_what_counts_nothing_adds_nothing_to_derivatives(pair):
    whole, counted = pair
    for name, tensor in mean_gradient(counted, "train").items():
        torch.testing.assert_close(mean_gradient(whole, "train")[name], tensor)
    vector = {name: torch.ones_like(tensor) for name, tensor in whole.params.items()}
    found, expected = (Operator(problem, "train").product(vector) for problem in (whole, counted))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])
    assert Objective(whole, "train").loss() == pytest.approx(Objective(counted, "train").loss(), rel=1e-6)


@pytest.mark.parametrize("batch_size", [0, 1])
def test_an_optimizer_is_not_stopped_by_a_batch_that_counts_nothing(pair, batch_size, tmp_path):
    whole, _ = pair
    whole_batches = list(whole.examples["train"].batches(None))
    inputs, targets = (torch.cat(column) for column in zip(*whole_batches, strict=True))
    problem = Problem.make(whole.model, (inputs, targets), whole.loss)
    assert descend(problem, Descent(steps=12, batch_size=batch_size), tmp_path) == 12
    facts = open_snapshots(tmp_path, problem)[""].facts
    assert len(facts) > 6  # steps that counted nothing stand still
    assert not any(fact.marks for fact in facts)


def test_half_a_batch_of_nothing_leaves_the_others_their_gradient():
    whole, _, kept = tokens(token_means)
    inputs, targets = (torch.cat(column) for column in zip(*whole.examples["train"].batches(None), strict=True))
    mixed = Problem.make(whole.model, (inputs, targets), token_means)  # cut through the middle
    alone = Problem.make(whole.model, kept, token_means)
    found, expected = (Objective(p, "train", batch_size=6).gradient() for p in (mixed, alone))
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for name in expected[1]:
        torch.testing.assert_close(found[1][name], expected[1][name])


def test_weights_multiply_and_count_as_constants():
    outcome = Outcome({"loss": torch.tensor([1.0, 2.0]), "mean": torch.tensor(3.0)}, torch.tensor([2, 5]), 2)
    assert outcome.weighted_sum("loss").item() == 12.0
    assert outcome.weighted_sum("mean").item() == 21.0
    assert outcome.total_weight == 7.0
    assert outcome.weighted_sum("loss").dtype == torch.float64


def test_the_line_that_raised_is_named():
    def loss(model, batch):
        raise ValueError("no such thing")

    problem = Problem.make(nn.Linear(2, 1), (torch.ones(3, 2),), loss)
    batch = problem.examples["train"].batches(None)[0]
    line = loss.__code__.co_firstlineno + 1
    for call in (take_loss, weighted_loss):
        with pytest.raises(ProblemError, match=rf"{Path(__file__).name}, line {line}: .*ValueError: no such thing"):
            call(problem, batch)


def test_a_quantity_that_is_not_returned_is_said():
    problem = Problem.make(nn.Linear(2, 1), (torch.ones(3, 2),), lambda m, b: m(b[0]).squeeze(1))
    with pytest.raises(ProblemError, match="returns loss, but no 'error'"):
        weighted_loss(problem, problem.examples["train"].batches(None)[0], "error")
