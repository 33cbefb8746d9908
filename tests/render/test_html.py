"""The interactive page: what crosses over, and what a real browser makes of it."""

import base64
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.render.draw import draw
from lossviz.render.scene import make_scene

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def page_of(surfaces, tmp_path, **options):
    (path,) = draw(make_scene(surfaces, kind="html", **options), tmp_path / "net.html")
    return path


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def test_values_cross_over_as_they_are(marred, tmp_path):
    (view,) = data_of(page_of([marred], tmp_path))["views"]
    values = np.frombuffer(base64.b64decode(view["z"]), "<f4").reshape(13, 21)
    np.testing.assert_array_equal(values, marred.values("train_loss").astype(np.float32))
    done = np.ones(13 * 21, bool)
    for first, count in view["pending"]:
        done[first : first + count] = False
    np.testing.assert_array_equal(done.reshape(13, 21), marred.evaluated())


def test_errors_keep_three_digits(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    (view,) = data_of(page_of([surface_of(x, y, train_loss=z, stderr=1e-9 * z)], tmp_path))["views"]
    errors = np.frombuffer(base64.b64decode(view["se"]), "<f2").astype(float) * view["seUnit"]
    np.testing.assert_allclose(errors.reshape(5, 9), 1e-9 * z, rtol=1e-3)


def test_values_beyond_float32_cross_over_as_float64(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    z = 10 ** np.linspace(-300, 300, 45).reshape(5, 9)
    surface = surface_of(x, y, train_loss=z)
    (view,) = data_of(page_of([surface], tmp_path))["views"]
    assert view["double"]
    np.testing.assert_array_equal(
        np.frombuffer(base64.b64decode(view["z"])).reshape(5, 9), surface.values("train_loss")
    )


def test_101_by_101_stays_under_150_kilobytes(surface_of, tmp_path):
    x = np.linspace(-1, 1, 101)
    z = 0.01 + np.random.default_rng(0).uniform(0.9, 1.1, (101, 101)) * np.add.outer(x**2, x**2)
    page = page_of([surface_of(x, x, train_loss=z, stderr=0.1 * z)], tmp_path)
    assert page.stat().st_size < 150_000


def test_it_needs_nothing_from_outside(bowl, tmp_path):
    text = page_of([bowl], tmp_path).read_text()
    assert not re.search(r"https?://|<link|@import|import\(", text)
    assert re.search(r"<script[^>]* src=", text) is None


def test_a_hostile_title_stays_text(bowl, tmp_path):
    title = "</script><script>alert(1)</script> __DATA__ __SCRIPT__"
    text = page_of([bowl], tmp_path, titles=[title]).read_text()
    assert "<script>alert" not in text
    assert text.count("</script>") == 2
    assert html.escape(title) in text and title in json.dumps(data_of(tmp_path / "net.html")).replace("\\u003c", "<")


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


PROBE = """
<script>
addEventListener("load", () => setTimeout(() => {
  const seen = [], look = lossviz, gl = document.getElementById("gl"), at = look.page.views[0];
  const over = (x, y) => {
    const [px, py] = look.project(x, y, look.FLOOR);
    gl.dispatchEvent(new PointerEvent("pointermove", { clientX: px, clientY: py, bubbles: true }));
    return document.getElementById("readout").textContent;
  };
  document.getElementById("top").click();
  look.draw();
  {
    for (const [j, i] of PLACES) seen.push(over(at.x[i], at.y[j]));
    const sheet = document.createElement("canvas"), c = sheet.getContext("2d");
    [sheet.width, sheet.height] = [gl.width, gl.height];
    c.drawImage(gl, 0, 0);
    const ratio = gl.width / innerWidth;
    const colours = PLACES.map(([j, i]) => {
      const [px, py] = look.project(at.x[i], at.y[j], look.FLOOR);
      return [...c.getImageData(px * ratio, py * ratio, 1, 1).data];
    });
    const before = look.state.az;
    gl.setPointerCapture = () => {};  // there is no real finger to capture
    gl.dispatchEvent(new PointerEvent("pointerdown", { pointerId: 1, clientX: 300, clientY: 300 }));
    gl.dispatchEvent(new PointerEvent("pointermove", { pointerId: 1, clientX: 340, clientY: 280 }));
    gl.dispatchEvent(new PointerEvent("pointerup", { pointerId: 1, clientX: 340, clientY: 280 }));
    const dragged = look.state.az - before;
    dispatchEvent(new KeyboardEvent("keydown", { key: "d" }));
    const scale = document.getElementById("scale");
    scale.value = "linear";
    scale.dispatchEvent(new Event("change"));
    const out = { seen, colours, dragged, dark: document.documentElement.dataset.theme, scale: look.state.scale, hash: location.hash, problems: window.problems };
    const result = document.createElement("pre");
    result.id = "probe";
    result.textContent = JSON.stringify(out);
    document.body.append(result);
  }
}, 50));
</script>"""  # noqa: E501
WATCH = (
    "<script>window.problems = []; addEventListener('error', (e) => problems.push(String(e.message)));"
    "for (const n of ['error', 'warn']) { const f = console[n];"
    "console[n] = (...a) => { problems.push(a.join(' ')); f(...a); }; }</script>"
)


def visit(path, places, tmp_path, *flags):
    """Open the page in a real browser with a probe that points, drags, presses keys and reads back."""
    text = (
        path.read_text()
        .replace("<head>", "<head>" + WATCH)
        .replace("</body>", PROBE.replace("PLACES", json.dumps(places)) + "</body>")
    )
    probed = tmp_path / "probed.html"
    probed.write_text(text)
    words = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--window-size=1000,760",
        "--virtual-time-budget=20000",
        *flags,
    ]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", probed.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))


SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@browser
@pytest.mark.slow
def test_a_browser_reads_the_values_of_the_array(marred, tmp_path):
    places = [[5, 10], [1, 18], [7, 2], [11, 18], [2, 3], [0, 2]]
    seen = visit(page_of([marred], tmp_path, clip=1.0), places, tmp_path, *SOFTWARE)
    assert seen["problems"] == []
    values = marred.values("train_loss")
    for (j, i), text in list(zip(places, seen["seen"], strict=True))[:3]:
        number = re.search(r"training loss ([\d.]+)", text).group(1)
        assert float(number) == pytest.approx(values[j, i], rel=6e-4)
    assert "∞" in seen["seen"][3] and "NaN" in seen["seen"][4] and "not evaluated" in seen["seen"][5]
    assert seen["dragged"] and seen["dark"] == "dark" and seen["scale"] == "linear" and "linear" in seen["hash"]


@browser
@pytest.mark.slow
def test_a_browser_shows_the_colours_of_the_bar(bowl, tmp_path):
    from colorspacious import cspace_convert

    from lossviz.render.colours import colour_at

    places = [[6, 5], [3, 15], [8, 12], [2, 2], [10, 7]]
    seen = visit(page_of([bowl], tmp_path, levels=[1e-9]), places, tmp_path, *SOFTWARE)
    scale = make_scene([bowl]).keys[0].scale
    values = bowl.values("train_loss")
    expected = colour_at("lipari", scale.position(np.array([values[j, i] for j, i in places])))
    shown = np.array(seen["colours"])[:, :3] / 255
    a, b = (cspace_convert(c, "sRGB1", "CAM02-UCS") for c in (expected, shown))
    assert np.linalg.norm(a - b, axis=1).max() < 1.0


@browser
@pytest.mark.slow
def test_without_webgl_a_still_picture_stands_in(bowl, tmp_path):
    path = page_of([bowl], tmp_path)
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--dump-dom"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", path.as_uri()]
    dom = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False).stdout
    still = re.search(r'<img id="still"[^>]*>', dom).group(0)
    assert "data:image/png;base64," in still and "hidden" not in still


