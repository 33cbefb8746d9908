"""Losses that raise, write in place, count nothing or differentiate, through every command."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface
from lossviz.trajectory.snapshot_file import snapshots_in
from tests.cli.test_compute import run

HEAD = """
import os

import torch
from torch import nn
from torch.func import functional_call, hessian, vmap


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x):
        return self.o(torch.tanh(self.a(x)) + self.b(x))


def model():
    torch.manual_seed(3)
    return Net()


def data():
    generator = torch.Generator().manual_seed(1)
    counts = torch.tensor([[2.0], [0.0], [1.0]]).expand(3, 4)
    return [(torch.rand(4, 2, generator=generator), torch.rand(4, generator=generator), c) for c in counts]
"""
RAISES = """
def loss(model, batch):
    if os.environ.get("LOSS_IS_WELL"):
        return (model(batch[0]).squeeze(1) - batch[1]).square()
    raise ValueError("no such thing")  # here
"""
IN_PLACE = """
class Added(Net):
    def forward(self, x):
        h = torch.relu(self.a(x))
        h += self.b(x)
        return self.o(h)


def model():
    torch.manual_seed(3)
    return Added()


def loss(model, batch):
    return (model(batch[0]).squeeze(1) - batch[1]).square()
"""
# the second of three batches counts nothing: its mean is 0/0
NOTHING_COUNTED = """
def loss(model, batch):
    x, y, counts = batch
    return {"loss": (counts * (model(x).squeeze(1) - y).square()).sum() / counts.sum(), "weight": counts}
"""
BY_INPUTS = """
def loss(model, batch):
    x, t = batch[0][:, :1].clone().requires_grad_(True), batch[0][:, 1:].clone().requires_grad_(True)
    u = model(torch.cat([x, t], 1))
    by_x, by_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
    (by_xx,) = torch.autograd.grad(by_x.sum(), x, create_graph=True)
    return (by_t - by_xx).square().flatten() + (u.flatten() - batch[1]).square()
"""
BY_PARAMETERS = """
def loss(model, batch):
    params = dict(model.named_parameters())
    inner = (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()
    steps = torch.autograd.grad(inner, list(params.values()), create_graph=True)
    params = {name: p - 0.1 * step for (name, p), step in zip(params.items(), steps)}
    return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()
"""
HESSIAN_INSIDE = """
class Curved(Net):
    def forward(self, x):
        curved = vmap(hessian(lambda point: super(Curved, self).forward(point).squeeze(-1)))(x)
        return super().forward(x) + curved.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)


def model():
    torch.manual_seed(3)
    return Curved()


def loss(model, batch):
    return (model(batch[0]).squeeze(1) - batch[1]).square()
