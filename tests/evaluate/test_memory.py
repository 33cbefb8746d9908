"""The expected peak of memory: counted exactly where it can be, and never less than what a run then takes."""

import itertools

import pytest
import torch
from torch import nn

from lossviz.evaluate.memory import LiveBytes, activation_bytes, expected_peak
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from tests import cases
from tests.evaluate.ways.test_way import plane_for

WIDTHS = (100, 200, 50, 10)


def dense():
    layers = [m for a, b in itertools.pairwise(WIDTHS) for m in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    data = (torch.zeros(300, 100), torch.zeros(300, dtype=torch.int64))
    return Problem.make(model, data, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1], reduction="none"))


def test_live_bytes_are_those_of_the_tensors_alive_at_once():
    x = torch.zeros(1000)
    with LiveBytes() as live:
        y = x + 1  # 4,000 bytes
        z = y * 2  # 8,000
        del y
        w = z.double()  # 4,000 + 8,000
        z.add_(1)
        view = w[:10]
    assert live.peak == 12000 and live.now == 12000
    del z, w, view
    assert live.now == 0


def test_a_pass_holds_its_two_widest_neighbours():
    # the ReLU of the widest layer reads 200 and writes 200 values an example
    assert activation_bytes(dense(), "train", 64) == 64 * 4 * (200 + 200)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 12, 100, 300])
def test_the_line_through_two_small_batches_reaches_large_ones(batch_size):
    problem = dense()
    assert activation_bytes(problem, "train", batch_size) == batch_size * 4 * 400


def test_the_parts_of_the_peak_are_what_they_are():
    problem = dense()
    parameters = sum(a * b + b for a, b in itertools.pairwise(WIDTHS)) * 4
    peak = expected_peak(problem, 2, Way("loop", 128))
    assert peak.model == parameters and peak.plane == 3 * parameters  # origin and two directions
    assert peak.data == 300 * (100 * 4 + 8) and peak.activations == 128 * 1600
    assert peak.total == 4 * parameters + peak.data + peak.activations
    assert "KiB" in str(peak)
    assert expected_peak(problem, 2, Way("stacked", 128, points=3)).activations == 3 * (128 * 1600 + parameters)


@pytest.mark.parametrize("way", [Way("loop", 64), Way("loop", 64, lean=True)], ids=str)
def test_a_run_takes_no_more_than_was_said(way):
    problem = dense()
    plane = plane_for(problem)
    evaluator = way.build(problem, plane)
    with LiveBytes() as live:
        evaluator.evaluate([0, 1], torch.tensor([[0.0, 0.0], [0.5, -0.5]]).double().numpy(), ["train"])
    sums = 64 * 8 * 8  # losses in float64 and what their moments take
    lean = 2 * max(t.nbytes for t in problem.params.values()) if way.lean else 0
    assert live.peak <= expected_peak(problem, 2, way).activations + sums + lean


def test_ready_made_batches_are_measured_as_they_are():
    problem = cases.quadratic(mean=True).problem
    assert activation_bytes(problem, next(iter(problem.examples)), 1) > 0
