"""Parameters that no loss depends on are found exactly, and stay in new planes unless they are asked for."""

import re
import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.checkpoint import checkpoint

import lossviz.run.load
from lossviz.cli.main import cli
from lossviz.errors import ProblemError
from lossviz.evaluate.unused import find_unused
from lossviz.problem.problem import Problem
from lossviz.problem.source.importing import execute_file
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.watch import Watch
from lossviz.run.compute import compute
from lossviz.run.settings import Settings
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.studies.project import project
from tests import cases

X = cases.philox(1, 50, 3).float()


class Body(nn.Module):
    """A network whose last layer is one of the kinds below, and another that stands beside it."""

    def __init__(self, way):
        super().__init__()
        self.first, self.last, self.spare = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.way = way

    def forward(self, x):
        return self.way(self, self.first(x))


class Silent(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        return x @ weight.T

    @staticmethod
    def backward(context, gradient):
        return gradient, None


def by_number(net, h):
    """The nearest row of the spare weight, as vector quantization looks it up."""
    return net.last(h) + torch.cdist(h, net.spare.weight).argmin(1, keepdim=True) + 0 * net.spare.bias.sum()


def sent(net, h):
    """One expert for nearly all, another for the last example alone."""
    out, chosen = net.last(h), h[:, 0] > h[:, 0].max() - 1e-6
    out[chosen] = net.spare(h[chosen])
    return out


def refusing(net, h):
    assert torch.isfinite(net.spare.weight).all() and torch.isfinite(net.spare.bias).all()
    return net.last(h)


def hidden(net, h):
    """Parameters that stand in no graph, as in the older kind of activation checkpointing."""
    return checkpoint(lambda y: net.spare(net.last(y)), h, use_reentrant=True)


SPARE = ("spare.weight", "spare.bias")
WAYS = {
    "not called": (lambda net, h: net.last(h), SPARE),
    "called in vain": (lambda net, h: (net.last(h), net.spare(h))[0], SPARE),
    "its bias alone": (lambda net, h: net.last(h) + net.spare.bias, ("spare.weight",)),
    "times nought": (lambda net, h: net.last(h) + 0 * net.spare(h), ()),
    "detached": (lambda net, h: net.last(h) + net.spare(h).detach(), ()),
    "without gradient": (lambda net, h: net.last(h) + torch.no_grad()(net.spare)(h), ()),
    "by number": (by_number, ()),
    "by numpy": (lambda net, h: net.last(h) + torch.from_numpy(net.spare(h).detach().numpy() * 2), ()),
    "a backward that is silent": (lambda net, h: Silent.apply(net.last(h), net.spare.weight), ("spare.bias",)),
    "one example of the last batch": (sent, ()),
    "checkpointed activations": (hidden, ()),
    "a look at the numbers": (refusing, ()),
    "no gradient at all": (lambda net, h: net.last(h).sign(), SPARE),
    "no graph at all": (lambda net, h: torch.from_numpy(net.last(h).detach().numpy()), SPARE),
    "another expert elsewhere": (lambda net, h: net.spare(h) if net.first.bias[0] != -0.75 else net.last(h), ()),
}


def problem_of(way, x=X, loss=lambda model, batch: model(batch[0]).sum(1), **words):
    net = cases.seeded(Body, way)
    with torch.no_grad():
        net.first.bias[0] = -0.75
    return Problem.make(net, (x,), loss, **words)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_what_no_loss_depends_on_is_found_and_nothing_else(name):
    way, expected = WAYS[name]
    problem = problem_of(way)
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    assert find_unused(problem) == expected
    assert not any(p.requires_grad for p in problem.model.parameters())
    assert all(torch.equal(t, before[n]) for n, t in problem.model.state_dict().items())


def test_each_quantity_and_each_split_counts():
    def penalized(model, batch):
        return {"loss": model(batch[0]).sum(1), "penalty": model.spare.weight.square().sum()}

    assert find_unused(problem_of(WAYS["not called"][0], loss=penalized)) == ("spare.bias",)
    net = cases.seeded(Body, lambda net, h: net.spare(h) if len(h) == 5 else net.last(h))
    data = {"train": (X,), "test": (X[:5],)}
    for splits, expected in ((["train"], SPARE), (["train", "test"], ())):
        problem = Problem.make(net, data, lambda m, b: m(b[0]).sum(1), splits=splits)
        assert find_unused(problem) == expected


def test_an_expert_that_nobody_asks_is_unused_and_one_that_a_single_example_asks_is_not():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.experts = nn.Linear(3, 3, bias=False), nn.ModuleList(nn.Linear(3, 1) for _ in range(3))

        def forward(self, x):
            scores = self.gate(x) + torch.tensor([0.0, 0.0, -torch.inf])
            chosen = scores.argmax(1)
            return sum(self.experts[i](x)[:, 0] * scores[:, i].sigmoid() * (chosen == i) for i in set(chosen.tolist()))

    net = cases.seeded(Experts)
    with torch.no_grad():
        net.gate.weight.zero_()
        net.gate.weight[1, 0] = 1e-9
    x = X.clone()
    x[:, 0] = -1
    x[-1, 0] = 1  # the last of fifty, for the second expert
    problem = Problem.make(net, (x,), lambda model, batch: model(batch[0]))
    assert find_unused(problem) == ("experts.2.weight", "experts.2.bias")


def test_adapters_whose_second_factor_is_still_zero_move():
    class Lora(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.Linear(3, 4).requires_grad_(False)
            self.a, self.b = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.zeros(4, 2))

        def forward(self, x):
            return self.base(x) + x @ self.a.T @ self.b.T

    net = cases.seeded(Lora)
    problem = Problem.make(net, (X,), lambda model, batch: model(batch[0]).sum(1))
    assert list(problem.params) == ["a", "b"] and find_unused(problem) == ()
    asked = Problem.make(net, (X,), lambda model, batch: model(batch[0]).sum(1), move=["base.weight"])
    assert list(asked.params) == ["a", "b", "base.weight"] and asked.frozen == ("base.bias",)
    with pytest.raises(ProblemError, match=r"--move 'bse.\*' matches no parameter. There are a, b, base.weight"):
        Problem.make(net, (X,), lambda model, batch: model(batch[0]).sum(1), move=["bse.*"])


def test_a_program_of_torchscript():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = torch.jit.script(cases.seeded(Scripted))
    problem = Problem.make(net, (X,), lambda model, batch: model(batch[0]).sum(1))
    assert find_unused(problem) == SPARE


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.spare = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.first(x).relu()


def test_a_loss_that_fails_is_not_known():
    assert find_unused(problem_of(lambda net, h: net.last(h), loss=lambda model, batch: 1 / 0)) is None


PROBLEM = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.spare, self.ice = nn.Linear(3, 2), nn.Linear(2, 5), nn.Linear(2, 2)
        self.ice.requires_grad_(False)
    def forward(self, x):
        return self.ice(self.body(x).tanh())

def model():
    return Net()
def data():
    return torch.arange(60.0).reshape(20, 3) / 20, torch.arange(20) % 2
def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    return tmp_path


def plan_for(**spec):
    return Plan(
        resolve_problem("problem.py", model_args={}, checkpoint=None), PlaneSpec(**spec), Grid.parse("-1:1:3,-1:1:2")
    )


def moved_in(out):
    stored = read_directions(directions_path(out)).directions
    return {name for name in stored[0] if any(np.any(direction[name]) for direction in stored)}


def values_of(report):
    return report.surface.values("train_loss")


def test_a_new_plane_holds_them_and_moves_what_it_is_asked_to(here):
    plain = compute(plan_for(), here / "plain.h5")
    assert moved_in(here / "plain.h5") == {"body.weight"}
    not_moved = plain.surface.facts["probes"]["not_moved"]
    assert not_moved["unused"] == ["spare.weight", "spare.bias"] and not_moved["frozen"] == ["ice.weight", "ice.bias"]
    asked = compute(plan_for(move=("spare.*", "ice.weight")), here / "asked.h5")
    assert moved_in(here / "asked.h5") == {"body.weight", "spare.weight", "ice.weight"}
    assert asked.surface.facts["probes"]["unused"] == ["spare.weight"]
    assert plan_for().digest() != plan_for(move=("ice.*",)).digest()
    assert Plan.from_json(plan_for(move=("ice.*",)).to_json()) == plan_for(move=("ice.*",))


def test_files_made_when_they_moved_go_on_as_they_are(here, monkeypatch):
    """What earlier versions did is made by finding nothing unused; one run is stopped halfway."""
    with monkeypatch.context() as earlier:
        earlier.setattr(lossviz.run.load, "find_unused", lambda problem: ())
        whole = compute(plan_for(), here / "whole.h5")
        saved = []
        with pytest.raises(Exception, match="Stopped at"):
            compute(
                plan_for(),
                here / "net.h5",
                settings=Settings(strategy="loop"),
                watch=Watch(progress=saved.append, stop=lambda: bool(saved)),
            )
    assert moved_in(here / "net.h5") == {"body.weight", "spare.weight"}
    report = compute(plan_for(), here / "net.h5")
    assert report.evaluated < 6 and moved_in(here / "net.h5") == {"body.weight", "spare.weight"}
    assert report.surface.plan.digest() == whole.surface.plan.digest()
    np.testing.assert_array_equal(values_of(report), values_of(whole))
    # and they cannot change a value: a new plane has the same ones, filter by filter
    new = compute(plan_for(), here / "new.h5")
    np.testing.assert_allclose(values_of(new), values_of(whole), rtol=1e-6)


def test_their_motion_is_no_part_of_a_path(here):
    out = here / "net.h5"
    compute(plan_for(), out)
    model = execute_file(here / "problem.py").model()
    (here / "run").mkdir()
    for step in range(4):
        with torch.no_grad():
            model.body.weight += 0.1
            model.spare.weight += 100.0
        torch.save(model.state_dict(), here / "run" / f"step-{step:03}.pt")
    path = project(out, {"run": here / "run"}, force=True)["run"]
    assert path.distance.max() < 2


def test_the_command_line_says_and_takes_it(here):
    words = ["compute", "problem.py", "--grid", "-1:1:3,-1:1:2", "--progress", "none"]
    rules = CliRunner().invoke(cli, [*words, "--rules"]).output
    assert re.search(r"spare.weight +5 × 2 +unused", rules) and re.search(r"ice.weight +frozen", rules), rules
    done = CliRunner().invoke(cli, [*words, "--out", "a.h5"])
    assert done.exit_code == 0 and "2 that no loss depends on, 2 frozen parameters" in done.output, done.output
    assert CliRunner().invoke(cli, [*words, "--out", "b.h5", "--move", "ice.*", "--plane", "gradient"]).exit_code == 0
    assert moved_in(here / "b.h5") == {"body.weight", "body.bias", "ice.weight", "ice.bias"}
    wrong = CliRunner().invoke(cli, [*words, "--out", "c.h5", "--params", "spare.*"])
    assert wrong.exit_code == 2 and "moves with --move" in wrong.output.replace("\n", " ")
    named = CliRunner().invoke(cli, [*words[:2], "--plane", "axes spare.bias[0]", "--grid", "-1:1:3", "--out", "d.h5",
                                     "--progress", "none"])  # fmt: skip
    assert named.exit_code == 0 and moved_in(here / "d.h5") == {"spare.bias"}, named.output


@pytest.mark.parametrize(("mode", "unused"), [("fixed", ["spare.weight", "spare.bias"]), ("batch", [])])
def test_they_are_sought_with_batchnorm_in_the_mode_of_the_plan(tmp_path, mode, unused):
    (tmp_path / "problem.py").write_text("""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.spare = nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)

    def forward(self, x):
        h = self.norm(self.first(x))
        return self.spare(h) if self.norm.training else h

def model():
    return Net()

def data():
    return torch.rand(8, 3, generator=torch.Generator().manual_seed(0))

def loss(model, batch):
    return model(batch).square().sum(1)
""")
    examples = None if mode == "fixed" else 4
    plan = Plan(resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None), PlaneSpec(),
                Grid.parse("-1:1:3"), batchnorm=mode,
                batchnorm_examples=examples)  # fmt: skip
    problem = lossviz.run.load.load_plan_problem(plan, "cpu", for_new_plane=True)
    assert list(problem.unused) == unused
