import json

import numpy as np
import pytest

from lossviz.cli.info import shape_of
from lossviz.records.facts import Facts
from lossviz.records.grid import Axis, Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.shape import Rise, cell_sizes, describe_shape, ring, second_differences
from lossviz.records.surface import Surface
from lossviz.records.topology import valleys_of


def sampled(function, text="-1:1:41,-2:2:81", stderr=0.0):
    """A surface whose loss is a function of the coordinates."""
    grid = Grid.parse(text)
    surface = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), grid))
    for index, at in enumerate(grid.coordinates(range(grid.size))):
        surface.put(Point(index, "train", 2, 2.0, {"loss": 2 * float(function(*at))}, {"loss": 2 * stderr**2}))
    return surface


def test_a_bowl_has_the_numbers_it_must_have():
    shape = describe_shape(sampled(lambda x, y: 1 + x**2 + 4 * y**2), "train_loss", radii=(0.5, 1.0))
    assert (shape.centre, shape.minimum, shape.minimum_at, shape.maximum) == (1, 1, [0, 0], 18)
    for text, radius in (("0.5", 0.5), ("1", 1.0)):
        assert shape.rise[text].mean == pytest.approx(2.5 * radius**2, rel=0.01)
        assert shape.rise[text].largest == pytest.approx(4 * radius**2, rel=0.01)
    assert shape.anisotropy == pytest.approx(4, rel=0.02)
    assert shape.second_differences == pytest.approx([2, 8])
    assert shape.share["1"] == pytest.approx(np.pi / 2 / 8, rel=0.03)  # an ellipse in a rectangle
    json.dumps(shape.to_json(), allow_nan=False)


def test_uneven_axes_and_three_dimensions():
    grid = Grid((Axis("alpha", np.array([-1.0, 0.0, 0.5])), Axis("beta", np.array([-2.0, -1.0, 0.0, 3.0]))))
    x, y = grid.axes[0].coordinates, grid.axes[1].coordinates[:, None]
    np.testing.assert_allclose(second_differences(grid, x**2 - 3 * y**2), [2, -6])
    assert cell_sizes(grid).shape == (4, 3) and cell_sizes(grid).sum() == pytest.approx(1.5 * 5)
    shape = describe_shape(sampled(lambda x, y, z: x - 2 * y + 3 * z, "-1:1:3,-1:1:5,-1:1:4"), "train_loss")
    assert shape.centre is None and shape.share["1"] is None and shape.maximum == 6
    cube = Grid.parse("-1:1:3,-1:1:5,-1:1:7")
    plane = np.add.outer(
        np.add.outer(100 * cube.axes[2].coordinates, 10 * cube.axes[1].coordinates), cube.axes[0].coordinates
    )
    assert ring(cube, plane, 1.0).max() == pytest.approx(np.hypot(100, 10), rel=0.01)


def test_one_dimension():
    shape = describe_shape(sampled(lambda x: x**2 + x, "-1:1:21"), "train_loss", radii=(1.0, 5.0))
    assert shape.rise["1"] == Rise(pytest.approx(1.0), pytest.approx(2.0))
    assert shape.rise["5"] == Rise(None, None)


def test_what_is_not_known_is_none():
    surface = sampled(lambda x, y: np.inf if x > 0.9 else x**2 + y**2)
    shape = describe_shape(surface, "train_loss")
    assert shape.rise["1"].largest is None and shape.rise["0.5"].largest == pytest.approx(0.25, rel=0.01)
    assert shape.minimum == 0 and shape.maximum < 6


def left_out(surface, keep, facts=None):
    """The surface with only the points of ``keep`` evaluated."""
    counts = surface.splits["train"]
    for table in (counts.count, counts.weight, counts.status):
        table[~keep] = 0
    surface.sums["train_loss"][~keep] = np.nan
    surface.facts = Facts.from_json(facts or {})
    return surface


def test_points_left_out_count_with_their_interpolated_values_and_the_error_is_told():
    whole = describe_shape(sampled(lambda x, y: 1 + x**2 / 4 + y**2 / 9, "-1:1:41,-1:1:33"), "train_loss")
    keep = np.zeros((33, 41), bool)
    keep[::4, ::4] = True
    surface = left_out(
        sampled(lambda x, y: 1 + x**2 / 4 + y**2 / 9, "-1:1:41,-1:1:33"), keep, {"refinement": {"largest": 0.02}}
    )
    shape = describe_shape(surface, "train_loss")
    assert shape.interpolated == (~keep).sum() and shape.interpolation_error == 0.02
    assert shape.volume["1"] == pytest.approx(4.0) and shape.share["1"] == pytest.approx(1.0)  # all the window
    assert shape.share["0.1"] == pytest.approx(whole.share["0.1"], abs=0.05)
    assert shape.rise["1"].mean == pytest.approx(whole.rise["1"].mean, rel=0.05)
    assert len(valleys_of(surface, "train_loss")) == 1
    assert whole.interpolated == 0 and whole.interpolation_error is None


def test_numbers_of_holes_are_not_given():
    keep = np.random.default_rng(0).random((33, 41)) < 0.3
    keep[16, 20] = True  # the centre
    surface = left_out(sampled(lambda x, y: 1 + x**2 + y**2, "-1:1:41,-1:1:33"), keep)
    shape = describe_shape(surface, "train_loss")
    assert shape.centre == 1 and shape.interpolated == 0
    assert set(shape.volume.values()) == set(shape.share.values()) == {None}
    row = shape_of(surface, "train_loss")
    assert row is not None and row.minima is None and row.minima_above_noise is None
