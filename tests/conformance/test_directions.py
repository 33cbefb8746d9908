"""Traps 1-14: directions and normalization. The number of a trap stands in its test's name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.gaussian import sample_gaussian
from lossviz.directions.make import make_plane, norm_ratios
from lossviz.directions.normalize import normalize
from lossviz.evaluate.unused import find_unused
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.run.load import find_rules
from lossviz.space.plane import Plane
from tests import cases

CONV = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9.0).view(8, 1, 1, 1)


def direction_of(origin, seed=0, **spec):
    return make_plane(PlaneSpec(seed=seed, **spec), 1, origin).directions[0]


def cosine(a, b):
    flat = [torch.cat([t.flatten() for t in d.values()]).double() for d in (a, b)]
    return float(torch.dot(*flat) / flat[0].norm() / flat[1].norm())


def test_trap_01_the_norm_of_a_filter_is_over_everything_but_axis_0():
    filters = direction_of({"w": CONV})["w"].flatten(1).norm(dim=1)
    torch.testing.assert_close(filters, CONV.flatten(1).norm(dim=1), rtol=1e-6, atol=0)


def test_trap_02_normalization_is_per_filter_not_per_tensor():
    per_filter = direction_of({"w": CONV})["w"].flatten(1).norm(dim=1)
    per_tensor = direction_of({"w": CONV}, normalize="layer")["w"].flatten(1).norm(dim=1)
    wanted = CONV.flatten(1).norm(dim=1)
    assert (per_filter / wanted - 1).abs().max() < 1e-6
    assert (per_tensor / wanted - 1).abs().max() > 0.5


def test_trap_03_entries_have_mean_zero_and_two_draws_are_uncorrelated():
    x, y = (sample_gaussian({"w": torch.zeros(200, 500)}, 0, axis) for axis in (0, 1))
    assert abs(float(x["w"].mean())) < 0.02
    assert abs(cosine(x, y)) < 0.02


def test_trap_04_filter_normalization_is_the_default():
    assert PlaneSpec().normalize == "filter"
    assert PlaneSpec().vectors == "zero"


def test_trap_05_vectors_are_never_copied_into_the_directions():
    origin = {"w": torch.randn(60, 50), "bias": torch.full((400,), 3.0)}
    for vectors in ("zero", "keep"):
        plane = make_plane(PlaneSpec(vectors=vectors), 2, origin)
        assert abs(plane.cosine()) < 0.2
    assert not direction_of(origin)["bias"].any()


def test_trap_06_no_global_rescale_follows_filter_normalization():
    small, large = {"w": CONV}, {"w": CONV, "v": 100 * CONV}
    torch.testing.assert_close(direction_of(small)["w"], direction_of(large)["w"], rtol=0, atol=0)


def test_trap_08_nothing_spoils_filter_norms_to_make_directions_orthogonal_and_coordinates_are_least_squares():
    plane = make_plane(PlaneSpec(), 2, {"w": CONV[:2, :1, :2, :2]})
    assert abs(plane.cosine()) > 1e-3  # few entries: not orthogonal, and said so
    for low, high in norm_ratios(plane):
        assert max(abs(low - 1), abs(high - 1)) < 1e-6
    coordinates, _ = plane.project(plane.point([0.5, 0.25]))
    np.testing.assert_allclose(coordinates, [0.5, 0.25], atol=1e-6)


def test_trap_08_parallel_directions_are_refused():
    with pytest.raises(Exception, match="parallel"):
        make_plane(PlaneSpec(vectors="keep"), 2, {"x": torch.tensor(2.0)})


def test_trap_09_zero_filters_and_zero_biases_divide_nothing():
    origin = {"w": CONV.clone(), "bias": torch.zeros(8)}
    origin["w"][3] = 0
    direction = direction_of(origin, vectors="keep")
    assert torch.isfinite(direction["w"]).all()
    assert not direction["w"][3].any()
    assert not direction["bias"].any()


def test_trap_10_repeats_with_another_seed_are_other_directions():
    assert abs(cosine(direction_of({"w": CONV}, seed=0), direction_of({"w": CONV}, seed=1))) < 0.3


def test_trap_11_a_tied_parameter_has_one_direction_and_moves_under_both_names():
    problem = cases.tied()
    names = list(problem.params)
    assert sum("weight" in name for name in names) == 1
    model = problem.model
    assert model.encoder.weight is model.decoder.weight


def test_trap_12_buffers_are_never_moved():
    problem = cases.batchnorm_cnn()
    assert problem.buffers.keys() & problem.params.keys() == set()
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    assert not any("running" in name or "num_batches" in name for name in plane.origin)


def test_trap_13_order_sharding_and_device_do_not_change_a_direction():
    names = ["a", "b", "c"]
    origin = {name: torch.randn(4, 3) for name in names}
    whole = sample_gaussian(origin, 5, 1)
    for name in reversed(names):  # one shard a parameter, drawn in another order
        assert torch.equal(sample_gaussian({name: origin[name]}, 5, 1)[name], whole[name])


def test_trap_14_frozen_integer_and_scalar_parameters_are_decided_not_crashed_on():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.table = nn.Parameter(torch.arange(4), requires_grad=False)
            self.unused = nn.Parameter(torch.ones(2, 2))
            self.linear.bias.requires_grad_(False)

        def forward(self, x):
            return self.scale * self.linear(x)

    problem = Problem.make(Odd(), (torch.randn(5, 3),), lambda m, b: m(b[0]).square().mean(1))
    assert set(problem.params) == {"linear.weight", "scale", "unused"}
    assert set(problem.frozen) == {"linear.bias", "table"}
    problem = replace(problem, unused=find_unused(problem))
    for move, moved in (((), {"linear.weight", "scale"}), (("un*",), {"linear.weight", "scale", "unused"})):
        spec = PlaneSpec(vectors="keep", move=move)
        rules = find_rules(Plan(ProblemRef("odd", ""), spec, Grid.parse("-1:1:3,-1:1:2")), problem)
        assert set(make_plane(spec, 2, problem.params, rules=rules).moved) == moved


def test_rescaling_a_relu_network_does_not_change_its_filter_normalized_direction():
    plain = cases.mlp()
    scaled = cases.rescaled(plain, 4.0)
    d, e = (make_plane(PlaneSpec(), 1, p.params).directions[0] for p in (plain, scaled))
    torch.testing.assert_close(e["0.weight"], 4 * d["0.weight"])
    torch.testing.assert_close(e["2.weight"], d["2.weight"] / 4)


def test_normalizing_works_on_a_plane_by_hand():
    origin = {"w": CONV}
    by_hand = normalize(sample_gaussian(origin, 0, 0), origin, "filter")
    assert torch.equal(by_hand["w"], direction_of(origin)["w"])
    assert isinstance(make_plane(PlaneSpec(), 1, origin), Plane)


class Awkward(nn.Module):
    """A layer of every kind whose filters are not the slices along axis 0."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(4, 6, 3, groups=2)
        self.tokens = nn.Embedding(5, 4, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(1, 7, 4) * torch.arange(1, 8.0).view(1, 7, 1))
        self.attention = nn.MultiheadAttention(4, 2)
        self.lstm = nn.LSTM(4, 3)
        self.norm = nn.LayerNorm([2, 4])


