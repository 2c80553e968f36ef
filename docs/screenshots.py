"""`python -m docs.screenshots`: takes the pictures in docs/images again.

The pictures show the report, the playground and two pages of MLflow, as they are in the current folder. Run the
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
PAGES_OF_MLFLOW = {  # file: words of a link of `make ui`, words of its page, its number of lines in charts
    "mlflow.png": ("RNN, textbook settings: the learning curves", "validation/accuracy", 4),
    "mlflow-runs.png": ("every run, best test accuracy", "low/test/accuracy.*matching runs", 0),
}
LINES = "document.querySelectorAll('.js-line').length"
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
    """Takes the pictures in PAGES_OF_MLFLOW."""
    with links() as urls, page_browser.browser(profile, reachable="127.0.0.1") as chromium:
        for file, (link, words, lines) in PAGES_OF_MLFLOW.items():
            matching = [url for shows, url in urls.items() if link in shows]
            if not matching:
                sys.exit(f"`make ui` prints no link to '{link}'; `dvc repro` computes these runs")

            chromium.visit(matching[0], WIDTH, words)
            chromium.until(f"{LINES} >= {lines}")
            chromium.run(f"document.head.append({NO_TOOLBAR})")
            take(chromium, folder / file)


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
