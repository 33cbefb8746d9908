"""Rules by module type: which slices of each parameter are its filters."""

import warnings
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from lossviz.directions.normalize import apply_scales, filter_norms, normalize, scale_factors
from lossviz.errors import PlanError
from lossviz.problem.effective import fold_pairs, fold_weight_norm
from lossviz.problem.problem import Problem
from lossviz.problem.rules import rules_of
from lossviz.records.remark import texts
from lossviz.records.rule import Rule, override
from tests import cases


class Conv1D(nn.Module):  # as GPT-2 writes it: weight (in, out)
    def __init__(self, out, inputs):
        super().__init__()
        self.nf = out
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, out)), nn.Parameter(torch.zeros(out))


class ToyExperts(nn.Module):
    def __init__(self, left=False):
        super().__init__()
        self.is_transposed = left
        self.up_proj = nn.Parameter(torch.randn(4, 3, 6))
        self.up_bias = nn.Parameter(torch.randn(4, 6))


class Zoo(nn.Module):
    EXPECTED: ClassVar = {
        "class_token": "axis 1", "positions": "axis 1", "layer_scale": "vector", "temperature": "vector",
        "linear.weight": "axis 0", "narrow.weight": "axis 0", "conv.weight": "axis 0", "conv.bias": "vector",
        "up.weight": "axis 1", "grouped.weight": "axis 1 of 2 groups",
        "attn.c_attn.weight": "axis 1 of 3 roles", "attn.c_attn.bias": "vector of 3 roles", "mlp.weight": "axis 1",
        "attention.in_proj_weight": "axis 0 of 3 roles", "attention.in_proj_bias": "vector of 3 roles",
        "attention.out_proj.weight": "axis 0", "attention.bias_k": "vector",
        "qkv.weight": "axis 0 of 3 roles", "qkv.bias": "vector of 3 roles",
        "lstm.weight_ih_l0": "axis 0 of 4 roles", "lstm.weight_hr_l0": "axis 0", "lstm.bias_hh_l0": "vector of 4 roles",
        "gru.weight_hh": "axis 0 of 3 roles", "tokens.weight": "axis 0 without row 1", "norm.weight": "vector",
        "experts.up_proj": "axes 0 1", "experts.up_bias": "vector of 4 roles", "left.up_proj": "axes 0 2",
        "spectral.parametrizations.weight.original": "axis 1",
    }  # fmt: skip

    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8))
        self.layer_scale = nn.Parameter(torch.randn(8, 1, 1))
        self.temperature = nn.Parameter(torch.tensor(2.0))
        self.linear, self.narrow = nn.Linear(5, 4), nn.Linear(5, 1)
        self.conv = nn.Conv2d(4, 6, 3, groups=2)
        self.up, self.grouped = nn.ConvTranspose2d(4, 6, 3), nn.ConvTranspose1d(4, 6, 3, groups=2)
        self.attn, self.mlp = nn.ModuleDict({"c_attn": Conv1D(12, 4)}), Conv1D(12, 4)
        self.attention = nn.MultiheadAttention(6, 2, add_bias_kv=True)
        self.qkv = nn.Linear(4, 12)
        self.lstm, self.gru = nn.LSTM(3, 4, proj_size=2), nn.GRUCell(3, 4)
        self.tokens = nn.Embedding(7, 3, padding_idx=1)
        self.norm = nn.LayerNorm([3, 4])
        self.experts, self.left = ToyExperts(), ToyExperts(left=True)
        self.spectral = spectral_norm(nn.ConvTranspose1d(3, 4, 2))


def zoo():
    return cases.seeded(Zoo)


def drawn(origin, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for name, tensor in origin.items()}


def test_every_layer_has_its_rule():
    rules = {name: str(rule) for name, rule in rules_of(zoo()).items()}
    assert {name: rules[name] for name in Zoo.EXPECTED} == Zoo.EXPECTED


def test_rules_are_read_as_they_are_written():
    for rule in rules_of(zoo()).values():
        assert Rule.parse(str(rule)) == rule
    assert Rule.parse("whole") == Rule(axes=()) and Rule.parse("held") == Rule("held")
    for text in ("axis", "axis one", "first", "axis 0 of roles"):
        with pytest.raises(PlanError, match="is no rule"):
            Rule.parse(text)


@pytest.mark.parametrize("vectors", ["zero", "keep"])
@pytest.mark.parametrize("how", ["filter", "layer", "model", "none"])
def test_factors_alone_make_the_direction_again(how, vectors):
    model = zoo()
    origin = {name: p.detach() for name, p in model.named_parameters()}
    rules, raw = rules_of(model), drawn(origin)
    scales = scale_factors(raw, origin, how, vectors=vectors, rules=rules)
    made = apply_scales(raw, scales)
    for name, tensor in made.items():
        assert tensor.shape == origin[name].shape
        assert not made["tokens.weight"][1].any()
        if vectors == "zero":
            assert bool(tensor.any()) == (rules[name].kind == "filters"), name


