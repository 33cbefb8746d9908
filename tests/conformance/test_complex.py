"""Complex parameters move with the rest: as pairs of real numbers, norms by modulus, in every command."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lossviz import TrajectoryRecorder
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface
from tests.cli.test_compute import run

PROBLEM = """
import torch
from torch import nn

class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 4, dtype=torch.cfloat) / 3)
        self.shift = nn.Parameter(torch.randn(3, 1, dtype=torch.cfloat) / 3)
        self.turn = nn.Parameter(torch.randn(3, dtype=torch.cfloat))
        self.register_buffer("phase", torch.exp(1j * torch.arange(3.0)))

    def forward(self, x):
        made = torch.einsum("bim,iom->bom", torch.fft.rfft(x)[..., :4], self.weight) + self.shift
        return torch.fft.irfft(made * (self.turn * self.phase)[:, None], 8)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.spectral, self.out = Spectral(), nn.Conv1d(3, 1, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.spectral(x)))[:, 0]

def model():
    torch.manual_seed(3)
    return Net()

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(20, 2, 8, generator=generator), torch.randn(20, 8, generator=generator)

def loss(model, batch):
    return (model(batch[0]) - batch[1]).square().mean(1)
"""
QUIET = ["--progress", "none"]
GRID = ["--grid", "-1:1:3,-0.5:0.5:3"]


def pairs(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


class Truth:
    """The problem by plain torch in float64: the user's model and complex autograd, nothing of lossviz."""

    def __init__(self, folder):
        Path("problem.py").write_text(PROBLEM)
        spec = importlib.util.spec_from_file_location("problem_of_complex", folder / "problem.py")
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.state = {name: tensor.clone() for name, tensor in self.module.model().state_dict().items()}
        torch.save(self.state, "net.pt")
        torch.save({name: 1.1 * tensor if name != "spectral.phase" else tensor for name, tensor in self.state.items()},
                   "net2.pt")  # fmt: skip

    def model(self, state):
        model = self.module.model()
        model.load_state_dict(state)
        return model._apply(lambda t: t.to(torch.cdouble) if t.is_complex() else t.double())

    def mean(self, model):
        return self.module.loss(model, tuple(tensor.double() for tensor in self.module.data())).mean()

    def at(self, directions, coordinates):
        """The loss where each complex number is moved by the pair of real ones that its direction has for it."""
        state = dict(self.state)
        for coordinate, direction in zip(coordinates, directions, strict=True):
            for name, step in direction.items():
                step = torch.as_tensor(np.asarray(step)).double()
                complex_step = torch.view_as_complex(step) if state[name].is_complex() else step
                state[name] = state[name] + float(coordinate) * complex_step
        return self.mean(self.model(state)).item()

    def gradient(self, *, create_graph=False):
        """By real and imaginary parts, in the order of the parameters."""
        model = self.model(self.state)
        params = list(model.parameters())
        parts = torch.autograd.grad(self.mean(model), params, create_graph=create_graph)
        return torch.cat([pairs(part).flatten() for part in parts]), params

    def hessian(self):
        gradient, params = self.gradient(create_graph=True)
        rows = [torch.autograd.grad(entry, params, retain_graph=True) for entry in gradient]
        return torch.stack([torch.cat([pairs(part).flatten() for part in row]) for row in rows])


