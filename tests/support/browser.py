"""A page as a real browser shows it: Chromium without a window, which can reach nothing but this machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

VIRTUAL_MILLISECONDS = 30_000  # of the page's clock, which stands still while the page loads something
PATIENCE_SECONDS = 120


def opened(url: str, folder: Path) -> tuple[str, set[str]]:
    """The page's document after its scripts have run, and the hosts that the page itself asked for something.

    What Chromium asks for on its own account (time, updates) is not the page's; none of it gets anywhere.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed")
    log = folder / "network.json"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--log-net-log={log}"]
    command += ["--window-size=1600,3000", f"--virtual-time-budget={VIRTUAL_MILLISECONDS}", "--dump-dom", url]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout
    noted = json.loads(log.read_text())
    kind = noted["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = (event["params"] for event in noted["events"] if event["type"] == kind and "url" in event.get("params", {}))
    return shown, {urlsplit(each["url"]).hostname for each in asked if each["initiator"] != "not an origin"}


def words(shown: str) -> str:
    """What of a document is text."""
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", shown, flags=re.DOTALL).split())
