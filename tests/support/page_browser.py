"""A page in Chromium without a network: its console errors, its requests, and the values of its scripts.

The tests use the DevTools protocol over Chromium's own pipe (file descriptors 3 and 4), so they need no other package.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

CHROMIUM = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
)
SECONDS = 120  # for one answer, on a busy machine
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class PageGone(AssertionError):
    """The page was replaced while it computed an answer."""


class Browser:
    """One page. `errors`: those of the console; `requests`: every requested address except the page's own."""

    def __init__(self, process: subprocess.Popen, is_offline: bool):
        self.process = process
        self.errors = []
        self.requests = []
        self._session = None
        self._count = 0
        self._unread = b""
        self._is_loaded = False

        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        unlimited = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.ask("Network.emulateNetworkConditions", offline=is_offline, **unlimited)

    def open(self, file: Path, width: int, dark: bool = False) -> None:
        """Opens a file in a window of this width and waits until its charts are drawn."""
        self.errors = []
        self.requests = []
        self._is_loaded = False
        self._set_window(width, dark)
        self.ask("Page.navigate", url=file.resolve().as_uri())
        while not self._is_loaded:
            self._receive()
        self.until("document.documentElement.dataset.drawn")

    def visit(self, url: str, width: int, expected: str) -> str:
        """The words of a page of a server on this machine, once they match the pattern."""
        self._set_window(width, dark=False)
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=url)
        words = "(document.body?.innerText ?? '').replace(/\\s+/g, ' ')"
        self.until(f"new RegExp({json.dumps(expected)}).test({words})")
        return self.run(words)

    def _set_window(self, width: int, dark: bool) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, code: str):
        """Returns the value of a JavaScript expression; awaits a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, code: str):
        """Returns the first true value of an expression, also after the page has been replaced by another."""
        end = time.monotonic() + SECONDS
        while not (value := self._run_if_present(code)):
            assert time.monotonic() < end, f"never true: {code}"
            time.sleep(0.05)
        return value

    def _run_if_present(self, code: str):
        """Returns the value of an expression, or None if the page goes away meanwhile."""
        try:
            return self.run(code)
        except PageGone:
            return None

    def accessibility_errors(self) -> list[str]:
        """One line per serious or critical violation that axe-core reports: its rule and its first element.

        Axe treats a chart as one image with a text (`role="img"`); its thousands of marks would only take time.
        """
        if not self.run("window.axe !== undefined"):
            self.run(
                resources.files("axe_core_python")
                .joinpath("axe.min.js")
                .read_text(encoding="utf-8")
            )
        violations = self.run(
            "axe.run({exclude: [['.panel']]}, {resultTypes: ['violations']}).then((result) => result.violations)"
        )
        return [
            f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:300]}"
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]

    def ask(self, method: str, **parameters) -> dict:
        """Calls a method of the protocol and returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()

        while (answer := self._receive()).get("id") != self._count:
            pass
        error = answer.get("error")
        if error and "navigated or closed" in error["message"]:
            raise PageGone(error["message"])
        assert not error, error
        return answer["result"]

    def _receive(self) -> dict:
        """Returns the next message, after it has recorded errors and requests."""
        with selectors.DefaultSelector() as selector:  # `select` reads no file number above 1023
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\0" not in self._unread:
                assert selector.select(SECONDS), "Chromium does not answer"
                received = os.read(self.process.stdout.fileno(), 1 << 20)
                assert received, "Chromium has ended"
                self._unread += received

        first, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(first)
        self._record(message.get("method"), message.get("params", {}))
        return message

    def _record(self, event: str | None, values: dict) -> None:
        match event:
            case "Page.loadEventFired":
                self._is_loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(values["exceptionDetails"])
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "assert"):
                self.errors.append([argument.get("value") for argument in values["args"]])
            case "Log.entryAdded" if values["entry"]["level"] == "error":
                self.errors.append(values["entry"])
            case "Network.requestWillBeSent" if values["request"]["url"] != values["documentURL"]:
                self.requests.append(values["request"]["url"])


@contextmanager
def browser(folder: Path, reachable: str = "") -> Iterator[Browser]:
    """Starts Chromium with an empty profile in the folder; ends it with all its processes.

    It can reach no host but `reachable`.
    """
    assert CHROMIUM
    rules = "MAP * ~NOTFOUND" + (f", EXCLUDE {reachable}" if reachable else "")
    options = (*OPTIONS, f"--host-resolver-rules={rules}", f"--user-data-dir={folder}")
    shell = 'exec "$0" "$@" 3<&0 4>&1 >/dev/null 2>&1'
    command = ["sh", "-c", shell, CHROMIUM, *options]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        yield Browser(process, is_offline=not reachable)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
