"""Traps 53 and 54: a fault is planted in a fast way, or in what a guard guards, and each guard finds its own."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import LossvizError, ProblemError
from lossviz.evaluate import unused
from lossviz.evaluate.checks import check_centre
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.unused import find_unused
from lossviz.evaluate.ways import graph, guard, prefix
from lossviz.evaluate.ways import way as ways
from lossviz.evaluate.ways.choice import Choice
from lossviz.evaluate.ways.folded import FoldedConvolution
from lossviz.evaluate.ways.loop import Loop
from lossviz.evaluate.ways.stacked import Stacked
from lossviz.evaluate.ways.way import Way
from lossviz.hessian.extremes import Extremes
from lossviz.hessian.operator import Operator
from lossviz.problem import kept
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.watch import Watch
from lossviz.run.compute import compute, prepare_only
from lossviz.run.settings import Settings
from lossviz.run.worker import work
from lossviz.store.merge import merge
from lossviz.store.schema import journal_folder
from lossviz.store.surface_file import read_surface, write_surface
from tests import cases

GRID = Grid.parse("-1:1:7,-1:1:5")
WIDE = Grid.parse("-1:1:21,-1:1:11")  # more points than are compared


def plane_for(problem):
    return make_plane(PlaneSpec(vectors="keep"), 2, problem.params)


def fill(engine, grid):
    values = np.full(grid.size, np.nan)
    for points in engine.evaluate(grid, {"train": np.arange(grid.size)}):
        for point in points:
            values[point.index] = point.mean("loss")
    return values


def images():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    net[1].running_var.fill_(0.5)
    return net, (cases.philox(1, 20, 2, 6, 6).float(), torch.arange(20) % 3)


def vectors():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    return net, (cases.philox(1, 20, 4).float(), torch.arange(20) % 3, torch.arange(20) % 4)


def tied():
    net = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1), nn.Flatten(), nn.Linear(72, 3))
    net[1].weight.data = net[0].weight.data
    return net, images()[1]


def each(model, batch, scale=1.0):
    return scale * nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def weighed(model, batch):
    return {"loss": each(model, batch), "weight": batch[2].float()}


def drop_hooks(monkeypatch):
    """The graph ways no longer see hooks."""
    monkeypatch.setattr(graph, "outside_graph", lambda model: "")


def fold_badly(monkeypatch):
    honest = FoldedConvolution.forward
    monkeypatch.setattr(FoldedConvolution, "forward", lambda self, x: honest(self, x) * 1.001)


def reuse_a_stale_prefix(monkeypatch):
    monkeypatch.setattr(prefix._Kept, "is_of", lambda *_: True)


def forget_weights(monkeypatch):
    honest = Stacked._sum

    def without(self, params, split):
        call = self._call
        self._call = lambda p, batch: {name: v for name, v in call(p, batch).items() if name != "weight"}
        try:
            return honest(self, params, split)
        finally:
            self._call = call

    monkeypatch.setattr(Stacked, "_sum", without)


def forget_the_last_batch(monkeypatch):
    honest = Stacked.__init__

    def cut(self, *args, **words):
        honest(self, *args, **words)
        self.batches = {split: batches[:-1] for split, batches in self.batches.items()}

    monkeypatch.setattr(Stacked, "__init__", cut)


def stand_beside_the_point(monkeypatch):
    honest = Stacked.evaluate
    monkeypatch.setattr(
        Stacked, "evaluate", lambda self, indices, at, splits: honest(self, indices, np.float32(at * 1.01), splits)
    )


def lose_ties(monkeypatch):
    """A copy of the model in which tied parameters are two."""

    def copied(problem, plane):
        model = problem.copied_model()
        model[1].weight = nn.Parameter(model[1].weight.detach().clone(), requires_grad=False)
        return replace(problem, model=model), plane

    monkeypatch.setattr(ways, "_with_channels_last", copied)


def with_hook(made):
    net, data = made()
    net[0].register_forward_hook(lambda module, inputs, output: output * 1.2)
    return net, data


def with_late_hook(made):
    net, data = made()
    net.register_forward_hook(lambda module, inputs, output: output * 1.2)
    return net, data


FOLDED, STACKED = Way("loop", 20, folded=True), Way("stacked", 8, points=4)
FAST = {
    "hooks dropped by folding": (drop_hooks, lambda: with_hook(images), each, FOLDED),
    "a hook of the root dropped": (drop_hooks, lambda: with_late_hook(images), each, FOLDED),
    "folding wrong by a thousandth": (fold_badly, images, each, FOLDED),
    "weights forgotten": (forget_weights, vectors, weighed, STACKED),
    "the last batch forgotten": (forget_the_last_batch, vectors, each, STACKED),
    "points misplaced by a hundredth": (stand_beside_the_point, vectors, each, STACKED),
    "ties lost": (lose_ties, tied, each, Way("loop", 20, channels_last=True)),
}


@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize("fault", FAST)
def test_trap_53_a_fault_in_a_fast_way_is_found_at_the_end_and_its_values_are_recomputed(fault, scale, monkeypatch):
    plant, make, loss, way = FAST[fault]
    monkeypatch.setattr(guard, "FREE_S", 1e9)
    net, data = make()

    def scaled(model, batch):
        found = loss(model, batch)
        return {**found, "loss": scale * found["loss"]} if isinstance(found, dict) else scale * found

    problem = Problem.make(net, data, scaled)
    expected = fill(Engine(problem, plane_for(problem), way=Way("loop", 20)), GRID)
    if not fault.startswith("hook") and "root" not in fault:
        sound = Engine(problem, plane_for(problem), way=way)
        np.testing.assert_allclose(fill(sound, GRID), expected, rtol=1e-5)
        assert not sound.facts.doubts
    plant(monkeypatch)
    engine = Engine(problem, plane_for(problem), way=way)
    np.testing.assert_allclose(fill(engine, GRID), expected, rtol=1e-6)
    assert len(engine.facts.doubts) == 1 and "evaluated again by the plain loop" in engine.facts.doubts[0]
    assert engine.way.strategy == "loop" and not engine.way.folded


@pytest.mark.parametrize("fault", ["weights forgotten", "the last batch forgotten", "points misplaced by a hundredth"])
def test_trap_53_a_fault_in_a_fast_way_is_found_before_it_is_chosen(fault, monkeypatch):
    plant, make, loss, way = FAST[fault]
    plant(monkeypatch)
    problem = Problem.make(*make(), loss)
    engine = Engine(problem, plane_for(problem), way=Way("loop", 20))
    order, guards = guard.spread_first(GRID.coordinates(np.arange(GRID.size)))
    at = GRID.coordinates(order)
    known = engine.evaluate_points(order[:guards].tolist(), at[:guards], ["train"])
    choice = Choice(problem, engine.plane, engine.evaluate_points, lambda: engine.way, guards=guards)
    found = choice._compare(way.build(problem, engine.plane), way, (known, at[:guards]), ["train"], slice(0, None))
    assert "another train loss" in found


class WrongInPlaces(Loop):
    """A way whose values are wrong at a share of the points."""

    wrong: frozenset = frozenset()

    def evaluate(self, indices, coordinates, splits):
        points = super().evaluate(indices, coordinates, splits)
        return [
            replace(p, sums={n: v * 1.001 for n, v in p.sums.items()}) if p.index in self.wrong else p for p in points
        ]


@pytest.mark.parametrize("seed", range(8))
def test_trap_53_of_many_points_the_comparison_finds_a_twentieth_that_is_wrong(seed, monkeypatch):
    problem = Problem.make(*vectors(), each)
    draw = np.random.default_rng(seed)
    wrong = frozenset(draw.choice(WIDE.size, WIDE.size // 10, replace=False).tolist())
    expected = fill(Engine(problem, plane_for(problem), way=Way("loop", 20)), WIDE)
    honest = Way.build

    def build(way, problem, plane, *rest):
        if way.strategy != "compiled":
            return honest(way, problem, plane, *rest)
        made = WrongInPlaces(problem, plane, batch_size=20)
        made.wrong = wrong
        return made

    monkeypatch.setattr(Way, "build", build)
    monkeypatch.setattr(guard, "FREE_S", 1e9)
    engine = Engine(problem, plane_for(problem), way=Way("compiled", 20))
    engine._fast.random = np.random.Generator(np.random.Philox(key=seed))
    np.testing.assert_allclose(fill(engine, WIDE), expected, rtol=1e-6)
    assert "evaluated again by the plain loop" in engine.facts.doubts[0]
    assert 20 * guard.missable(90) < 1.01 and guard.missable(90) <= 0.0501


def test_trap_54_what_is_not_put_back_is_found_at_the_end(monkeypatch):
    net, data = images()

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return self.net(x)

    problem = Problem.make(Counting(), data, each)
    engine = Engine(problem, plane_for(problem), way=Way("loop", 20))
    fill(engine, GRID)
    engine.check_state()
    monkeypatch.setattr(kept.Kept, "put_back", lambda self: None)
    fill(engine, GRID)
    with pytest.raises(ProblemError, match="the buffer calls"):
        engine.check_state()


def test_trap_54_examples_that_change_are_found_at_the_end():
    problem = Problem.make(*vectors(), each)
    engine = Engine(problem, plane_for(problem), way=Way("loop", 20))
    fill(engine, GRID)
    problem.examples["train"].batches(None)[0][0].mul_(1.001)
    with pytest.raises(ProblemError, match="the examples of train"):
        engine.check_state()


def depends_on_the_batch(model, batch):
    return each(model, batch) * (1 + 2e-5 * len(batch[0]))


@pytest.mark.parametrize("batch_size", [1, 3, 19, 20, 256])
def test_trap_54_two_cuts_find_what_one_hides(batch_size):
    problem = Problem.make(*vectors(), depends_on_the_batch)
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3,-1:1:3"))
    with pytest.raises(ProblemError, match="depends on the others"):
        check_centre(plan, problem, Engine(problem, plane_for(problem), batch_size=batch_size))


def test_trap_54_the_proof_finds_parameters_that_the_graph_alone_calls_unused(monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.aside = nn.Linear(4, 3), nn.Linear(4, 3)
            self.cut = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.used(x) + self.cut.detach()

    problem = Problem.make(Net(), vectors()[1], each)
    assert find_unused(problem) == ("aside.weight", "aside.bias")
    monkeypatch.setattr(unused, "_without_path", lambda problem: list(problem.params))
    assert find_unused(problem) == ("aside.weight", "aside.bias")


def test_trap_54_residuals_bound_the_errors_of_products_that_are_wrong(monkeypatch):
    """Products with a symmetric part that is right, and another that is not."""
    problem = Problem.make(*vectors(), each)
    operator = Operator(problem, "train")
    want = torch.linalg.eigvalsh(dense(operator))
    twist = torch.triu(cases.philox(7, operator.size, operator.size).to(want.dtype), 1) * 1e-3 * want[-1].abs()
    honest = Operator.apply
    monkeypatch.setattr(Operator, "apply", lambda self, v: honest(self, v) + ((twist - twist.t()) @ v.to(twist)).to(v))
    found = Extremes(operator, ("min_eigenvalue", "max_eigenvalue")).evaluate(problem.params)
    for name, exact in {"min_eigenvalue": want[0], "max_eigenvalue": want[-1]}.items():
        assert 0 < abs(found[name] - exact) <= found[name + "_residual"]


def dense(operator):
    columns = [operator.apply(unit) for unit in torch.eye(operator.size, dtype=torch.float32)]
    matrix = torch.stack(columns).double()
    return (matrix + matrix.t()) / 2


PROGRAM = """
import importlib
import numpy as np, torch
from torch import nn
import layers
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
def data():
    g = np.random.default_rng({seed})
    return torch.tensor(g.normal(size=(20, 4)), dtype=torch.float32), torch.arange(20) % 3
