"""The interactive page in a real browser: looked at, pointed at, clicked, dragged, pinched and typed to."""

import base64
import io
import json
import re
import time

import numpy as np
import pytest
from colorspacious import cspace_convert
from PIL import Image

from lossviz.records.trajectory import Mark, Trajectory
from lossviz.render.page.page import write_page
from lossviz.render.scene import make_scene
from lossviz.render.words.colours import colour_at
from lossviz.render.write import draw
from tests.chromium import FOUND, SOFTWARE, WITHOUT_WEBGL, Browser

pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine: the page is not tried in a browser"),
    pytest.mark.usefixtures("coarse"),
]
SIZE, PHONE = (720, 480), (390, 600)
CALM = {"prefers-reduced-motion": "reduce"}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser") / "profile", *SOFTWARE)
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """Opens the page of some surfaces; when the test is over its console must be empty."""
    tabs = []

    def open_page(
        *surfaces, hash="", size=SIZE, media=CALM, touch=False, before="", whole=False, browser=chromium, **options
    ):
        scene = make_scene(surfaces, kind="html", **options)
        path = tmp_path / f"page{len(tabs)}.html"
        if whole:
            draw(scene, path)
        else:  # the still picture takes longer than the rest
            path.write_bytes(write_page(scene, None, command="lossviz plot net.h5 --kind html"))
        tabs.append(browser.open(path, hash=hash, size=size, media=media, touch=touch, before=before))
        tabs[-1].wait_for("lossviz.ready || document.body.classList.contains('still')")
        tabs[-1].settle()
        return tabs[-1]

    yield open_page
    problems = [tab.problems for tab in tabs]
    for tab in tabs:
        tab.close()
    assert not any(problems), problems


def state(tab, name):
    return tab.run(f"lossviz.state.{name}")


def spot(tab, x, y):
    """Where a place of the plane lies on the floor map, in CSS pixels."""
    return tab.run(f"lossviz.project({x}, {y})")


def reading(tab):
    return tab.run("document.getElementById('readout').hidden ? '' : document.getElementById('readout').innerText")


def look(tab):
    return np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB")).astype(float)


def middle(tab):
    return tab.run("innerWidth / 2"), tab.run("innerHeight / 2")


def two_splits(surface_of, nx=11, ny=7):
    x, y = np.linspace(-1, 1, nx), np.linspace(-0.5, 1, ny)
    z = 0.05 + np.add.outer(y**2, x**2)
    share = np.clip(z, 0, 0.9)
    return surface_of(x, y, stderr=0.1 * z, train_loss=z, test_loss=2 * z, train_error=share, test_error=share / 2)


def with_paths(bowl):
    points = np.array([[-0.8, 0.6], [-0.2, 0.1], [1.5, 0.1], [0.0, 0.0]])
    for name, factor in (("sgd", 1), ("adam </script><script>window.hurt = 1</script>", 0.7)):
        bowl.trajectories[name] = Trajectory(
            name, [0, 10, 20, 30], factor * points, [2.0, 1.0, 0.5, 0.0], own={"train_loss": [2.0, 0.5, 0.1, 0.02]},
            projected={"train_loss": [1.0, 0.6, 0.2, 0.02]}, marks=(Mark(10, "decay", "LR ÷10"),),
        )  # fmt: skip
    return bowl


# ---------- the default tests, and two like them ----------
def test_a_pointer_reads_the_values_of_the_file(visit, marred):
    tab = visit(marred, clip=1.0)
    tab.click("#top")
    values, axes = marred.values("train_loss"), marred.plan.grid.axes
    seen = []
    for j, i in [[5, 10], [1, 18], [7, 2], [11, 18], [2, 3], [0, 2], [12, 0]]:
        tab.hover(*spot(tab, axes[0].coordinates[i], axes[1].coordinates[j]))
        seen.append(reading(tab))
        if np.isfinite(values[j, i]):
            assert float(re.search(r"training loss ([\d.]+)", seen[-1]).group(1)) == pytest.approx(
                values[j, i], rel=6e-4
            )
    assert "∞" in seen[3] and "NaN" in seen[4] and "not evaluated" in seen[5] and "(clipped)" in seen[6]
    assert "α 0" in seen[0] and "β 0.125" in seen[0]
    tab.hover(3, 3)
    assert reading(tab) == ""


