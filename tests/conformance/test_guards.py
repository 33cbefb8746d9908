"""Traps 44 on: the guards around the plain loop, in which a wrong surface passed with "ok" everywhere."""

import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import ProblemError, UsageError
from lossviz.evaluate.checks import check_centre
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.hidden_state import HiddenState
from lossviz.evaluate.ways import choice as choosing
from lossviz.evaluate.ways.folded import fold
from lossviz.evaluate.ways.guard import Sample
from lossviz.evaluate.ways.loop import Loop
from lossviz.evaluate.ways.nearness import disagreement
from lossviz.evaluate.ways.prefix import CachedPrefix
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from lossviz.records.doubts import agree
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.remark import texts
from tests import cases

SIZES = [1.0, 1e-9]  # of the loss, in its own units


def plane_for(problem, dimension=2):
    return make_plane(PlaneSpec(vectors="keep"), dimension, problem.params)


def check(problem, grid="-1:1:3", **settings):
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse(grid))
    return check_centre(plan, problem, Engine(problem, plane_for(problem, plan.grid.dimension), **settings))


def convolutional():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def with_hook(net):
    net.register_forward_hook(lambda module, inputs, output: output.clamp(max=0.1))
    return net


def with_pre_hook(net):
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    return net


def with_hook_inside(net):
    net[1].register_forward_hook(lambda module, inputs, output: output * 2)
    return net


def with_patch(net):
    net.forward = types.MethodType(lambda self, x: nn.Sequential.forward(self, x * 2), net)
    return net


def with_patch_inside(net):
    net[0].forward = types.MethodType(lambda self, x: nn.Conv2d.forward(self, x) * 2, net[0])
    return net


def parametrized(net):
    nn.utils.parametrizations.orthogonal(net[4])
    return net


CHANGES = [with_hook, with_pre_hook, with_hook_inside, with_patch, with_patch_inside, parametrized]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_trap_44_hooks_and_patched_forwards_are_never_lost(change):
    for make in (lambda net: CachedPrefix(net, ["4.weight"]), fold):
        make(convolutional())  # without the change it can be done
        with pytest.raises(UsageError, match="does not hold all that it does"):
            make(change(convolutional()))


def squared(size):
    """A regression whose losses are of a size, squared errors in other units."""
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)), cases.philox(1, 30, 3).float()
    return net, x, lambda model, batch: size * (model(batch[0]) - batch[0][:, :1]).square().mean(1)


@pytest.mark.parametrize("size", SIZES)
def test_trap_45_small_losses_are_guarded_like_large_ones(size):
    net, x, loss = squared(size)
    check(Problem.make(net, (x,), loss), batch_size=8)
    with pytest.raises(ProblemError, match="random numbers"):
        noisy = lambda m, b: loss(lambda t: nn.functional.dropout(m(t), 0.5, training=True), b)  # noqa: E731
        check(Problem.make(net, (x,), noisy), batch_size=8)
    with pytest.raises(ProblemError, match="depends on the others"):
        check(Problem.make(net, (x,), lambda m, b: loss(m, b).sum()), batch_size=8)
    assert not agree("loss", 1.001 * size, size, 100)
    points = [
        Point(0, "train", 4, 4.0, {"loss": scale * size}, {"loss": 0.1 * size**2}) for scale in (1, 1.001, 1.00001)
    ]
    assert "another train loss" in disagreement(points[:1], points[1:2])
    assert disagreement(points[:1], points[2:]) == ""


class LyingInside(Loop):
    """A fast way that is right near the edges of the window and at its centre, and wrong between them."""

    def evaluate(self, indices, coordinates, splits):
        points = super().evaluate(indices, coordinates, splits)
        wrong = {i for i, c in zip(indices, coordinates, strict=True) if 0.2 < np.abs(c).max() < 0.8}
        return [replace(p, sums={n: v * 1.3 for n, v in p.sums.items()}) if p.index in wrong else p for p in points]


def filled(engine, grid):
    values = np.full(grid.size, np.nan)
    for points in engine.evaluate(grid, {"train": np.arange(grid.size)}):
        for point in points:
            values[point.index] = point.mean("loss")
    return values


