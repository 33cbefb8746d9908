"""What a barcode shows: bars of exact length, and the noise beside them."""

from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import UsageError
from lossviz.render.charts.barcode_scene import MOST_BARS, make_barcode_scene
from lossviz.render.charts.chart import draw_chart, make_chart
from lossviz.render.draw.figure import settings

# two deep valleys of 1 and 2 and one of no depth to speak of, on a 1 × 7 ridge in a 3 × 7 grid of walls
RIDGE = np.array([1.0, 5.0, 2.0, 4.0, 3.95, 6.0, 7.0])


@pytest.fixture
def ridge(surface_of):
    values = np.full((3, 7), 9.0) + np.arange(3)[:, None]
    values[1] = RIDGE
    return surface_of(np.linspace(-3, 3, 7), np.linspace(-1, 1, 3), train_loss=values)


def test_bars_run_from_minimum_to_saddle_deepest_first(ridge):
    scene = make_barcode_scene([ridge])
    ((_, bars),) = scene.rows
    assert [(bar.low, bar.high) for bar in bars] == [(1.0, 11.0), (2.0, 5.0), (3.95, 4.0)]
    assert [bar.endless for bar in bars] == [True, False, False]
    assert bars[1].place == "(−1, 0)"
    assert "3 minima" in scene.footer and not scene.log


def test_what_is_no_deeper_than_its_noise_is_pale(ridge):
    m2 = (0.1 * ridge.splits["train"].weight) ** 2
    ridge.m2["train_loss"] = m2 * (ridge.splits["train"].count - 1) / ridge.splits["train"].count
    scene = make_barcode_scene([ridge], style="column", dark=True)
    ((_, bars),) = scene.rows
    assert bars[2].noise == pytest.approx(2 * 0.1 * np.sqrt(2), rel=1e-6)
    assert [bar.significant for bar in bars] == [True, True, False] and scene.known
    with settings(scene):
        axes = make_chart(scene).axes[0]
    drawn = [line.get_xdata() for line in axes.lines if line.get_gid() == "bar"]
    np.testing.assert_allclose(drawn, [(bar.low, bar.high) for bar in bars])
    noise = [line.get_xdata() for line in axes.lines if line.get_gid() == "noise"]
    np.testing.assert_allclose(np.diff(noise)[:, 0], [bars[1].noise, bars[2].noise])


def test_several_surfaces_share_an_axis_and_few_bars_are_shown(ridge, surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 15), np.linspace(-1, 1, 9)
    rough = surface_of(x, y, train_loss=1 + np.random.Generator(np.random.Philox(2)).uniform(0, 1, (9, 15)))
    scene = make_barcode_scene([ridge, rough], titles=["a", "b"])
    assert len(scene.rows[1][1]) <= MOST_BARS and scene.limits[0] < 1 < 11 < scene.limits[1]
    assert draw_chart(scene, tmp_path / "b.svg")[0].exists()


def test_what_cannot_be_shown_is_said(ridge, tmp_path):
    with pytest.raises(UsageError, match="no quantity"):
        make_barcode_scene([ridge], quantity="error")
    said = CliRunner().invoke(cli, ["plot", str(tmp_path / "no.h5"), "--kind", "barcode", "--out", "x.html"])
    assert said.exit_code == 2 and "x.html" in said.output and "no.h5" in said.output


@pytest.mark.parametrize("style", ["paper", "text", "slide"])
@pytest.mark.parametrize("decades", [0.5, 2.0, 5.0, 40.0])
def test_numbers_on_its_axis_and_lines_at_its_foot_stand_apart(surface_of, style, decades):
    values = 10 ** np.random.Generator(np.random.Philox(3)).uniform(0, decades, (9, 15))
    rough = surface_of(np.linspace(-1, 1, 15), np.linspace(-1, 1, 9), train_loss=values)
    scene = make_barcode_scene([rough], style=style)
    with settings(scene):
        figure = make_chart(scene)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        low, high = axes.get_xlim()
        numbers = [t.label1.get_window_extent() for t in axes.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
        (foot,), (legend,) = figure.texts, figure.legends
        assert not foot.get_window_extent().overlaps(legend.get_window_extent())
    numbers.sort(key=lambda box: box.x0)
    assert len(numbers) >= 2
    assert all(a.x1 < b.x0 for a, b in pairwise(numbers))
