"""The frozen part of a model, kept: the same values as the plain loop's, and never anything stale."""

import time
from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lossviz.errors import UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.choice import Choice
from lossviz.evaluate.ways.prefix import CachedPrefix, with_cached_prefix
from lossviz.evaluate.ways.way import Way
from lossviz.problem.loss_call import habits_of
from lossviz.records.grid import Grid
from lossviz.space.plane import Plane
from tests import cases
from tests.evaluate.ways.test_folded import residual_problem
from tests.evaluate.ways.test_way import classified, plane_for

GRID = Grid.parse("-1:1:4,-1:1:3")


class InPlace(nn.Module):
    """As torchvision's residual blocks: sums and ReLU in place, a block that is frozen before one that moves."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.first(x))
        y = self.second(x)
        y += x
        x = self.relu(y)
        x += self.third(x)  # what is kept is changed by what follows
        return self.head(self.relu(x).mean((2, 3)))


def images():
    return cases.philox(5, 14, 2, 6, 6).float()


def restricted(problem, pattern):
    plane = plane_for(problem)
    directions = tuple(
        {name: tensor if fnmatchcase(name, pattern) else torch.zeros_like(tensor) for name, tensor in d.items()}
        for d in plane.directions
    )
    return Plane("file", plane.origin, directions)


@pytest.mark.parametrize("way", [
    Way("loop", 4, cached=True),
    Way("loop", 14, cached=True, channels_last=True),
    Way("loop", 5, cached=True, threads=1),
], ids=str)  # fmt: skip
@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (residual_problem, "fourth.*"),
        (residual_problem, "head.*"),
        (lambda: classified(InPlace, images()), "third.*"),
        (lambda: classified(InPlace, images()), "head.bias"),
        (lambda: cases.mlp(dtype=torch.float32), "2.*"),
    ],
)
def test_values_are_the_references(make, pattern, way):
    problem = make()
    plane = restricted(problem, pattern)
    engine = Engine(problem, plane, way=way)
    points = [p for chunk in engine.evaluate(GRID, {"train": np.arange(GRID.size)}) for p in chunk]
    assert engine.way == way and not engine.remarks
    for point in points:
        expected = evaluate_params(problem, plane.point(GRID.coordinates([point.index])[0]), "train")
        assert point.mean("loss") == pytest.approx(expected.mean("loss"), rel=1e-6)


def test_the_frozen_part_runs_once_a_batch(monkeypatch):
    problem = classified(InPlace, images())
    runs = []
    habits_of(problem)  # tried before what is counted
    forward, first = nn.Conv2d.forward, problem.model.first
    # a hook would stand outside the graph
    monkeypatch.setattr(nn.Conv2d, "forward", lambda m, x: (runs.append(1) if m is first else None, forward(m, x))[1])
    engine = Engine(problem, restricted(problem, "third.*"), way=Way("loop", 5, cached=True))
    engine.evaluate_points(range(GRID.size), GRID.coordinates(np.arange(GRID.size)), ["train"])
    assert len(runs) == 3  # of 14 examples, at 12 points


def test_what_is_kept_is_used_for_the_very_same_inputs_only():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    cached, batch = CachedPrefix(model, ["2.weight"]), torch.ones(5, 3)

    def check(x, runs):
        cached.begin(batch)
        assert torch.equal(cached(x), model(x))
        assert cached.runs == runs

    with torch.no_grad():
        check(batch, 1)
        check(batch, 1)
        check(batch.clone(), 1)  # made anew and equal
        check(batch * 2, 2)  # the same batch, other inputs
        model[2].weight.add_(1)
        check(batch * 2, 2)
        model[0].weight.add_(1)  # what was said not to move has moved
        check(batch * 2, 3)
        batch.add_(5)
        check(batch, 4)


def test_each_call_within_a_loss_has_a_place_of_its_own_and_there_is_a_limit():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    batch, other = torch.ones(5, 3), torch.zeros(5, 3)
    cached = CachedPrefix(model, ["2.weight"], largest_bytes=2 * 5 * 4 * 4)
    for _ in range(3):
        cached.begin(batch)
        assert torch.equal(cached(batch), model(batch)) and torch.equal(cached(-batch), model(-batch))
    assert cached.runs == 2
    for _ in range(2):
        cached.begin(other)
        assert torch.equal(cached(other), model(other))
    assert cached.runs == 4  # no room: computed each time


class Entangled(nn.Module):
    """A frozen result is read after the moving part changed it in place."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        x = self.first(x)
        y = x.add_(self.second(x))
        return functional.relu(x) + y


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.second(self.first(x)) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "moved", "said"),
    [
        (Entangled(), ["second.weight"], "changes first in place"),
        (Branching(), ["second.weight"], "graph cannot be read"),
        (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), ["0.bias", "1.weight"], "No part of the model"),
    ],
)
def test_what_cannot_be_cut_is_refused(model, moved, said):
    with pytest.raises(UsageError, match=said):
        CachedPrefix(model, moved)


def test_recomputed_statistics_leave_nothing_to_keep():
    problem = with_batchnorm(cases.batchnorm_cnn(dtype=torch.float32), "recompute", 8, 0)
    with pytest.raises(UsageError, match="statistics"):
        with_cached_prefix(problem, ["none"])


def test_ways_that_keep_are_tried_where_there_is_something_to_keep():
    problem = residual_problem()
    for plane, wanted in ((restricted(problem, "head.*"), True), (plane_for(problem), False)):
        ways = Choice(problem, plane, lambda *_: [], lambda: Way("loop", 14))._ways()
        assert any(way.cached for way in ways) == wanted
        assert Way.from_facts(ways[0].facts) == ways[0]


@pytest.mark.slow
def test_the_head_of_a_deep_network_is_many_times_faster():
    def deep():
        blocks = [layer for _ in range(8) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(inplace=True))]
        return nn.Sequential(nn.Conv2d(2, 16, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))

    problem = classified(deep, cases.philox(5, 256, 2, 16, 16).float())
    plane, seconds = restricted(problem, "19.*"), {}
    for cached in (False, True):
        engine = Engine(problem, plane, way=Way("loop", 128, cached=cached))
        coordinates = GRID.coordinates(np.arange(GRID.size))
        engine.evaluate_points([0], coordinates[:1], ["train"])
        began = time.perf_counter()
        engine.evaluate_points(list(range(GRID.size)), coordinates, ["train"])
        seconds[cached] = time.perf_counter() - began
    assert seconds[True] < 0.2 * seconds[False], seconds
