"""A panel on axes of the user's own figure."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.render.draw.onto import draw_onto, style_of_rc
from lossviz.render.scene import make_scene
from lossviz.render.words.colours import colour_at


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
    y = np.asarray(curve.get_ydata(), float)
    assert np.nanmin(y) == pytest.approx(0.05) and np.nanmax(y) == pytest.approx(3.05)
    assert left.get_yscale() == "log" and left.get_ylim()[0] < 0.05


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap"])
def test_the_first_artist_of_a_map_makes_a_colour_bar_of_the_values(bowl, two_axes, kind):
    figure, (left, _) = two_axes
    scene = scene_of(bowl, kind, vmax=1.0)
    colours = draw_onto(scene, left)[0]
    bar = figure.colorbar(colours, ax=left)
    scale = scene.keys[0].scale
    assert (bar.norm.vmin, bar.norm.vmax) == (scale.low, scale.high) and bar.extend == "max"
    middle = np.sqrt(scale.low * scale.high)
    if kind != "filled":
        expected = colour_at(scene.keys[0].colours, scale.position(middle))
        np.testing.assert_allclose(colours.cmap(bar.norm(middle))[:3], expected, atol=0.01)
    figure.canvas.draw()


def test_spines_ticks_and_widths_are_the_users(surface_of, two_axes):
    x = np.linspace(-1, 1, 21)
    surface = surface_of(x, train_loss=1 + x**2)
    _, (left, right) = two_axes
    with plt.rc_context({"lines.linewidth": 3.25}):
        artists = draw_onto(scene_of(surface, "line"), left)
    (curve,) = (artist for artist in artists if artist.get_gid() == "curve")
    assert curve.get_linewidth() == 3.25
    assert all(left.spines[side].get_visible() for side in left.spines)
    assert type(left.yaxis.get_major_locator()) is type(right.yaxis.get_major_locator())


def test_a_legend_and_a_footer_only_where_asked(bowl, two_axes):
    _, (left, right) = two_axes
    draw_onto(scene_of(bowl, "contour"), left)
    assert left.get_legend() is None
    scene = make_scene([bowl], kind="contour", style=style_of_rc(), footer=True)
    artists = draw_onto(scene, right, legend=True)
    assert right.get_legend() in artists
    assert "\n".join(scene.footer) in [text.get_text() for text in right.texts]


def test_signs_are_spelled_for_latex(surface_of, two_axes):
    _, (left, _) = two_axes
    x = np.linspace(-1, 1, 9)
    error = surface_of(x, train_error=np.abs(x) / 2)
    with plt.rc_context({"text.usetex": True}):
        draw_onto(scene_of(error, "line"), left)
        assert left.get_ylabel().endswith(r"(\%)") and r"$\alpha$" in left.get_xlabel()
    assert "α" not in left.get_xlabel()


def test_kinds_that_do_not_fit_are_refused(bowl, two_axes):
    _, (left, _) = two_axes
    with pytest.raises(UsageError, match="contour, filled, heatmap, line"):
        draw_onto(scene_of(bowl, "surface"), left)
