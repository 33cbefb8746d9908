"""Ends of a scale that were asked for."""

import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.render.draw.line import display_limits
from lossviz.render.page.page_scale import make_page_scales
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell
from lossviz.render.values.ends import Ends


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap", "surface", "html"])
def test_two_figures_with_the_same_ends_have_the_same_colours(surface_of, coarse, kind):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 2, 7)
    bowl = np.hypot(*np.meshgrid(x, y)) ** 2 + 1
    words = {"kind": kind, "vmin": 0.5, "vmax": 8, "scale": "log"}
    scenes = [make_scene([surface_of(x, y, train_loss=bowl * by)], **words) for by in (1.0, 1.3)]
    assert [(scene.keys[0].scale.low, scene.keys[0].scale.high) for scene in scenes] == [(0.5, 8.0)] * 2


def test_what_lies_beyond_is_clipped_above_and_told_below(bowl, coarse):
    scene = make_scene([bowl], vmin=0.1, vmax=1.0)
    scale, values = scene.keys[0].scale, bowl.values("train_loss")
    assert (scale.low, scale.high, scale.clipped, scale.below) == (0.1, 1.0, True, True)
    assert scene.panels[0].counts[Cell.CLIPPED] == (values > 1.0).sum() > 0
    assert "Values below 0.1 have the lowest colour." in [remark.text for remark in scene.remarks]
    assert scale.has_beyond(0.0) and scale.has_beyond(1.0)
    assert all(0.1 <= tick <= 1.0 for tick in scene.keys[0].ticks)


def test_wider_ends_than_the_values_clip_nothing(bowl, coarse):
    scale = make_scene([bowl], vmin=1e-3, vmax=1e4).keys[0].scale
    assert (scale.low, scale.high, scale.clipped, scale.below) == (1e-3, 1e4, False, False)


def test_a_lower_end_of_zero_asks_for_a_linear_scale(bowl, coarse):
    assert make_scene([bowl]).keys[0].scale.kind == "log"
    assert make_scene([bowl], vmin=0.0).keys[0].scale.kind == "linear"


def test_zlim_is_both_ends_of_heights_and_of_profiles(bowl, surface_of, coarse):
    surface = make_scene([bowl], kind="surface", zlim=(0.01, 100.0))
    assert surface.terrains[0].scale.low == 0.01 and surface.terrains[0].scale.high == 100.0
    x = np.linspace(-1, 1, 21)
    line = make_scene([surface_of(x, train_loss=1 + x**2)], kind="line", zlim=(0.0, 4.0))
    assert display_limits(line.keys[0]) == (0.0, 4.0)


def test_the_pages_other_scale_keeps_ends_and_label(bowl, coarse):
    scales = make_page_scales(make_scene([bowl], kind="html", vmin=0.05, vmax=2.0, label="my loss"), 0)
    assert set(scales) == {"log", "linear"}
    for scale in scales.values():
        assert (scale["low"], scale["high"], scale["below"], scale["label"]) == (0.05, 2.0, True, "my loss")


def test_a_difference_stays_symmetric(surface_of, coarse):
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 4)
    a, b = (surface_of(x, y, train_loss=by + np.add.outer(y, x)) for by in (3.0, 4.5))
    scale = make_scene([a, b], difference=True, vmax=4.0).keys[0].scale
    assert (scale.low, scale.high) == (-4.0, 4.0)
    with pytest.raises(UsageError, match="symmetric about 0"):
        make_scene([a, b], difference=True, vmin=-1.0, vmax=4.0)


def test_a_flat_surface_between_ends_is_drawn_between_them(surface_of, coarse):
    flat = surface_of(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4), train_loss=np.full((4, 5), 2.0))
    scale = make_scene([flat], vmin=0.0, vmax=4.0).keys[0].scale
    assert scale.constant is None and float(scale.position(2.0)) == 0.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"vmax": 1.0, "clip": 3.0}, "both name the highest"),
        ({"vmin": 2.0, "vmax": 1.0}, "--vmin must be below --vmax"),
        ({"zlim": (0, 1)}, "--zlim is for surface, line and html"),
        ({"kind": "surface", "zlim": (0, 1), "vmax": 3.0}, "leave out --vmin"),
        ({"vmin": -1.0, "scale": "log"}, "no logarithm"),
    ],
)  # fmt: skip
def test_ends_that_make_no_sense_get_a_sentence(bowl, coarse, words, said):
    with pytest.raises(UsageError, match=said):
        make_scene([bowl], **words)


def test_a_label_is_for_one_quantity(bowl, surface_of, coarse):
    assert make_scene([bowl], label="cross-entropy (nats)").keys[0].label == "cross-entropy (nats)"
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 4)
    two = surface_of(x, y, train_loss=np.ones((4, 5)), train_error=np.ones((4, 5)))
    with pytest.raises(UsageError, match="--label names one quantity"):
        make_scene([two], quantity="train_loss,train_error", label="x")


def test_nothing_asked_changes_nothing(bowl, coarse):
    free = make_scene([bowl]).keys[0].scale
    assert Ends().put(free, bowl.values("train_loss")) is free


def test_a_rainbow_is_drawn_with_a_note(bowl, coarse):
    scene = make_scene([bowl], colours="jet")
    assert scene.keys[0].colours == "jet"
    assert any("edges that are not in the data" in remark.text for remark in scene.remarks)
    assert not any("edges" in remark.text for remark in make_scene([bowl], colours="Blues").remarks)