def loss(m, b):
    return nn.functional.cross_entropy(layers.scale() * m(b[0]), b[1], reduction="none")
"""
LAYERS = "import importlib\ndef scale(): return importlib.import_module('late').SCALE\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(seed="0")
    yield tmp_path
    for name in ("layers", "late"):
        sys.modules.pop(name, None)


def write(seed="0", late="2.0"):
    for name in ("layers", "late"):
        sys.modules.pop(name, None)
    Path("problem.py").write_text(PROGRAM.format(seed=seed))
    Path("layers.py").write_text(LAYERS)
    Path("late.py").write_text(f"SCALE = {late}\n")


def plan_of(checkpoint=None, grid="-1:1:9,-1:1:7"):
    return Plan(resolve_problem("problem.py", model_args={}, checkpoint=checkpoint), PlaneSpec(), Grid.parse(grid))


def test_trap_54_data_of_another_seed_are_refused(folder):
    write(seed="np.random.randint(1000)")
    with pytest.raises(ProblemError, match="other ones when read a second time"):
        compute(plan_of(), Path("net.h5"))


def test_trap_54_a_module_that_loss_imports_late_is_part_of_the_problem(folder):
    surface = compute(plan_of(), Path("net.h5")).surface
    assert {"layers.py", "late.py"} <= set(surface.facts["modules_sha256"])
    compute(plan_of(), Path("net.h5"))
    write(late="3.0")
    with pytest.raises(LossvizError, match=r"other code: late\.py changed"):
        compute(plan_of(), Path("net.h5"))


def test_trap_54_a_module_that_changes_while_points_are_evaluated_is_a_doubt(folder):
    def change(update):
        Path("late.py").write_text("SCALE = 5.0\n")

    report = compute(plan_of(), Path("net.h5"), watch=Watch(progress=change))
    assert any("late.py changed while the surface was computed" in doubt.text for doubt in report.doubts)


def stopped_run(out, strategy="stacked"):
    """A run of which a first session has evaluated some points in a fast way."""
    left = iter(range(0))
    with pytest.raises(LossvizError, match="Stopped"):
        compute(plan_of(), out, Settings(strategy=strategy), Watch(stop=lambda: next(left, None) is None))


def falsify(out):
    surface = read_surface(out)
    done = surface.evaluated("train")
    assert 0 < done.sum() < done.size
    surface.sums["train_loss"][done] *= 1.0005  # less than what going on would be refused for
    write_surface(out, surface)
    shutil.rmtree(journal_folder(out), ignore_errors=True)


def test_trap_53_fast_points_of_an_earlier_session_are_compared_with_the_plain_loop(folder, monkeypatch):
    expected = compute(plan_of(), Path("plain.h5"), Settings(strategy="loop")).surface.values("train_loss")
    monkeypatch.setattr("lossviz.run.prepare.check_stored", lambda *_: None)  # its own way, which may be as wrong
    out = Path("net.h5")
    stopped_run(out)
    falsify(out)
    report = compute(plan_of(), out, Settings(strategy="stacked"))
    np.testing.assert_allclose(report.surface.values("train_loss"), expected, rtol=1e-6)
    assert any("evaluated again by the plain loop" in doubt.text for doubt in report.doubts)


def test_trap_53_a_doubt_of_an_earlier_session_is_kept(folder):
    out = Path("net.h5")
    stopped_run(out, "loop")
    surface = read_surface(out)
    surface.facts = surface.facts.evolve(engine=surface.facts.engine.evolve(doubts=("A fast way was wrong.",)))
    write_surface(out, surface)
    report = compute(plan_of(), out, Settings(strategy="loop"))
    assert "A fast way was wrong." in [doubt.text for doubt in report.doubts]
    assert "A fast way was wrong." in read_surface(out).facts["doubts"]


def test_trap_53_points_of_the_preparation_are_compared_before_workers_go_on(folder, monkeypatch):
    expected = compute(plan_of(), Path("plain.h5"), Settings(strategy="loop")).surface.values("train_loss")
    stand_beside_the_point(monkeypatch)
    monkeypatch.setattr("lossviz.run.prepare.check_centre", lambda plan, problem, engine: centre_of(plan, problem))
    out = Path("net.h5")
    surface = prepare_only(out, plan_of(), Settings(strategy="stacked"))
    assert surface.facts["engine"]["way"]["strategy"] == "loop" and surface.evaluated().any()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for number in (1, 2):
        work(out, (number, 2))
    merge(out)
    merged = read_surface(out)
    np.testing.assert_allclose(merged.values("train_loss"), expected, rtol=1e-6)
    assert any("evaluated again by the plain loop" in doubt for doubt in merged.facts["engine"]["doubts"])


def centre_of(plan, problem):
    return check_centre(plan, problem, Engine(problem, make_plane(plan.plane, 2, problem.params), way=Way("loop", 20)))


def test_trap_54_a_worker_looks_at_hidden_state_at_its_end(folder, monkeypatch):
    out, checked = Path("net.h5"), []
    prepare_only(out, plan_of(), Settings(strategy="loop"))
    honest = Engine.check_state
    monkeypatch.setattr(Engine, "check_state", lambda self: (checked.append(self), honest(self)))
    work(out, (1, 2))
    assert len(checked) == 1

    def drifting(self):
        raise ProblemError("Evaluating the loss changes the examples of train.")

    monkeypatch.setattr(Engine, "check_state", drifting)
    with pytest.raises(ProblemError, match="changes the examples"):
        work(out, (2, 2))
