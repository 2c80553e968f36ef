"""A page as a real browser shows it: Chromium without a window, which can reach nothing but this machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

# of the page's clock, which stands still while the page loads something
VIRTUAL_MILLISECONDS = 30_000
PATIENCE_SECONDS = 120
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1600,3000",
    f"--virtual-time-budget={VIRTUAL_MILLISECONDS}",
    "--dump-dom",
)


def opened(url: str, folder: Path) -> tuple[str, set[str]]:
    """The page's document after its scripts have run, and the hosts that the page requested something from.

    Chromium's own requests (time, updates) do not count, and none of them gets anywhere.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed")

    log = folder / "network.json"
    command = [
        browser,
        *OPTIONS,
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        url,
    ]
    page = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS
    ).stdout
    return page, _hosts(json.loads(log.read_text()))


def _hosts(network_log: dict) -> set[str]:
    start = network_log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    hosts = set()
    for event in network_log["events"]:
        params = event.get("params", {})
        if event["type"] == start and "url" in params and params["initiator"] != "not an origin":
            hosts.add(urlsplit(params["url"]).hostname)
    return hosts


def words(page: str) -> str:
    """The text of a document."""
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).split())
