"""Traps 22-31: the loss at a point."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lossviz.directions.make import make_plane
from lossviz.errors import ProblemError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.checks import check_centre
from lossviz.evaluate.engine import Engine
from lossviz.problem.problem import Problem
from lossviz.problem.stand import Placement
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Status
from tests import cases


def centre(problem, **settings):
    plane = make_plane(PlaneSpec(vectors="keep"), 1, problem.params)
    engine = Engine(problem, plane.to(problem.device, next(iter(problem.params.values())).dtype), **settings)
    return engine.evaluate_points([0], np.zeros((1, 1)), ["train"])[0]


def check(problem):
    plane = make_plane(PlaneSpec(vectors="keep"), 1, problem.params)
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3"))
    return check_centre(plan, problem, Engine(problem, plane, batch_size=8))


def test_trap_22_a_short_last_batch_weighs_by_its_examples():
    problem = cases.mlp(examples=260)
    full = problem.loss(problem.model, problem.examples["train"].batches(None)[0])["loss"].mean().item()
    assert centre(problem, batch_size=128).mean("loss") == pytest.approx(full, rel=1e-12)
    assert centre(problem, batch_size=64).mean("loss") == pytest.approx(full, rel=1e-12)


def test_trap_22_batch_means_are_weighted_too():
    case = cases.quadratic(examples=10, mean=True)
    expected = case.loss(case.problem.params)
    assert centre(case.problem, batch_size=4).mean("loss") == pytest.approx(expected, rel=1e-12)


def test_trap_23_tokens_count_by_counted_targets():
    problem, inputs, targets = cases.weighted()
    with torch.no_grad():
        logits = problem.model(inputs).transpose(1, 2)
        expected = nn.functional.cross_entropy(logits, targets, ignore_index=-100).item()
    for size in (2, 3, 7):
        assert centre(problem, batch_size=size).mean("loss") == pytest.approx(expected, rel=1e-12)


def test_trap_24_a_shuffling_loader_is_read_in_one_fixed_order():
    x, y = cases.classes(20, 5)
    loader = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=True)
    problem = Problem.make(cases.seeded(cases._mlp), loader, cases.cross_entropy)
    inputs, _ = problem.examples["train"].batches(None)[0]
    torch.testing.assert_close(inputs, x)


def test_trap_24_augmented_data_are_refused():
    class Augmented(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.rand(5), index % 3

    with pytest.raises(ProblemError, match="augment"):
        Problem.make(cases.seeded(cases._mlp), Augmented(), cases.cross_entropy)


def test_trap_25_no_example_is_dropped():
    x, y = cases.classes(2500, 5)
    loader = DataLoader(TensorDataset(x, y), batch_size=64, drop_last=True)
    problem = Problem.make(cases.seeded(cases._mlp), loader, cases.cross_entropy)
    assert centre(problem).count == 2500


def test_trap_26_running_statistics_are_read_and_never_written():
    problem = cases.batchnorm_cnn()
    before = {name: buffer.clone() for name, buffer in problem.model.named_buffers()}
    value = centre(problem, batch_size=6).mean("loss")
    assert all(torch.equal(buffer, before[name]) for name, buffer in problem.model.named_buffers())
    batch = problem.examples["train"].batches(None)[0]
    assert value == pytest.approx(problem.loss(problem.model, batch)["loss"].mean().item(), rel=1e-10)


def test_trap_26_fixed_recomputed_and_batch_statistics_are_three_surfaces():
    found = {}
    for mode in ("fixed", "recompute", "batch"):
        problem = with_batchnorm(cases.batchnorm_cnn(), mode, None if mode == "fixed" else 10, 0)
        plane = make_plane(PlaneSpec(), 2, problem.params, rules=problem.rules)
        points = Engine(problem, plane).evaluate_points([0, 1], np.array([[0.5, -0.3], [1.0, 1.0]]), ["train"])
        found[mode] = np.array([point.mean("loss") for point in points])
        buffers = dict(problem.model.named_buffers())
        assert all(torch.equal(buffers[name], kept) for name, kept in problem.buffers.items())
    for one, other in (("fixed", "recompute"), ("fixed", "batch"), ("recompute", "batch")):
        assert np.abs(found[one] / found[other] - 1).min() > 1e-3


def test_trap_27_dropout_is_off():
    facts = check(cases.dropout())
    assert facts["repeat_noise"] == 0.0
    with pytest.raises(ProblemError, match="dropout"):
        check(cases.dropout(left_on=True))


def test_trap_28_nothing_is_added_to_the_users_loss():
    problem = cases.mlp()
    batch = problem.examples["train"].batches(None)[0]
    expected = problem.loss(problem.model, batch)["loss"].mean().item()
    assert centre(problem).mean("loss") == pytest.approx(expected, rel=1e-12)


def test_trap_29_an_infinite_loss_stays_infinite_and_is_not_hidden():
    model = nn.Linear(1, 2, bias=False)
    model.weight.data = torch.tensor([[1.0], [0.0]])
    data = torch.tensor([[0.0], [1e4]]), torch.tensor([1, 1])
    careless = Problem.make(model, data, lambda m, b: -torch.log(torch.softmax(m(b[0]), 1)[:, 1]))
    careful = Problem.make(model, data, lambda m, b: -torch.log_softmax(m(b[0]), 1)[:, 1])
    assert centre(careless).mean("loss") == math.inf
    assert centre(careless).status == Status.FAILED
    assert centre(careful).mean("loss") == pytest.approx((math.log(2) + 1e4) / 2)


def test_trap_30_a_narrow_model_moves_from_a_float32_origin():
    wide = cases.mlp(dtype=torch.float32)
    narrow = Problem.make(wide.model, cases.classes(20, 5), cases.cross_entropy, dtype=torch.bfloat16)
    assert all(tensor.dtype == torch.float32 for tensor in narrow.params.values())
    plane = make_plane(PlaneSpec(), 1, narrow.params)
    placement = Placement.of(narrow, plane)
    for step in (1e-4, 2e-4, 1.0):
        placement.move_to([step])
        exact = plane.point([step])
        for name, parameter in zip(plane.moved, placement.params, strict=True):
            assert parameter.dtype == torch.bfloat16
            assert torch.equal(parameter, exact[name].to(torch.bfloat16))  # rounded once, at the end


def test_trap_31_repeat_noise_is_measured():
    assert check(cases.mlp())["repeat_noise"] == 0.0
