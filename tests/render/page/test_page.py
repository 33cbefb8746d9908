"""The interactive page: what crosses over from Python. What a browser makes of it: test_page.py."""

import base64
import dataclasses
import html
import io
import json
import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from lossviz.errors import UsageError
from lossviz.records.trajectory import Mark, Trajectory
from lossviz.render.page.block import Block, unpack
from lossviz.render.page.page_still import palette
from lossviz.render.scene import make_scene
from lossviz.render.words.colours import colour_table
from lossviz.render.write import draw


def page_of(surfaces, tmp_path, **options):
    (path,) = draw(make_scene(surfaces, kind="html", **options), tmp_path / "net.html")
    return path


def unpack_words(text, place):
    """Words out of the text of a block, as the page reads them."""
    return zlib.decompress(base64.b85decode(text.replace(",", "<")))[place[0] : sum(place)].decode()


def data_of(path):
    text = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))
    return {**data, "views": json.loads(unpack_words(data["block"], data["views"]))}


def tables_of(path, index=0):
    data = data_of(path)
    view = data["views"][index]
    found = {name: unpack(data["block"], view[name]) for name in ("x", "y", "values", "errors") if view[name]}
    return view, found


@given(
    st.sampled_from(["f4", "f8"]).flatmap(
        lambda kind: st.tuples(st.just(kind), arrays(f"<{kind}", st.tuples(st.integers(1, 5), st.integers(1, 7))))
    )
)
def test_every_table_comes_back_bit_by_bit(given_table):
    kind, table = given_table
    block = Block()
    block.put(np.arange(6.0), "f4")
    place = block.put(table, kind)
    back = unpack(block.text(), place)
    assert back.dtype == table.dtype and back.tobytes() == np.ascontiguousarray(table).tobytes()


@given(
    st.sampled_from(["f4"]).flatmap(
        lambda kind: st.tuples(st.just(kind), arrays(f"<{kind}", (3, 4), elements=st.floats(width=8 * int(kind[1]))))
    ),
    st.integers(1, 9),
)
def test_digits_that_are_read_come_back(given_table, digits):
    kind, table = given_table
    block = Block()
    place = block.put(table, kind, digits=digits)
    back, known = unpack(block.text(), place), np.isfinite(table)
    np.testing.assert_array_equal(back[~known], table[~known])  # NaN and infinities as they are
    known &= np.abs(table) >= np.finfo(table.dtype).tiny
    own = np.abs(table[known].astype(float))
    last = 10.0 ** (np.floor(np.log10(own)) - digits + 1)
    assert (
        np.abs(back[known].astype(float) - table[known]) <= np.where(own > 6.5e4, 0.2, 0.1) * last
    ).all()  # those at the top are cut, not rounded to infinity


def test_values_cross_over_as_they_are_read(marred, tmp_path):
    view, tables = tables_of(page_of([marred], tmp_path))
    np.testing.assert_allclose(tables["values"], marred.values("train_loss"), rtol=1e-5)
    np.testing.assert_array_equal(tables["x"][0], marred.plan.grid.axes[0].coordinates)
    np.testing.assert_array_equal(tables["y"][0], marred.plan.grid.axes[1].coordinates)
    done = np.ones(13 * 21, bool)
    for first, count in view["pending"]:
        done[first : first + count] = False
    np.testing.assert_array_equal(done.reshape(13, 21), marred.evaluated())


