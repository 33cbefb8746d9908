"""Surfaces nobody wants: each gives a picture that tells the truth."""

import numpy as np
import pytest

from lossviz.records.remark import texts
from lossviz.render.film.animation import Reel
from lossviz.render.film.film import make_film
from lossviz.render.scene import KINDS, make_scene
from lossviz.render.values.cells import Cell
from lossviz.render.write import draw

X, Y = np.linspace(-1, 1, 11), np.linspace(-0.5, 1, 7)
GX, GY = np.meshgrid(X, Y)
RANDOM = np.random.default_rng(0)
ONE = np.full(GX.shape, np.nan)
ONE[3, 5] = 1.7
pytestmark = pytest.mark.usefixtures("coarse")
TABLES = {
    "all equal": np.full(GX.shape, 2.3026),
    "all zero": np.zeros(GX.shape),
    "one finite point": ONE,
    "all inf": np.full(GX.shape, np.inf),
    "all NaN": np.full(GX.shape, np.nan),
    "1e-300 to 1e300": 10.0 ** RANDOM.uniform(-300, 300, GX.shape),
    "negative": -5 + 3 * GX + GY**2,
    "with -inf": np.where(GX < -0.5, -np.inf, GX),
    "both signs, huge": 1e305 * GX,
    "with zeros": np.maximum(0, GX**2 + GY**2 - 0.05),
    "denormal": 1e-310 * (1 + GX**2),
    "one spike": np.where((GX == 0) & (GY[2, 0] == GY), 1e6, 0.5),
}


def file_of(kind):
    return "x.html" if kind == "html" else "x.png"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLES)
def test_every_kind_draws_it(surface_of, tmp_path, name, kind):
    table = TABLES[name]
    scene = make_scene([surface_of(X, Y, train_loss=table, facts={"chance": {"loss": 2.3026}})], kind=kind, dpi=40)
    files = draw(scene, tmp_path / file_of(kind))
    assert files[0].stat().st_size > 1000
    if kind != "line":
        panel = scene.panels[0]
        assert panel.counts[Cell.NAN] == np.isnan(table).sum()
        assert panel.counts[Cell.PLUS_INF] == np.isposinf(table).sum()
        assert panel.counts[Cell.MINUS_INF] == np.isneginf(table).sum()
        assert f"{np.isinf(table).sum()} points are infinite, {np.isnan(table).sum()} are not" in scene.caption


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_of_3_by_200(surface_of, tmp_path, kind):
    x, y = np.linspace(-1, 1, 200), np.linspace(-1, 1, 3)
    z = 0.01 + x**2 * np.array([[1.0], [2.0], [3.0]])
    scene = make_scene([surface_of(x, y, train_loss=z)], kind=kind, dpi=40)
    assert draw(scene, tmp_path / file_of(kind))[0].exists()
    np.testing.assert_allclose(scene.panels[0].z, z[1] if kind == "line" else z)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_evaluated_yet(surface_of, tmp_path, kind):
    surface = surface_of(X, Y, train_loss=np.full(GX.shape, np.nan), evaluated=np.zeros(GX.shape, bool))
    for s in (surface, type(surface).empty(surface.plan)):
        scene = make_scene([s], kind=kind, dpi=40)
        draw(scene, tmp_path / file_of(kind))
        assert "No point of the grid has been evaluated yet." in texts(scene.remarks)
        assert scene.panels[0].counts[Cell.NOT_EVALUATED] == scene.panels[0].z.size


def test_titles_are_text_and_nothing_else(surface_of, tmp_path):
    title = r"<script>alert(1)</script> $x_{ & \frac$"
    scene = make_scene([surface_of(X, Y, train_loss=1 + GX**2)], titles=[title], dpi=50)
    for suffix in ("svg", "png", "pdf"):
        figure, _ = draw(scene, tmp_path / f"x.{suffix}")
        assert suffix != "svg" or b"<script>" not in figure.read_bytes()


@pytest.mark.parametrize("name", TABLES)
def test_an_animation_shows_it_too(surface_of, name):
    surfaces = [surface_of(X, Y, train_loss=TABLES[name]), surface_of(X, Y, train_loss=1 + GX**2 + GY**2)]
    for given, subject in ((surfaces[:1], "flight"), (surfaces, "sequence")):
        film = make_film(given, subject=subject, seconds=0.5, rate=4, dpi=30, titles=["a", "b"][: len(given)])
        picture = Reel(film).picture(0)
        assert picture.dtype == np.uint8 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
        panel = film.plates[0].panels[0]
        assert panel.counts[Cell.PLUS_INF] == np.isposinf(TABLES[name]).sum()
