import numpy as np
import pytest
import torch
from scipy import stats

from lossviz.directions import gaussian
from lossviz.directions.gaussian import sample_gaussian

ORIGIN = {"a": torch.zeros(40, 50), "b": torch.zeros(7), "c": torch.zeros(())}


def test_entries_are_standard_normal_and_axes_uncorrelated():
    x, y = (sample_gaussian({"w": torch.zeros(300, 301)}, 0, axis)["w"].flatten().numpy() for axis in (0, 1))
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(x.size)
    assert x.min() < -3.5 < 3.5 < x.max()


KNOWN = [[-0.743337094783783, -1.8202513456344604], [0.7880750298500061, -0.7683979272842407]]


def test_known_values_hold_for_ever():
    # another version of a library, another machine: these numbers must not change
    tensor = sample_gaussian({"layer.weight": torch.zeros(2, 2)}, seed=0, axis=0)["layer.weight"]
    expected = torch.tensor(KNOWN)
    torch.testing.assert_close(tensor, expected, rtol=0, atol=0)


def test_order_type_and_device_of_the_origin_do_not_matter():
    shuffled = {name: ORIGIN[name].to(torch.bfloat16) + 1 for name in ("c", "a", "b")}
    first, second = sample_gaussian(ORIGIN, 3, 0), sample_gaussian(shuffled, 3, 0)
    assert all(torch.equal(first[name], second[name]) for name in ORIGIN)


@pytest.mark.parametrize("change", [{"seed": 4}, {"axis": 1}])
def test_seed_and_axis_matter(change):
    first = sample_gaussian(ORIGIN, seed=3, axis=0)
    second = sample_gaussian(ORIGIN, **{"seed": 3, "axis": 0, **change})
    assert all((first[name] != second[name]).all() for name in ORIGIN)


def test_blocks_do_not_show(monkeypatch):
    whole = sample_gaussian({"w": torch.zeros(1001)}, 0, 0)["w"]
    monkeypatch.setattr(gaussian, "_BLOCK", 7)
    assert torch.equal(sample_gaussian({"w": torch.zeros(1001)}, 0, 0)["w"], whole)


def test_global_random_state_is_neither_used_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = sample_gaussian(ORIGIN, 0, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(sample_gaussian(ORIGIN, 0, 0)["a"], first["a"])
