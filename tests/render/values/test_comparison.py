"""Several surfaces in numbers: each cell of the table has a closed form."""

import numpy as np

from lossviz.render.scene import make_scene
from lossviz.render.values.comparison import comparison_table, comparison_text
from lossviz.render.write import draw

X, Y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 17)
GX, GY = np.meshgrid(X, Y)


def rows_of(surfaces, titles, name):
    table = comparison_table(surfaces, titles, name)
    return [dict(zip(table.titles, cells, strict=True)) for cells in table.cells()]


def test_bowls_in_numbers(surface_of):
    a = surface_of(X, Y, train_loss=0.5 + GX**2 + GY**2)
    b = surface_of(X, Y, seed=1, train_loss=0.5 + 4 * GX**2 + GY**2)
    first, second = rows_of([a, b], ["round", "long"], "train_loss")
    assert first["surface"] == "round" and first["centre"] == first["lowest"] == "0.5"
    assert first["lowest at"] == "α = 0, β = 0" and first["highest"] == "2.5" and second["highest"] == "5.5"
    assert first["rise at 1: mean"] == "1" and second["largest"] == "4"  # linear between points
    assert abs(float(second["rise at 1: mean"]) - 2.5) < 0.02
    assert float(second["anisotropy"]) > 3.9 and first["anisotropy"] in ("1", "1.01")
    assert first["under centre + 1"] > second["under centre + 1"]


def test_a_radius_that_one_grid_does_not_hold_is_not_compared(surface_of):
    a = surface_of(X, Y, train_loss=1 + GX**2 + GY**2)
    b = surface_of(X / 2, Y / 2, train_loss=1 + GX**2 + GY**2)
    rows = rows_of([a, b], ["a", "b"], "train_loss")
    assert all("rise at 0.5: mean" in row and "rise at 1: mean" not in row for row in rows)


def test_errors_are_in_percent(surface_of):
    rows = rows_of([surface_of(X, Y, test_error=0.1 + 0.2 * GX**2)] * 2, ["a", "b"], "test_error")
    assert rows[0]["centre"] == "10 %" and "under centre + 10 %" in rows[0]


def test_nothing_finite_is_a_dash(surface_of):
    rows = rows_of([surface_of(X, Y, train_loss=np.full(GX.shape, np.nan))] * 2, ["a", "b"], "train_loss")
    assert rows[0]["lowest"] == rows[0]["lowest at"] == rows[0]["centre"] == "–"


def test_the_table_stands_in_the_caption_file_in_columns(surface_of, tmp_path):
    surfaces = [surface_of(X, Y, seed=i, train_loss=0.5 + (i + 1) * GX**2 + GY**2) for i in range(2)]
    scene = make_scene(surfaces, kind="heatmap", titles=["a", "longer"], dpi=40)
    _, caption = draw(scene, tmp_path / "x.png")
    lines = caption.read_text().rstrip().split("\n")
    assert lines[-1].startswith("These numbers compare only")
    header, first, second = lines[-5:-2]
    assert header.split("  ")[0].strip() == "surface"
    end = header.index("highest") + len("highest")
    assert first[:end].endswith("2.5") and second[:end].endswith("3.5")
    assert comparison_text(surfaces[:1], ["a"], ["train_loss"]) == ""
    assert make_scene(surfaces[:1]).table == ""
