"""A headless Chromium without further packages: the DevTools protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE = 90.0


def find() -> str | None:
    """Return the command that starts Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Tab:
    """A page in a browser, and what it complained about."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands, self._events = commands, events
        self._number, self._buffer, self._session = 0, b"", ""
        self.seen: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._commands, json.dumps(asked).encode() + b"\0")
        while (said := self._hear()).get("id") != self._number:
            self.seen.append(said)
        assert "error" not in said, said
        return dict(said["result"])

    def _hear(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._events], [], [], deadline - time.monotonic())
            assert ready, "the browser says nothing"
            part = os.read(self._events, 1 << 20)
            assert part, "the browser has gone"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def show(self, path: Path, width: int, *, dark: bool = False, scripts: bool = True) -> float:
        """Open a file in a window of so many CSS pixels; return the seconds until it had loaded."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=844 if width < 600 else 900,
            deviceScaleFactor=2 if width < 600 else 1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.seen.clear()
        began = time.perf_counter()
        assert "errorText" not in self.ask("Page.navigate", url=path.resolve().as_uri())
        while not any(said.get("method") == "Page.loadEventFired" for said in self.seen):
            self.seen.append(self._hear())
        return time.perf_counter() - began

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        said = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if key == " " else {}
        code = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text
            )

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self) -> bytes:
        """Return all of the page as a PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """Print the page on A4."""
        printed = self.ask(
            "Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True
        )
        return base64.b64decode(printed["data"])

    @property
    def complaints(self) -> list[str]:
        """What the console shows as warnings and errors, exceptions among them."""
        self.run("0")  # all that was said before has come once this is answered
        found = []
        for said in self.seen:
            told = said.get("params", {})
            if said.get("method") == "Runtime.exceptionThrown":
                found.append(str(told["exceptionDetails"]))
            elif said.get("method") == "Runtime.consoleAPICalled":
                found.append(str(told["args"]))
            elif said.get("method") == "Log.entryAdded":
                found.append(told["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """The addresses that the page fetched, its pictures inside left out."""
        sent = [said for said in self.seen if said.get("method") == "Network.requestWillBeSent"]
        urls = [str(said["params"]["request"]["url"]) for said in sent]
        return [url for url in urls if not url.startswith("data:")]


@contextlib.contextmanager
def tab(command: str) -> Iterator[Tab]:
    """Start a browser with one empty page, and end it with the block."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()

    def connect() -> None:  # the browser reads from 3 and writes to 4
        ours = os.dup(to_browser), os.dup(from_browser)
        high = [os.dup2(descriptor, 100 + n) for n, descriptor in enumerate(ours)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [command, *_FLAGS, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=connect,  # noqa: PLW1509 - calls nothing but the system
            pass_fds=(3, 4),
        )
        try:
            os.close(to_browser)
            os.close(from_browser)
            yield Tab(from_us, to_us)
        finally:
            browser.terminate()
            try:
                browser.wait(20)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            os.close(from_us)
            os.close(to_us)