def test_it_reads_standard_errors_and_switches_quantity_data_and_scale(visit, surface_of):
    surface = two_splits(surface_of)
    tab = visit(surface)
    tab.click("#top")
    tab.hover(*spot(tab, 1, 1))
    assert reading(tab).startswith("training loss 2.05 ± 0.2")
    tab.choose("#facet-data", "test")
    tab.hover(*spot(tab, 1, 1))
    assert reading(tab).startswith("test loss 4.1 ±")
    tab.choose("#facet-quantity", "error")
    tab.hover(*spot(tab, 0, 0))
    assert reading(tab).startswith("test error 2.5 ± 0.5 %") and "test error" in tab.text("#subtitle")
    tab.choose("#facet-quantity", "loss")
    before, kind = look(tab), tab.run("document.getElementById('scale').value")
    tab.choose("#scale", "linear" if kind == "log" else "log")
    assert np.abs(look(tab) - before).mean() > 1
    tab.choose("#beside", "data")
    assert tab.run("lossviz.stats.calls") >= 2  # a map each
    tab.hover(*spot(tab, 1, 1))
    assert re.findall(r"(\w+) ([\d.]+) ±", reading(tab)) == [("training", "2.05"), ("test", "4.1")]


def test_the_mouse_turns_moves_and_zooms(visit, bowl):
    tab = visit(bowl)
    x, y = middle(tab)
    az, el = state(tab, "az"), state(tab, "el")
    tab.drag((x, y), (x + 60, y - 20))
    assert state(tab, "az") != az and state(tab, "el") < el
    tab.drag((x, y), (x + 40, y), button="right")
    assert state(tab, "panX") > 0
    tab.wheel((x, y), -200)
    assert state(tab, "zoom") == pytest.approx(np.exp(0.3))
    tab.click("#top")
    assert (state(tab, "az"), state(tab, "el"), state(tab, "zoom"), state(tab, "panX")) == (-90, 90, 1, 0)
    tab.click("#turn")
    assert (state(tab, "az"), state(tab, "el")) == (az, el)
    before = look(tab)
    tab.click("#dark")
    assert look(tab).mean() < before.mean() - 60
    tab.click("#contours")
    assert not state(tab, "contours")


@pytest.mark.slow
def test_keys_turn_zoom_and_read(visit, bowl):
    tab = visit(bowl)
    az, el = state(tab, "az"), state(tab, "el")
    tab.press("Tab")
    assert tab.run("document.activeElement.id") == "gl"  # first the picture, then its controls
    tab.press("ArrowLeft", "ArrowUp", "+", "d", "c")
    assert (state(tab, "az"), state(tab, "el"), state(tab, "zoom")) == (az + 5, el + 5, pytest.approx(1.15))
    assert state(tab, "dark") and not state(tab, "contours") and tab.text("#spoken") == "Contours hidden"
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # where the keys go is seen
    tab.press("t")
    assert state(tab, "el") == 90 and tab.text("#spoken") == "The map from the top"
    tab.press("ArrowRight", "ArrowRight", shift=True)
    i = int(np.argmin(np.abs(bowl.plan.grid.axes[0].coordinates))) + 1
    j = int(np.argmin(np.abs(bowl.plan.grid.axes[1].coordinates)))
    spoken = tab.text("#spoken")
    assert float(re.search(r"loss ([\d.]+)", spoken).group(1)) == pytest.approx(
        bowl.values("train_loss")[j, i], rel=1e-3
    )
    tab.press("Escape")
    assert reading(tab) == ""
    order = []
    for _ in range(5):
        tab.press("Tab")
        order.append(tab.run("document.activeElement.id || document.activeElement.tagName"))
    assert order == ["SUMMARY", "scale", "height", "contours", "dark"]


