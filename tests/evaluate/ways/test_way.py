"""Every way of evaluating agrees with the plain reference, on models of every kind, or is refused with a reason."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossviz.directions.make import make_plane
from lossviz.errors import UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways import choice as choosing
from lossviz.evaluate.ways.choice import Choice, Trial, default_way, list_ways
from lossviz.evaluate.ways.compiled import autotuning
from lossviz.evaluate.ways.nearness import disagreement
from lossviz.evaluate.ways.way import Way, cpu_threads
from lossviz.problem.problem import Problem
from lossviz.records.facts import WayFacts
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from tests import cases

GRID = Grid.parse("-1:1:5,-0.5:1:4")


class Attention(nn.Module):
    """A transformer block with attention and LayerNorm over (B, 6) tokens, and a head of 3 classes."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.block(self.embed(tokens)).mean(1))


class Recurrent(nn.Module):
    """An LSTM over (B, 5, 4), and a head of 3 classes."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Branching(nn.Module):
    """Looks at a value in its forward pass, which no stacked pass can."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return y * 2 if y.abs().max().item() > 0.1 else y


def classified(make, inputs):
    labels = (torch.arange(len(inputs)) * 7 + 1) % 3
    return Problem.make(cases.seeded(make), (inputs, labels), cases.cross_entropy)


def tokens():
    return (torch.arange(14 * 6) * 5 % 11).view(14, 6)


PROBLEMS = {
    "mlp": lambda: cases.mlp(dtype=torch.float32),
    "batchnorm cnn": lambda: cases.batchnorm_cnn(dtype=torch.float32),
    "attention": lambda: classified(Attention, tokens()),
    "lstm": lambda: classified(Recurrent, cases.philox(8, 14, 5, 4).float()),
    "embedding": lambda: replace(cases.weighted()[0]),
    "tied": lambda: cases.tied(dtype=torch.float32),
    "batch means": lambda: cases.quadratic(mean=True).problem,
}


def plane_for(problem):
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    return plane.to(problem.device, next(iter(problem.params.values())).dtype)


def evaluate(problem, way, grid=GRID):
    engine = Engine(problem, plane_for(problem), way=way)
    chunks = engine.evaluate(grid, {"train": np.arange(grid.size)})
    return engine, {point.index: point for chunk in chunks for point in chunk}


def check_against_reference(problem, points, rel=2e-5):
    plane = plane_for(problem)
    for index in range(0, GRID.size, 3):
        expected = evaluate_params(problem, plane.point(GRID.coordinates([index])[0]), "train")
        for name in expected.sums:
            assert points[index].mean(name) == pytest.approx(expected.mean(name), rel=rel, abs=1e-6)
            if np.isfinite(expected.m2[name]):
                assert points[index].stderr(name) == pytest.approx(expected.stderr(name), rel=1e-3, abs=1e-6)
        assert points[index].count == expected.count


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    "way",
    [
        Way("loop", 4, channels_last=True),
        Way("loop", 4, lean=True),
        Way("stacked", 4, points=3),
        Way("stacked", 64, points=7, threads=1),
    ],
    ids=str,
)
def test_ways_agree_with_the_reference(name, way):
    problem = PROBLEMS[name]()
    _, points = evaluate(problem, way)
    check_against_reference(problem, points)


@pytest.mark.parametrize("name", ["mlp", "tied", "batch means"])
def test_a_plane_on_the_host_gives_the_same_bits(name):
    problem = PROBLEMS[name]()
    (_, points), (_, lean) = (evaluate(problem, Way("loop", 4, lean=lean)) for lean in (False, True))
    assert {i: p.sums for i, p in points.items()} == {i: p.sums for i, p in lean.items()}
    for param, name in ((p, n) for n, p in problem.model.named_parameters() if n in problem.params):
        assert torch.equal(param, problem.params[name])  # and the model is back at the origin


def test_stacking_needs_the_plane_on_the_device():
    problem = cases.mlp()
    with pytest.raises(UsageError, match="--low-memory take loop"):
        Way("stacked", 4, points=2, lean=True).build(problem, plane_for(problem))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_agrees_with_the_reference(name):
    problem = PROBLEMS[name]()
    engine, points = evaluate(problem, Way("compiled", 6))
    check_against_reference(problem, points)
    assert engine.way.strategy == "compiled", engine.remarks


