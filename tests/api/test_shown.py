"""Paths, spectra, verdicts and problems show themselves."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

import lossviz
from lossviz.api.trajectory import Trajectory
from lossviz.errors import UsageError

X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
PATH = Trajectory("sgd", [0, 10, 20], [[-1.0, 0.5], [-0.5, 0.5], [0.0, 0.0]], [0.2, 0.1, 0.0])


def loss(model, batch):
    return model(batch[0]).square().flatten()


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def drawn(artists, gid):
    return [artist for artist in artists if artist.get_gid() == gid]


def test_a_path_is_drawn_at_its_coordinates(axes):
    artists = PATH.plot(axes)
    (line,) = drawn(artists, "path")
    np.testing.assert_allclose(line.get_segments()[0], PATH.coordinates)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < -1.0 and right > 0.0 and bottom < 0.0 and top > 0.5
    assert axes.get_legend() is None and axes.get_xlabel() == "alpha"


def test_a_path_over_a_surface_keeps_its_axes_and_the_next_takes_the_users_colour(axes):
    with plt.rc_context({"axes.prop_cycle": plt.cycler(color=["#123456", "#654321"])}):
        axes.plot([-2, 2], [-1, 1])
        axes.set(xlim=(-2, 2), ylim=(-1, 1), xlabel="PC1")
        (first,), (second,) = (drawn(PATH.plot(axes), "path") for _ in range(2))
    (own,) = drawn(PATH.plot(axes, colour="tab:green"), "path")
    assert axes.get_xlim() == (-2, 2) and axes.get_xlabel() == "PC1" and axes.get_ylabel() == ""
    assert [to_hex(line.get_color()[0]) for line in (second, own)] == ["#123456", to_hex("tab:green")]
    assert to_hex(first.get_color()[0]) not in ("#123456", "#654321")


def test_a_figure_of_its_own_shows_itself():
    assert PATH.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_path_on_one_direction_is_no_map():
    with pytest.raises(UsageError, match="needs 2"):
        Trajectory("sgd", [0, 1], [[0.0], [1.0]], [0.0, 0.0]).plot()


def test_paths_of_a_surface_draw_themselves_also_from_its_file(tmp_path, axes):
    torch.manual_seed(1)
    model = nn.Linear(2, 1, bias=False)
    recorder = lossviz.TrajectoryRecorder(model, every=1)
    for step in range(5):
        with torch.no_grad():
            model.weight *= 0.8
            model.weight[0, 0] += 0.2 * step
        recorder.step()
    surface = lossviz.compute(model, (X,), loss, plane="pca", path=recorder, grid="auto:5,auto:5")
    (path,) = surface.trajectories.values()
    assert drawn(path.plot(axes), "path") and "snapshots" in repr(path)
    (again,) = lossviz.read(surface.save(tmp_path / "net.h5")).trajectories.values()
    assert np.array_equal(again.coordinates, path.coordinates) and isinstance(again, Trajectory)


def test_a_spectrum_draws_itself():
    spectrum = lossviz.curvature(nn.Linear(2, 1), (X,), loss)
    assert spectrum.plot("layers", title="net")._repr_png_().startswith(b"\x89PNG")
    assert "<table>" in spectrum._repr_html_()
    with pytest.raises(UsageError, match="density"):
        spectrum.plot("pie")


def test_a_verdict_and_a_problem_are_tables():
    model = nn.Linear(2, 1, bias=False)
    verdict = lossviz.check(model, (X,), loss, grid="-1:1:5,-1:1:5")
    assert verdict._repr_html_().count("<tr>") == len(verdict) + 1
    problem = lossviz.Problem.make(model, (X,), loss, name="net")
    assert "net: Linear on cpu" in repr(problem) and "40" in problem._repr_html_() and "loss" in repr(problem)


def test_words_of_figures_are_no_words_of_the_users_axes(axes):
    surface = lossviz.compute(nn.Linear(2, 1), (X,), loss, grid="-1:1:5,-1:1:5")
    with pytest.raises(UsageError, match="dark is for figures of lossviz's own"):
        surface.contour(axes, dark=True)
    artists = surface.heatmap(axes, title="mine", legend=True)
    assert axes.get_title() == "mine" and axes.get_legend() in artists


def test_a_style_sheets_map_is_taken(axes):
    surface = lossviz.compute(nn.Linear(2, 1), (X,), loss, grid="-1:1:5,-1:1:5")
    with plt.style.context("grayscale"):
        shades = surface.heatmap(axes)[0].cmap(np.linspace(0, 1, 5))[:, :3]
    assert np.ptp(shades, axis=1).max() < 1e-6


def test_profiles_of_two_surfaces_share_axes(axes):
    surfaces = [lossviz.compute(nn.Linear(2, 1), (X,), loss, grid="-1:1:9") for _ in range(2)]
    assert len(drawn(lossviz.plot(surfaces, "line", ax=axes), "curve")) == 2