def test_every_filter_of_every_rule_has_the_norm_of_its_own():
    model = zoo()
    origin = {name: p.detach().double() for name, p in model.named_parameters()}
    rules = rules_of(model)
    made = normalize(drawn(origin), origin, "filter", vectors="keep", rules=rules)
    for name, tensor in made.items():
        torch.testing.assert_close(filter_norms(tensor, rules[name]), filter_norms(origin[name], rules[name]))


def test_a_grouped_transposed_convolution_scales_as_the_outputs_it_makes():
    layer = cases.seeded(nn.ConvTranspose1d, 4, 6, 3, 1, 0, 0, 2)
    origin = {"weight": layer.weight.detach()}
    made = normalize(drawn(origin), origin, "filter", rules=rules_of(layer))["weight"]
    for group in range(2):
        for out in range(3):
            at = (slice(2 * group, 2 * group + 2), out)
            assert float(made[at].norm()) == pytest.approx(float(origin["weight"][at].norm()), rel=1e-6)


def test_roles_are_layers_of_their_own():
    origin = {"w": torch.cat([torch.ones(2, 3), 10 * torch.ones(2, 3)])}
    raw = {"w": torch.cat([5 * torch.ones(2, 3), torch.ones(2, 3)])}
    made = normalize(raw, origin, "layer", rules={"w": Rule(roles=2)})["w"]
    torch.testing.assert_close(made, origin["w"])
    assert not torch.allclose(normalize(raw, origin, "layer")["w"], origin["w"])


def test_patterns_override_and_say_what_they_miss():
    rules, shapes = {"a.w": Rule(), "b.w": Rule()}, {"a.w": (4, 3), "b.w": (5,)}
    assert override(rules, shapes, [("*", "axis 0"), ("a.*", "axis 1")])["a.w"] == Rule(axes=(1,))
    with pytest.raises(PlanError, match=r"(?s)matches no parameter.*b\.w .*no axis 1"):
        override(rules, shapes, [("c.*", "axis 0"), ("b.*", "axis 1")])


def old_weight_norm(layer, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer, **arguments)


@pytest.mark.parametrize("norm", [weight_norm, old_weight_norm])
@pytest.mark.parametrize("layer", [(nn.Linear, 5, 3), (nn.ConvTranspose2d, 5, 3, 2), (nn.Conv1d, 5, 3, 2)], ids=str)
def test_weight_norm_is_folded_into_the_same_function_and_pairs_in_files_too(norm, layer):
    made = norm(cases.seeded(*layer))
    before = made.weight.detach().clone()
    pairs = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    folded = fold_weight_norm(made)
    assert folded == ["weight"] and isinstance(made.weight, nn.Parameter)
    torch.testing.assert_close(made.weight.detach(), before)
    torch.testing.assert_close(fold_pairs(pairs)["weight"], before)
    assert set(fold_pairs(pairs)) == {"weight", "bias"}


@pytest.mark.parametrize("norm", [weight_norm, old_weight_norm])
def test_a_model_with_weight_norm_is_copied_and_left_as_it_was(norm):
    model = nn.Sequential(norm(nn.Linear(5, 4)), nn.ReLU(), nn.Linear(4, 3))
    data = cases.classes(8, 5)
    model(data[0])
    problem = Problem.make(model, data, cases.cross_entropy)
    assert set(problem.params) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert any("weight-norm" in note for note in texts(problem.remarks))
    assert len(list(model.parameters())) == 5  # the pair is still there
    expected = nn.functional.cross_entropy(model(data[0]), data[1])
    torch.testing.assert_close(problem.loss(problem.model, data)["loss"].mean(), expected.detach())


def test_two_weight_norms_of_one_module_are_folded_and_a_frozen_one_stays_frozen():
    lstm = cases.seeded(nn.LSTM, 3, 4)
    for name in ("weight_hh_l0", "weight_ih_l0"):
        weight_norm(lstm, name)
    x = torch.ones(2, 1, 3)
    expected = lstm(x)[0].detach()
    lstm.parametrizations["weight_hh_l0"].requires_grad_(False)
    model = nn.ModuleList([lstm])
    problem = Problem.make(model, (torch.zeros(2),), lambda m, b: b[0])
    assert problem.frozen == ("0.weight_hh_l0",)
    torch.testing.assert_close(problem.model[0](x)[0], expected)
    torch.testing.assert_close(lstm(x)[0].detach(), expected)