@pytest.mark.filterwarnings("ignore")
def test_the_compiled_loop_follows_its_parameters():
    problem = cases.mlp(dtype=torch.float32)
    engine, points = evaluate(problem, Way("compiled", 20))
    check_against_reference(problem, points)
    assert engine.way.strategy == "compiled", engine.remarks


def test_a_model_that_cannot_be_stacked_falls_back_with_a_sentence():
    problem = classified(Branching, cases.philox(8, 14, 5).float())
    engine, points = evaluate(problem, Way("stacked", 14, points=4))
    check_against_reference(problem, points)
    assert engine.way == default_way(problem)
    (note,) = engine.remarks
    assert note.text.startswith("The plain loop is used, since stacked") and "item" in note.text


def test_a_graph_needs_a_cuda_device():
    problem = cases.mlp()
    if problem.device.type != "cuda":
        with pytest.raises(UsageError, match="CUDA"):
            Way("replayed", 4).build(problem, plane_for(problem))


def measured(problem, monkeypatch, grid="-1:1:41,-1:1:31"):
    monkeypatch.setattr(choosing, "WORTH_TRYING_S", 0.0)
    monkeypatch.setattr(choosing, "WORTH_COMPILING_S", 1e9)
    monkeypatch.setattr(choosing, "TRIAL_S", 0.01)
    grid = Grid.parse(grid)
    engine = Engine(problem, plane_for(problem))
    points = [p for chunk in engine.evaluate(grid, {"train": np.arange(grid.size)}) for p in chunk]
    assert sorted(p.index for p in points) == list(range(grid.size))  # nothing twice, nothing lost
    return engine, {point.index: point for point in points}, grid


def test_the_choice_is_measured_recorded_and_wastes_nothing(monkeypatch):
    problem = cases.mlp(examples=600, dtype=torch.float32)
    engine, points, grid = measured(problem, monkeypatch)
    tried = [trial["way"] for trial in engine.facts.trials]
    assert tried[0] == str(default_way(problem))
    assert any("stacked" in way for way in tried)
    best = min((t for t in engine.trials if not t.reason), key=lambda t: t.seconds)
    assert engine.way == best.way
    assert engine.facts.settled
    plane = plane_for(problem)
    for index in range(0, grid.size, 97):
        expected = evaluate_params(problem, plane.point(grid.coordinates([index])[0]), "train")
        assert points[index].mean("loss") == pytest.approx(expected.mean("loss"), rel=2e-5)


def test_a_way_that_gives_other_values_is_refused(monkeypatch):
    problem = cases.mlp(examples=300, dtype=torch.float32)
    calls = {"stacked": 0}
    honest = choosing._evaluate

    def lying(evaluator, way, indices, coordinates, splits):
        points = honest(evaluator, way, indices, coordinates, splits)
        if way.strategy != "stacked":
            return points
        calls["stacked"] += 1
        return [replace(p, sums={n: 1.01 * v for n, v in p.sums.items()}) for p in points]

    monkeypatch.setattr(choosing, "_evaluate", lying)
    engine, _, _ = measured(problem, monkeypatch)
    refused = [trial for trial in engine.trials if trial.way.strategy == "stacked"]
    assert calls["stacked"] == len(refused) > 0
    assert all("another train loss" in trial.reason for trial in refused)
    assert engine.way.strategy != "stacked"


def test_a_short_rest_is_not_worth_measuring():
    engine, _ = evaluate(cases.mlp(), None)
    assert len(engine.trials) == 1
    assert engine.way == default_way(cases.mlp())


def test_out_of_memory_while_trying_only_refuses_that_way(monkeypatch):
    problem = cases.mlp(examples=600, dtype=torch.float32)

    def loss(model, batch):
        if len(batch[0]) > 300:
            raise torch.OutOfMemoryError("CUDA out of memory, on purpose")
        return cases.cross_entropy(model, batch)

    engine, _, _ = measured(replace(problem, loss=loss), monkeypatch)
    reasons = [trial.reason for trial in engine.trials if trial.way.batch_size > 300]
    assert reasons
    assert set(reasons) == {"memory does not suffice"}
    assert engine.way.batch_size <= 300


