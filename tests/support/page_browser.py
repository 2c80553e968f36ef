"""A page in chromium with no network: what it says to the console, what it asks for, and what its scripts answer.

Spoken is the DevTools protocol over chromium's own pipe (file descriptors 3 and 4), so no other package is needed.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
SECONDS = 120  # for one answer, on a machine that does other things too
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)


class Browser:
    """One page. `errors`: of the console; `asked`: every address but that of the page itself."""

    def __init__(self, process):
        self.process, self.session, self.count, self.unread = process, None, 0, b""
        self.errors, self.asked, self.loaded = [], [], False
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.ask("Network.emulateNetworkConditions", offline=True, **nothing)

    def open(self, file: Path, width: int, dark: bool = False) -> None:
        """The file from disk in a window of this width, its charts drawn."""
        self.errors, self.asked, self.loaded = [], [], False
        self.show(width, dark)
        self.ask("Page.navigate", url=file.resolve().as_uri())
        while not self.loaded:
            self._take()
        self.until("document.documentElement.dataset.drawn")

    def show(self, width: int, dark: bool = False) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, code: str):
        """The value of a JavaScript expression; a promise is awaited."""
        told = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise AssertionError(told["exceptionDetails"])
        return told["result"].get("value")

    def until(self, code: str):
        """The first value of an expression that is true."""
        end = time.monotonic() + SECONDS
        while not (value := self.run(code)):
            assert time.monotonic() < end, f"never true: {code}"
            time.sleep(0.05)
        return value

    def findings(self) -> list[str]:
        """What axe-core finds serious or critical: rule, and the first element it is found at.

        A chart is one image with a text to axe (`role="img"`): looking at its thousands of marks only takes time.
        """
        if not self.run("window.axe !== undefined"):
            self.run(resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        found = self.run(
            "axe.run({exclude: [['.panel']]}, {resultTypes: ['violations']}).then((found) => found.violations)"
        )
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:300]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def ask(self, method: str, **parameters) -> dict:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        self.process.stdin.write(json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode())
        self.process.stdin.write(b"\0")
        self.process.stdin.flush()
        while (told := self._take()).get("id") != self.count:
            pass
        assert "error" not in told, told["error"]
        return told["result"]

    def _take(self) -> dict:
        """The next message; what the page says or asks for by itself is kept."""
        while b"\0" not in self.unread:
            assert select.select([self.process.stdout], [], [], SECONDS)[0], "chromium says nothing"
            more = os.read(self.process.stdout.fileno(), 1 << 20)
            assert more, "chromium is gone"
            self.unread += more
        first, _, self.unread = self.unread.partition(b"\0")
        told = json.loads(first)
        given = told.get("params", {})
        match told.get("method"):
            case "Page.loadEventFired":
                self.loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(given["exceptionDetails"])
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "assert"):
                self.errors.append([each.get("value") for each in given["args"]])
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.errors.append(given["entry"])
            case "Network.requestWillBeSent" if given["request"]["url"] != given["documentURL"]:
                self.asked.append(given["request"]["url"])
        return told


@contextmanager
def browser(folder: Path):
    """Chromium with an empty profile in the folder, ended with all its processes."""
    shell = 'exec "$0" "$@" 3<&0 4>&1 >/dev/null 2>&1'
    command = ["sh", "-c", shell, CHROMIUM, *OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield Browser(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
