"""Traps 17, 33, 34 and 40-42: what a picture shows of values that are missing, not finite, clipped or small."""

import numpy as np
import pytest

from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell

GRID = Grid.parse("-1:1:21,-2:2:17")


def bowl(scale=1.0, floor=0.01):
    alpha, beta = (axis.coordinates for axis in GRID.axes)
    return scale * (alpha[None, :] ** 2 + 0.5 * beta[:, None] ** 2 + floor)


def surface_of(values, missing=()):
    surface = Surface.empty(Plan(ProblemRef("p.py", "00"), PlaneSpec(), GRID))
    for index, value in enumerate(np.asarray(values).ravel().tolist()):
        if index not in missing:
            surface.put(Point(index, "train", 100, 100.0, {"loss": 100 * value}, {"loss": 1.0}))
    return surface


def contour_vertices(scene):
    with settings(scene):
        axes = make_figure(scene).axes[0]
    paths = [path for c in axes.collections if hasattr(c, "levels") for path in c.get_paths()]
    return np.concatenate([path.vertices for path in paths if len(path.vertices)])


def test_trap_33_nan_is_never_drawn_as_a_height():
    values = bowl()
    values[12:, 15:] = np.nan
    scene = make_scene([surface_of(values)], kind="contour")
    (panel,) = scene.panels
    assert panel.counts[Cell.NAN] == 5 * 6
    assert panel.z.mask[12:, 15:].all()
    assert panel.z.mask.sum() == 30
    np.testing.assert_allclose(panel.z[:12].filled(), values[:12], rtol=1e-15)  # nothing is smoothed or filled in
    assert "30" in scene.caption
    alpha, beta = (axis.coordinates for axis in GRID.axes)
    inside = contour_vertices(scene)
    # cells reach half-way to their neighbours; no line enters them
    edge_x, edge_y = (alpha[14] + alpha[15]) / 2, (beta[11] + beta[12]) / 2
    assert not ((inside[:, 0] > edge_x + 1e-9) & (inside[:, 1] > edge_y + 1e-9)).any()


def test_trap_34_infinity_is_not_fatal_to_a_log_picture():
    values = bowl(100.0, floor=1e-4)
    values[0, :4] = np.inf
    scene = make_scene([surface_of(values)], kind="contour", scale="log")
    assert scene.panels[0].counts[Cell.PLUS_INF] == 4
    assert scene.keys[0].scale.kind == "log"
    assert np.isfinite(scene.keys[0].scale.high)


def test_trap_34_points_that_are_not_evaluated_are_no_cliff():
    missing = range(10, 40)
    scene = make_scene([surface_of(bowl(), missing)], kind="contour", smooth=False)
    panel = scene.panels[0]
    assert panel.counts[Cell.NOT_EVALUATED] == 30
    assert panel.z.mask.sum() == 30
    assert panel.z.min() > 0


def test_trap_34_clipping_is_stated():
    scene = make_scene([surface_of(bowl())], kind="contour", clip=1.5)
    clipped = int((bowl() > 1.5).sum())
    assert scene.keys[0].scale.high == 1.5
    assert scene.panels[0].counts[Cell.CLIPPED] == clipped > 0
    assert f"{clipped} points" in scene.caption
    assert any("1.5" in entry.text for row in scene.legend for entry in row)


@pytest.mark.parametrize("scale", [1e-6, 0.06 / 3.01, 1.0, 1e6])
def test_trap_40_levels_follow_the_values(scale):
    values = bowl(scale)
    levels = np.array(make_scene([surface_of(values)], kind="contour").keys[0].levels)
    assert len(levels) >= 4
    assert ((levels > values.min()) & (levels < values.max())).all()


def test_trap_41_two_surfaces_share_one_scale():
    low, high = surface_of(bowl()), surface_of(bowl(50.0))
    scene = make_scene([low, high], kind="contour", titles=["low", "high"])
    assert len({panel.key for panel in scene.panels}) == 1
    scale = scene.keys[0].scale
    assert scale.low == pytest.approx(bowl().min())
    assert scale.high <= bowl(50.0).max()


def test_trap_41_a_log_scale_is_not_shifted():
    scale = make_scene([surface_of(bowl(100.0, floor=1e-4))], kind="contour", scale="log").keys[0].scale
    values = np.array([0.02, 1.0, 150.0])
    np.testing.assert_allclose(scale.forward(values), np.log10(values))


def test_trap_42_the_caption_says_what_one_slice_cannot_show_and_what_the_unit_is():
    scene = make_scene([surface_of(bowl())], kind="contour")
    assert "one slice" in scene.caption
    assert "filter-normalized" in scene.panels[0].x_label


def test_traps_17_18_axes_end_where_the_samples_end():
    panel = make_scene([surface_of(bowl())], kind="contour").panels[0]
    assert (panel.x[0], panel.x[-1], panel.y[0], panel.y[-1]) == (-1.0, 1.0, -2.0, 2.0)
    assert panel.z.shape == (17, 21)
