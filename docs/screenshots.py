"""`python -m docs.screenshots`: takes the pictures in docs/images again.

The pictures show the report, the playground and MLflow's learning curves, as they are in the current folder. Run the
command after `dvc repro`. It needs Chromium, and it writes the shared views of `make ui` into MLflow's store.
"""

import argparse
import base64
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from tests.support import page_browser
from tests.support.page_browser import Browser

IMAGES = Path("docs/images")
WIDTH = 1280  # of the window, in pixels
HEIGHT = 800
SCALE = 0.75  # of the picture
PATIENCE_SECONDS = 300  # until MLflow has ended, on a busy machine
LINK = "RNN, textbook settings: the learning curves"  # words of the link of `make ui` to open
NO_TOOLBAR = (  # of the charts; it hides the curves
    "Object.assign(document.createElement('style'), {textContent: '.modebar {display: none}'})"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes the pictures in docs/images again.")
    parser.add_argument("--folder", type=Path, default=IMAGES, help="the folder for the pictures")
    folder = parser.parse_args().folder
    if page_browser.CHROMIUM is None:
        parser.error("Chromium is not installed")

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        pages(folder, Path("reports"), Path(profile))
    with tempfile.TemporaryDirectory() as profile:
        mlflow(folder, Path(profile))


def pages(folder: Path, reports: Path, profile: Path) -> None:
    """Takes `report.png` and `playground.png` from the files of a study, without a network."""
    with page_browser.browser(profile) as chromium:
        chromium.open(reports / "index.html", WIDTH)
        take(chromium, folder / "report.png")

        chromium.open(reports / "playground.html", WIDTH)
        chromium.until("document.querySelector('.verdict').textContent")
        chromium.run("document.querySelector('#watch').scrollIntoView()")
        take(chromium, folder / "playground.png")


def mlflow(folder: Path, profile: Path) -> None:
    """Takes `mlflow.png` from the page behind one link of `make ui`."""
    with links() as urls:
        matching = [url for shows, url in urls.items() if LINK in shows]
        if not matching:
            sys.exit(f"`make ui` prints no link to '{LINK}'; `dvc repro` computes these runs")

        with page_browser.browser(profile, reachable="127.0.0.1") as chromium:
            chromium.visit(matching[0], WIDTH, "Learning curves by epoch.*validation/accuracy")
            chromium.until("document.querySelectorAll('.js-line').length >= 4")  # two per chart
            chromium.run(f"document.head.append({NO_TOOLBAR})")
            take(chromium, folder / "mlflow.png")


@contextmanager
def links() -> Iterator[dict[str, str]]:
    """Runs `python -m pipeline ui` on a free port. Yields the address of each page by its description."""
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(_free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = takewhile(lambda line: not line.startswith("Ctrl-C"), server.stdout or [])
        yield dict(line.rstrip("\n").rsplit(": ", 1) for line in lines)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def take(chromium: Browser, file: Path) -> None:
    """Writes the visible part of the page as a PNG file."""
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": SCALE, "mobile": False}
    chromium.ask("Emulation.setDeviceMetricsOverride", **size)
    chromium.run("new Promise((done) => setTimeout(done, 500))")
    answer = chromium.ask("Page.captureScreenshot", format="png")
    file.write_bytes(base64.b64decode(answer["data"]))


if __name__ == "__main__":
    main()
