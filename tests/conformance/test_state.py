"""Traps 48 to 52: what a model is beside its parameters, and what an evaluation leaves behind in it."""

import functools
import types

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import ProblemError, UsageError
from lossviz.evaluate.checks import check_centre
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.unused import find_unused
from lossviz.evaluate.ways.graph import trace
from lossviz.evaluate.ways.way import Way
from lossviz.problem.copied import copy_model
from lossviz.problem.loss_call import habits_of
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from tests import cases

POINTS = np.array([[0.0, 0.0], [1.0, -0.5], [-2.0, 1.0]])
DATA = (cases.philox(3, 12, 4).float(), torch.arange(12) % 2)


def each(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))


def truth(make, plane, loss=each):
    """The loss at POINTS of a model that is moved itself, not a copy of it."""
    net = make().eval().requires_grad_(False)
    named, values = dict(net.named_parameters()), []
    for coordinates in POINTS:
        for name, tensor in plane.point(coordinates.tolist()).items():
            named[name].copy_(tensor)
        values.append(loss(net, DATA).double().mean().item())
    return values


def plane_for(problem):
    return make_plane(PlaneSpec(vectors="keep"), 2, problem.params)


def values_of(problem, way):
    points = Engine(problem, plane_for(problem), way=way).evaluate_points([0, 1, 2], POINTS, ["train"])
    return [point.mean("loss") for point in points]


def check(problem, batch_size, precision="float32", way=None):
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3,-1:1:3"), precision=precision)
    return check_centre(plan, problem, Engine(problem, plane_for(problem), way=way, batch_size=batch_size))


def closed_over(net):
    old = net.forward
    net.forward = lambda x: old(x) * 2
    return net


def closed_over_through_a_list(net):
    parts = [net[0], {"last": net[2]}]
    net.forward = lambda x: parts[1]["last"](parts[0](x).relu())
    return net


def partial(net):
    net.forward = functools.partial(lambda old, x: old(x) * 2, net.forward)
    return net


def wrapped(net):
    @functools.wraps(net.forward)
    def forward(x, old=net.forward):
        return old(x) * 2

    net.forward = forward
    return net


def hook_on_another_layer(net):
    net[2].register_forward_hook(lambda module, inputs, output: output * (1 + net[0].weight.mean()))
    return net


def hook_on_a_parameter(net):
    weight = net[0].weight
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * weight.sum(0),))
    return net


def method(net):
    net.forward = types.MethodType(lambda self, x: nn.Sequential.forward(self, x) * 2, net)
    return net


KNOWING = [
    closed_over, closed_over_through_a_list, partial, wrapped, hook_on_another_layer, hook_on_a_parameter, method,
]  # fmt: skip


@pytest.mark.parametrize("change", KNOWING, ids=lambda change: change.__name__)
def test_trap_48_functions_that_know_the_model_know_its_copy(change):
    def make():
        return change(network())

    original = make()
    problem = Problem.make(original, DATA, each)
    expected = truth(make, plane_for(problem))
    assert np.ptp(expected) > 0.01
    for way in (Way("loop", 12), Way("loop", 5, channels_last=True)):
        np.testing.assert_allclose(values_of(problem, way), expected, rtol=1e-6)
    torch.testing.assert_close(original(DATA[0]), make()(DATA[0]), rtol=0, atol=0)


def test_trap_48_a_function_that_finds_the_model_by_a_global_name_is_refused():
    net = network()
    space = {"NET": net}
    exec("def scaled(module, inputs, output):\n    return output * NET[0].weight.mean()", space)
    net.register_forward_hook(space["scaled"])
    with pytest.raises(ProblemError, match=r"A function of the model \(scaled\) uses the global NET"):
        Problem.make(net, DATA, each)


def test_functions_that_know_nothing_of_the_model_stay_the_same_objects():
    net, other = network(), torch.ones(2)

    def add(module, inputs, output):
        return output + other

    net.register_forward_hook(add)
    copied = copy_model(net)
    assert next(iter(copied._forward_hooks.values())) is add
    assert copy_model(closed_over(network())).forward.__name__ == "<lambda>"


def aliased(net):
    net.kept = net[0].weight.data
    return net


def aliased_in_a_list(net):
    net.kept = [torch.zeros(1), net[0].weight.detach().t()]
    return net


@pytest.mark.parametrize("change", [aliased, aliased_in_a_list], ids=lambda change: change.__name__)
def test_trap_49_an_attribute_that_shares_a_parameters_memory_is_refused_by_name(change):
    with pytest.raises(ProblemError, match=r"The attribute kept shares its memory with the parameter 0\.weight"):
        Problem.make(change(network()), DATA, each)
    listed = network()
    listed.kept = [listed[0].weight, listed[0].weight.detach().clone()]  # the parameter itself follows
    assert Problem.make(listed, DATA, each).model.kept[0] is not listed[0].weight


