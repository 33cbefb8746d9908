"""Losses that count otherwise, evaluated on a plane by the fast way and by the reference, beside their closed form."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lossviz import register_batch
from lossviz.directions.make import make_plane
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from tests import cases

AT = np.array([[0.0, 0.0], [0.7, -0.4]])


def check(model, data, loss, expected, *, quantity="loss", batch_size=4):
    """At the centre the value is ``expected``; away from it the engine and the plain loop agree."""
    problem = Problem.make(model, data, loss, dtype=torch.float64)
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params, rules=problem.rules)
    for evaluator in (Loop(problem, plane, batch_size=batch_size), Engine(problem, plane, batch_size=batch_size)):
        evaluate = evaluator.evaluate if isinstance(evaluator, Loop) else evaluator.evaluate_points
        points = evaluate([0, 1], AT, ["train"])
        assert points[0].mean(quantity) == pytest.approx(expected, rel=1e-10)
        there = evaluate_params(problem, plane.point(AT[1]), "train", batch_size=batch_size)
        assert points[1].mean(quantity) == pytest.approx(there.mean(quantity), rel=1e-10)
        assert points[1].mean(quantity) != points[0].mean(quantity)
    return problem


def test_ctc():
    net = cases.seeded(nn.Linear, 6, 5).double()
    frames, targets = cases.philox(1, 7, 12, 6), torch.randint(1, 5, (7, 3), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([12, 10, 12, 9, 12, 11, 8])

    def loss(model, batch):
        x, y, n = batch
        logs = model(x).log_softmax(2).transpose(0, 1)
        return functional.ctc_loss(logs, y, n, torch.full_like(n, 3), reduction="none")

    with torch.no_grad():
        logs = net(frames).log_softmax(2).transpose(0, 1)
        whole = functional.ctc_loss(logs, targets, lengths, torch.full((7,), 3), reduction="sum") / 7
    check(net, (frames, targets, lengths), loss, whole.item())


def test_in_batch_negatives_keep_the_batches_they_were_given():
    net = cases.seeded(nn.Linear, 4, 3, False).double()
    batches = [(cases.philox(i, n, 4), cases.philox(i + 9, n, 4)) for i, n in enumerate((5, 3, 6))]

    def loss(model, batch):
        a, b = (functional.normalize(model(x), dim=1) for x in batch)
        return functional.cross_entropy(a @ b.T, torch.arange(len(a)))  # the mean of the whole batch

    with torch.no_grad():
        expected = sum(loss(net, batch).item() * len(batch[0]) for batch in batches) / 14
    for size in (1, 4, 100):
        check(net, batches, loss, expected, batch_size=size)


class Spring(nn.Module):
    """Energy ½ Σ kᵢ xᵢ² + c: its force is −kᵢ xᵢ."""

    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.tensor([2.0, 0.5, 1.5]))
        self.c = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x):
        return (self.k * x.square()).sum(1) / 2 + self.c


def test_regression_with_forces_differentiates_in_the_inputs():
    x, energy, force = cases.philox(3, 9, 3), cases.philox(4, 9), cases.philox(5, 9, 3)

    def loss(model, batch):
        x, energy, force = batch
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            found = model(x)
            (slope,) = torch.autograd.grad(found.sum(), x)
        return {"loss": (found - energy).square() + (-slope - force).square().mean(1), "force": slope.norm(dim=1)}

    k = torch.tensor([2.0, 0.5, 1.5], dtype=torch.float64)
    own = ((k * x.square()).sum(1) / 2 + 0.3 - energy).square() + (-k * x - force).square().mean(1)
    check(Spring(), (x, energy, force), loss, own.mean().item())


def test_regularizers_are_quantities_of_their_own():
    net, data = cases.seeded(nn.Linear, 4, 3).double(), cases.classes(10, 4)

    def loss(model, batch):
        penalty = sum(p.square().sum() for p in model.parameters())
        values = functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return {"loss": values, "weight_decay": penalty / 2}

    norm = sum(p.square().sum() for p in net.parameters()).item() / 2
    check(net, (data[0].double(), data[1]), loss, norm, quantity="weight_decay")
    own = functional.cross_entropy(net(data[0].double()), data[1]).item()
    check(net, (data[0].double(), data[1]), loss, own)


class Graphs:
    """Nodes of several graphs in one tensor, with the edges as pairs of node numbers: a class no container knows."""

    def __init__(self, nodes, edges, owner, targets):
        self.nodes, self.edges, self.owner, self.targets = nodes, edges, owner, targets


class Message(nn.Module):
    """Two rounds of messages along edges, and a sum over the nodes of each graph."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, graphs):
        h, (source, target) = graphs.nodes, graphs.edges
        for layer in (self.first, self.second):
            m = layer(h)
            h = torch.relu(m + torch.zeros_like(m).index_add(0, target, m[source]))
        pooled = torch.zeros(len(graphs.targets), 8, dtype=h.dtype).index_add(0, graphs.owner, h)
        return self.out(pooled).squeeze(1)


def graph_batch(seed, sizes):
    count = sum(sizes)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    ring = torch.stack([torch.arange(count), (torch.arange(count) + 1) % count])
    return Graphs(cases.philox(seed, count, 3), ring, owner, cases.philox(seed + 5, len(sizes)))


def test_a_graph_network_on_batches_of_a_registered_class():
    register_batch(
        Graphs,
        lambda graphs: [graphs.targets, graphs.nodes, graphs.edges, graphs.owner],
        lambda graphs, held: Graphs(held[1], held[2], held[3], held[0]),
    )
    net = cases.seeded(Message).double()
    batches = [graph_batch(1, [3, 4]), graph_batch(2, [5, 2, 3])]

    def loss(model, graphs):
        return (model(graphs) - graphs.targets).square()

    with torch.no_grad():
        expected = torch.cat([loss(net, batch) for batch in batches]).mean().item()
    problem = check(net, batches, loss, expected)
    assert problem.examples["train"].count == 5
    kept = problem.examples["train"].batches(None)[0]
    assert kept.edges.dtype == torch.int64 and kept.nodes.dtype == torch.float64 and kept is not batches[0]
    assert problem.examples["train"].sha256() != Problem.make(net, batches[:1], loss).examples["train"].sha256()


def test_several_inputs_and_integers_are_handed_on_as_they_are():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.numbers = nn.Embedding(9, 4), nn.Linear(2, 4)

        def forward(self, words, numbers):
            assert words.dtype == torch.int64 and numbers.dtype == torch.float64
            return (self.words(words) * self.numbers(numbers)).sum(1)

    net = cases.seeded(Two).double()
    words, numbers, y = torch.arange(8), cases.philox(1, 8, 2), cases.philox(2, 8)
    batch = {"words": words, "numbers": numbers, "targets": y}

    def loss(model, batch):
        return (model(batch["words"], batch["numbers"]) - batch["targets"]).square()

    check(net, {"train": batch}, loss, loss(net, batch).mean().item())


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.sign()

    @staticmethod
    def backward(context, gradient):
        raise RuntimeError("this network has no gradient")


def test_a_three_dimensional_network_that_cannot_be_differentiated():
    class Binary(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv3d(1, 4, 3), nn.Linear(4 * 27, 2)

        def forward(self, x):
            return self.out(Sign.apply(self.conv(x)).flatten(1))

    net = cases.seeded(Binary).double()
    x, y = cases.philox(1, 6, 1, 5, 5, 5), torch.tensor([0, 1, 1, 0, 1, 0])
    with torch.no_grad():
        expected = functional.cross_entropy(net(x), y).item()
    check(net, (x, y), cases.cross_entropy, expected)
