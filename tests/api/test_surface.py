"""A surface draws itself, tells itself in words and tables, and logs itself."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from lossviz.api.page import Page
from lossviz.api.surface import Surface
from lossviz.errors import UsageError
from lossviz.store.surface_file import read_surface
from tests.render.conftest import bowl_tables, make_surface


@pytest.fixture
def surface():
    x, y, z = bowl_tables()
    return Surface.of(make_surface(x, y, train_loss=z))


def test_it_shows_its_picture_once(surface, monkeypatch):
    png = surface._repr_png_()
    assert png.startswith(b"\x89PNG")
    monkeypatch.setattr(Surface, "scene", lambda *_, **__: pytest.fail("drawn again"))
    assert surface._repr_png_() is png


def test_pictures_of_every_kind(surface):
    assert isinstance(surface.plot(), Figure) and isinstance(surface.plot("surface"), Figure)
    assert isinstance(surface.page(), Page) and surface.plot("html").content.startswith(b"<!doctype html>")
    figure, ax = plt.subplots()
    artists = surface.contour(ax=ax, levels=[1.0])
    assert artists and ax.get_figure() is figure
    plt.close(figure)


def test_a_page_stands_in_a_frame_of_its_own_and_saves_itself(surface, tmp_path):
    page = surface.page()
    shown = page._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts' in shown and "<script" not in shown
    assert page.save(tmp_path / "net.html").read_bytes() == page.content


def test_it_says_its_size_range_and_what_is_missing(surface):
    text = repr(surface)
    assert text.startswith("Surface of 21 alpha × 13 beta") and "train_loss: " in text
    surface.splits["train"].status[0, :3] = 0
    assert "3 of 273 points are not evaluated" in repr(surface)


def test_saved_and_read_it_is_the_same(surface, tmp_path):
    path = surface.save(tmp_path / "net.h5")
    again = read_surface(path)
    assert np.array_equal(again.values("train_loss"), surface.values("train_loss"))
    assert surface.file == path


def test_tables_have_its_values(surface):
    xarray = pytest.importorskip("xarray")
    data = surface.to_xarray()
    assert isinstance(data, xarray.Dataset) and data.train_loss.dims == ("beta", "alpha")
    assert np.array_equal(data.train_loss.values, surface.values("train_loss"))
    frame = surface.to_dataframe()
    row = frame.iloc[30]
    at = data.train_loss.sel(alpha=row["alpha"], beta=row["beta"])
    assert len(frame) == 273 and float(at) == row["train_loss"]


def test_tensorboard_gets_figure_and_numbers(surface, tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    accumulate = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tensorboard.SummaryWriter(tmp_path) as writer:
        surface.log(writer, step=3)
    events = accumulate.EventAccumulator(str(tmp_path))
    events.Reload()
    (lowest,) = events.Scalars("lossviz/train_loss_min")
    assert lowest.step == 3 and lowest.value == pytest.approx(surface.numbers()["train_loss_min"], rel=1e-6)
    assert events.Tags()["images"] == ["lossviz/surface"]
    assert (tmp_path / "lossviz-00000003.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.slow  # in an environment that has it: it brings some 60 MB
def test_wandb_gets_figure_page_and_numbers_offline(surface, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(project="surfaces", mode="offline", dir=tmp_path)
    surface.log(run)
    assert run.summary["lossviz/train_loss_min"] == surface.numbers()["train_loss_min"]
    run.finish()
    (page,) = tmp_path.rglob("*.html")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(list(tmp_path.rglob("*.png"))) == 1 and list(tmp_path.rglob("*.wandb"))


def test_mlflow_gets_figure_page_and_numbers(surface, monkeypatch):
    module, got = type(sys)("mlflow"), {}
    module.log_figure = lambda figure, name: got.update({name: figure})
    module.log_text = lambda text, name: got.update({name: text})
    module.log_metrics = lambda numbers, step: got.update(numbers)
    surface.log(module)
    assert isinstance(got["lossviz.png"], Figure) and got["lossviz.html"].startswith("<!doctype html>")
    assert got["lossviz_train_loss_min"] == surface.numbers()["train_loss_min"]


def test_anything_else_is_no_log(surface):
    with pytest.raises(UsageError, match="SummaryWriter"):
        surface.log("runs")


def test_a_figure_shows_itself_without_pyplot(surface):
    assert surface.plot("surface")._repr_png_().startswith(b"\x89PNG")
