"""The source `aclimdb`: the official Large Movie Review Dataset (Maas et al. 2011), as a folder or an archive."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import pandas as pd

from pipeline.params import Mistake
from pipeline.storage import artifacts, plain_text
from pipeline.storage.sources import aclimdb_archive, review_checks
from pipeline.storage.sources.aclimdb_archive import FOLDER, USED_FILE

PARTS = ("train", "test")
POLARITIES = ("neg", "pos")
# names such as train/pos/12_9.txt and train/urls_pos.txt, with their contents
Files = Iterable[tuple[str, bytes]]
COLUMNS = ("name", "text", "label", "group", "part")
REVIEW_FILE = re.compile(r"((?:train|test)/(?:neg|pos))/(\d+)_\d+\.txt")
FILM_LIST = re.compile(r"(train|test)/urls_(neg|pos)\.txt")


def read(path: Path) -> pd.DataFrame:
    """All reviews of the folder aclImdb or of its archive. `path` is one of the two, or the folder that contains it.

    If `path` is a folder without either, download the archive into it. The rows are ordered by part (train, test),
    polarity (negative, positive) and number. The group of a review is its film.
    """
    if path.is_file():
        return _checked_reviews(aclimdb_archive.files(path), path)
    if not path.is_dir():
        problem = artifacts.special_kind(path) or "no such file or folder"
        needed = f"aclimdb needs {FOLDER} or {aclimdb_archive.NAME}"
        raise Mistake(f"{path}: {problem} (data.path); {needed}")

    for folder in (path, path / FOLDER):
        if (folder / "train").is_dir():
            _refuse_links(path, folder)
            return _checked_reviews(_folder_files(folder), folder)

    archive = path / aclimdb_archive.NAME
    if not archive.is_file():
        aclimdb_archive.download(archive)
    return _checked_reviews(aclimdb_archive.files(archive), archive)


def _refuse_links(path: Path, folder: Path) -> None:
    """Raise Mistake if a folder of reviews below `path` is a link. DVC would not notice a change of its reviews."""
    if folder != path and folder.is_symlink():
        raise Mistake(f"{folder}: a link, which DVC does not follow; write {folder} in data.path")
    for part in PARTS:
        for inner in (part, *(f"{part}/{polarity}" for polarity in POLARITIES)):
            if (folder / inner).is_symlink():
                remedy = "put the folder itself here"
                raise Mistake(f"{folder / inner}: a link, which DVC does not follow; {remedy}")


def _folder_files(folder: Path) -> Files:
    for path in sorted(folder.glob("t*/**/*.txt")):
        name = path.relative_to(folder).as_posix()
        if not USED_FILE.fullmatch(name):
            continue
        if kind := artifacts.special_kind(path):
            raise Mistake(f"{name}: {kind}; remove it")
        try:
            yield name, path.read_bytes()
        except OSError as error:
            raise Mistake(f"{name}: cannot be read: {error.strerror}") from None


def _checked_reviews(files: Files, source: Path) -> pd.DataFrame:
    """The table of all reviews, from `files` in any order. Messages name `source`."""
    with review_checks.naming(source):
        table = pd.DataFrame(_rows(files), columns=COLUMNS, dtype="str")
        tables = [table.set_index("name")]
        checked = review_checks.checked(tables, spellings=POLARITIES, place="file")
        return pd.concat(checked).reset_index(drop=True)


def _rows(files: Files) -> Iterator[tuple[str, ...]]:
    """The COLUMNS of each review, in the order of `read`."""
    films_by_list = {}
    reviews = defaultdict(dict)  # "train/pos" -> number -> file name, text

    for name, content in files:
        text = _decoded(content, name)
        if FILM_LIST.fullmatch(name):
            films_by_list[name] = list(map(_film, plain_text.lines(text)))
            continue

        match = REVIEW_FILE.fullmatch(name)
        if match is None:
            raise Mistake(f"{name}: a review's file must be named NUMBER_RATING.txt")

        folder = match[1]
        number = int(match[2])
        if number in reviews[folder]:
            raise Mistake(f"{name}: another review has the same number")
        reviews[folder][number] = (name, text)

    for part, polarity in product(PARTS, POLARITIES):
        folder = f"{part}/{polarity}"
        numbers = sorted(reviews[folder])
        if not numbers:
            raise Mistake(f"{folder}: no reviews")

        film_list = f"{part}/urls_{polarity}.txt"
        films = films_by_list.get(film_list)
        if films is None:
            raise Mistake(f"{film_list}: missing; it must list the film of each review")
        last = numbers[-1]
        if last >= len(films):
            raise Mistake(f"{film_list}: {len(films)} lines, too few for review number {last}")

        for number in numbers:
            name, text = reviews[folder][number]
            yield name, text, polarity, films[number], part


def _film(line: str) -> str:
    """The IMDb id in a line such as http://www.imdb.com/title/tt0453418/usercomments, or else the whole line."""
    match = re.search(r"\btt\d+", line)
    return match[0] if match else line.strip()


def _decoded(content: bytes, name: str) -> str:
    """UTF-8 text, with or without a byte order mark."""
    try:
        return plain_text.decoded(content)
    except Mistake as mistake:
        raise Mistake(f"{name}: {mistake}") from None