NAMELESS = """(() => {
  const seen = (e) => e.getClientRects().length;
  const name = (e) => e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label")?.textContent.trim();
  return [...document.querySelectorAll("button, input, select, summary, canvas:not([aria-hidden]), img")]
    .filter((e) => seen(e) && !name(e) && !e.alt).map((e) => e.id || e.tagName);
})()"""


@pytest.mark.slow
def test_those_who_hear_the_page_are_told_what_is_there(visit, bowl):
    tab = visit(with_paths(bowl))
    assert tab.run(NAMELESS) == []
    label = "document.getElementById('gl').getAttribute('aria-label')"
    assert "training loss on 21 × 13 points" in tab.run(label)
    tab.press("Tab", ",")
    assert tab.text("#spoken").startswith("sgd: step 20, own training loss 0.1")
    assert tab.run("document.getElementById('step').getAttribute('aria-valuetext')").startswith("sgd: step 20")
    tab.press("l")
    assert tab.text("#spoken") == "linear scale" and state(tab, "scale") == "linear"
    assert "Arrow keys turn" in tab.run(
        "document.getElementById(document.getElementById('gl').getAttribute('aria-describedby')).textContent"
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 800), (1000, 700), (800, 600), PHONE])
def test_a_long_name_leaves_room(visit, surface_of, size):
    name = "A network with a very long name, trained on everything, <script>window.hurt = 1</script> " * 3
    tab = visit(two_splits(surface_of), two_splits(surface_of, 15, 9), titles=["short", name], size=size)
    assert tab.run("window.hurt === undefined") and tab.run("document.documentElement.scrollWidth") == size[0]
    head, panel = (
        tab.run(f"(({{ right, left, height }}) => [left, right, height])({where}.getBoundingClientRect())")
        for where in ("document.querySelector('h1')", "document.getElementById('panel')")
    )
    assert head[1] <= panel[0] and head[2] < 50  # two lines beside the panel


def test_fingers_turn_pinch_and_tap(visit, bowl):
    tab = visit(bowl, size=PHONE, touch=True)
    x, y = middle(tab)
    az = state(tab, "az")
    tab.touch([(x, y), (x + 30, y), (x + 60, y)])
    assert state(tab, "az") != az
    turned = state(tab, "az")
    tab.touch([(x - 40, y), (x - 60, y), (x - 80, y)], [(x + 40, y), (x + 60, y), (x + 80, y)])
    assert state(tab, "zoom") == pytest.approx(2, rel=0.05) and state(tab, "az") == pytest.approx(turned)
    tab.touch([(x - 40, y), (x - 40, y + 40)], [(x + 40, y), (x + 40, y + 40)])
    assert state(tab, "panY") < 0 and state(tab, "zoom") == pytest.approx(2, rel=0.05)
    tab.press("Home", "t")
    tab.touch([tuple(spot(tab, 0, 0))])
    assert "α 0" in reading(tab)
    assert not tab.run("document.getElementById('panel').open")  # a phone shows the surface first
    assert tab.run("document.documentElement.scrollWidth") == PHONE[0]


def test_the_caption_follows_what_is_shown(visit, bowl):
    tab = visit(bowl)
    tab.wait_for("document.getElementById('now').textContent.startsWith('As shown now')")
    assert "training loss: logarithmic scale from" in tab.run("document.getElementById('now').textContent")
    tab.choose("#scale", "linear")
    tab.click("#contours")
    tab.click("#top")
    tab.settle()
    tab.wait_for("document.getElementById('now').textContent.includes('Seen from the top')")
    now = tab.run("document.getElementById('now').textContent")
    assert "linear scale from" in now and "no lines" in now and "logarithmic" not in now
    caption = tab.run("document.getElementById('caption').textContent")
    assert "scale from" not in caption and "azimuth" not in caption