@pytest.mark.parametrize("size", SIZES)
def test_trap_44_a_fast_way_that_is_wrong_in_places_is_found_out_at_the_end_and_its_values_are_recomputed(
    size, monkeypatch
):
    net, x, loss = squared(size)
    problem, grid = Problem.make(net, (x,), loss), Grid.parse("-1:1:9,-1:1:7")
    expected = filled(Engine(problem, plane_for(problem), way=Way("loop", 256)), grid)
    monkeypatch.setattr(Way, "build", lambda way, problem, plane, *_: LyingInside(problem, plane, batch_size=256)
                        if way.strategy == "compiled" else Loop(problem, plane, batch_size=256))  # fmt: skip
    engine = Engine(problem, plane_for(problem), way=Way("compiled", 256))
    np.testing.assert_allclose(filled(engine, grid), expected, rtol=1e-6)
    assert "evaluated again by the plain loop" in engine.remarks[0].text and engine.way.strategy == "loop"
    assert list(engine.facts.doubts) == texts(engine.remarks, "doubt")


def test_trap_44_a_fast_way_is_compared_at_spread_points_before_it_is_chosen(monkeypatch):
    net, x, loss = squared(1.0)
    problem, grid = Problem.make(net, (x,), loss), Grid.parse("-1:1:41,-1:1:31")
    lying = Way("stacked", 30, points=8)
    monkeypatch.setattr(choosing, "list_ways", lambda problem, baseline: [lying])
    monkeypatch.setattr(choosing, "WORTH_TRYING_S", 0.0)
    monkeypatch.setattr(choosing, "TRIAL_S", 0.01)
    build = Way.build

    def build_lying(way, problem, plane, *rest):
        lies = way == replace(lying, threads=way.threads)
        return LyingInside(problem, plane, batch_size=30) if lies else build(way, problem, plane, *rest)

    monkeypatch.setattr(Way, "build", build_lying)
    monkeypatch.setattr(choosing, "RIVAL", 1e9)
    engine = Engine(problem, plane_for(problem))
    for _ in engine.evaluate(grid, {"train": np.arange(grid.size)}):
        if engine.settled:
            break
    assert any("another train loss" in trial.reason for trial in engine.trials if trial.way.strategy == "stacked")
    assert engine.way.strategy == "loop"


@pytest.mark.parametrize("batch_size", [1, 2, 8, 29, 30, 128, 256])
def test_trap_46_no_batch_size_hides_that_values_depend_on_the_batch(batch_size):
    torch.manual_seed(0)
    net, tokens = nn.Embedding(20, 20), torch.arange(30)[:, None].repeat(1, 6) % 20
    targets = torch.where(torch.arange(6)[None] <= torch.arange(30)[:, None] // 5, tokens.roll(1, 1), -100)

    def mean_over_tokens(model, batch):
        return nn.functional.cross_entropy(model(batch[0]).transpose(1, 2), batch[1], ignore_index=-100)

    with pytest.raises(ProblemError, match="depends on the others"):
        check(Problem.make(net, (tokens, targets), mean_over_tokens), batch_size=batch_size)


class Counting(nn.Module):
    """A model that counts its calls in a buffer, which its loss does not read."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


def scaling_in_place(model, batch):
    batch[1].add_(1.0)
    return model(batch[0]).square().mean(1)


def training(model, batch):
    model.train()
    return model(batch[0]).square().mean(1)


HIDDEN = [
    (Counting, lambda m, b: m(b[0]).square().mean(1), "the buffer calls"),
    (lambda: nn.Linear(3, 1), scaling_in_place, "the examples of train"),
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(1e-9), nn.Linear(4, 1)), training, "training mode"),
]


@pytest.mark.parametrize(("make", "loss", "words"), HIDDEN, ids=["buffer", "examples", "mode"])
def test_trap_47_what_evaluations_change_is_put_back_or_refused_by_name(make, loss, words):
    torch.manual_seed(0)
    problem = Problem.make(make(), (cases.philox(1, 30, 3).float(), torch.zeros(30)), loss)
    state = HiddenState.of(problem)
    check(problem)
    state.check(problem)
    engine = Engine(problem, plane_for(problem), way=Way("loop", 30))
    filled(engine, Grid.parse("-1:1:3,-1:1:3"))
    engine.check_state()
    problem.loss(problem.model, problem.examples["train"].batches(None)[0])  # by nothing that puts it back
    with pytest.raises(ProblemError, match=words):
        engine.check_state()


def test_what_the_last_comparison_could_miss_is_said():
    assert Sample(count=400, compared=90).limits() == "" and Sample(count=7, compared=7).limits() == ""
    said = Sample(count=400, compared=3).limits()
    assert "3 of the 400 values" in said and "78 %" in said
