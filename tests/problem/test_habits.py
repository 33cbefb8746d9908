"""Losses that do more than return values: they differentiate, write into their batch, or switch the model's mode."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, vmap

from lossviz.errors import ProblemError, UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.checks import check_modes
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.way import Way
from lossviz.hessian.objective import Objective
from lossviz.hessian.operator import Operator
from lossviz.problem.loss_call import habits_of, take_loss
from lossviz.problem.problem import Problem
from lossviz.space.plane import Plane


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 5), nn.SiLU(), nn.Linear(5, 1))


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(10, 2, generator=generator), torch.rand(10, generator=generator)


def by_inputs(model, batch):
    """The residual of u_t = u_xx, the derivatives by input."""
    x, t = batch[0][:, :1].clone().requires_grad_(True), batch[0][:, 1:].clone().requires_grad_(True)
    u = model(torch.cat([x, t], 1))
    by_x, by_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
    (by_xx,) = torch.autograd.grad(by_x.sum(), x, create_graph=True)
    return (by_t - by_xx).square().flatten()


def by_parameters(model, batch):
    """The loss after one step of gradient descent."""
    params = dict(model.named_parameters())
    inner = (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()
    steps = torch.autograd.grad(inner, list(params.values()), create_graph=True)
    params = {name: p - 0.1 * step for (name, p), step in zip(params.items(), steps, strict=True)}
    return (functional_call(model, params, batch[0]).squeeze(1) - batch[1]).square().mean()


def by_functions(model, batch):
    """A forward pass that makes second derivatives itself."""
    curved = vmap(hessian(lambda point: model(point).squeeze(-1)))(batch[0])
    return (curved.diagonal(dim1=-2, dim2=-1).sum(-1) - batch[1]).square()


def penalized(model, batch):
    """A gradient penalty that is left out where gradients are off: no error says so."""
    loss = (model(batch[0]).squeeze(1) - batch[1]).square()
    if not torch.is_grad_enabled():
        return loss
    return loss + by_inputs(model, batch)


LOSSES = [by_inputs, by_parameters, by_functions, penalized]


def truth(loss, model, point=None):
    """The plain mean with gradients on, as in training."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(point[name] if point else parameter)
    return loss(model, data()).mean().item()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, the first time
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_differentiates_is_that_with_gradients_on(loss):
    model = small()
    problem = Problem.make(model, [data()], loss)
    ones = {name: torch.ones_like(tensor) for name, tensor in problem.params.items()}
    plane, at = Plane("random", problem.params, (ones,)), np.array([[0.3], [-0.2]])
    points = Way("loop", 10).build(problem, plane).evaluate([0, 1], at, ["train"])
    for point, coordinates in zip(points, at, strict=True):
        there = plane.point(coordinates)
        assert point.mean("loss") == pytest.approx(truth(loss, model, there), rel=1e-5)
        assert evaluate_params(problem, there, "train").mean("loss") == pytest.approx(point.mean("loss"), rel=1e-6)
        assert Objective(problem, "train").loss(there) == pytest.approx(point.mean("loss"), rel=1e-6)
    assert habits_of(problem).differentiates
    assert not any(parameter.requires_grad for parameter in problem.model.parameters())


@pytest.mark.parametrize("loss", [by_inputs, by_parameters])
def test_its_derivatives_are_autograd_s_own(loss):
    model = small().double()
    problem = Problem.make(model, [tuple(t.double() for t in data())], loss, dtype=torch.float64)
    batch, params = problem.examples["train"].batches(None)[0], list(model.parameters())
    gradient = torch.autograd.grad(loss(model, batch).mean(), params, create_graph=True, materialize_grads=True)
    flat = torch.cat([tensor.flatten() for tensor in gradient])
    rows = []
    for entry in flat:
        if not entry.requires_grad:  # by the last bias, which no derivative by inputs depends on
            rows.append(torch.zeros_like(flat))
            continue
        row = torch.autograd.grad(entry, params, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([tensor.flatten() for tensor in row]))
    operator = Operator(problem, "train")
    vector = torch.linspace(-1, 1, operator.size, dtype=torch.float64)
    torch.testing.assert_close(operator.apply(vector), torch.stack(rows) @ vector)


@pytest.mark.parametrize("way", [Way("stacked", 8, points=2), Way("compiled", 8), Way("loop", 8, cached=True)])
def test_other_ways_are_refused_with_the_reason(way):
    problem = Problem.make(small(), data(), by_inputs)
    plane = Plane("random", problem.params, ({name: torch.ones_like(t) for name, t in problem.params.items()},))
    with pytest.raises(UsageError, match="takes derivatives itself"):
        way.build(problem, plane)


