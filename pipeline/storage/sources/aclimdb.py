"""The source `aclimdb`: the official Large Movie Review Dataset (Maas et al. 2011), as a folder or an archive."""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import pandas as pd

from pipeline.params import Mistake
from pipeline.storage.sources import aclimdb_archive, review_checks
from pipeline.storage.sources.aclimdb_archive import FOLDER, USED_FILE

PARTS = ("train", "test")
POLARITIES = ("neg", "pos")
REVIEW_FILE = re.compile(r"(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
FILM_LIST = re.compile(r"(train|test)/urls_(neg|pos)\.txt")


def read(path: Path) -> pd.DataFrame:
    """All reviews of the folder aclImdb or its archive, which `path` names or contains.

    If `path` is a folder with neither, download the archive into it. The rows are ordered by part (train, test),
    polarity (negative, positive) and number. The group of a review is its film.
    """
    if path.is_file():
        return _reviews(aclimdb_archive.files(path), path)
    if not path.is_dir():
        raise Mistake(f"{path}: no such file or folder (data.path); aclimdb needs {FOLDER} or {aclimdb_archive.NAME}")

    for folder in (path, path / FOLDER):
        if (folder / "train").is_dir():
            return _reviews(_folder_files(folder), folder)

    archive = path / aclimdb_archive.NAME
    if not archive.is_file():
        aclimdb_archive.download(archive)
    return _reviews(aclimdb_archive.files(archive), archive)


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("t*/**/*.txt")):
        name = path.relative_to(folder).as_posix()
        if not USED_FILE.fullmatch(name):
            continue
        try:
            yield name, path.read_bytes()
        except OSError as error:
            raise Mistake(f"{path}: cannot be read: {error.strerror}") from None


def _reviews(files: Iterable[tuple[str, bytes]], source: Path) -> pd.DataFrame:
    """`files` are names such as train/pos/12_9.txt and train/urls_pos.txt, in any order, with their contents."""
    films_by_list = {}
    reviews = {}  # (part, polarity, number) -> file name, text

    for name, content in files:
        text = _decoded(content, f"{source}: {name}")
        if FILM_LIST.fullmatch(name):
            films_by_list[name] = [_film(line) for line in text.splitlines()]
            continue

        match = REVIEW_FILE.fullmatch(name)
        if match is None:
            raise Mistake(f"{source}: {name}: a review's file must be named NUMBER_RATING.txt")
        key = (match[1], match[2], int(match[3]))
        if key in reviews:
            raise Mistake(f"{source}: {name}: a second review with this number")
        reviews[key] = (name, text)

    rows = []
    for part, polarity in product(PARTS, POLARITIES):
        numbers = sorted(number for *kind, number in reviews if kind == [part, polarity])
        films = _films(films_by_list, f"{part}/urls_{polarity}.txt", numbers, source)
        if not numbers:
            raise Mistake(f"{source}: {part}/{polarity}: no reviews")
        for number in numbers:
            name, text = reviews[part, polarity, number]
            rows.append((name, text, polarity, films[number], part))

    table = pd.DataFrame(rows, columns=["name", "text", "label", "group", "part"], dtype="str").set_index("name")
    checked = review_checks.checked([table], POLARITIES, str(source), "file")
    return pd.concat(checked).reset_index(drop=True)


def _films(films_by_list: dict[str, list[str]], name: str, numbers: list[int], source: Path) -> list[str]:
    """The films of one list, with a line for every review number."""
    if name not in films_by_list:
        raise Mistake(f"{source}: {name}: missing; its lines name the films")

    films = films_by_list[name]
    if numbers and numbers[-1] >= len(films):
        raise Mistake(f"{source}: {name}: {len(films)} lines, but there is a review number {numbers[-1]}")
    return films


def _film(line: str) -> str:
    """`tt0453418` of a line such as http://www.imdb.com/title/tt0453418/usercomments; otherwise the line itself."""
    match = re.search(r"\btt\d+", line)
    return match[0] if match else line.strip()


def _decoded(content: bytes, source: str) -> str:
    """UTF-8 text, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise review_checks.not_utf_8(source, line, content[error.start], error.start) from None
