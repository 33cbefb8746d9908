from typing import get_args

import pytest
import torch

from lossviz.directions.make import make_plane, norm_ratios
from lossviz.directions.normalize import (
    filter_norms,
    normalize,
)
from lossviz.errors import LayoutError
from lossviz.records.plan import Normalization, PlaneSpec
from lossviz.space.params import norm


def params_of(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (6, 3, 3, 3), "linear": (4, 5), "bias": (4,), "scalar": ()}
    return {n: torch.randn(s, generator=generator, dtype=dtype) * 3 for n, s in shapes.items()}


ORIGIN, RAW = params_of(0), params_of(1)


def test_every_filter_has_the_norm_of_its_filter():
    scaled = normalize(RAW, ORIGIN, "filter")
    for name in ("conv", "linear"):
        ratio = filter_norms(scaled[name]) / filter_norms(ORIGIN[name])
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-6, atol=0)
        cosine = torch.cosine_similarity(scaled[name].flatten(1), RAW[name].flatten(1))
        torch.testing.assert_close(cosine, torch.ones_like(cosine))


@pytest.mark.parametrize("how", get_args(Normalization))
def test_vectors_are_held_or_scaled_as_one(how):
    held, kept = normalize(RAW, ORIGIN, how), normalize(RAW, ORIGIN, how, vectors="keep")
    for name in ("bias", "scalar"):
        assert not held[name].any()
        assert kept[name].abs().min() > 0


def test_kept_vectors_take_the_origins_norm():
    kept = normalize(RAW, ORIGIN, "filter", vectors="keep")
    assert kept["bias"].norm() == pytest.approx(float(ORIGIN["bias"].norm()), rel=1e-6)
    assert kept["scalar"].abs() == pytest.approx(float(ORIGIN["scalar"].abs()), rel=1e-6)


def test_layer_and_model_norms():
    layer, model = normalize(RAW, ORIGIN, "layer"), normalize(RAW, ORIGIN, "model")
    for name in ("conv", "linear"):
        assert layer[name].norm() == pytest.approx(float(ORIGIN[name].norm()), rel=1e-6)
    moved = {name: ORIGIN[name] for name in ("conv", "linear")}
    assert norm(model) == pytest.approx(norm(moved), rel=1e-6)


def test_a_zero_filter_stays_zero_and_nothing_is_nan():
    origin = {**ORIGIN, "linear": ORIGIN["linear"] * torch.tensor([0.0, 1, 1, 1])[:, None]}
    raw = {**RAW, "linear": RAW["linear"] * torch.tensor([1.0, 0, 1, 1])[:, None]}
    for vectors in ("zero", "keep"):
        scaled = normalize(raw, {**origin, "bias": torch.zeros(4)}, "filter", vectors=vectors)
        assert not scaled["linear"][:2].any()
        assert not scaled["bias"].any()
        assert all(torch.isfinite(t).all() for t in scaled.values())


def test_inputs_are_not_modified_and_layouts_are_checked():
    raw = {name: t.clone() for name, t in RAW.items()}
    normalize(raw, ORIGIN, "filter")
    assert all(torch.equal(raw[name], RAW[name]) for name in RAW)
    with pytest.raises(LayoutError):
        normalize({"conv": RAW["conv"]}, ORIGIN, "filter")


def test_plane_from_a_plan_reports_ratios_of_one():
    plane = make_plane(PlaneSpec(seed=5), 3, ORIGIN)
    assert plane.dimension == 3
    for low, high in norm_ratios(plane):
        assert (low, high) == (pytest.approx(1, abs=1e-6), pytest.approx(1, abs=1e-6))
    assert plane.moved == ("conv", "linear")


def test_the_unnormalized_plane_reports_other_ratios():
    low, high = norm_ratios(make_plane(PlaneSpec(normalize="none"), 1, ORIGIN))[0]
    assert low < 0.9 or high > 1.1