"""
WORKING = {
    "nothing counted": NOTHING_COUNTED,
    "by inputs": BY_INPUTS,
    "by parameters": BY_PARAMETERS,
    "hessian inside": HESSIAN_INSIDE,
}
GRID = ["--grid", "0:1:2", "--progress", "none"]
COMPUTE = ["compute", "problem.py", "--checkpoint", "net.pt", "--out", "net.h5", *GRID]
LINE = ["--plane", "line net.pt net2.pt"]
ALL_MOVE = ["--vectors", "keep", "--normalize", "none"]
COMMANDS = {
    "compute": [*COMPUTE, *LINE],
    "check": ["check", "problem.py", "--checkpoint", "net.pt", "--grid", "0:1:2", *LINE],
    "trace": ["trace", "problem.py", "--checkpoint", "net.pt", "--steps", 1, "--out", "path", "--progress", "none"],
    "curvature": ["curvature", "problem.py", "--checkpoint", "net.pt", "--top", 1, "--probes", 1, "--steps", 3,
                  "--json"],
    "sharpness": ["sharpness", "problem.py", "--checkpoint", "net.pt", "--steps", 1, "--restarts", 1, "--directions", 2,
                  "--json"],
    "gradient": [*COMPUTE, "--plane", "gradient", *ALL_MOVE],
    "hessian": [*COMPUTE, "--plane", "hessian", *ALL_MOVE],
    "gradient_norm": [*COMPUTE, *LINE, "--quantity", "loss,gradient_norm"],
    "min_eigenvalue": [*COMPUTE, *LINE, "--quantity", "loss,min_eigenvalue"],
    "project": ["project", "net.h5", "--snapshots", "net[12].pt", "--name", "nets", "--progress", "none"],
    "bench": ["bench", "problem.py", "--checkpoint", "net.pt", "--rounds", 1, "--no-compiled", "--json"],
}  # fmt: skip
DIFFERENTIATE = {"trace", "curvature", "sharpness", "gradient", "hessian", "gradient_norm", "min_eigenvalue"}
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, of nested vmap


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Truth:
    """The problem's file, imported, and what plain autograd in float64 says about its loss at a checkpoint."""

    def __init__(self, loss):
        Path("problem.py").write_text(HEAD + loss)
        spec = importlib.util.spec_from_file_location("problem_beside", "problem.py")
        self.problem = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.problem)
        state = self.problem.model().state_dict()
        for file in ("net.pt", "net1.pt"):
            torch.save(state, file)
        torch.save({name: tensor * 1.1 for name, tensor in state.items()}, "net2.pt")

    def taken(self, file="net.pt"):
        """The weighted mean over batches with gradients on, and the parameters it hangs on."""
        model = self.problem.model().double()
        model.load_state_dict(torch.load(file))
        total = weight = 0.0
        for batch in self.problem.data():
            value = self.problem.loss(model, tuple(tensor.double() for tensor in batch))
            size = float(len(batch[0]))
            if isinstance(value, dict):
                value, size = value["loss"], value["weight"].sum().item()
            if size:
                total, weight = total + size * value.mean(), weight + size
        return total / weight, list(model.parameters())

    def loss(self, file="net.pt"):
        return self.taken(file)[0].item()

    def gradient(self, file="net.pt", create_graph=False):
        value, params = self.taken(file)
        parts = torch.autograd.grad(value, params, create_graph=create_graph, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts]), params

    def hessian(self, file="net.pt"):
        gradient, params = self.gradient(file, create_graph=True)
        rows = []
        for entry in gradient:
            parts = [torch.zeros_like(p) for p in params]
            if entry.requires_grad:  # a last bias may enter no derivative by inputs
                parts = torch.autograd.grad(entry, params, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([part.flatten() for part in parts]))
        return torch.stack(rows)


def near(value):
    return pytest.approx(value, rel=1e-3, abs=1e-6)


def flat(params):
    return torch.cat([torch.as_tensor(params[name]).double().flatten() for name in torch.load("net.pt")])


def first_direction():
    return flat(read_directions(directions_path(Path("net.h5"))).directions[0])


def surface_is_right(truth, done):
    surface = read_surface(Path("net.h5")).values("train_loss")
    assert surface.tolist()[0] == near(truth.loss())
    assert np.isfinite(surface).all()
    return surface


def line_is_right(truth, done):
    assert surface_is_right(truth, done)[1] == near(truth.loss("net2.pt"))


def check_is_right(truth, done):
    said = re.search(r"centre +train_loss +([\d.e+-]+)", done.output)
    assert float(said[1].rstrip(",")) == near(truth.loss())


def trace_is_right(truth, done):
    first, second = (flat(torch.load(file.path)["state_dict"]) for file in snapshots_in(Path("path")))
    torch.testing.assert_close(second - first, -0.1 * truth.gradient()[0], rtol=1e-3, atol=1e-6)


def curvature_is_right(truth, done):
    found, values = json.loads(done.stdout), torch.linalg.eigvalsh(truth.hessian())
    assert found["eigenvalues"] == near([values[-1].item(), values[0].item()])
    assert np.isfinite(found["trace"])


