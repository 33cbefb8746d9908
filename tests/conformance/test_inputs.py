"""Traps of inputs: losses, batches, parameters and files as people have them, run as a user runs them."""

import copy
import re
from collections import UserDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader

from lossviz.directions.make import make_plane
from lossviz.evaluate.checks import check_centre
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.way import Way
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.remark import texts
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface
from tests.cli.test_compute import run
from tests.cli.test_faulty_losses import COMMANDS, RIGHT, Truth, ran

ENABLED = """
def loss(model, batch):
    with torch.enable_grad():
        params = dict(model.named_parameters())
        inner = (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()
        steps = torch.autograd.grad(inner, list(params.values()), create_graph=True)
        params = {name: p - 0.1 * step for (name, p), step in zip(params.items(), steps)}
        return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square()
"""
COPIES = """
def loss(model, batch):
    with torch.enable_grad():
        params = {name: p * 1.0 for name, p in model.named_parameters()}
        for _ in range(2):
            inner = (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()
            steps = torch.autograd.grad(inner, list(params.values()), create_graph=True)
            params = {name: p - 0.1 * step for (name, p), step in zip(params.items(), steps)}
        return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square()
"""
FUNCTIONAL = """
def loss(model, batch):
    def inner(params):
        return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()

    params = dict(model.named_parameters())
    steps = torch.func.grad(inner)(params)
    params = {name: params[name] - 0.1 * steps[name] for name in params}
    return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square()
"""
PENALIZED = """
def loss(model, batch):
    each = (model(batch[0]).squeeze(1) - batch[1]).square()
    with torch.enable_grad():
        again = (model(batch[0]).squeeze(1) - batch[1]).square().mean()
        steps = torch.autograd.grad(again, list(model.parameters()), create_graph=True)
    return each + 0.1 * sum(step.square().sum() for step in steps)
"""
BY_PARAMETERS = {"enabled": ENABLED, "copies": COPIES, "functional": FUNCTIONAL, "penalized": PENALIZED}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", BY_PARAMETERS)
@pytest.mark.parametrize("name", COMMANDS)
def test_trap_60_a_loss_that_differentiates_by_the_parameters_is_that_with_gradients_on(
    folder, name, kind, monkeypatch
):
    truth = Truth(BY_PARAMETERS[kind])
    done = ran(name, monkeypatch)
    assert done.exit_code == 0, done.output
    RIGHT[name](truth, done)


NOISY = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))

def data():
    return torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
