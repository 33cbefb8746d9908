"""Eigenvalues, the bounds stated beside them, and what is said of how they were found."""

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.hessian.extremes import Extremes
from lossviz.hessian.measure import Depth, measure_spectrum
from lossviz.hessian.operator import Operator
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.watch import Watch
from lossviz.run.compute import compute
from tests import cases

BAG = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.h, self.o = nn.EmbeddingBag(30, 8, mode="mean"), nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.o(torch.tanh(self.h(self.e(x))))

def model():
    torch.manual_seed(0)
    net, (x, y) = Net(), data()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net

def data():
    g = torch.Generator().manual_seed(1)
    x = torch.randint(0, 30, (200, 6), generator=g)
    return x, ((x < 10).sum(1) > 2).long() + ((x > 25).sum(1) > 1).long()

def loss(m, b):
    return F.cross_entropy(m(b[0]), b[1], reduction="none")
"""


def bag(folder):
    """A text classifier that torch differentiates once, and its loss written with plain indexing."""
    (folder / "bag.py").write_text(BAG)
    space = {}
    exec(BAG, space)  # the file itself
    model, (x, y) = space["model"](), space["data"]()
    problem = Problem.make(model, (x, y), space["loss"])

    def exact(params):
        """The dense Hessian's eigenvalues, float64."""
        shapes = {name: tensor.shape for name, tensor in params.items()}

        def loss(row):
            parts = row.split([shape.numel() for shape in shapes.values()])
            p = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
            hidden = torch.tanh(p["e.weight"][x].mean(1) @ p["h.weight"].T + p["h.bias"])
            return nn.functional.cross_entropy(hidden @ p["o.weight"].T + p["o.bias"], y)

        row = torch.cat([tensor.detach().double().flatten() for tensor in params.values()])
        hessian = torch.autograd.functional.hessian(loss, row)
        return torch.linalg.eigvalsh((hessian + hessian.T) / 2).numpy()

    return problem, exact


def test_trap_56_residuals_of_finite_differences_bound_the_errors(tmp_path):
    problem, exact = bag(tmp_path)
    operator = Operator(problem, "train", method="finite-differences")
    extremes = Extremes(operator, ("min_eigenvalue", "max_eigenvalue"))
    for number in range(6):
        shift = {name: 0.2 * cases.philox(number, *t.shape).float() for name, t in problem.params.items()}
        params = {name: t + shift[name] for name, t in problem.params.items()}
        found, want = extremes.evaluate(params), exact(params)
        for name, end in {"min_eigenvalue": 0, "max_eigenvalue": -1}.items():
            # the last digits of exact and of products are rounding of the point, which is float32
            assert abs(found[name] - want[end]) <= found[name + "_residual"] + 1e-7 * want[-1]
            assert found[name + "_residual"] <= 2e-3 * max(abs(found[name]), 0.01 * want[-1])


def test_trap_56_compute_says_that_it_takes_differences(tmp_path):
    bag(tmp_path)
    source = resolve_problem(str(tmp_path / "bag.py"), model_args={}, checkpoint=None)
    plan = Plan(source, PlaneSpec(), Grid.parse("-.5:.5:2"), quantities=("loss", "max_eigenvalue"))
    said = []
    report = compute(plan, tmp_path / "bag.h5", watch=Watch(warn=lambda remark: said.append(remark.text)))
    assert report.surface.facts["derivatives"]["method"]["train"] != "double-backward"
    assert any("differentiated twice" in sentence for sentence in said)


class Quadratic(nn.Module):
    """A loss of chosen second derivatives."""

    def __init__(self, eigenvalues):
        super().__init__()
        self.at = nn.Parameter(torch.zeros(len(eigenvalues), dtype=torch.float64))
        self.register_buffer("mix", torch.linalg.qr(cases.philox(0, len(eigenvalues), len(eigenvalues)))[0])
        self.register_buffer("eigenvalues", torch.as_tensor(eigenvalues, dtype=torch.float64))

    def forward(self, x):
        return (self.eigenvalues * (self.mix @ self.at) ** 2).sum() / 2 * x


@pytest.mark.parametrize("ends", [[4.0, 4.0, 4.0, 3.0, 2.0], [5.0, 4.0, 4.0, 3.0, 2.0], [6.0, 5.0, 4.0, 3.0, 2.0]])
def test_trap_57_an_eigenvalue_that_occurs_several_times_is_given_as_often(ends):
    eigenvalues = np.concatenate([ends, np.linspace(-0.1, 0.1, 400), [-1.0, -1.5, -2.0, -2.0]])
    problem = Problem.make(
        Quadratic(eigenvalues), (torch.ones(5, dtype=torch.float64),), lambda m, b: m(b[0]), dtype=torch.float64
    )
    spectrum = measure_spectrum(Operator(problem, "train"), Depth(top=3, probes=0))
    want = np.concatenate([ends[:3], [-1.5, -2.0, -2.0]])
    np.testing.assert_allclose(spectrum.eigenvalues, want, atol=2e-3)
    assert spectrum.facts["eigenvalues"]["ranked"]


def test_trap_57_ranks_that_were_not_looked_for_are_not_known():
    eigenvalues = np.linspace(-1, 1, 150) ** 3
    problem = Problem.make(
        Quadratic(eigenvalues), (torch.ones(5, dtype=torch.float64),), lambda m, b: m(b[0]), dtype=torch.float64
    )
    spectrum = measure_spectrum(Operator(problem, "train"), Depth(top=3, probes=0, most=12))
    assert not spectrum.facts["eigenvalues"]["ranked"]


@pytest.mark.parametrize("seed", range(3))
def test_trap_58_kinks_do_not_cast_doubt_on_differentiating_twice(seed):
    """The other way, which the doubt advised, was off by as much as the doubt said."""
    torch.manual_seed(seed)
    layers = [layer for _ in range(4) for layer in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(64, 3))
    problem = Problem.make(model, cases.classes(64, 64), cases.cross_entropy, dtype=torch.float32)
    operator = Operator(problem, "train")
    assert operator.method == "double-backward" and not operator.remarks