def test_errors_keep_the_digits_that_are_read(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    _, tables = tables_of(page_of([surface_of(x, y, train_loss=z, stderr=1e-9 * z)], tmp_path))
    np.testing.assert_allclose(tables["errors"], 1e-9 * z, rtol=2e-3)


def test_values_beyond_float32_cross_over_as_float64(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    surface = surface_of(x, y, train_loss=10 ** np.linspace(-300, 300, 45).reshape(5, 9))
    _, tables = tables_of(page_of([surface], tmp_path))
    np.testing.assert_array_equal(tables["values"], surface.values("train_loss"))


def test_both_scales_are_decided_before_the_page(bowl, marred, surface_of, tmp_path):
    (view,) = data_of(page_of([bowl], tmp_path))["views"]
    assert view["scale"] == "log" and set(view["scales"]) == {"log", "linear"}
    linear = view["scales"]["linear"]
    assert linear["low"] == pytest.approx(bowl.values("train_loss").min()) and len(linear["levels"]) >= 5
    assert view["scales"]["log"]["chance"] == pytest.approx(np.log(10))
    (view,) = data_of(page_of([marred], tmp_path, clip=1.0))["views"]
    assert [view["scales"][kind]["high"] for kind in ("log", "linear")] == [1.0, 1.0]
    texts = [entry["text"] for entry in view["scales"]["log"]["legend"]]
    assert any(text.startswith("NaN: 1 of 273") for text in texts) and any("clipped" in text for text in texts)
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    for table in (np.full((5, 9), 2.0), -1 - np.add.outer(y**2, x**2)):
        (view,) = data_of(page_of([surface_of(x, y, train_loss=table)], tmp_path))["views"]
        assert len(view["scales"]) == 1  # one value, or no positive one: there is no other scale


def test_a_difference_has_one_scale_about_zero(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    pair = [surface_of(x, y, train_loss=z), surface_of(x, y, train_loss=z[:, ::-1] + 0.3 * x)]
    (view,) = data_of(page_of(pair, tmp_path, difference=True))["views"]
    (scale,) = view["scales"].values()
    assert scale["symmetric"] and scale["low"] == -scale["high"]


def test_101_by_101_stays_under_150_kilobytes(surface_of, tmp_path):
    x = np.linspace(-1, 1, 101)
    z = 0.01 + np.random.default_rng(0).uniform(0.9, 1.1, (101, 101)) * np.add.outer(x**2, x**2)
    page = page_of([surface_of(x, x, train_loss=z, stderr=0.1 * z)], tmp_path)
    assert page.stat().st_size < 150_000


def four_quantities(surface_of, rough):
    x, draw_ = np.linspace(-1, 1, 101), np.random.default_rng(0)
    z = 0.01 + 20 * (x**2 + 2 * x[:, None] ** 2) * (1.2 + np.sin(5 * x) * np.cos(4 * x[:, None]))
    wild = [np.exp(rough * draw_.normal(size=z.shape)) for _ in range(4)]
    hits = [np.round(1000 * np.clip(1 - np.exp(-z * w), 0, 0.9)) / 1000 for w in wild[:2]]
    tables = {"train_loss": z * wild[2], "test_loss": 1.2 * z * wild[3], "train_error": hits[0], "test_error": hits[1]}
    return surface_of(x, x, stderr=0.1 * z * wild[0], **tables)


# of pure noise, which no landscape is, nothing can be left out
@pytest.mark.parametrize(("rough", "kilobytes"), [(0.0, 150), (0.003, 160), (1.0, 280)])
def test_four_quantities_of_101_by_101_stay_small(surface_of, tmp_path, rough, kilobytes):
    assert page_of([four_quantities(surface_of, rough)], tmp_path).stat().st_size < 1000 * kilobytes


def test_one_quantity_of_pure_noise_stays_under_150_kilobytes(surface_of, tmp_path):
    x, draw_ = np.linspace(-1, 1, 101), np.random.default_rng(0)
    surface = surface_of(x, x, train_loss=draw_.lognormal(size=(101, 101)), stderr=draw_.lognormal(size=(101, 101)))
    assert page_of([surface], tmp_path).stat().st_size < 150_000


@pytest.mark.parametrize(("low", "high"), [(2.30251, 2.30259), (1e6, 1e6 + 1), (-5, -4.9999)])
def test_a_narrow_range_keeps_the_bits_that_tell_its_heights_apart(surface_of, tmp_path, low, high):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = low + (high - low) * np.add.outer(y**2, x**2) / 2
    _, tables = tables_of(page_of([surface_of(x, y, train_loss=z)], tmp_path))
    assert np.abs(tables["values"] - z).max() < max(1e-3 * (high - low), 2**-23 * abs(low))


def test_it_needs_nothing_from_outside(bowl, tmp_path):
    text = page_of([bowl], tmp_path).read_text()
    assert not re.search(r"https?://|<link|@import|import\(", text)
    assert re.search(r"<script[^>]* src=", text) is None


def test_a_hostile_title_stays_text(bowl, tmp_path):
    title = "</script><script>alert(1)</script> __DATA__ __SCRIPT__"
    text = page_of([bowl], tmp_path, titles=[title]).read_text()
    assert "<script>alert" not in text
    assert text.count("</script>") == 2
    assert html.escape(title) in text and title in json.dumps(data_of(tmp_path / "net.html"))


def test_every_quantity_and_file_is_a_view(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    surfaces = [surface_of(x, y, train_loss=z, test_loss=2 * z) for _ in range(2)]
    titles = [view["title"] for view in data_of(page_of(surfaces, tmp_path, titles=["a", "b"]))["views"]]
    assert titles == ["a, training loss", "b, training loss", "a, test loss", "b, test loss"]


def test_the_same_scene_gives_the_same_page(marred, tmp_path):
    assert page_of([marred], tmp_path).read_bytes() == page_of([marred], tmp_path).read_bytes()


def test_other_files_are_refused(bowl, tmp_path):
    for kind, name in (("html", "a.png"), ("contour", "a.html")):
        with pytest.raises(UsageError, match="--kind html"):
            draw(make_scene([bowl], kind=kind), tmp_path / name)


def path_surface(bowl):
    points = np.array([[-0.8, 0.6], [-0.2, 0.1], [1.5, 0.1], [0.0, 0.0]])
    for name in ("sgd", "adam </script><script>alert(1)</script>"):
        bowl.trajectories[name] = Trajectory(
            name, [0, 10, 20, 30], points, [2.0, 1.0, 0.5, 0.0], own={"train_loss": [2.0, 0.5, 0.1, 0.02]},
            projected={"train_loss": [1.0, 0.6, 0.2, 0.02]}, marks=(Mark(10, "decay", "LR ÷10"),),
        )  # fmt: skip
    return bowl


def test_paths_cross_over_with_their_losses(bowl, tmp_path):
    path = page_of([path_surface(bowl)], tmp_path)
    assert "alert(1)</script>" not in path.read_text()
    data = data_of(path)
    first, second = data["views"][0]["paths"]
    read = {name: unpack(data["block"], first[name])[0] for name in ("steps", "x", "own", "beneath", "distance")}
    np.testing.assert_allclose(read["own"], [2.0, 0.5, 0.1, 0.02], rtol=1e-5)
    np.testing.assert_allclose(read["x"], [-0.8, -0.2, 1.5, 0.0], rtol=1e-5)
    assert read["steps"].tolist() == [0, 10, 20, 30] and second["name"].startswith("adam")
    assert len(first["exits"]) == 2  # it leaves the frame and comes back
    assert first["events"] == [{"at": 1, "kind": "decay", "label": "LR ÷10"}]


def long_paths(bowl, count, steps=10_001):
    t = np.linspace(0, 1, steps)
    for k in range(count):
        points = np.stack([t - 0.5, 0.3 * np.sin((k + 3) * t)], axis=1)
        bowl.trajectories[f"run {k}"] = Trajectory(f"run {k}", range(steps), points, t)
    return bowl


def test_long_paths_are_thinned_in_the_page_and_keep_their_peaks(bowl, tmp_path):
    long_paths(bowl, 1)
    run = bowl.trajectories["run 0"]
    loss = np.full(len(run.steps), 0.5)
    loss[[3333, 7001]] = 40.0, 0.001  # a spike and a dip of one step each
    bowl.trajectories["run 0"] = dataclasses.replace(run, own={"train_loss": loss})
    path = page_of([bowl], tmp_path)
    data = data_of(path)
    (thin,) = data["views"][0]["paths"]
    steps, own = (unpack(data["block"], thin[name])[0] for name in ("steps", "own"))
    assert path.stat().st_size < 120_000 and 500 < len(steps) <= 2100
    assert {0, 3333, 7001, 10_000} <= set(steps) and own.max() == pytest.approx(40, rel=1e-4)
    assert own.min() == pytest.approx(0.001, rel=1e-4) and thin["snapshots"] == 10_001
    assert f"Of the 10,001 snapshots of run 0 {len(steps):,} are drawn here" in path.read_text()


def test_rounded_numbers_read_as_the_numbers_themselves():
    table = np.random.default_rng(1).normal(size=(40, 50)) * 10 ** np.random.default_rng(2).uniform(-9, 9, (40, 50))
    block = Block()
    place = block.put(table, "f4", digits=4, shown=[4])
    back = unpack(block.text(), place)
    shown = [[f"{v * (1 + 1e-15):.3e}" for v in numbers.ravel().tolist()] for numbers in (back, table)]  # ties go up
    assert shown[0] == shown[1]


def test_a_small_relief_on_a_large_offset_keeps_its_shape(surface_of, tmp_path):
    x = np.linspace(-1, 1, 31)
    z = 1e4 + 1e-5 * np.add.outer(x**2, x**2)
    _, tables = tables_of(page_of([surface_of(x, x, train_loss=z)], tmp_path))
    np.testing.assert_array_equal(tables["values"], z)


def test_standard_errors_over_a_wide_range_keep_two_digits(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    errors = 10 ** np.linspace(-6, 9, 45).reshape(5, 9)
    _, tables = tables_of(page_of([surface_of(x, y, train_loss=10 * errors, stderr=errors)], tmp_path))
    shown = [[f"{v:.1e}" for v in table.ravel().tolist()] for table in (tables["errors"], errors)]
    assert shown[0] == shown[1]


def test_twelve_paths_of_10_000_steps_stay_small(bowl, tmp_path):
    assert page_of([long_paths(bowl, 12)], tmp_path).stat().st_size < 180_000


def test_the_title_of_several_surfaces_is_their_names(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    pair = [surface_of(x, y, train_loss=z, test_loss=z + i) for i in (0, 1)]
    assert "<title>ResNet, plain</title>" in page_of(pair, tmp_path, titles=["ResNet", "plain"]).read_text()


def test_the_still_picture_has_the_colours_of_the_bar(bowl, surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    level = np.full((5, 9), 0.9)
    level[2, 4] = 0.01  # a picture of nearly one colour
    for surface in (bowl, surface_of(x, y, train_loss=level)):
        scene = make_scene([surface], kind="html")
        colours = palette(scene).astype(int)
        wanted = 255 * colour_table(scene.keys[0].colours)
        assert np.abs(wanted[:, None] - colours).sum(2).min(1).max() < 20  # of 765
    text = page_of([bowl], tmp_path).read_text()
    png = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', text).group(1))
    with Image.open(io.BytesIO(png)) as image:
        assert image.width > 300 and len(image.convert("RGB").getcolors()) > 24