"""
NOISES = {
    "noise": "def loss(model, x): return model(x + 0.1 * torch.randn_like(x)).squeeze(1).square()",
    "dropout": "def loss(model, x): return nn.functional.dropout(model(x)).squeeze(1).square()",
    "a seed in the loss": (
        "def loss(model, x):\n    torch.manual_seed(0)\n    return model(x + torch.randn_like(x)).squeeze(1).square()"
    ),
}


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("words", [["compute", "--grid", "-1:1:3"], ["sharpness"], ["curvature", "--top", 1]])
def test_trap_61_every_command_refuses_a_loss_that_draws_random_numbers(folder, words, kind):
    (folder / "problem.py").write_text(f"{NOISY}\n{NOISES[kind]}\n")
    command, *rest = words
    done = run(command, "problem.py", *rest, *([] if command == "sharpness" else ["--out", "new.h5"]))
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "differs from one evaluation to the next" in said and "random numbers are drawn" in said
    assert not (folder / "new.h5").exists()


class Graphs:
    """A batch of graphs as an object of its own class, as libraries of graph networks have it."""

    def __init__(self, x, index, y):
        self.x, self.index, self.y = x, index, y

    def to(self, device):
        return Graphs(self.x.to(device), self.index.to(device), self.y.to(device))


class Numbered(Graphs):
    """One that says how many graphs it holds, keeps its tensors apart, and maps a function over them itself."""

    def __init__(self, x, index, y):
        self.store = {"x": x, "index": index, "y": y}

    def __getattr__(self, name):
        if name.startswith("__") or name == "store":
            raise AttributeError(name)
        return self.store[name]

    @property
    def num_graphs(self):
        return len(self.store["y"])

    def __copy__(self):
        return Numbered(**self.store)

    def apply(self, function):
        self.store = {name: function(tensor) for name, tensor in self.store.items()}
        return self

    def to(self, device):
        return copy.copy(self).apply(lambda tensor: tensor.to(device))


@dataclass(frozen=True)
class Record:
    x: torch.Tensor
    index: torch.Tensor
    y: torch.Tensor


class Words(UserDict):
    """A mapping that is no dict."""


Named = namedtuple("Named", "x index y")
HOLDERS = {
    "tuple": lambda x, index, y: (x, index, y),
    "named tuple": Named,
    "data class": Record,
    "dict": lambda x, index, y: {"graph": {"x": x, "index": index}, "y": y, "names": ["a"] * len(y), "none": None},
    "mapping": lambda x, index, y: Words(x=x, index=index, y=y),
    "object": Graphs,
    "object that counts": Numbered,
    "plain object": lambda x, index, y: SimpleNamespace(x=x, index=index, y=y),
}
GRAPHS = [
    (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)), int(n > 20)) for n in [3, 30, 5, 25, 8, 40, 4] * 5
]


class GraphNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x, index, n):
        return self.b(torch.zeros(n, 4, dtype=x.dtype).index_add(0, index, self.a(x).relu()))


def collated(items):
    xs, ys = zip(*items, strict=True)
    return torch.cat(xs), torch.cat([torch.full((len(x),), i) for i, x in enumerate(xs)]), torch.tensor(ys)


def parts_of(batch):
    if isinstance(batch, tuple) and not hasattr(batch, "_fields"):
        return batch
    if isinstance(batch, Mapping):
        graph = batch.get("graph", batch)
        return graph["x"], graph["index"], batch["y"]
    return batch.x, batch.index, batch.y


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("kind", HOLDERS)
def test_trap_62_examples_are_the_items_of_the_loader_whatever_holds_them(kind, reduction):
    def loss(model, batch):
        x, index, y = parts_of(batch)
        return nn.functional.cross_entropy(model(x, index, len(y)), y, reduction=reduction)

    net = GraphNet()
    loader = DataLoader(GRAPHS, batch_size=10, collate_fn=lambda items: HOLDERS[kind](*collated(items)))
    problem = Problem.make(net, loader, loss)
    assert problem.examples["train"].count == len(GRAPHS) == 35
    assert not texts(problem.remarks, "doubt")
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3,-1:1:3"))
    engine = Engine(problem, plane, way=Way("loop", 256))
    check_centre(plan, problem, engine)
    done = {point.index: point.mean("loss") for chunk in engine.evaluate(plan.grid, {"train": np.arange(9)})
            for point in chunk}  # fmt: skip
    for index, place in enumerate(plan.grid.coordinates(np.arange(9))):
        state = functional_state(net, plane.point(place))
        with torch.no_grad():
            parts = [collated(GRAPHS[start : start + 10]) for start in range(0, 35, 10)]
            values = [
                len(y) * nn.functional.cross_entropy(functional_call(net, state, (x, i, len(y))), y)
                for x, i, y in parts
            ]
        assert done[index] == pytest.approx(sum(values).item() / 35, rel=1e-5)


def functional_state(net, point):
    return {**dict(net.named_parameters()), **point}


def test_trap_62_objects_in_a_list_say_how_many_examples_they_are():
    batches = [Numbered(*collated(GRAPHS[:30])), Numbered(*collated(GRAPHS[30:]))]

    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch.x, batch.index, batch.num_graphs), batch.y)

    problem = Problem.make(GraphNet(), batches, loss)
    assert problem.examples["train"].count == 35
    before = problem.examples["train"].sha256()
    batches[0].store["x"][0, 0] += 1
    again = Problem.make(GraphNet(), batches, loss)
    assert again.examples["train"].sha256() != before  # what the object holds is compared


def test_trap_62_batches_that_would_be_weighed_otherwise_by_another_tensor_are_doubted():
    batches = [collated(GRAPHS[:10]), collated(GRAPHS[10:21])]

    def loss(model, batch):
        x, index, y = batch
        return nn.functional.cross_entropy(model(x, index, len(y)), y)

    (warning,) = texts(Problem.make(GraphNet(), batches, loss).remarks, "doubt")
    assert "weighted by the rows of their first tensor" in warning and "put it first" in warning


POINTS = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

def points():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(40, 2, generator=generator), torch.rand(12, 2, generator=generator)

def losses(model, inner, edge):
    x = inner.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    return (slope.sum(1) - model(x)[:, 0]).square().mean() + model(edge).square().mean()
"""
NO_ROWS = {
    "several sizes": "def data(): return points()\ndef loss(model, batch): return losses(model, *batch)",
    "no data": "def data(): return None\ndef loss(model, batch): return losses(model, *points())",
    "data that are not there": "def data(): pass\ndef loss(model, batch): return {'loss': losses(model, *points())}",
}


