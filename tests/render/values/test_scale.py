import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import UsageError
from lossviz.render.values.scale import Scale, choose_scale, parse_clip

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_log_where_the_range_is_wide_and_linear_where_it_is_not():
    assert choose_scale(np.geomspace(1, 30, 99)).kind == "log"
    assert choose_scale(np.geomspace(1, 15, 99)).kind == "linear"
    assert choose_scale(np.linspace(-1, 100, 99)).kind == "linear"
    assert choose_scale(np.geomspace(0.001, 0.9, 99), quantity="error").kind == "linear"


def test_a_few_exact_zeros_do_not_prevent_a_log_scale():
    values = np.concatenate([np.zeros(10), np.geomspace(1e-3, 10, 90)])
    scale = choose_scale(values)
    assert (scale.kind, scale.low) == ("log", 1e-3)
    assert choose_scale(np.concatenate([np.zeros(90), np.geomspace(1e-3, 10, 10)])).kind == "linear"


def test_the_clip_is_the_top_of_the_scale():
    scale = choose_scale(np.geomspace(0.1, 204, 100), clip=100.0)
    assert (scale.high, scale.clipped) == (100.0, True)
    assert choose_scale(np.geomspace(0.1, 50, 100), clip=100.0).high == 50.0


def test_automatic_clip():
    mostly_low = np.concatenate([np.linspace(1, 2, 95), [50.0] * 5])
    assert choose_scale(mostly_low, scale="linear").high == pytest.approx(2.0, rel=0.05)
    assert choose_scale(mostly_low, scale="linear", clip="none").high == 50.0
    assert not choose_scale(np.geomspace(1e-4, 10, 99)).clipped
    assert choose_scale(np.geomspace(1e-4, 1e4, 999)).clipped


def test_a_range_across_zero_is_clipped_by_its_height_above_the_lowest_value():
    x, y = np.meshgrid(np.linspace(-1, 1, 51), np.linspace(-1, 1, 41))
    assert not choose_scale(1.2 * x + 1.4 * y - 1.0).clipped  # a plane from −3.6 to 1.6
    spike = np.concatenate([np.linspace(-2, 1, 95), [50.0] * 5])
    assert choose_scale(spike).high == pytest.approx(1.0, abs=0.3)


def test_where_six_decades_are_passed_the_top_does_not_jump():
    shape = np.geomspace(1.0, 1e6, 999)
    below, above = (choose_scale(np.concatenate([[1.0], shape, [top]])) for top in (0.98e6, 1.02e6))
    assert not below.clipped
    assert above.high >= 0.97e6


def test_clip_below_everything_is_refused():
    with pytest.raises(UsageError, match="lies below every value"):
        choose_scale(np.array([1.0, 2.0]), clip=0.5)


def test_log_of_nothing_positive_is_refused():
    with pytest.raises(UsageError, match="--scale linear"):
        choose_scale(np.array([-1.0, 0.0]), scale="log")


@pytest.mark.parametrize("text", ["q0", "q101", "foo", "nan", "inf", "q", ""])
def test_nonsense_clips_are_refused(text):
    with pytest.raises(UsageError, match="--clip"):
        parse_clip(text)


@given(st.lists(finite, min_size=1, max_size=30), st.sampled_from(["auto", "none", "q50"]))
def test_every_finite_input_has_a_scale_with_a_span(values, clip):
    values = np.array(values)
    scale = choose_scale(values, clip=clip)
    low, high = scale.display_ends
    assert np.isfinite([low, high]).all() and low < high
    position = scale.position(values)
    assert ((position >= 0) & (position <= 1)).all()
    assert (np.diff(scale.position(np.sort(values))) >= 0).all()


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_display_values_go_there_and_back(a, b):
    scale = Scale("log", min(a, b), max(a, b) * 2)
    assert float(scale.inverse(scale.forward(a))) == pytest.approx(a, rel=1e-10)