def test_the_copied_command_gives_the_picture_that_is_seen(visit, chromium, bowl):
    chromium.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    tab = visit(with_paths(bowl), hash="#height=1.4&lines=0&hide=0,1,2,3")
    tab.click("#command")
    command = tab.run("navigator.clipboard.readText()")
    assert "--height 1.4" in command and "--levels none" in command and "--no-path" in command
    assert command.startswith("lossviz plot net.h5 --kind surface --camera=")


@pytest.mark.slow
def test_settings_are_copied_and_come_back(visit, chromium, bowl):
    chromium.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    tab = visit(bowl)
    tab.drag(middle(tab), (400, 230))
    tab.choose("#scale", "linear")
    tab.click("#dark")
    tab.click("#command")
    command = tab.run("navigator.clipboard.readText()")
    camera = f"--camera={round(state(tab, 'az'))},{round(state(tab, 'el'))}"
    clip = f" --clip {high}" if (high := tab.run("lossviz.seen().clip")) else ""
    expected = f"lossviz plot net.h5 --kind surface {camera} --scale linear --quantity train_loss{clip} --dark"
    assert command == expected
    tab.click("#link")
    link = tab.run("navigator.clipboard.readText()")
    again = visit(bowl, hash="#" + link.split("#")[1])
    for name in ("az", "el", "scale", "dark", "zoom"):
        assert (
            state(again, name) == pytest.approx(state(tab, name), abs=0.06)
            if name in ("az", "el")
            else state(tab, name)
        )


def wait_for_file(folder):
    for _ in range(200):
        found = list(folder.glob("*.png")) if folder.is_dir() else []
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was saved")


def test_paths_step_by_step(visit, bowl):
    tab = visit(with_paths(bowl))
    assert tab.run("[document.getElementById('step').max, document.getElementById('step').value]") == ["3", "3"]
    told = "sgd: step 20, own training loss 0.1, of the plane beneath 0.2, 0.5 from the plane"
    tab.run("document.getElementById('step').focus()")
    tab.press("ArrowLeft")
    assert tab.text("#told").startswith(told) and state(tab, "step") == 2
    whole = look(tab)
    tab.press("Home")
    assert state(tab, "step") == 0 and np.abs(look(tab) - whole).max() > 50
    tab.click("#play")  # those who want no motion get the end at once
    assert state(tab, "step") == 3
    assert tab.run("[...document.querySelectorAll('.chip')].map((c) => c.textContent)")[1].startswith("adam </script>")
    before = look(tab)
    tab.click(".chip:nth-child(2)")
    assert tab.run("document.querySelector('.chip:nth-child(2)').getAttribute('aria-pressed')") == "false"
    assert np.abs(look(tab) - before).max() > 50 and "adam" not in tab.text("#told")
    assert tab.run("window.hurt === undefined")


TURN = """(async () => {
  const gl = document.getElementById("gl"), uploaded = lossviz.stats.uploaded, spent = [];
  gl.setPointerCapture = () => {};
  const finger = { pointerId: 1, clientY: 300, bubbles: true, buttons: 1 };
  const send = (kind, x) => gl.dispatchEvent(new PointerEvent(kind, { ...finger, clientX: x }));
  send("pointerdown", 300);
  for (let i = 0; i < 8; i++) {
    send("pointermove", 310 + 5 * i);
    await new Promise((done) => requestAnimationFrame(done));
    spent.push(lossviz.stats.drawMs);
  }
  send("pointerup", 370);
  await new Promise((done) => setTimeout(done, 1000));
  const frames = lossviz.stats.frames;
  await new Promise((done) => setTimeout(done, 300));
  spent.sort((a, b) => a - b);
  const { calls, triangles, level } = lossviz.stats;
  const idle = lossviz.stats.frames - frames;
  return { script: spent[1], uploaded: lossviz.stats.uploaded - uploaded, idle, calls, triangles, level };
})()"""


