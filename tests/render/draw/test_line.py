import numpy as np
import pytest

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene


def drawn(scene):
    with settings(scene):
        return make_figure(scene)


@pytest.fixture
def profile(surface_of):
    x = np.linspace(-1, 1, 21)
    z = 0.05 + 3 * x**2
    z[3], z[17:] = np.nan, np.inf
    return surface_of(x, train_loss=z, stderr=0.1, facts={"chance": {"loss": 2.3}})


def curve(axes):
    return next(line for line in axes.lines if line.get_gid() == "curve")


def test_the_curve_goes_through_the_samples_and_stops_at_holes(profile):
    scene = make_scene([profile])
    axes = drawn(scene).axes[0]
    x, y = curve(axes).get_data()
    scale, panel = scene.keys[0].scale, scene.panels[0]
    for at in (0, 1, 5, 10, 16):
        nearest = np.nanargmin(np.abs(x - panel.x[at]))
        assert y[nearest] == pytest.approx(float(scale.forward(panel.z[at])), abs=1e-9)
    assert np.isnan(y[(x > panel.x[2] + 1e-9) & (x < panel.x[4] - 1e-9)]).all()
    assert np.nanmax(x) == pytest.approx(panel.x[16])


def test_the_band_is_two_standard_errors(profile):
    scene = make_scene([profile], scale="linear")
    axes = drawn(scene).axes[0]
    (band,) = [c for c in axes.collections if c.get_gid() == "band"]
    vertices = np.concatenate([path.vertices for path in band.get_paths()])
    at = vertices[np.abs(vertices[:, 0]) < 1e-9][:, 1]
    assert at.min() == pytest.approx(0.05 - 0.2) and at.max() == pytest.approx(0.05 + 0.2)
    assert any(entry.sign == "band" for row in scene.legend for entry in row)


def test_a_band_below_zero_reaches_the_foot_of_a_log_axis(profile):
    scene = make_scene([profile], scale="log")
    axes = drawn(scene).axes[0]
    (band,) = [c for c in axes.collections if c.get_gid() == "band"]
    vertices = np.concatenate([path.vertices for path in band.get_paths()])
    assert np.isfinite(vertices).all()
    assert vertices[:, 1].min() == pytest.approx(axes.get_ylim()[0])


def test_spans_without_a_value_are_hatched(profile):
    axes = drawn(make_scene([profile])).axes[0]
    spans = [(patch.get_x(), patch.get_width(), patch.get_hatch()) for patch in axes.patches]
    assert len(spans) == 5
    assert (pytest.approx(-0.75), pytest.approx(0.1), "xxxx") in spans


def test_ticks_stand_at_their_values(profile):
    scene = make_scene([profile])
    axes = drawn(scene).axes[0]
    for text, at in zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True):
        assert float(scene.keys[0].scale.forward(float(text))) == pytest.approx(at, rel=1e-6)


def test_several_files_share_one_pair_of_axes(surface_of):
    x = np.linspace(-1, 1, 9)
    surfaces = [surface_of(x, train_loss=1 + k * x**2, test_loss=2 + k * x**2) for k in (1, 2)]
    scene = make_scene(surfaces, titles=["a", "b"], quantity="train_loss,test_loss")
    axes = drawn(scene).axes[0]
    curves = [line for line in axes.lines if line.get_gid() == "curve"]
    looks = {(line.get_color(), line.get_linestyle()) for line in curves}
    assert len(curves) == 4 and len({c for c, _ in looks}) == 2 and len({d for _, d in looks}) == 2
    texts = [entry.text for row in scene.legend for entry in row if entry.sign == "curve"]
    assert texts == ["a, training loss", "b, training loss", "a, test loss", "b, test loss"]


def test_the_legend_shows_each_surfaces_own_colour(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    pair = [surface_of(x, y, train_loss=i + np.add.outer(y**2, x**2)) for i in (1, 2)]
    scene = make_scene(pair, kind="line", titles=["a", "b"], dpi=40)
    with settings(scene):
        figure = make_figure(scene)
    shown = {
        text.get_text(): line.get_color()
        for legend in figure.legends
        for line, text in zip(legend.get_lines(), legend.get_texts(), strict=False)
    }
    assert shown["a"] != shown["b"]
    for axes in figure.axes:
        own = [line.get_color() for line in axes.lines if line.get_gid() == "curve"]
        assert own == [shown["a"], shown["b"]]


def test_more_surfaces_than_colours_are_told_apart_by_their_dashes(surface_of):
    x = np.linspace(-1, 1, 9)
    surfaces = [surface_of(x, train_loss=1 + k * x**2, test_loss=2 + k * x**2) for k in range(1, 9)]
    for quantity in ("train_loss", "train_loss,test_loss"):
        scene = make_scene(surfaces, titles=[*"abcdefgh"], quantity=quantity)
        looks = [(line.get_color(), line.get_dashes() if hasattr(line, "get_dashes") else str(line._dash_pattern))
                 for line in drawn(scene).axes[0].lines if line.get_gid() == "curve"]  # fmt: skip
        assert len(looks) == len(set(map(str, looks))) == 8 * len(quantity.split(","))
