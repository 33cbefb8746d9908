import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossviz.evaluate.moments import MomentSums, transfer
from lossviz.problem.outcome import Outcome

values = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30)


def packed(x, w, size):
    sums = MomentSums()
    for start in range(0, len(x), size):
        weight = None if w is None else torch.tensor(w[start : start + size])
        part = torch.tensor(x[start : start + size])
        sums.add(Outcome({"loss": part}, weight, len(part)))
    assert sums.count == len(x)
    return sums.packed().tolist()


@given(values, st.integers(1, 12), st.data())
def test_any_batching_gives_the_two_pass_moments(x, size, data):
    w = data.draw(st.none() | st.lists(st.integers(1, 9), min_size=len(x), max_size=len(x)))
    exact, weights = np.array(x), np.ones(len(x)) if w is None else np.array(w, float)
    mean = (weights * exact).sum() / weights.sum()
    expected = [weights.sum(), (weights * exact).sum(), (weights**2 * (exact - mean) ** 2).sum()]
    np.testing.assert_allclose(packed(x, w, size), expected, rtol=1e-9, atol=1e-6)


def test_small_spread_on_a_large_mean_does_not_cancel():
    x = (1e4 + np.arange(1000) % 2).tolist()
    assert packed(x, None, 64)[2] == pytest.approx(250.0, rel=1e-9)


def test_stacked_points_are_single_ones():
    x = torch.randn(3, 10)
    together = MomentSums(stacked=True)
    for part in x.split(4, dim=1):
        together.add(Outcome({"loss": part, "mean": part.mean(1)}, None, part.shape[1]))
    for k in range(3):
        alone = MomentSums()
        for part in x[k].split(4):
            alone.add(Outcome({"loss": part, "mean": part.mean()}, None, len(part)))
        torch.testing.assert_close(together.packed()[k], alone.packed(), equal_nan=True)


def test_stacked_means_are_told_from_examples_when_points_and_examples_are_equally_many():
    sums = MomentSums(stacked=True)
    sums.add(Outcome({"mean": torch.tensor([1.0, 2.0, 3.0])}, None, 3))
    assert sums.packed()[:, 1].tolist() == [3.0, 6.0, 9.0]


def test_batch_means_count_by_their_examples_and_have_no_deviation():
    sums = MomentSums()
    sums.add(Outcome({"loss": torch.tensor(1.0)}, None, 128))
    sums.add(Outcome({"loss": torch.tensor(2.0)}, None, 4))
    weight, total, m2 = sums.packed().tolist()
    assert total / weight == pytest.approx((128 + 8) / 132)
    assert np.isnan(m2)


def test_a_batch_without_counted_targets_adds_nothing():
    sums = MomentSums()
    sums.add(Outcome({"loss": torch.tensor(torch.nan)}, torch.zeros(4), 4))
    sums.add(Outcome({"loss": torch.tensor(2.0)}, torch.ones(4), 4))
    assert sums.packed()[:2].tolist() == [4.0, 8.0]


def test_infinite_values_stay_results():
    weight, total, _ = packed([1.0, np.inf], None, 1)
    assert (weight, total) == (2.0, np.inf)


def test_transfer_cuts_rows_of_unequal_length():
    rows = [torch.tensor([1.0, 2.0]), torch.tensor([3.0]), torch.tensor([4.0, 5.0])]
    assert transfer(rows) == [[1.0, 2.0], [3.0], [4.0, 5.0]]
