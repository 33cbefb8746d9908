"""Directions made again from their recipe, read from files, and refused where they are another plane."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lossviz.directions import stored
from lossviz.directions.make import make_plane
from lossviz.directions.normalize import apply_scales, normalize, scale_factors
from lossviz.directions.stored import Directions, directions_of, draw_directions, read_stored, taken_recipe
from lossviz.errors import LayoutError, PlanError, StoreError, UsageError
from lossviz.records.plan import PlaneSpec
from lossviz.records.recipe import Recipe
from lossviz.store.directions_file import read_directions, write_directions


def origin_of(seed=3):
    generator = torch.Generator().manual_seed(seed)
    origin = {
        "conv.weight": torch.randn(5, 3, 2, 2, generator=generator),
        "conv.bias": torch.randn(5, generator=generator),
        "norm.gain": torch.ones(()),
        "head.weight": torch.randn(4, 5, generator=generator),
    }
    origin["conv.weight"][2] = 0.0  # a filter without a norm
    return origin


ORIGIN = origin_of()


def same(a, b):
    return all(list(x) == list(y) and all(torch.equal(x[n], y[n]) for n in x) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("vectors", ["zero", "keep"])
@pytest.mark.parametrize("how", ["filter", "layer", "model", "none"])
def test_scale_factors_make_the_normalized_direction_bit_for_bit(how, vectors):
    direction = {name: torch.randn(t.shape, generator=torch.Generator().manual_seed(7)) for name, t in ORIGIN.items()}
    scales = scale_factors(direction, ORIGIN, how, vectors=vectors)
    assert same([apply_scales(direction, scales)], [normalize(direction, ORIGIN, how, vectors=vectors)])
    assert all(scale.dtype == torch.float64 and scale.dim() == 1 for scale in scales.values())
    assert len(scales["conv.weight"]) == (5 if how == "filter" else 1)


@pytest.mark.parametrize("vectors", ["zero", "keep"])
@pytest.mark.parametrize("how", ["filter", "layer", "model", "none"])
def test_a_recipe_makes_the_same_directions_bit_for_bit(tmp_path, how, vectors):
    spec = PlaneSpec(seed=11, normalize=how, vectors=vectors)
    drawn = draw_directions(spec, 2, ORIGIN)
    drawn.write(tmp_path / "a.directions.h5", ORIGIN, "recipe")
    assert read_directions(tmp_path / "a.directions.h5").directions is None
    again = read_stored(tmp_path / "a.directions.h5", spec, ORIGIN, pytest.fail)
    assert same(again.tensors, drawn.tensors) and same(again.scales, drawn.scales)
    # the weights are not needed, only their shapes: the scale factors say what their norms were
    elsewhere = read_stored(tmp_path / "a.directions.h5", spec, origin_of(99), pytest.fail)
    assert same(elsewhere.tensors, drawn.tensors)


def test_drawn_directions_are_those_of_make_plane():
    assert same(
        draw_directions(PlaneSpec(seed=2), 2, ORIGIN).tensors, make_plane(PlaneSpec(seed=2), 2, ORIGIN).directions
    )


def test_above_the_limit_auto_keeps_the_recipe_only(tmp_path, monkeypatch):
    drawn = draw_directions(PlaneSpec(), 2, ORIGIN)
    assert drawn.bytes == 2 * 4 * (60 + 5 + 1 + 20)
    for limit, kept in ((drawn.bytes, True), (drawn.bytes - 1, False)):
        monkeypatch.setattr(stored, "LARGEST_BYTES", limit)
        drawn.write(tmp_path / "a.directions.h5", ORIGIN)
        assert (read_directions(tmp_path / "a.directions.h5").directions is not None) == kept
    drawn.write(tmp_path / "a.directions.h5", ORIGIN, "always")
    assert read_directions(tmp_path / "a.directions.h5").directions is not None


def recipe_only(tmp_path, change):
    """A file that keeps a recipe, whose generator then changes."""
    drawn, path = draw_directions(PlaneSpec(seed=1), 2, ORIGIN), tmp_path / "a.directions.h5"
    changed = tuple({name: change(tensor) for name, tensor in d.items()} for d in drawn.tensors)
    replace(drawn, tensors=changed).write(path, ORIGIN, "recipe")
    return path


def test_the_same_plane_up_to_rounding_is_used_and_said(tmp_path):
    path, said = recipe_only(tmp_path, lambda t: t * (1 + 1e-7)), []
    read_stored(path, PlaneSpec(seed=1), ORIGIN, said.append)
    assert len(said) == 1 and "up to rounding" in said[0].text


def test_another_plane_is_refused(tmp_path):
    path = recipe_only(tmp_path, lambda t: t.flip(0) if t.dim() else t)
    with pytest.raises(PlanError, match="another plane"):
        read_stored(path, PlaneSpec(seed=1), ORIGIN, pytest.fail)


def test_another_recipe_or_layout_is_refused(tmp_path):
    path = recipe_only(tmp_path, lambda t: t)
    with pytest.raises(PlanError, match="other directions than the plan's"):
        read_stored(path, PlaneSpec(seed=2), ORIGIN, pytest.fail)
    for other in ({**ORIGIN, "more": torch.ones(2)}, {**ORIGIN, "conv.weight": torch.ones(6, 3, 2, 2)}):
        with pytest.raises(LayoutError, match="do not fit this model"):
            read_stored(path, PlaneSpec(seed=1), other, pytest.fail)
    write_directions(path, [{"w": np.ones(2, np.float32)}], recipe=Recipe(kind="explicit"), tensors=False)
    with pytest.raises(StoreError, match="not one that this lossviz can follow"):
        directions_of(read_directions(path), ORIGIN, "a", pytest.fail)


def test_directions_without_a_seed_have_no_recipe(tmp_path):
    explicit = Directions(({"w": torch.ones(3)},), Recipe(kind="imported"))
    with pytest.raises(UsageError, match="--store-directions always"):
        explicit.write(tmp_path / "a.directions.h5", {"w": torch.ones(3)}, "recipe")
    assert not list(tmp_path.iterdir())


def test_directions_of_another_network_can_be_kept_as_its_recipe(tmp_path):
    drawn = draw_directions(PlaneSpec(seed=4), 2, ORIGIN)
    taken = replace(drawn, recipe=taken_recipe(drawn.recipe))
    fingerprint = taken.write(tmp_path / "a.directions.h5", origin_of(5), "recipe")
    spec = PlaneSpec("file", seed=4, directions_sha256=fingerprint.sha256)
    again = read_stored(tmp_path / "a.directions.h5", spec, origin_of(5), pytest.fail)
    assert same(again.tensors, drawn.tensors)
    assert taken_recipe(taken.recipe) == taken.recipe  # taken once more it says the same


def test_numbered_directions_of_other_programs_are_named_in_order(tmp_path):
    numbered = [{str(k): t.numpy() for k, t in enumerate(ORIGIN.values())}]
    write_directions(tmp_path / "a.directions.h5", numbered, recipe=Recipe(kind="imported"))
    found = directions_of(read_directions(tmp_path / "a.directions.h5"), ORIGIN, "a", pytest.fail)
    assert same(found.tensors, [ORIGIN])
    other = {**ORIGIN, "head.weight": torch.ones(5, 5)}
    with pytest.raises(LayoutError, match="do not fit this model"):
        directions_of(read_directions(tmp_path / "a.directions.h5"), other, "a", pytest.fail)
