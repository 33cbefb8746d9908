"""A real browser for tests: headless Chromium, driven through its pipe (DevTools protocol) by the standard library.

Input is the browser's own: clicks, drags, wheels, keys and touches go the way a user's do, through hit testing and
focus.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)
SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
WITHOUT_WEBGL = ("--disable-gpu", "--disable-3d-apis")
QUIET = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars",
    "--password-store=basic", "--use-mock-keychain",
)  # fmt: skip
PATIENCE_S = 60.0
VIRTUAL_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Enter": 13, " ": 32,
                "Escape": 27, "Home": 36, "End": 35}  # fmt: skip


class BrowserError(RuntimeError):
    """The browser or a script in it failed."""


class Browser:
    """One Chromium; :meth:`open` gives a tab."""

    def __init__(self, profile: Path, *flags: str) -> None:
        to_child, self._out = (_high(fd) for fd in os.pipe())
        self._in, from_child = (_high(fd) for fd in os.pipe())
        words = [str(FOUND), *QUIET, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        # the protocol's fixed descriptors: 3 to read commands from, 4 to answer
        move = f"import os, sys; os.dup2({to_child}, 3); os.dup2({from_child}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        self._log = (profile.parent / f"{profile.name}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-Sc", move, *words],
            pass_fds=(to_child, from_child),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        os.close(to_child)
        os.close(from_child)
        self._buffer, self._number, self._answers = b"", 0, {}
        self.events: dict[str, list[dict[str, Any]]] = {}

    def call(self, method: str, session: str | None = None, **words: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": words}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        end = time.monotonic() + PATIENCE_S
        while self._number not in self._answers:
            self._read(end - time.monotonic())
        answer = self._answers.pop(self._number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self, patience_s: float) -> None:
        if patience_s <= 0 or not select.select([self._in], [], [], patience_s)[0]:
            raise BrowserError("Chromium does not answer.")
        part = os.read(self._in, 1 << 20)
        if not part:
            raise BrowserError("Chromium has ended.")
        *messages, self._buffer = (self._buffer + part).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.setdefault(message.get("sessionId", ""), []).append(message)

    def open(self, path: Path, *, hash: str = "", **words: Any) -> Tab:
        """A tab with the page of a file, loaded; ``words`` as for :class:`Tab`."""
        # a window of its own: a tab behind another draws nothing
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, target, path.as_uri() + hash, **words)

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(BrowserError, OSError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._log.close()


class Tab:
    """One page.

    Args:
        browser: Where it is.
        session: Of the protocol.
        target: Of the protocol.
        url: What to load.
        size: Width and height in CSS pixels.
        ratio: Device pixels to a CSS pixel.
        touch: Whether it is a phone.
        media: Media features, such as ``{"prefers-reduced-motion": "reduce"}``.
        before: A script that runs before the page's own.
        scripts: Whether the page's scripts run.
    """

    def __init__(
        self, browser, session, target, url, *, size=(1000, 760), ratio=1.0, touch=False, media=None, before="",
        scripts=True,
    ):  # fmt: skip
        self._browser, self._session, self._target = browser, session, target
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*size, ratio=ratio, touch=touch)
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
        self.emulate(media or {})
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        if before:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.go(url)

    def call(self, method: str, **words: Any) -> dict[str, Any]:
        """A command of the protocol."""
        return self._browser.call(method, self._session, **words)

    def go(self, url: str) -> None:
        """Load an address and wait for it."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait_for(
            f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url.split('#')[0])})"
        )

    def resize(self, width: int, height: int, *, ratio: float = 1.0, touch: bool = False) -> None:
        """Give the tab another size."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=touch
        )

    def emulate(self, features: dict[str, str], medium: str = "") -> None:
        """Set media features and the medium."""
        given = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=medium, features=given)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise.

        Raises:
            BrowserError: With the message of what it throws.
        """
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 20.0) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise BrowserError(f"never true: {condition}")
            time.sleep(0.02)

    def settle(self) -> None:
        """Until what was asked for is painted."""
        self.run("new Promise((done) => requestAnimationFrame(() => done(1)))")

    def centre(self, selector: str) -> tuple[float, float]:
        """Middle of an element in CSS pixels, after scrolling it into view."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({ block: 'nearest' });"
            "const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2, b.width]; })()"
        )
        assert box[2] > 0, f"{selector} is not to be seen"
        return box[0], box[1]

    def mouse(self, kind: str, x: float, y: float, **words: Any) -> None:
        """One event of the mouse: Moved, Pressed, Released or Wheel."""
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **words)

    def hover(self, x: float, y: float) -> None:
        """Point at a place."""
        self.mouse("Moved", x, y)
        self.settle()

    def click(self, place: str | tuple[float, float]) -> None:
        """Click an element or a place."""
        x, y = self.centre(place) if isinstance(place, str) else place
        for kind in ("Moved", "Pressed", "Released"):
            self.mouse(kind, x, y, **({} if kind == "Moved" else {"button": "left", "clickCount": 1}))
        self.settle()

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, steps: int = 2, button: str = "left", modifiers=0
    ):
        """Press, move and release."""
        held = {"left": 1, "right": 2, "middle": 4}[button]
        words = {"button": button, "modifiers": modifiers}
        self.mouse("Moved", *start)
        self.mouse("Pressed", *start, clickCount=1, **words)
        for i in range(1, steps + 1):
            place = [a + (b - a) * i / steps for a, b in zip(start, end, strict=True)]
            self.mouse("Moved", *place, buttons=held, **words)
        self.mouse("Released", *end, clickCount=1, **words)
        self.settle()

    def wheel(self, place: tuple[float, float], down: float) -> None:
        """Turn the wheel."""
        self.mouse("Wheel", *place, deltaX=0, deltaY=down)
        self.settle()

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys one after another, wherever the focus is."""
        for key in keys:
            letter = len(key) == 1
            code = VIRTUAL_KEYS.get(key, ord(key.upper()) if letter and key.isalnum() else 0)
            words = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
            text = key if letter else "\r" if key == "Enter" else ""
            self.call(
                "Input.dispatchKeyEvent",
                type="keyDown" if text else "rawKeyDown",
                **words,
                **({"text": text} if text else {}),
            )
            self.call("Input.dispatchKeyEvent", type="keyUp", **words)
        self.settle()

    def touch(self, *fingers: list[tuple[float, float]]) -> None:
        """Fingers that go down together, each along its own places, and lift."""
        for i, places in enumerate(zip(*fingers, strict=True)):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
            self.call("Input.dispatchTouchEvent", type="touchMove" if i else "touchStart", touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list, as a key or a menu would."""
        self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            "for (const n of ['input', 'change']) e.dispatchEvent(new Event(n, { bubbles: true })); })()"
        )
        self.settle()

    def text(self, selector: str) -> str:
        """Of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def picture(self, path: Path | None = None) -> bytes:
        """PNG of what is seen."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            path.write_bytes(data)
        return data

    @property
    def problems(self) -> list[str]:
        """What the console holds against the page: exceptions, errors, warnings, and things that did not load."""
        found = []
        for event in self._browser.events.get(self._session, []):
            words = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = words["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and words["type"] in ("error", "warning", "assert"):
                found.append(" ".join(str(a.get("value", a.get("description"))) for a in words["args"]))
            elif event["method"] == "Log.entryAdded" and words["entry"]["level"] == "error":
                found.append(words["entry"]["text"])
        return found

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)


def _high(descriptor: int) -> int:
    # away from 3 and 4, which the child needs
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy
