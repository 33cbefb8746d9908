"""Parametrizations and adapters: the centre is the model's own loss, and directions move what a layer really uses."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from lossviz.directions.make import make_plane
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from tests import cases


class Lora(nn.Module):
    """A frozen layer with a low-rank adapter beside it, as adapters are trained."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(5, 3)
        self.lora_A, self.lora_B = nn.Linear(5, 2, bias=False), nn.Linear(2, 3, bias=False)
        for parameter in self.base.parameters():
            parameter.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + 2.0 * self.lora_B(self.lora_A(x))


class RMSNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class MixtureExperts(nn.Module):
    """Two experts in one tensor (expert, out, in), mixed by a router."""

    def __init__(self):
        super().__init__()
        self.weight, self.router = nn.Parameter(torch.randn(2, 3, 5)), nn.Linear(5, 2)

    def forward(self, x):
        return torch.einsum("be,eoi,bi->bo", self.router(x).softmax(1), self.weight, x)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T


def spectral():
    net = nn.Sequential(parametrizations.spectral_norm(nn.Linear(5, 8)), nn.ReLU(), nn.Linear(8, 3))
    net.train()(torch.randn(4, 5))  # a step of its power iteration
    return net


def old_spectral():
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(5, 8)), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():  # a step of its power iteration
        net.train()(torch.randn(4, 5))
    return net


def symmetric():
    net = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3))
    parametrize.register_parametrization(net[0], "weight", Symmetric())
    return net


MODELS = {
    "spectral norm": (spectral, {"0.parametrizations.weight.original": "axis 0"}),
    "spectral norm, old": (old_spectral, {"0.weight_orig": "axis 0"}),
    "orthogonal": (lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(5, 5)), nn.Linear(5, 3)), {}),
    "symmetric": (symmetric, {"0.parametrizations.weight.original": "axis 0"}),
    "lora": (Lora, {"lora_A.weight": "axis 0", "lora_B.weight": "axis 0"}),
    "rms norm": (lambda: nn.Sequential(nn.Linear(5, 4), RMSNorm(4), nn.Linear(4, 3)), {"1.weight": "vector"}),
    "experts": (MixtureExperts, {"weight": "axes 0 1"}),
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.spectral_norm` is deprecated")
@pytest.mark.parametrize("name", MODELS)
def test_the_centre_is_its_own_and_directions_move_the_loss(name):
    make, rules = MODELS[name]
    model = cases.seeded(make).double().eval()
    x, y = cases.classes(12, 5)
    with torch.no_grad():
        own = nn.functional.cross_entropy(model(x.double()), y).item()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    problem = Problem.make(model, (x.double(), y), cases.cross_entropy, dtype=torch.float64)
    plane = make_plane(PlaneSpec(), 2, problem.params, rules=problem.rules)
    assert evaluate_params(problem, plane.origin, "train").mean("loss") == pytest.approx(own, rel=1e-12)
    for coordinates in ([0.8, 0.0], [0.0, 0.8]):
        assert abs(evaluate_params(problem, plane.point(coordinates), "train").mean("loss") - own) > 1e-4
    assert {key: str(problem.rules[key]) for key in rules} == rules
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_frozen_base_stays_and_its_adapter_moves():
    model = cases.seeded(Lora)
    problem = Problem.make(model, cases.classes(6, 5), cases.cross_entropy)
    assert set(problem.params) == {"lora_A.weight", "lora_B.weight"}
    assert set(problem.frozen) == {"base.weight", "base.bias"}
