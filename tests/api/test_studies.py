"""Paths, curvature and sharpness of objects at hand."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import lossviz
from lossviz.api.studies import curvature
from lossviz.errors import UsageError

X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
GRID = "-1:1:7,-1:1:5"


def network():
    torch.manual_seed(1)
    return nn.Linear(2, 1, bias=False)


def loss(model, batch):
    return model(batch[0]).square().flatten()


def test_a_path_is_traced_and_seen_on_a_plane_of_its_own(tmp_path):
    model = network()
    folder = lossviz.trace(model, (X,), loss, out=tmp_path / "sgd", lr=0.05, steps=12, every=3)
    surface = lossviz.compute(
        model, (X,), loss, plane="pca", snapshots=[folder], grid="auto:7,auto:5", out=tmp_path / "net.h5"
    )
    seen = lossviz.project(surface, folder, names=["sgd"])
    (path,) = seen.trajectories.values()
    assert len(path) == 5 and path.distance.max() < 1e-5
    np.testing.assert_allclose(path.own["train_loss"], path.projected["train_loss"], rtol=1e-5)


def test_a_recorder_without_a_folder_gives_a_plane_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = lossviz.TrajectoryRecorder(model, optimizer=optimizer, every=2)
    for _ in range(9):
        optimizer.zero_grad()
        loss(model, (X,)).mean().backward()
        optimizer.step()
        recorder.step()
    surface = lossviz.compute(model, (X,), loss, plane="pca", path=recorder, grid="auto:7,auto:5")
    (path,) = surface.trajectories.values()
    assert path.steps.tolist() == [0, 2, 4, 6, 8, 9] and path.distance.max() < 1e-5
    np.testing.assert_allclose(path.own["train_loss"], path.projected["train_loss"], rtol=1e-5)
    assert not list(tmp_path.iterdir())
    recorder.close()


def test_curvature_of_a_quadratic_is_exact():
    spectrum = curvature(network(), (X,), loss, precision="float64", top=2, probes=2)
    exact = torch.linalg.eigvalsh(2 * X.double().T @ X.double() / 40)
    np.testing.assert_allclose(np.sort(spectrum.eigenvalues)[[0, -1]], exact.numpy(), rtol=1e-9)


def test_sharpness_takes_the_words_of_the_command():
    found = lossviz.sharpness(network(), (X,), loss, steps=4, restarts=1, directions=2, seed=3)
    assert found["worst_rise"] > 0 and found["settings"]["seed"] == 3
    with pytest.raises(UsageError, match="radius is no option"):
        lossviz.sharpness(network(), (X,), loss, radius=1.0)


def test_several_surfaces_share_one_figure(tmp_path):
    a = lossviz.compute(network(), (X,), loss, grid=GRID)
    b = lossviz.compute(network(), (2 * X,), loss, grid=GRID)
    figure = lossviz.plot([a, b], titles=["a", "b"])
    assert isinstance(figure, Figure) and len([axes for axes in figure.axes if axes.get_title(loc="left")]) == 2
    assert isinstance(lossviz.plot(a.save(tmp_path / "a.h5")), Figure)


def test_a_surface_without_a_file_has_no_plane_to_project_on():
    surface = lossviz.compute(network(), (X,), loss, grid=GRID)
    with pytest.raises(UsageError, match=r"out='net\.h5'"):
        lossviz.project(surface, "runs")
