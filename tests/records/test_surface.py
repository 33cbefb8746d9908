import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import UsageError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point, Status
from lossviz.records.surface import Surface

PLAN = Plan(ProblemRef("p.py", "00"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"), splits=("train", "test"))


def point_of(values, weights=None, index=7, split="train", **more):
    x, w = np.array(values, float), np.ones(len(values)) if weights is None else np.array(weights, float)
    with np.errstate(invalid="ignore"):
        mean = (w * x).sum() / w.sum()
        m2 = (w**2 * (x - mean) ** 2).sum()
    return Point(index, split, len(x), w.sum(), {"loss": (w * x).sum()}, {"loss": m2}, **more)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_stderr_is_that_of_the_mean(values):
    surface = Surface.empty(PLAN)
    surface.put(point_of(values))
    expected = np.std(values, ddof=1) / math.sqrt(len(values))
    assert surface.stderr("train_loss")[1, 2] == pytest.approx(expected, abs=1e-9)
    assert surface.values("train_loss")[1, 2] == pytest.approx(np.mean(values), abs=1e-9)


def test_point_comes_back():
    surface, point = Surface.empty(PLAN), point_of([1, 2, 4], [1, 2, 3])
    surface.put(point, session=3)
    assert surface.point(7, "train") == point
    assert surface.splits["train"].session[1, 2] == 3


def test_nan_and_inf_are_results_and_a_zero_loss_is_done():
    surface = Surface.empty(PLAN)
    for index, values in enumerate(([np.inf, 1.0], [np.nan, 1.0], [0.0, 0.0])):
        surface.put(point_of(values, index=index))
    assert surface.splits["train"].status.ravel()[:4].tolist() == [3, 3, 1, 0]
    assert surface.values("train_loss").ravel()[0] == np.inf
    assert surface.pending("train").tolist() == list(range(3, 15))


def test_evaluated_without_a_split_means_all_of_them():
    surface = Surface.empty(PLAN)
    surface.put(point_of([1, 2]))
    assert surface.evaluated("train").sum() == 1
    assert surface.evaluated().sum() == 0
    surface.put(point_of([1, 2], split="test"))
    assert surface.evaluated().sum() == 1


def test_the_record_of_more_examples_counts_then_the_later():
    surface = Surface.empty(PLAN)
    for values in ([1, 1], [5, 5, 5], [2, 2], [7, 7, 7]):
        surface.put(point_of(values))
    assert surface.values("train_loss")[1, 2] == 7
    assert surface.splits["train"].status[1, 2] == Status.DONE


def test_an_unknown_quantity_is_named_with_those_present():
    surface = Surface.empty(PLAN)
    surface.put(point_of([1, 2]))
    with pytest.raises(UsageError, match=r"'loss'.*holds train_loss"):
        surface.values("loss")