def test_a_plain_loss_pays_nothing():
    seen = []

    def loss(model, batch):
        seen.append(torch.is_grad_enabled())
        return model(batch[0]).squeeze(1)

    problem = Problem.make(small(), data(), loss)
    batch = problem.examples["train"].batches(4)[0]
    with torch.no_grad():
        for _ in range(3):
            take_loss(problem, batch)
    assert seen == [False, True, True, False, False, False]  # tried three times, once for all
    assert not habits_of(problem).differentiates


def test_everything_works_in_inference_mode():
    expected = truth(by_inputs, small())
    with torch.inference_mode():
        problem = Problem.make(small(), [data()], by_inputs)
        point = evaluate_params(problem, problem.params, "train")
        assert point.mean("loss") == pytest.approx(expected, rel=1e-5)
        plain = Problem.make(small(), data(), lambda m, b: (m(b[0]).squeeze(1) - b[1]).square())
        value, gradient = Objective(plain, "train").gradient()
        assert value > 0
        assert all(bool(tensor.any()) for tensor in gradient.values())


def test_a_loss_that_writes_into_its_batch_gets_copies():
    def loss(model, batch):
        return model(batch[0].mul_(0.5)).squeeze(1).square()

    def clean(model, batch):
        return model(batch[0] * 0.5).squeeze(1).square()

    problem, expected = (Problem.make(small(), data(), each) for each in (loss, clean))
    before = problem.examples["train"].sha256()
    for _ in range(2):
        found = evaluate_params(problem, problem.params, "train")
        assert found.sums == evaluate_params(expected, problem.params, "train").sums
        assert Objective(problem, "train").loss() == pytest.approx(found.mean("loss"))
    assert problem.examples["train"].sha256() == before


def normalized():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def training(model, batch):
    model.train()
    return model(batch[0]).squeeze(1).square()


def evaluating(model, batch):
    model.eval()
    return model(batch[0]).squeeze(1).square()


def there_and_back(model, batch):
    model.train()
    try:
        return model(batch[0]).squeeze(1).square()
    finally:
        model.eval()


@pytest.mark.parametrize(
    ("loss", "mode", "words"),
    [
        (training, "fixed", r"training mode .*Pass --batchnorm batch"),
        (there_and_back, "fixed", r"layer 1 in training mode .*Pass --batchnorm batch"),
        (training, "recompute", r"training mode"),
        (evaluating, "batch", r"evaluation mode .*undoes --batchnorm batch"),
    ],
)
def test_a_mode_that_the_loss_changes_is_noticed(loss, mode, words):
    problem = with_batchnorm(Problem.make(normalized(), data(), loss), mode, 5, 0)
    with pytest.raises(ProblemError, match=words):
        check_modes(problem)
    with pytest.raises(ProblemError, match=words):
        Objective(problem, "train")


def test_a_mode_that_undoes_recomputing_is_noticed():
    problem = with_batchnorm(Problem.make(normalized(), data(), evaluating), "recompute", 5, 0)
    with pytest.raises(ProblemError, match="undoes --batchnorm recompute"):
        evaluate_params(problem, problem.params, "train")


@pytest.mark.parametrize(("loss", "mode"), [(evaluating, "fixed"), (training, "batch")])
def test_a_mode_that_changes_nothing_is_allowed(loss, mode):
    problem = with_batchnorm(Problem.make(normalized(), data(), loss), mode, 5, 0)
    check_modes(problem)


def test_modes_and_buffers_are_as_before_after_every_kind_of_pass():
    problem = with_batchnorm(Problem.make(normalized(), data(), there_and_back), "fixed", None, 0)
    problem.model[0].eval()
    plane = Plane("random", problem.params, ({name: torch.ones_like(t) for name, t in problem.params.items()},))
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    modes = [module.training for module in problem.model.modules()]
    (here, again) = Way("loop", 5).build(problem, plane).evaluate([0, 1], np.zeros((2, 1)), ["train"])
    assert here.sums == again.sums  # each point starts with the same buffers
    evaluate_params(problem, problem.params, "train")
    assert [module.training for module in problem.model.modules()] == modes
    for name, tensor in problem.model.state_dict().items():
        assert torch.equal(tensor, before[name])
