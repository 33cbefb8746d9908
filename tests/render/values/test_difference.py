import base64
import csv
import zlib

import numpy as np
import pytest
from matplotlib.patches import Patch

from lossviz.errors import UsageError
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell
from lossviz.render.words.colours import colour_at
from lossviz.render.write import draw

X, Y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 13)
A = 1 + np.add.outer(Y**2, X**2)


def test_the_first_less_the_second_on_a_scale_symmetric_about_zero(surface_of):
    B = A + np.add.outer(0 * Y, X) - 0.3
    scene = make_scene([surface_of(X, Y, train_loss=A), surface_of(X, Y, train_loss=B, seed=2)], difference=True)
    (panel,), (key,) = scene.panels, scene.keys
    np.testing.assert_allclose(panel.z, A - B, atol=1e-12)
    assert key.scale.low == -key.scale.high and key.colours == "vik"
    assert key.label == "difference of training loss"
    assert 0.0 in key.levels and float(key.scale.position(0.0)) == 0.5
    assert [mark.kind for mark in panel.marks] == ["trained"]
    assert "less that of the second file" in scene.caption and "seed 2" in scene.caption


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", ["contour", "heatmap", "surface"])
def test_both_ends_are_clipped_and_keep_their_own_colour(surface_of, tmp_path, kind):
    B = A.copy()
    B[2, 3], B[9, 15] = 500.0, -500.0
    pair = [surface_of(X, Y, train_loss=A + 0.1 * X), surface_of(X, Y, train_loss=B)]
    scene = make_scene(pair, kind=kind, difference=True, clip=0.05, dpi=60)
    panel, key = scene.panels[0], scene.keys[0]
    assert panel.kinds[2, 3] == panel.kinds[9, 15] == Cell.CLIPPED
    assert key.scale.position(panel.z[2, 3]) == 0.0 and key.scale.position(panel.z[9, 15]) == 1.0
    with settings(scene):
        figure = make_figure(scene)
    (bar,) = [axes for axes in figure.axes if axes.get_gid() == "colour bar"]
    assert len([patch for patch in bar.patches if patch.get_gid() == "clip arrow"]) == 2
    faces = [patch.get_facecolor()[3] for patch in figure.axes[0].patches if patch.get_gid() == "clipped"]
    assert not any(faces)  # the pattern lies on the map's colour and does not hide it
    draw(scene, tmp_path / "a.pdf")


def test_what_is_missing_in_either_is_missing_in_the_difference(surface_of):
    done, B = np.ones(A.shape, bool), A.copy()
    done[0, 0], B[1, 1] = False, np.inf
    C = A.copy()
    C[1, 1] = np.inf
    pair = [surface_of(X, Y, train_loss=B, evaluated=done), surface_of(X, Y, train_loss=C)]
    kinds = make_scene(pair, difference=True).panels[0].kinds
    assert kinds[0, 0] == Cell.NOT_EVALUATED and kinds[1, 1] == Cell.NAN


def test_equal_surfaces_differ_by_nothing(surface_of):
    scene = make_scene([surface_of(X, Y, train_loss=A)] * 2, difference=True)
    assert not scene.panels[0].z.any()


def test_it_takes_two_files_on_one_grid(surface_of):
    a = surface_of(X, Y, train_loss=A)
    with pytest.raises(UsageError, match="takes two files"):
        make_scene([a], difference=True)
    with pytest.raises(UsageError, match="needs one grid"):
        make_scene([a, surface_of(X[:-1], Y, train_loss=A[:, :-1])], difference=True)


@pytest.mark.parametrize("suffix", [".vts", ".csv", ".glb", ".obj", ".stl"])
def test_other_programs_get_the_difference_too(surface_of, tmp_path, suffix):
    pair = [surface_of(X, Y, train_loss=A, test_loss=2 * A), surface_of(X, Y, train_loss=A / 4)]
    scene = make_scene(pair, kind="surface", difference=True)
    (out,) = draw(scene, tmp_path / f"d{suffix}")
    assert out.stat().st_size
    if suffix == ".csv":
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert {row["quantity"] for row in rows} == {"train_loss"}  # the one both have
        np.testing.assert_allclose([float(row["value"]) for row in rows], (A - A / 4).ravel())
        assert {row["stderr"] for row in rows} == {"nan"}
    if suffix == ".vts":
        text = out.read_text()
        assert 'Name="train_loss"' in text and "test_loss" not in text.split("-->")[1]
        np.testing.assert_allclose(vtk_array(text, "train_loss"), (A - A / 4).ravel())


