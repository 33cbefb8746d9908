"""Frames a second of the interactive page while it is turned, in Chromium, and what whole and quick frames cost.

Run it with ``-s`` to see the numbers. Here the browser draws in software, on the processor's cores: the hardest case
there is, and one that other work on the machine disturbs.
"""

import os
import time

import numpy as np
import pytest

from lossviz.records.trajectory import Trajectory
from lossviz.render.page.page import write_page
from lossviz.render.scene import make_scene
from tests.chromium import FOUND, SOFTWARE, Browser
from tests.render.conftest import make_surface

TURN = """(async () => {
  const gl = document.getElementById("gl"), { stats } = lossviz, gaps = [];
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const finger = { pointerId: 1, clientY: 300, bubbles: true, buttons: 1 };
  const send = (kind, x) => gl.dispatchEvent(new PointerEvent(kind, { ...finger, clientX: x }));
  gl.setPointerCapture = () => {};
  const whole = stats.spentMs;
  send("pointerdown", 400);
  let x = 400, count = stats.frames, last = 0, script = [], spent = [], began = await frame();
  for (let now = began; now - began < 3000; now = await frame()) {
    send("pointermove", (x += 3));
    if (stats.frames === count) continue; // no frame was drawn for this picture
    if (last && now - began > 1000) {
      gaps.push(now - last);
      script.push(stats.drawMs);
      spent.push(stats.spentMs);
    }
    [count, last] = [stats.frames, now];
  }
  send("pointerup", x);
  const { level, calls, triangles } = stats, ended = performance.now();
  const part = (a, share) => a.sort((p, q) => p - q)[Math.floor(share * (a.length - 1))];
  while (stats.level || stats.frames === count) await frame();
  return { fps: (1000 * gaps.length) / gaps.reduce((a, b) => a + b, 0), worst: Math.max(...gaps), whole, level, calls,
    triangles, spent: part(spent, 0.5), script: part(script, 0.5), least: [part(spent, 0.1), part(script, 0.1)],
    rested: performance.now() - ended };
})()"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if FOUND is None:
        pytest.skip("no Chromium on this machine")
    browser = Browser(tmp_path_factory.mktemp("browser") / "profile", *SOFTWARE)
    yield browser
    browser.close()


def hills(size, paths):
    x = np.linspace(-1, 1, size)
    z = 0.01 + 20 * (x**2 + 2 * x[:, None] ** 2) * (1.2 + np.sin(5 * x) * np.cos(4 * x[:, None]))
    surface = make_surface(x, x, train_loss=z, stderr=0.03 * z, facts={"chance": {"loss": float(np.log(10))}})
    t = np.linspace(0, 1, 2001)
    for k in range(paths):
        points = np.stack([0.9 - t, 0.7 * np.cos((2 + k) * t)], axis=1)
        surface.trajectories[f"run {k}"] = Trajectory(
            f"run {k}", range(2001), points, t, own={"train_loss": 5 * np.exp(-4 * t)}
        )
    return surface


@pytest.mark.slow
@pytest.mark.parametrize("width,height", [(1280, 800), (800, 600), (390, 844)])
@pytest.mark.parametrize("size,paths", [(51, 0), (101, 0), (201, 0), (101, 1), (101, 12)])
def test_frames_while_it_is_turned(chromium, tmp_path, size, paths, width, height):
    path = tmp_path / "page.html"
    path.write_bytes(write_page(make_scene([hills(size, paths)], kind="html"), None))
    tab = chromium.open(path, size=(width, height))
    tab.wait_for("window.lossviz.ready && lossviz.stats.frames > 1 && lossviz.stats.spentMs", 60)
    time.sleep(1)
    seen = tab.run(TURN)
    tab.close()
    print(
        f"\n{size}², {paths} paths, {width} × {height}: {seen['fps']:.0f} frames/s, longest {seen['worst']:.0f} ms, "
        f"level {seen['level']}, each {seen['spent']:.0f} ms (script {seen['script']:.1f}), "
        f"{seen['triangles']:.0f} triangles; whole {seen['whole']:.0f} ms, {seen['rested']:.0f} ms after it rests; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    spent, script = seen["least"]
    assert script < 8
    assert spent < max(16, 0.5 * seen["whole"])  # what moves costs a part of what rests, or little