@pytest.mark.parametrize("kind", NO_ROWS)
def test_trap_63_a_loss_of_all_data_together_needs_no_row_per_example(folder, kind):
    (folder / "problem.py").write_text(f"{POINTS}\n{NO_ROWS[kind]}\n")
    names = {}
    exec(POINTS, names)
    expected = names["losses"](names["model"](), *names["points"]()).item()
    done = run("compute", "problem.py", "--grid", "-1:1:3", "--out", "new.h5")
    assert done.exit_code == 0, done.output
    surface = read_surface(folder / "new.h5")
    assert surface.values("train_loss")[1] == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(surface.values("train_loss")).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("def data(): pass\ndef loss(model, x): return model(x).square()", "does it have a return statement?"),
        (
            "def data(): return points()\ndef loss(model, b): return model(b[0]).square()[:, 0]",
            r"differ in .* [12, 40]",
        ),
    ],
)
def test_trap_63_what_is_no_loss_of_all_data_together_is_said(folder, words, said):
    (folder / "problem.py").write_text(f"{POINTS}\n{words}\n")
    done = run("compute", "problem.py", "--grid", "-1:1:3", "--out", "new.h5")
    assert done.exit_code == 2
    assert re.search(said.replace("[12, 40]", r"\[12, 40\]").replace("?", r"\?"), " ".join(done.output.split()))


