import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.render.values.levels import MOST, choose_levels, rank, spread_ticks
from lossviz.render.values.scale import Scale, choose_scale

ranges = st.tuples(st.floats(-6, 5), st.floats(0.3, 11)).map(lambda p: (10 ** p[0], 10 ** min(p[0] + p[1], 6)))


def cone(low, high, n=120):
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n // 2))
    r = np.hypot(x, y) / np.sqrt(2)
    return 10 ** ((1 - r) * np.log10(low) + r * np.log10(high))


@given(ranges)
def test_levels_are_sorted_distinct_inside_and_not_too_many(ends):
    values = cone(*ends)
    scale = choose_scale(values, scale="log", clip="none")
    levels = np.array(choose_levels(values, scale))
    assert (np.diff(levels) > 0).all()
    assert ((levels > scale.low) & (levels < scale.high)).all()
    assert 3 <= len(levels) <= MOST + 3  # the basin guard may add three


@given(ranges)
def test_levels_are_short_numbers(ends):
    values = cone(*ends)
    for level in choose_levels(values, choose_scale(values, scale="log", clip="none")):
        assert float(f"{level:.2e}") == pytest.approx(level, rel=1e-12)


@pytest.mark.parametrize("decades", [1, 2, 3, 4, 5])
def test_the_basin_holds_two_levels(decades):
    values = cone(10.0**-decades, 10.0)
    scale = choose_scale(values, scale="log", clip="none")
    wide = choose_levels(values, scale, width_mm=500.0)  # so large that nothing is thinned
    assert (np.array(wide) < np.quantile(values, 0.02)).sum() >= 2


def test_lines_keep_their_distance_on_paper_and_decades_survive():
    values, width = cone(1e-4, 1e4), 40.0
    levels = choose_levels(values, choose_scale(values, clip="none"), width_mm=width)
    radius = [width * np.sqrt((values < level).mean() / np.pi) for level in levels]
    assert min(np.diff(radius)) > 0.75
    assert any(rank(level) == 0 for level in levels)


def test_wide_gaps_are_filled():
    # nearly flat between 2 and 4, steep elsewhere
    values = np.concatenate([np.geomspace(0.01, 2, 200), np.linspace(2, 4, 3000), np.geomspace(4, 100, 200)])
    levels = choose_levels(values, choose_scale(values, scale="log", clip="none"), width_mm=90.0)
    assert [v for v in levels if 2 < v < 4]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_levels_are_evenly_spaced(low, span):
    scale = Scale("linear", low, low + span)
    levels = np.array(choose_levels(np.linspace(low, low + span, 50), scale))
    assert 4 <= len(levels) <= 15
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0], rtol=1e-6, atol=1e-9 * abs(low))


def test_a_constant_surface_has_no_levels():
    assert choose_levels(np.full(9, 2.3), choose_scale(np.full(9, 2.3))) == ()


def test_ticks_are_apart_and_decades_win():
    scale = Scale("log", 1e-8, 1e8)
    levels = tuple(float(f"{m}e{e}") for e in range(-8, 8) for m in (1, 3))
    ticks = spread_ticks(levels, scale)
    assert min(np.diff(scale.position(np.array(ticks)))) >= 0.045
    assert all(rank(tick) == 0 for tick in ticks)


@pytest.mark.parametrize("low, high", [(1e-300, 1e300), (1e-6, 1e6), (1e-3, 1.1e-3)])
def test_any_range_gets_a_readable_number_of_levels(low, high):
    values = cone(low, high)
    assert 3 <= len(choose_levels(values, choose_scale(values, scale="log", clip="none"))) <= MOST + 3
