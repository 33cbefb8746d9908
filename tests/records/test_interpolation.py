import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from lossviz.records.interpolation import interpolate, interpolate_grid, refine

axes = st.lists(st.floats(0.01, 1), min_size=1, max_size=12).map(lambda steps: np.cumsum([0.0, *steps]))


@given(axes, st.integers(0, 2**32 - 1))
def test_equals_scipys_pchip_on_uneven_axes(x, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, len(x))).round(1)  # rounding makes flat pieces
    at = np.sort(np.concatenate([x, rng.uniform(x[0], x[-1], 30)]))
    expected = PchipInterpolator(x, values, axis=1)(at) if len(x) > 2 else [np.interp(at, x, row) for row in values]
    np.testing.assert_allclose(interpolate(x, values, at, axis=1), expected, atol=1e-12)


@given(axes, st.integers(0, 2**32 - 1))
def test_never_overshoots(x, seed):
    values = np.random.default_rng(seed).normal(size=len(x))
    at = np.linspace(x[0], x[-1], 200)
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    low, high = np.minimum(values[k], values[k + 1]), np.maximum(values[k], values[k + 1])
    between = interpolate(x, values, at)
    assert (between >= low - 1e-9).all() and (between <= high + 1e-9).all()


def test_a_grid_is_interpolated_along_both_axes():
    x, y = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 0.5, 2.0])
    values = np.add.outer(2 * y, 3 * x)  # a plane stays a plane
    fine_x, fine_y = np.linspace(0, 3, 7), np.linspace(-1, 2, 5)
    np.testing.assert_allclose(interpolate_grid(x, y, values, fine_x, fine_y), np.add.outer(2 * fine_y, 3 * fine_x))


@pytest.mark.parametrize("fewest", [2, 10, 320])
def test_fine_coordinates_go_through_even_samples(fewest):
    x = np.linspace(-1, 1, 51)
    fine = refine(x, fewest)
    assert len(fine) >= fewest
    assert set(x) <= set(fine)
    assert (np.diff(fine) > 0).all()
