"""Traps of inputs: losses, batches, parameters and files as people have them, run as a user runs them."""

import pytest

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
def test_trap_90_a_loss_that_differentiates_by_the_parameters_is_that_with_gradients_on(
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
def test_trap_91_every_command_refuses_a_loss_that_draws_random_numbers(folder, words, kind):
    (folder / "problem.py").write_text(f"{NOISY}\n{NOISES[kind]}\n")
    command, *rest = words
    done = run(command, "problem.py", *rest, *([] if command == "sharpness" else ["--out", "new.h5"]))
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "differs from one evaluation to the next" in said and "random numbers are drawn" in said
    assert not (folder / "new.h5").exists()
