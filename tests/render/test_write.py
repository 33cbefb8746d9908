import json
import os

import matplotlib
import numpy as np
import pytest
from PIL import Image

from lossviz.errors import UnwritableError, UsageError
from lossviz.render.scene import KINDS, make_scene
from lossviz.render.write import draw


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    "kind, suffix",
    [
        # vector files of the kinds that add nothing to these but lines are compared among the slow tests
        pytest.param(
            kind, suffix, marks=[pytest.mark.slow] * (suffix != "png" and kind in ("filled", "heatmap", "line"))
        )
        for kind in KINDS
        if kind != "html"
        for suffix in ("png", "pdf", "svg")
    ],
)
def test_the_same_scene_gives_the_same_bytes(marred, tmp_path, kind, suffix):
    first, _ = draw(make_scene([marred], kind=kind, dpi=50), tmp_path / f"a.{suffix}")
    second, _ = draw(make_scene([marred], kind=kind, dpi=50), tmp_path / f"b.{suffix}")
    assert first.read_bytes() == second.read_bytes()


def test_the_users_settings_change_nothing_and_are_left_alone(bowl, tmp_path):
    first, _ = draw(make_scene([bowl], dpi=50), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "image.cmap": "jet", "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        second, _ = draw(make_scene([bowl], dpi=50), tmp_path / "b.png")
        assert dict(matplotlib.rcParams) == before
    assert first.read_bytes() == second.read_bytes()


def test_files_describe_themselves(bowl, tmp_path):
    figure, caption = draw(make_scene([bowl], dpi=50), tmp_path / "net.png", command="lossviz plot net.h5")
    with Image.open(figure) as image:
        text = image.info
    facts = json.loads(text["lossviz"])
    assert facts["plan"] == bowl.plan.digest() and facts["command"] == "lossviz plot net.h5"
    assert facts["colours"] == "lipari" and facts["scale"].startswith("log")
    assert caption.name == "net.caption.txt" and caption.read_text() == text["Description"]


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
@pytest.mark.parametrize(
    "kind, limit",
    [("contour", 1_000_000), pytest.param("surface", 1_000_000, marks=pytest.mark.slow), ("line", 100_000)],
)
def test_vector_files_stay_small(bowl, tmp_path, kind, limit, suffix):
    figure, _ = draw(make_scene([bowl], kind=kind), tmp_path / f"a.{suffix}")
    assert figure.stat().st_size < limit


def test_pdf_fonts_are_embedded_as_truetype(bowl, tmp_path):
    data = draw(make_scene([bowl]), tmp_path / "a.pdf")[0].read_bytes()
    assert b"/FontFile2" in data and b"/Type3" not in data


def test_an_unknown_suffix_is_named(bowl, tmp_path):
    with pytest.raises(UsageError, match=r"\.gif"):
        draw(make_scene([bowl]), tmp_path / "a.gif")


def test_a_missing_folder_is_named_and_nothing_is_left(bowl, tmp_path):
    with pytest.raises(UnwritableError, match="nowhere"):
        draw(make_scene([bowl], dpi=40), tmp_path / "nowhere" / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_figure_that_fails_leaves_the_old_one(bowl, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    real, calls = os.write, []

    def full(descriptor, data):
        calls.append(descriptor)
        if len(calls) > 1:
            raise OSError(28, "full")
        return real(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UnwritableError, match=r"a\.png cannot be written: full"):
        draw(make_scene([bowl], dpi=40), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_dark_changes_the_paper_and_not_the_data(bowl, tmp_path):
    colours = {}
    for dark in (False, True):
        figure, _ = draw(make_scene([bowl], kind="heatmap", dark=dark, dpi=60), tmp_path / f"{dark}.png")
        with Image.open(figure) as image:
            colours[dark] = np.asarray(image.convert("RGB")).astype(int)
    assert colours[True][0, 0].sum() < 100 < colours[False][0, 0].sum()
    same = (colours[True] == colours[False]).all(axis=-1)
    assert same.mean() > 0.4  # the map itself