def vtk_array(text, name):
    _, _, rest = text.partition(f'Name="{name}"')
    body = rest.partition(">")[2].partition("<")[0]
    raw = zlib.decompress(base64.b64decode(body[44:]))  # after four numbers of eight bytes
    return np.frombuffer(raw, "<f8")


WIDE = np.add.outer(np.linspace(-3, 3, 13) ** 5, 0.01 * X)


def test_differences_over_decades_take_a_scale_that_is_logarithmic_on_both_sides(surface_of):
    pair = [surface_of(X, Y, train_loss=300 + WIDE), surface_of(X, Y, train_loss=np.full(WIDE.shape, 300.0))]
    scene = make_scene(pair, difference=True)
    (key,) = scene.keys
    assert key.scale.kind == "symlog" and not key.scale.clipped and key.scale.low == -key.scale.high
    assert key.label.endswith("(log scale on both sides of 0)")
    np.testing.assert_allclose(key.scale.inverse(key.scale.forward(WIDE)), WIDE, rtol=1e-9)
    assert float(key.scale.position(0.0)) == 0.5
    levels = np.array(key.levels)
    np.testing.assert_allclose(levels, -levels[::-1])
    assert 0.0 in levels and 7 <= len(levels) <= 17
    assert "Symmetric logarithmic scale" in scene.caption


def test_the_scale_of_a_difference_is_the_one_asked_for(surface_of):
    pair = [surface_of(X, Y, train_loss=300 + WIDE), surface_of(X, Y, train_loss=np.full(WIDE.shape, 300.0))]
    assert make_scene(pair, difference=True, scale="linear").keys[0].scale.kind == "linear"
    near = [surface_of(X, Y, train_loss=A + np.outer(Y, X)), surface_of(X, Y, train_loss=A)]
    assert make_scene(near, difference=True).keys[0].scale.kind == "linear"
    assert make_scene(near, difference=True, scale="log").keys[0].scale.kind == "symlog"


def test_a_ratio_is_the_difference_of_logarithms(surface_of, tmp_path):
    B = A * 10.0 ** np.outer(Y, X)
    B[0, 0] = 0.0
    pair = [surface_of(X, Y, train_loss=B), surface_of(X, Y, train_loss=A)]
    scene = make_scene(pair, difference="ratio", titles=["b", "a"])
    (panel,), (key,) = scene.panels, scene.keys
    assert panel.kinds[0, 0] == Cell.NAN and panel.title == "b / a"
    np.testing.assert_allclose(panel.z.filled(np.nan)[1:], np.outer(Y, X)[1:], atol=1e-12)
    assert key.label == "log₁₀ ratio of training loss"
    assert "log10 of the training loss" in scene.caption and "over that of the second file" in scene.caption
    draw(scene, tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {row["quantity"] for row in rows} == {"log10_ratio_train_loss"}
    np.testing.assert_allclose([float(row["value"]) for row in rows][1:], np.outer(Y, X).ravel()[1:], atol=1e-12)


def test_the_legend_shows_the_colours_of_the_ends_that_are_clipped(surface_of, coarse):
    for sign, ends in ((-1, [0.0]), (1, [1.0]), (0, [0.0, 1.0])):
        B = A.copy()
        B[2, 3], B[9, 15] = (500.0, 400.0) if sign < 0 else (-500.0, -400.0) if sign > 0 else (500.0, -500.0)
        pair = [surface_of(X, Y, train_loss=A + 0.1 * X), surface_of(X, Y, train_loss=B)]
        scene = make_scene(pair, difference=True, clip=0.12, dpi=60)
        with settings(scene):
            figure = make_figure(scene)
        patches = [patch for legend in figure.legends for patch in legend.findobj(Patch) if patch.get_hatch()]
        faces = [patch.get_facecolor()[:3] for patch in patches]
        assert len(faces) == len(ends)
        for face, end in zip(faces, ends, strict=True):
            np.testing.assert_allclose(face, colour_at(scene.keys[0].colours, end)[:3], atol=1e-6)
