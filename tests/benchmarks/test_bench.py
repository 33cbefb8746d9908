"""`lossviz bench`: the reference loop is right, every way is timed beside it, and the aims hold on a quiet machine."""

import json
import math
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.directions.make import make_plane
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.way import Way, cpu_threads
from lossviz.problem.data import digits
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from lossviz.studies.bench import ReferenceLoop, bench
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


def on_one_thread(run):
    """Both sides on one thread and by CPU time, so that others on the machine hardly matter."""
    with cpu_threads(1):
        return run()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(("make", "aim"), [(small_cnn, 3.0), (small_mlp, 7.0)], ids=["cnn", "mlp"])
def test_the_aims_for_the_cpu(make, aim):
    problem = all_digits(make)
    rows = on_one_thread(lambda: bench(problem, plane_for(problem), rounds=15, clock=time.process_time))
    ratios = {row.name: rows[0].seconds / row.seconds for row in rows if not row.reason}
    print("\n".join(f"{ratio:5.2f} x the reference loop: {name}" for name, ratio in ratios.items()))
    assert max(ratios.values()) >= aim, ratios


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [small_cnn, small_mlp], ids=["cnn", "mlp"])
def test_the_chosen_way_is_not_slower_than_the_reference_loop(make):
    problem = all_digits(make)
    plane, grid = plane_for(problem), Grid.parse("-1:1:31,-1:1:21")

    def chosen():
        engine = Engine(problem, plane)
        for _ in engine.evaluate(grid, {"train": np.arange(grid.size)}):
            if engine.settled:
                break
        return engine

    engine = on_one_thread(chosen)
    reference, c = ReferenceLoop(problem, plane, "train"), np.full((1, 2), 0.25)
    sides = {"reference": lambda: reference.evaluate(c[0]), "chosen": lambda: engine.evaluate_points([0], c, ["train"])}
    times = on_one_thread(lambda: take_turns(sides))
    print(f"{engine.way}: {times['reference'] / times['chosen']:.2f} x the reference loop")
    assert times["chosen"] <= times["reference"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_sweep_costs_little_more_than_its_forward_passes():
    problem = all_digits(small_cnn)
    evaluator = Way("compiled", 899, channels_last=True).build(problem, plane_for(problem))
    c = np.random.default_rng(0).normal(size=(4, 2))

    def bare():
        with torch.no_grad():
            for _ in c:
                for batch in evaluator.batches["train"]:
                    evaluator.forward(batch)

    sides = {"bare": bare, "sweep": lambda: evaluator.evaluate(range(4), c, ["train"])}
    times = on_one_thread(lambda: take_turns(sides))
    print(f"the sweep takes {times['sweep'] / times['bare']:.3f} of its bare compiled forward passes")
    assert times["sweep"] <= 1.1 * times["bare"]  # the aim of 1.03 is for a GPU


def take_turns(sides, rounds=9):
    """CPU seconds of each side, the least over rounds in which they take turns."""
    times = {name: [] for name in sides}
    for round_ in range(rounds + 2):
        for name, run in sides.items():
            began = time.process_time()
            run()
            if round_ > 1:  # two to warm up
                times[name].append(time.process_time() - began)
    return {name: min(all_) for name, all_ in times.items()}