ROUTED = """
import torch
from torch import nn

class Routed(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 1, bias=False)
        self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))

    def forward(self, x):
        chosen = (self.gate(x)[:, 0] < 0).long()
        out = torch.zeros(len(x), 3, dtype=x.dtype)
        for number, expert in enumerate(self.experts):
            mine = chosen == number
            if mine.any():
                out[mine] = expert(x[mine])
        return out

def model():
    torch.manual_seed(0)
    net = Routed()
    with torch.no_grad():
        net.gate.weight.copy_(torch.tensor([[4.0, 0.1, 0.1, 0.1]]))
    return net

def data():
    generator = torch.Generator().manual_seed(1)
    x = 0.1 + torch.randn(40, 4, generator=generator).abs()
    return x, torch.arange(40) % 3

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


@pytest.mark.parametrize("plane", ["random", "gradient,random", "line net.pt other.pt"])
def test_trap_65_an_expert_that_is_asked_in_the_window_alone_moves(folder, plane):
    (folder / "problem.py").write_text(ROUTED)
    names = {}
    exec(ROUTED, names)
    state = names["model"]().state_dict()
    torch.save(state, "net.pt")
    noise = {
        name: torch.randn(tensor.shape, generator=torch.Generator().manual_seed(5)) for name, tensor in state.items()
    }
    torch.save({name: tensor + 9 * noise[name] for name, tensor in state.items()}, "other.pt")
    grid = {"random": "-1:1:5,-1:1:5", "gradient,random": "-2:2:5,-6:6:5"}.get(plane, "-0.5:1.5:5")
    words = ["--checkpoint", "net.pt", "--plane", plane, "--grid", grid, "--store-directions", "always"]
    done = run("compute", "problem.py", *words, "--out", "new.h5", "--progress", "none")
    assert done.exit_code == 0, done.output
    directions = read_directions(directions_path(folder / "new.h5")).directions
    assert any(np.asarray(direction["experts.1.weight"]).any() for direction in directions)
    surface = read_surface(folder / "new.h5")
    places = surface.plan.grid.coordinates(np.arange(surface.plan.grid.size))
    for index, place in enumerate(places):
        net = names["model"]()
        steps = [{n: torch.as_tensor(np.asarray(t)) for n, t in direction.items()} for direction in directions]
        moved = {n: t + sum(float(c) * step[n] for c, step in zip(place, steps, strict=True)) for n, t in state.items()}
        net.load_state_dict(moved)
        with torch.no_grad():
            expected = names["loss"](net, names["data"]()).mean().item()
        assert surface.values("train_loss").ravel()[index] == pytest.approx(expected, rel=1e-5)


def test_trap_65_an_expert_that_is_asked_nowhere_in_the_window_stays(folder):
    (folder / "problem.py").write_text(ROUTED)
    words = ["--grid", "-0.01:0.01:3", "--store-directions", "always", "--progress", "none"]
    done = run("compute", "problem.py", *words, "--out", "new.h5")
    assert "2 that no loss depends on" in done.output
    (direction,) = read_directions(directions_path(folder / "new.h5")).directions
    assert not np.asarray(direction["experts.1.weight"]).any()


PLAIN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
        MORE

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))

def model():
    torch.manual_seed(0)
    return Net()

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(50, 6, generator=generator), torch.arange(50) % 3

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
NARROW = {
    "of the output": ("model(batch[0])", "model(batch[0]).bfloat16()", "bfloat16"),
    "there and back": ("model(batch[0])", "model(batch[0]).bfloat16().float()", "bfloat16"),
    "of the values": ('reduction="none")', 'reduction="none").half()', "float16"),
    "by autocast": ("    return nn", "    with torch.autocast('cpu', torch.bfloat16): return nn", "bfloat16"),
}


def said(done):
    return " ".join(done.output.split())


@pytest.mark.parametrize("kind", NARROW)
def test_trap_66_a_loss_that_casts_to_a_narrow_type_is_doubted(folder, kind):
    old, new, dtype = NARROW[kind]
    (folder / "problem.py").write_text(PLAIN.replace("MORE", "").replace(old, new))
    done = run("check", "problem.py", "--grid", "-1:1:3")
    assert re.search(
        rf"doubt +precision +float32, but loss\(\) computes in {dtype} \(a cast, or autocast\)", said(done)
    )


def test_trap_66_a_loss_in_float32_is_not_doubted_nor_is_a_precision_that_was_asked_for(folder):
    (folder / "problem.py").write_text(PLAIN.replace("MORE", ""))
    for words in ([], ["--precision", "bfloat16"]):
        assert "computes in" not in said(run("check", "problem.py", "--grid", "-1:1:3", *words))


ODD = {
    "sparse": "self.p = nn.Parameter(torch.eye(3).to_sparse())",
    "compressed": "self.p = nn.Parameter(torch.eye(3).to_sparse_csr())",
    "nested": "self.p = nn.Parameter(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))",
    "jagged": "self.p = nn.Parameter(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged))",
    "buffer": "self.register_buffer('p', torch.eye(3).to_sparse())",
}


@pytest.mark.filterwarnings("ignore:.*in (prototype|beta) st:UserWarning")  # torch's own, of such tensors
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("command", [["compute", "--grid", "-1:1:3", "--out", "new.h5"], ["check"], ["sharpness"]])
def test_trap_67_sparse_and_nested_parameters_are_refused_in_a_sentence(folder, command, kind):
    (folder / "problem.py").write_text(PLAIN.replace("MORE", ODD[kind]))
    done = run(command[0], "problem.py", *command[1:])
    assert done.exit_code in (1, 2)
    assert "The model holds p as a sparse or nested tensor" in said(done) and "to_dense()" in said(done)


@pytest.mark.filterwarnings("ignore:.*in (prototype|beta) st:UserWarning")
@pytest.mark.parametrize("kind", ["sparse", "compressed", "invalid", "nested", "jagged"])
def test_trap_67_sparse_and_nested_tensors_of_a_checkpoint_are_named(folder, kind):
    (folder / "problem.py").write_text(PLAIN.replace("MORE", ""))
    state = {
        "a.weight": torch.randn(8, 6),
        "a.bias": torch.zeros(8),
        "b.weight": torch.ones(3, 8),
        "b.bias": torch.zeros(3),
    }
    pieces = [torch.ones(2), torch.ones(3)]
    state["a.weight"] = {
        "sparse": lambda: state["a.weight"].to_sparse(),
        "compressed": lambda: state["a.weight"].to_sparse_csr(),
        "invalid": lambda: torch.sparse_coo_tensor([[9999], [1]], torch.ones(1), (8, 6), check_invariants=False),
        "nested": lambda: torch.nested.nested_tensor(pieces),
        "jagged": lambda: torch.nested.nested_tensor(pieces, layout=torch.jagged),
    }[kind]()
    torch.save(state, "net.pt")
    for command in (["compute", "--grid", "-1:1:3", "--out", "new.h5"], ["sharpness"]):
        done = run(command[0], "problem.py", "--checkpoint", "net.pt", *command[1:])
        assert done.exit_code == 2
        assert re.search(
            r"a\.weight (sparse\w* in the file, float32 in the model|\(2, \w+\) in the file)|\(a\.weight\)", said(done)
        )
    assert run("inspect", "net.pt", "--model", "problem.py:model").exit_code == 2


def test_trap_68_a_trained_padding_row_is_said_to_stay(folder):
    more = "self.e = nn.Embedding(5, 6, padding_idx=1); nn.init.ones_(self.e.weight)"
    text = PLAIN.replace("MORE", more).replace(
        "self.a(x)", "self.a(x + self.e(torch.zeros(len(x), dtype=torch.long) + 1))"
    )
    (folder / "problem.py").write_text(text)
    words = ["compute", "problem.py", "--grid", "-1:1:3", "--store-directions", "always", "--progress", "none"]
    done = run(*words, "--out", "new.h5")
    assert "Row 1 of e.weight is its padding row" in said(done) and "--rule 'e.weight=axis 0' moves it" in said(done)
    (direction,) = read_directions(directions_path(folder / "new.h5")).directions
    assert not np.asarray(direction["e.weight"])[1].any()
    run(*words, "--rule", "e.weight=axis 0", "--out", "moved.h5")
    (direction,) = read_directions(directions_path(folder / "moved.h5")).directions
    assert np.asarray(direction["e.weight"])[1].any()
    (folder / "problem.py").write_text(text.replace("nn.init.ones_(self.e.weight)", ""))
    assert "padding row" not in said(run("check", "problem.py", "--grid", "-1:1:3"))
