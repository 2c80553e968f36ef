"""`python -m docs.screenshots` takes the pictures of docs/images, and the committed ones have its form."""

import struct
from pathlib import Path

import pytest

from docs import screenshots
from tests.support import page_browser
from tests.test_readme import ROOT, committed

SIZE = (screenshots.WIDTH * screenshots.SCALE, screenshots.HEIGHT * screenshots.SCALE)
FILES = ("report.png", "playground.png", *screenshots.PAGES_OF_MLFLOW)
MOST_BYTES = 200_000
EMPTY_BYTES = 20_000  # a page without text and charts compresses to less


def check_picture(file: Path) -> None:
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == SIZE
    assert EMPTY_BYTES < len(content) < MOST_BYTES


@pytest.mark.parametrize("file", FILES)
def test_a_committed_picture_is_small_and_not_empty(file):
    check_picture(ROOT / screenshots.IMAGES / file)


@pytest.mark.slow
@pytest.mark.skipif(page_browser.CHROMIUM is None, reason="chromium is not installed here")
def test_report_and_playground_are_taken_from_the_files_of_a_study(tmp_path):
    for page in ("index.html", "playground.html"):
        (tmp_path / page).write_text(committed(f"reports/{page}"), encoding="utf-8")

    screenshots.pages(tmp_path, tmp_path, tmp_path / "profile")
    check_picture(tmp_path / "report.png")
    check_picture(tmp_path / "playground.png")
