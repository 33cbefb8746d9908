"""A panel on axes of the user's own figure."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.render.draw.onto import draw_onto, style_of_rc
from lossviz.render.scene import make_scene


@pytest.fixture
def two_axes():
    figure, axes = plt.subplots(1, 2, figsize=(7, 3))
    yield figure, axes
    plt.close(figure)


def scene_of(surface, kind, **words):
    return make_scene([surface], kind=kind, style=style_of_rc(), footer=False, **words)


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap"])
def test_a_map_lies_on_its_axes_and_nowhere_else(bowl, two_axes, kind):
    figure, (left, right) = two_axes
    before = figure.get_children()
    artists = draw_onto(scene_of(bowl, kind), left)
    assert artists and set(artists) <= set(left.get_children())
    assert figure.get_children() == before and not right.has_data()
    alpha, beta = (axis.coordinates for axis in bowl.plan.grid.axes)
    assert left.get_xlim()[0] <= alpha[0] and left.get_ylim()[1] >= beta[-1]
    assert left.get_xlabel() and left.get_legend() is None


def test_fonts_and_ground_are_the_users(bowl, two_axes):
    with plt.rc_context({"font.size": 17.0, "axes.facecolor": "black"}):
        style = style_of_rc()
    assert style.font_pt == 17.0 and style.theme.name == "dark"


def test_lines_take_the_users_colours(surface_of, two_axes):
    x = np.linspace(-1, 1, 21)
    line_surface = surface_of(x, train_loss=0.05 + 3 * x**2)
    _, (left, _) = two_axes
    with plt.rc_context({"axes.prop_cycle": plt.cycler(color=["#123456"])}):
        artists = draw_onto(scene_of(line_surface, "line"), left)
    (curve,) = (artist for artist in artists if artist.get_gid() == "curve")
    assert curve.get_color() == "#123456"
    assert np.isfinite(curve.get_ydata()).any()


def test_kinds_that_do_not_fit_are_refused(bowl, two_axes):
    _, (left, _) = two_axes
    with pytest.raises(UsageError, match="contour, filled, heatmap, line"):
        draw_onto(scene_of(bowl, "surface"), left)