def test_turning_costs_little_and_resting_nothing(visit, bowl):
    tab = visit(with_paths(bowl))
    seen = tab.run(TURN)
    assert seen["uploaded"] == 0 and seen["idle"] == 0
    assert seen["script"] < 8  # ms a frame where nothing else slows it; 60 frames a second leave 16
    assert seen["calls"] < 40 and seen["triangles"] < 250_000
    assert seen["level"] == 0  # at rest with every pixel


PACE = """(() => {
  const run = (whole, cost, frames, pace = lossviz.makePace()) => {
    const levels = [];
    pace.rested(whole);
    pace.begin();
    for (let i = 0; i < frames; i++) {
      const ms = cost(i, pace.level), late = Math.max(1, Math.ceil(ms / 16.7)) * 16.7;
      pace.moved(ms, i ? late : 0);
      levels.push(pace.level);
    }
    return levels;
  };
  const share = [1, 0.4, 0.3, 0.2, 0.1, 0.06];
  const changes = (levels) => levels.filter((l, i) => i && l !== levels[i - 1]).length;
  const faster = lossviz.makePace();
  run(300, () => 12, 30, faster);
  return {
    fast: Math.max(...run(5, () => 5, 600)),
    hiccups: Math.max(...run(5, (i) => (i % 50 ? 5 : 90), 600)),
    waiting: (() => { const p = lossviz.makePace(); p.rested(3); p.begin();
      for (let i = 0; i < 50; i++) p.moved(3, 100); return p.level; })(),
    slow: run(300, (i, l) => 300 * share[l], 600),
    middling: run(40, (i, l) => 40 * share[l] * (1 + 0.2 * Math.sin(i)), 600),
    surprised: run(5, (i, l) => 60 * share[l], 20),
    changes: changes(run(60, (i, l) => 60 * share[l] * (1 + 0.3 * Math.sin(i / 7)), 2000)),
    recovered: (run(300, () => 2, 400, faster), faster.level),
  };
})()"""


def test_only_a_slow_processor_draws_less_while_it_moves(visit, bowl):
    seen = visit(bowl).run(PACE)
    assert seen["fast"] == 0 and seen["hiccups"] == 0 and seen["waiting"] == 0
    assert seen["slow"][0] == seen["slow"][-1] == 5  # from the first frame: what a whole one costs is known
    assert max(seen["middling"]) <= 2 and seen["middling"][-1] > 0  # no coarser than need be
    assert seen["surprised"][-1] >= 2
    assert seen["changes"] <= 10  # of 2000 frames, when it is a near thing: to and fro would be seen as flicker
    assert seen["recovered"] < 5