class Remembering(nn.Module):
    """A network that counts its calls, and keeps what it saw, in attributes and buffers put anew."""

    def __init__(self, size=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.size, self.calls, self.seen = nn.Linear(4, 2), size, 0, []
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.count = self.count + 1
        self.seen.append(x)
        self.last = x
        return self.layer(x) + self.size * self.calls * x[:, :2] + self.size * self.count * x[:, 2:]


def test_trap_50_what_forward_keeps_in_attributes_is_put_back_at_every_point():
    problem = Problem.make(Remembering(), DATA, each)
    find_unused(problem)
    assert habits_of(problem).remembers and not habits_of(problem).differentiates
    plane = plane_for(problem)
    expected = [
        evaluate_params(problem, plane.point(at.tolist()), "train", batch_size=12).mean("loss") for at in POINTS
    ]
    for _ in range(2):
        np.testing.assert_allclose(values_of(problem, Way("loop", 12)), expected, rtol=1e-6)
        assert (problem.model.calls, problem.model.seen, problem.model.count.item()) == (0, [], 0)
        assert not hasattr(problem.model, "last")
    np.testing.assert_allclose(expected, truth(Remembering, plane, first_call), rtol=1e-6)


def first_call(model, batch):
    model.calls, model.count = 0, torch.zeros(())
    return each(model, batch)


def test_trap_50_reading_a_models_graph_leaves_its_buffers():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return self.layer(x)

    net = Counting()
    trace(net)
    assert net.calls == 0 and "calls" in dict(net.named_buffers())


@pytest.mark.parametrize("size", [1.0, 1e-4])
def test_trap_50_a_loss_that_depends_on_how_often_forward_ran_is_refused(size):
    with pytest.raises(ProblemError, match="depends on the others"):
        check(Problem.make(Remembering(size), DATA, each), 5)


@pytest.mark.parametrize(("precision", "size"), [("float32", 1e-2), ("float64", 1e-3)])
def test_trap_51_a_small_dependence_on_the_batch_is_not_taken_for_rounding(precision, size):
    def loss(model, batch):
        out = model(batch[0])
        return nn.functional.cross_entropy(out + size * out.mean(0), batch[1], reduction="none")

    problem = Problem.make(network(), DATA, loss, dtype=getattr(torch, precision))
    with pytest.raises(ProblemError, match="depends on the others"):
        check(problem, 5, precision)
    check(Problem.make(network(), DATA, each, dtype=getattr(torch, precision)), 5, precision)


def test_trap_51_what_rounding_does_to_a_value_is_told_from_dependence_in_float64():
    def loss(model, batch):
        """Loses digits in float32, otherwise in every cut, and none in float64."""
        far = 2.0**9 * (1 + len(batch[0]) % 3)
        return each(model, batch) + far - far

    check(Problem.make(network(), DATA, loss), 5)


def test_trap_52_a_model_is_whole_after_several_points_at_once():
    def make():
        first = nn.Linear(4, 4)
        return nn.Sequential(first, nn.Sequential(first, nn.Tanh()), nn.Linear(4, 2))

    problem = Problem.make(make(), DATA, each)
    before = {name: tensor.clone() for name, tensor in problem.model.named_parameters()}
    found = values_of(problem, Way("stacked", 12, points=2))
    after = dict(problem.model.named_parameters())
    assert all(type(after[name]) is nn.Parameter and torch.equal(after[name], before[name]) for name in before)
    np.testing.assert_allclose(found, values_of(problem, Way("loop", 12)), rtol=1e-6)


def test_trap_52_a_strategy_that_gives_other_values_is_blamed_and_not_the_loss():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.parts = [self.layer.weight, self.layer.bias]  # which functional calls do not replace

        def forward(self, x):
            return nn.functional.linear(x, *self.parts)

    problem = Problem.make(Listed(), DATA, each)
    check(problem, 5)
    with pytest.raises(UsageError, match=r"--strategy stacked does not give the values .* take loop"):
        check(problem, None, way=Way("stacked", 12, points=2))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_parts_in_float32_are_no_reason_to_refuse_float64(precision):
    class Mixed(nn.Module):
        """Normalizes in float32 whatever it runs in, as many language models do."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(nn.functional.layer_norm(x.float() * 1e3, (4,)).to(x.dtype) + 1e-9 * len(x))

    problem = Problem.make(Mixed(), DATA, each, dtype=getattr(torch, precision))
    check(problem, 5, precision)