def by_hand(name, tensor):
    """The filters of :class:`Awkward`, written out: rows (filters, entries)."""
    if name == "up.weight":  # group g makes outputs 3 g … 3 g + 2 from inputs 2 g, 2 g + 1
        return torch.stack([tensor[2 * g : 2 * g + 2, o].flatten() for g in range(2) for o in range(3)])
    return tensor[0] if name == "positions" else tensor.flatten(1)


def test_trap_07_filters_are_what_the_module_says_and_not_always_axis_0():
    problem = Problem.make(cases.seeded(Awkward), (torch.zeros(1),), lambda m, b: b[0])
    problem.params["tokens.weight"][0] = 1.0  # a padding row that is not zero, as after averaging
    plane = make_plane(PlaneSpec(), 1, problem.params, rules=problem.rules)
    naive = make_plane(PlaneSpec(), 1, problem.params).directions[0]
    (direction,) = plane.directions
    for name in plane.moved:
        have, want = (by_hand(name, p[name]).norm(dim=1) for p in (direction, plane.origin))
        if name == "tokens.weight":
            assert have[0] == 0
            have, want = have[1:], want[1:]
        torch.testing.assert_close(have, want, rtol=1e-5, atol=0)
    assert not direction["norm.weight"].any() and naive["norm.weight"].any()
    for name in ("up.weight", "positions"):
        ratio = by_hand(name, naive[name]).norm(dim=1) / by_hand(name, plane.origin[name]).norm(dim=1)
        assert (ratio - 1).abs().max() > 0.1
    assert norm_ratios(plane, problem.rules)[0] == pytest.approx((1, 1), rel=1e-5)


def test_trap_07_the_direction_moves_the_effective_weight_of_a_weight_normed_layer():
    plain = cases.mlp()
    normed = cases.seeded(cases._mlp).double()
    for index in (0, 2):
        nn.utils.parametrizations.weight_norm(normed[index])
    data = plain.examples["train"].batches(None)[0]
    problem = Problem.make(normed, data, cases.cross_entropy, dtype=torch.float64)
    values = []
    for each in (plain, problem):
        plane = make_plane(PlaneSpec(), 2, each.params, rules=each.rules)
        points = Loop(each, plane, batch_size=20).evaluate([0, 1], np.array([[1.0, -0.5], [0.25, 2.0]]), ["train"])
        values.append([point.mean("loss") for point in points])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-10)