def sharpness_is_right(truth, done):
    found = json.loads(done.stdout)["checkpoints"]["net.pt"]
    assert found["loss"] == near(truth.loss())
    assert found["worst_rise"] > 0 and np.isfinite(found["rises"]).all()


def gradient_is_right(truth, done):
    surface_is_right(truth, done)
    assert abs(torch.cosine_similarity(first_direction(), truth.gradient()[0], dim=0)) == near(1.0)


def hessian_is_right(truth, done):
    surface_is_right(truth, done)
    vectors = torch.linalg.eigh(truth.hessian())[1]
    assert abs(torch.cosine_similarity(first_direction(), vectors[:, -1], dim=0)) == near(1.0)


def gradient_norm_is_right(truth, done):
    line_is_right(truth, done)
    expected = [truth.gradient(file)[0].norm().item() for file in ("net.pt", "net2.pt")]
    assert read_surface(Path("net.h5")).values("train_gradient_norm").tolist() == near(expected)


def min_eigenvalue_is_right(truth, done):
    line_is_right(truth, done)
    expected = [torch.linalg.eigvalsh(truth.hessian(file))[0].item() for file in ("net.pt", "net2.pt")]
    assert read_surface(Path("net.h5")).values("train_min_eigenvalue").tolist() == near(expected)


def path_is_right(truth, done):
    path = read_surface(Path("net.h5")).trajectories["nets"]
    assert path.own["train_loss"].tolist() == near([truth.loss(), truth.loss("net2.pt")])


def bench_is_right(truth, done):
    reference, *ways = json.loads(done.stdout)
    assert reference["seconds"] > 0 and ways[0]["seconds"] > 0
    assert all(way["difference"] < 1e-4 for way in ways if way["seconds"])


RIGHT = {
    "compute": line_is_right, "check": check_is_right, "trace": trace_is_right, "curvature": curvature_is_right,
    "sharpness": sharpness_is_right, "gradient": gradient_is_right, "hessian": hessian_is_right,
    "gradient_norm": gradient_norm_is_right, "min_eigenvalue": min_eigenvalue_is_right, "project": path_is_right,
    "bench": bench_is_right,
}  # fmt: skip


def ran(name, monkeypatch):
    """A command's outcome; 'project' on a surface computed before while the loss was well."""
    if name == "project":
        with monkeypatch.context() as while_well:
            while_well.setenv("LOSS_IS_WELL", "1")
            assert run(*COMMANDS["compute"]).exit_code == 0
    return run(*COMMANDS[name])  # which lets an exception pass, so that a traceback fails the test


@pytest.mark.parametrize("name", COMMANDS)
def test_a_loss_that_raises_is_named_by_file_and_line(folder, name, monkeypatch):
    Truth(RAISES)
    line = 1 + (HEAD + RAISES).splitlines().index('    raise ValueError("no such thing")  # here')
    done = ran(name, monkeypatch)
    assert done.exit_code == (1 if name == "check" else 2)
    said = " ".join(done.output.split())
    assert f"{folder / 'problem.py'}, line {line}: " in said and "ValueError: no such thing" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_operations_in_place_stop_only_what_differentiates(folder, name, monkeypatch):
    truth = Truth(IN_PLACE)
    done = ran(name, monkeypatch)
    if name in DIFFERENTIATE:
        assert done.exit_code == 2
        assert "changes in place a tensor that its derivative needs. Write h = h + y" in " ".join(done.output.split())
    else:
        assert done.exit_code == 0, done.output
        RIGHT[name](truth, done)


@pytest.mark.parametrize("kind", WORKING)
@pytest.mark.parametrize("name", COMMANDS)
def test_values_are_those_of_the_loss_with_gradients_on(folder, name, kind, monkeypatch):
    truth = Truth(WORKING[kind])
    done = ran(name, monkeypatch)
    assert done.exit_code == 0, done.output
    RIGHT[name](truth, done)