def test_disagreement_sees_nan_and_inf():
    problem = cases.mlp()
    (point,) = Engine(problem, plane_for(problem), way=Way("loop", 8)).evaluate_points([0], np.zeros((1, 2)), ["train"])
    same = replace(point, sums={**point.sums})
    odd = [replace(point, sums={**point.sums, "loss": value}) for value in (np.nan, np.inf, point.sums["loss"] * 1.001)]
    assert disagreement([point], [same]) == ""
    assert all("another train loss" in disagreement([point], [other]) for other in odd)
    assert disagreement([odd[0]], [odd[0]]) == ""
    assert disagreement([odd[1]], [odd[1]]) == ""


def test_ways_are_described_and_stored():
    way = Way("stacked", 512, points=8, threads=1)
    assert str(way) == "stacked, batches of 512, 8 points at once, 1 thread"
    assert Way.from_facts(WayFacts.from_json({**way.facts.to_json(), "new": 1})) == way
    with pytest.raises(UsageError, match="choose auto"):
        Way("quantum", 4)


def test_compiled_ways_share_one_shape_of_batch_over_all_splits():
    problem = cases.mlp(examples=60)
    other = {"train": problem.examples["train"], "test": cases.mlp(examples=20).examples["train"]}
    ways = [way for way in list_ways(replace(problem, examples=other), Way("loop", 256)) if way.strategy == "compiled"]
    assert [way.batch_size for way in ways] == [20]


def test_autotuning_prints_no_tables():
    assert autotuning()["max_autotune"] is True
    assert autotuning().get("autotune_num_choices_displayed", 0) == 0


def test_images_bring_channels_last_into_play():
    assert any(way.channels_last for way in list_ways(cases.batchnorm_cnn(), Way("loop", 256)))
    assert not any(way.channels_last for way in list_ways(cases.mlp(), Way("loop", 256)))


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with cpu_threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_a_thread_team_must_win_clearly():
    problem = cases.mlp()
    with cpu_threads(2):
        chosen = []
        for team_s in (0.9, 0.5):
            trials = [Trial(Way("loop", 256), team_s), Trial(Way("loop", 256, threads=1), 1.0)]
            choice = Choice(problem, plane_for(problem), lambda *a: [], lambda: Way("loop", 256), trials)
            chosen.append(choice.best.way.threads)
    assert chosen == [1, None]


def test_other_work_on_the_machine_does_not_spoil_the_choice(monkeypatch):
    """Waiting for a core lengthens what a clock on the wall says, and not the thread's own time."""
    problem = cases.mlp(examples=600, dtype=torch.float32)
    honest, calls = choosing._evaluate, {"number": 0}

    def disturbed(evaluator, way, indices, coordinates, splits):
        calls["number"] += 1
        time.sleep(0.02 * (calls["number"] % 3))
        return honest(evaluator, way, indices, coordinates, splits)

    monkeypatch.setattr(choosing, "_evaluate", disturbed)
    with cpu_threads(1):
        engine, _, _ = measured(problem, monkeypatch)
        quiet = {str(t.way): t.seconds for t in engine.trials if not t.reason}
    assert calls["number"] > len(quiet)  # some were timed again, in turn
    assert max(quiet.values()) < 0.01  # 20 ms of waiting are in none of them


def test_ways_that_are_close_are_timed_in_turn_and_the_fastest_round_counts(monkeypatch):
    problem, told = cases.mlp(), []
    first, second = Trial(Way("loop", 256, threads=1), 0.010), Trial(Way("loop", 512, threads=1), 0.011)
    choice = Choice(problem, plane_for(problem), lambda *a: [], lambda: first.way, [first, second])
    made = {512: object(), 256: object()}
    choice._rivals = [(first, made[256]), (second, made[512])]
    clock = {"now": 0.0}
    costs = {256: iter([0.020, 0.009, 0.030]), 512: iter([0.004, 0.012, 0.005])}

    def evaluate(evaluator, way, indices, coordinates, splits):
        told.append(way.batch_size)
        clock["now"] += next(costs[way.batch_size]) * len(indices)
        return [indices]

    monkeypatch.setattr(choosing, "_evaluate", evaluate)
    monkeypatch.setattr(Choice, "_clock", lambda self, way: clock["now"])
    points = list(choice._time_in_turn(np.arange(1000), np.zeros((1000, 2)), ["train"]))
    assert told == [256, 512] * 3
    assert np.concatenate([part for (part,) in points]).tolist() == list(range(sum(len(p) for (p,) in points)))
    assert (first.seconds, second.seconds) == (pytest.approx(0.009), pytest.approx(0.004))
    assert choice.best is second and choice.evaluator is made[512]