@pytest.fixture
def truth(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Truth(tmp_path)


def computed(out, *words):
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--out", out, *words, *QUIET)
    assert done.exit_code == 0, done.output
    return read_surface(Path(out)), read_directions(directions_path(Path(out))).directions, done.output


@pytest.mark.parametrize("strategy", ["loop", "stacked"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_trap_59_complex_parameters_move_as_pairs_of_real_numbers(truth, strategy, precision):
    words = ["--vectors", "keep", "--strategy", strategy, "--precision", precision, "--store-directions", "always"]
    surface, directions, said = computed("net.h5", *GRID, *words)
    assert "3 complex parameters (94% of all entries, spectral.weight first) move as pairs" in " ".join(said.split())
    coordinates = surface.plan.grid.coordinates(np.arange(9))
    expected = [truth.at(directions, place) for place in coordinates]
    assert surface.values("train_loss").ravel() == pytest.approx(expected, rel=1e-5)
    assert max(expected) > 1.2 * min(expected)


def test_trap_59_filters_of_a_direction_have_the_norms_of_moduli(truth):
    _, (direction, _), _ = computed("net.h5", *GRID, "--store-directions", "always")
    for name in ("spectral.weight", "spectral.shift"):
        made = torch.view_as_complex(torch.as_tensor(np.asarray(direction[name])))
        norms = [tensor.abs().square().flatten(1).sum(1).sqrt() for tensor in (made, truth.state[name])]
        torch.testing.assert_close(*norms)
        assert bool((made.imag != 0).all())
    assert not np.asarray(direction["spectral.turn"]).any()  # a vector is held, as real ones are


def test_trap_59_curvature_is_that_by_real_and_imaginary_parts(truth):
    values = torch.linalg.eigvalsh(truth.hessian())
    for method in ("double-backward", "forward-over-reverse", "finite-differences"):
        done = run("curvature", "problem.py", "--checkpoint", "net.pt", "--top", 2, "--probes", 2, "--json",
                   "--method", method, "--precision", "float64", "--out", f"{method}.h5")  # fmt: skip
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        expected = [values[-1].item(), values[-2].item(), values[1].item(), values[0].item()]
        assert sorted(found["eigenvalues"]) == pytest.approx(sorted(expected), rel=1e-4)
    _, (direction, _), _ = computed(
        "hessian.h5", *GRID, "--plane", "hessian", "--normalize", "none", "--vectors", "keep"
    )
    top = torch.linalg.eigh(truth.hessian())[1][:, -1]
    made = torch.cat([torch.as_tensor(np.asarray(direction[n])).double().flatten() for n, _ in named(truth)])
    assert abs(torch.cosine_similarity(made, top, dim=0).item()) == pytest.approx(1, abs=1e-4)


def named(truth):
    return truth.module.model().named_parameters()


def test_trap_59_gradients_and_lines_and_bench_and_trace_and_sharpness_take_them(truth):
    gradient = truth.gradient()[0]
    surface, (direction,), _ = computed("g.h5", "--grid", "0:1:2", "--plane", "gradient", "--vectors", "keep",
                                        "--normalize", "none", "--quantity", "loss,gradient_norm")  # fmt: skip
    made = torch.cat([torch.as_tensor(np.asarray(direction[n])).double().flatten() for n, _ in named(truth)])
    assert abs(torch.cosine_similarity(made, gradient, dim=0).item()) == pytest.approx(1, abs=1e-6)
    assert surface.values("train_gradient_norm")[0] == pytest.approx(gradient.norm().item(), rel=1e-5)
    line, _, _ = computed("line.h5", "--grid", "0:1:2", "--plane", "line net.pt net2.pt")
    assert line.values("train_loss").tolist() == pytest.approx(
        [truth.mean(truth.model(torch.load(file))).item() for file in ("net.pt", "net2.pt")], rel=1e-5
    )
    for words in (["check"], ["sharpness", "--directions", 2, "--steps", 2], ["bench", "--rounds", 1, "--no-compiled"]):
        done = run(words[0], "problem.py", "--checkpoint", "net.pt", *words[1:])
        assert done.exit_code == 0, done.output
    done = run("trace", "problem.py", "--checkpoint", "net.pt", "--steps", 1, "--out", "path", "--lr", 0.1, *QUIET)
    assert done.exit_code == 0, done.output
    stepped = torch.load(sorted(Path("path").glob("*1.pt"))[0])["state_dict"]
    moved = torch.cat([pairs(stepped[n] - truth.state[n]).double().flatten() for n, _ in named(truth)])
    torch.testing.assert_close(moved, -0.1 * gradient, rtol=1e-3, atol=1e-6)


def test_trap_59_paths_are_projected_with_them(truth):
    model = truth.module.model()
    optimizer = torch.optim.Adam(model.parameters(), 5e-2)
    states = []
    with TrajectoryRecorder("path", model, optimizer, every=1) as recorder:
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        for _ in range(5):
            optimizer.zero_grad()
            value = truth.module.loss(model, truth.module.data()).mean()
            value.backward()
            optimizer.step()
            recorder.step(loss=value)
            states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    done = run("compute", "problem.py", "--checkpoint", "path", "--plane", "pca", "--snapshots", "path", "--out",
               "pca.h5", "--grid", "auto:3,auto:3", *QUIET)  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = torch.stack([torch.cat([pairs(s[n]).double().flatten() for n, _ in named(truth)]) for s in states])
    rows = rows - rows[-1]
    (path,) = read_surface(Path("pca.h5")).trajectories.values()
    directions = read_directions(directions_path(Path("pca.h5"))).directions
    basis = torch.stack([
        torch.cat([torch.as_tensor(np.asarray(d[n])).double().flatten() for n, _ in named(truth)]) for d in directions
    ])  # fmt: skip
    solved = torch.linalg.lstsq(basis.T, rows.T).solution
    assert pytest.approx(solved.numpy(), abs=1e-4) == path.coordinates.T
    assert path.distance == pytest.approx((rows.T - basis.T @ solved).norm(dim=0).numpy(), abs=1e-4)
    own = [truth.mean(truth.model(state)).item() for state in states]
    assert path.own["train_loss"].tolist() == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize(("words", "moves"), [("--hold", False), ("--params", True)])
def test_trap_59_a_complex_parameter_is_held_and_moved_by_name(truth, words, moves):
    surface, directions, _ = computed("new.h5", *GRID, words, "spectral.*", "--store-directions", "always")
    for name in ("spectral.weight", "out.weight"):
        assert np.asarray(directions[0][name]).any() == (moves == name.startswith("spectral"))
    assert np.ptp(surface.values("train_loss")) > 0