# ---------- the slow ones ----------
X, Y = np.linspace(-1, 1, 11), np.linspace(-0.5, 1, 7)
GX, GY = np.meshgrid(X, Y)
ONE = np.full(GX.shape, np.nan)
ONE[3, 5] = 1.7
HOSTILE = {
    "all equal": (np.full(GX.shape, 2.3026), "2.303"),
    "one finite point": (ONE, "1.7"),
    "all inf": (np.full(GX.shape, np.inf), "∞"),
    "all NaN": (np.full(GX.shape, np.nan), "NaN"),
    "1e-300 to 1e300": (10.0 ** np.linspace(-300, 300, GX.size).reshape(GX.shape), "1"),
    "negative": (-5 + 3 * GX + GY**2, "−4.938"),
    "both signs, huge": (1e305 * (GX + 0.5), "5×10³⁰⁴"),
    "with zeros": (np.maximum(0, GX**2 + GY**2 - 0.08), "0"),
    "with -inf": (np.where(GX < 0.5, -np.inf, GX), "−∞"),
    "denormal": (1e-310 * (1 + GX**2), "1×10⁻³¹⁰"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_surfaces_nobody_wants_are_read_as_they_are(visit, surface_of, name):
    table, middle_text = HOSTILE[name]
    tab = visit(surface_of(X, Y, train_loss=table))
    tab.click("#top")
    tab.hover(*spot(tab, 0, 0.25))
    text = reading(tab)
    assert re.search(rf"training loss {middle_text}(\D|$)", text) or middle_text.lstrip("1×") in text, text
    for kind in tab.run("[...document.getElementById('scale').options].filter((o) => !o.disabled).map((o) => o.value)"):
        tab.choose("#scale", kind)
        tab.click("#turn")
    assert len(np.unique(look(tab).reshape(-1, 3), axis=0)) > 20


@pytest.mark.slow
def test_colours_are_those_of_the_bar(visit, bowl):
    tab = visit(bowl, levels=[1e-9])
    tab.click("#top")
    places = [(6, 5), (3, 15), (8, 12), (2, 2), (10, 7)]
    x, y = (axis.coordinates for axis in bowl.plan.grid.axes)
    spots = [spot(tab, x[i], y[j]) for j, i in places]
    tab.hover(2, 2)
    picture = look(tab)
    shown = np.array([picture[int(py), int(px)] for px, py in spots]) / 255
    scale = make_scene([bowl]).keys[0].scale
    expected = colour_at("lipari", scale.position(np.array([bowl.values("train_loss")[j, i] for j, i in places])))
    a, b = (cspace_convert(c, "sRGB1", "CAM02-UCS") for c in (expected, shown))
    assert np.linalg.norm(a - b, axis=1).max() < 1.5  # half a pixel beside the point at most


@pytest.mark.slow
def test_a_broken_address_changes_nothing(visit, bowl):
    wrong = visit(
        bowl, hash="#view=9&scale=cubic&az=NaN&el=1e9&zoom=&height=-3&hide=7,x&pan=1&step=-1&beside=%3Cscript%3E"
    )
    assert (state(wrong, "view"), state(wrong, "zoom"), state(wrong, "height"), state(wrong, "beside")) == (
        0,
        1,
        0.85,
        "",
    )


@pytest.mark.slow
def test_a_picture_is_saved(visit, chromium, bowl, tmp_path):
    tab = visit(bowl)
    folder = tmp_path / "downloads"
    chromium.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
    tab.click("#png")
    tab.wait_for("document.getElementById('said').textContent.startsWith('Saved')")
    files = wait_for_file(folder)
    with Image.open(files) as image:
        assert image.size == (2 * SIZE[0], 2 * SIZE[1]) and len(image.convert("RGB").getcolors(1 << 24)) > 1000


@pytest.mark.slow
def test_a_grid_of_3_by_200(visit, surface_of):
    x, y = np.linspace(-1, 1, 200), np.linspace(-1, 1, 3)
    tab = visit(surface_of(x, y, train_loss=0.01 + x**2 * np.array([[1.0], [2.0], [3.0]])))
    tab.hover(*spot(tab, x[150], 1))
    assert reading(tab)


@pytest.mark.slow
def test_twelve_paths_of_10_000_steps(visit, bowl):
    t = np.linspace(0, 1, 10_001)
    for k in range(12):
        own = {"train_loss": 2.0 * np.exp(-3 * t)}
        points = np.stack([t - 0.5, 0.3 * np.sin((k + 3) * t)], axis=1)
        bowl.trajectories[f"run {k}"] = Trajectory(f"run {k}", range(10_001), points, t, own=own)
    tab = visit(bowl, size=(1000, 760))
    assert tab.run("document.querySelectorAll('.chip').length") == 12
    seen = tab.run(TURN)
    assert seen["uploaded"] == 0 and seen["script"] < 16


@pytest.mark.slow
def test_motion_for_those_who_like_it(visit, bowl):
    tab = visit(with_paths(bowl), media={"prefers-reduced-motion": "no-preference"})
    tab.click("#top")
    tab.wait_for("lossviz.state.el === 90")
    tab.click("#play")
    assert tab.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    tab.wait_for("lossviz.state.step === 3", seconds=30)
    assert tab.run("document.getElementById('play').getAttribute('aria-label')") == "Play the path"


@pytest.mark.slow
def test_dark_readers_get_a_dark_page(visit, bowl):
    tab = visit(bowl, media={"prefers-color-scheme": "dark", **CALM})
    assert state(tab, "dark") and look(tab).mean() < 110


@pytest.mark.slow
def test_it_survives_the_loss_of_its_graphics(visit, bowl):
    tab = visit(with_paths(bowl))
    before = look(tab)
    tab.run(
        "window.cut = document.getElementById('gl').getContext('webgl2').getExtension('WEBGL_lose_context');"
        "cut.loseContext()"
    )
    tab.settle()
    tab.run("lossviz.state.az += 1; cut.restoreContext(); lossviz.state.az -= 1")
    tab.wait_for("!document.getElementById('gl').getContext('webgl2').isContextLost()")
    tab.settle()
    assert np.abs(look(tab) - before).mean() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("way", ["no WebGL", "an old browser", "no scripts"])
def test_a_still_picture_stands_in(visit, bowl, tmp_path, way):
    options = (
        {"whole": True, "before": "delete window.DecompressionStream"} if way == "an old browser" else {"whole": True}
    )
    if way == "an old browser":
        tab = visit(bowl, **options)
        assert "too old" in tab.text("#why")
    else:
        browser = Browser(tmp_path / "plain", *WITHOUT_WEBGL)
        try:
            path = tmp_path / "still.html"
            draw(make_scene([bowl], kind="html"), path)
            tab = browser.open(path, size=SIZE, scripts=way != "no scripts")
            if way == "no scripts":
                assert tab.run("getComputedStyle(document.getElementById('panel')).display") == "none"
                assert "training loss" in tab.text("#caption")
            else:
                tab.wait_for("document.body.classList.contains('still')")
                assert "no WebGL" in tab.text("#why") and "training loss" in tab.text("#caption")
                assert tab.problems == []
            picture = look(tab)
        finally:
            browser.close()
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
        return
    assert tab.run("document.getElementById('still').naturalWidth") > 200


@pytest.mark.slow
def test_it_prints_the_view(visit, bowl):
    tab = visit(bowl, dark=True)
    data = base64.b64decode(tab.call("Page.printToPDF")["data"])
    assert len(data) > 30_000
    assert tab.run("document.getElementById('print').naturalWidth") >= 2 * SIZE[0] and state(tab, "dark")


@pytest.mark.slow
def test_several_files_stand_side_by_side(visit, surface_of):
    pair = [two_splits(surface_of), two_splits(surface_of, 15, 9)]
    tab = visit(*pair, titles=["ResNet", "plain </script>"], size=(1200, 700))
    assert state(tab, "beside") == "surface" and json.dumps(tab.text("#head h1"))
    tab.hover(*spot(tab, 1, 1))
    assert reading(tab).splitlines()[1].startswith("plain </script> 2.05")


@pytest.mark.slow
def test_a_cube_is_seen_slice_by_slice(visit, surface_of):
    x, y, z = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    table = 0.1 + z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2
    tab = visit(surface_of(x, y, z, train_loss=table))
    slices = tab.run("[...document.getElementById('facet-slice').options].map((o) => o.value)")
    assert len(slices) == 5 and "γ = 0" in slices
    tab.choose("#facet-slice", slices[0])
    tab.click("#top")
    tab.hover(*spot(tab, 0, 0))
    assert reading(tab).startswith("training loss 1.1")
