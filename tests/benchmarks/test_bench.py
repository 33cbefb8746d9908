"""`lossviz bench`: the reference loop is right, every way is timed beside it, and the aims hold on a quiet machine."""

import json
import math

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.bench import ReferenceLoop, bench
from lossviz.cli.main import cli
from lossviz.directions.make import make_plane
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem import digits
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from tests import cases


def plane_for(problem):
    return make_plane(PlaneSpec(), 2, problem.params)


def small_cnn():
    """The small CNN with BatchNorm that the CPU aims are stated for."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def small_mlp():
    """The MLP 64-128-64-10."""
    layers = [nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


def all_digits(make):
    parts = digits.data().values()
    images, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    loss = digits.loss
    return Problem.make(cases.seeded(make), (images, labels), lambda m, b: loss(m, b)["loss"])


@pytest.mark.parametrize("make", [cases.mlp, cases.batchnorm_cnn, lambda: cases.weighted()[0]])
def test_the_reference_loop_is_the_reference(make):
    problem = make()
    plane = plane_for(problem)
    loop = ReferenceLoop(problem, plane, "train")
    for c in ([0.0, 0.0], [0.5, -0.25]):
        expected = evaluate_params(problem, plane.point(c), "train").mean("loss")
        assert loop.evaluate(c) == pytest.approx(expected, rel=1e-9)


def test_every_way_is_timed_and_gives_the_same_value():
    problem = cases.mlp(examples=300, dtype=torch.float32)
    rows = bench(problem, plane_for(problem), rounds=2, compiled=False)
    assert rows[0].name.startswith("reference loop")
    assert any("stacked" in row.name for row in rows)
    assert all(0 < row.seconds < math.inf and row.difference < 1e-6 for row in rows)
    assert all(len(row.times) == 2 for row in rows)


def test_the_command_prints_a_table_or_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "digits", "--model-args", "depth=1,width=2", "--samples", "40", "--rounds", "1", "--no-compiled"]
    table = CliRunner().invoke(cli, words)
    assert table.exit_code == 0, table.output
    assert "× reference" in table.stdout
    rows = json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)
    assert rows[0]["times_faster"] == 1.0
    assert all(row["seconds"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(("make", "aim"), [(small_cnn, 3.0), (small_mlp, 7.0)], ids=["cnn", "mlp"])
def test_the_aims_for_the_cpu(make, aim):
    # ratios within one run, threads equal; for a quiet machine
    problem = all_digits(make)
    rows = bench(problem, plane_for(problem), rounds=15)
    ratios = {row.name: rows[0].seconds / row.seconds for row in rows if not row.reason}
    assert max(ratios.values()) >= aim, ratios