def path_surface(bowl):
    from lossviz.records.trajectory import Mark, Trajectory

    points = np.array([[-0.8, 0.6], [-0.2, 0.1], [1.5, 0.1], [0.0, 0.0]])
    for name in ("sgd", "adam </script><script>alert(1)</script>"):
        bowl.trajectories[name] = Trajectory(
            name, [0, 10, 20, 30], points, [2.0, 1.0, 0.5, 0.0], own={"train_loss": [2.0, 0.5, 0.1, 0.02]},
            projected={"train_loss": [1.0, 0.6, 0.2, 0.02]}, marks=(Mark(10, "decay", "LR ÷10"),),
        )  # fmt: skip
    return bowl


def test_paths_cross_over_with_their_losses_and_gaps(bowl, tmp_path):
    text = page_of([path_surface(bowl)], tmp_path).read_text()
    assert "alert(1)</script>" not in text
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))
    first, second = data["views"][0]["paths"]
    read = {n: np.frombuffer(base64.b64decode(first[n]), "<f4") for n in ("own", "beneath", "distance", "line")}
    np.testing.assert_allclose(read["own"], [2.0, 0.5, 0.1, 0.02], rtol=1e-6)
    line = read["line"].reshape(-1, 3)
    assert np.isnan(line).any(axis=1).sum() == 2  # it leaves the frame and comes back
    np.testing.assert_allclose(np.nanmax(line[:, 0]), 1.0)
    assert first["steps"] == [0, 10, 20, 30] and second["name"].startswith("adam")


def test_long_paths_are_thinned_in_the_page(bowl, tmp_path):
    from lossviz.records.trajectory import Trajectory

    t = np.linspace(0, 1, 10_001)
    bowl.trajectories["long"] = Trajectory("long", range(10_001), np.stack([t - 0.5, 0 * t], axis=1), t)
    path = page_of([bowl], tmp_path)
    assert path.stat().st_size < 250_000 and '"stride":6' in path.read_text()


STEPS = """
<script>
addEventListener("load", () => setTimeout(() => {
  const slider = document.getElementById("step"), seen = [];
  for (const step of [0, 2, 3]) {
    slider.value = step;
    slider.dispatchEvent(new Event("input"));
    lossviz.draw();
    seen.push(document.getElementById("readout").textContent);
  }
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify({ seen, max: slider.max, problems: window.problems, shown: getComputedStyle(document.getElementById("step-row")).display });
  document.body.append(result);
}, 50));
</script>"""  # noqa: E501


@browser
@pytest.mark.slow
def test_the_step_slider_reads_both_losses(bowl, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PROBE", STEPS)
    seen = visit(page_of([path_surface(bowl)], tmp_path), [], tmp_path, *SOFTWARE)
    assert seen["problems"] == [] and seen["max"] == "3" and seen["shown"] != "none"
    assert seen["seen"][1].startswith(
        "sgd: step 20, own training loss 0.1, of the plane beneath 0.2, 0.5 from the plane"
    )
    assert "adam </script>" in seen["seen"][0]


def test_the_title_of_several_surfaces_is_their_names(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    z = 1 + np.add.outer(y**2, x**2)
    pair = [surface_of(x, y, train_loss=z, test_loss=z + i) for i in (0, 1)]
    assert "<title>ResNet, plain</title>" in page_of(pair, tmp_path, titles=["ResNet", "plain"]).read_text()
