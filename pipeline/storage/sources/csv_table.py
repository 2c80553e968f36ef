"""Read columns of a CSV file as text, a limited amount at a time. `csv_file` and `movie_reviews` use it."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import pandas as pd

from pipeline.params import Mistake
from pipeline.storage import artifacts, plain_text
from pipeline.storage.sources import csv_hints, review_checks

PART_CHARACTERS = 16_000_000  # in memory at once: about 12,000 film reviews
FIELD_CHARACTERS = 10_000_000  # in one field: three times the length of War and Peace
BLOCK = 1 << 20  # bytes read at once


def read(path: Path, columns: dict[str, str]) -> Iterator[pd.DataFrame]:
    """Some columns of a CSV file as strings, in parts.

    `columns` maps a kind (`text`, `label`, `group`) to the name that the column has in the file. The tables name the
    columns by kind. Their index is the row number in a spreadsheet, where row 1 holds the names. Empty rows are left
    out.
    """
    rows = _rows(path)
    _, header = next(rows, (0, None))
    if header is None:
        raise Mistake("empty; its first row must name the columns")

    csv_hints.refuse_header(header)
    pick_columns = itemgetter(*_positions(columns, header))
    values_by_row = {}
    characters = 0
    rows_by_problem = defaultdict(list)

    for number, fields in rows:
        if len(fields) != len(header):
            problem = csv_hints.uneven_row(fields, header)
            rows_by_problem[problem].append(number)
            continue

        values = pick_columns(fields)
        for value, name in zip(values, columns.values(), strict=True):
            if "\0" in value:
                problem = f"column '{name}': a NUL byte, so not plain text; delete it"
                rows_by_problem[problem].append(number)
        values_by_row[number] = values
        characters += sum(map(len, values))

        if characters >= PART_CHARACTERS:
            yield _table(values_by_row, columns)
            values_by_row = {}
            characters = 0

    if rows_by_problem:
        problems = [
            f"{review_checks.places(rows, 'row')}: {problem}"
            for problem, rows in rows_by_problem.items()
        ]
        raise Mistake("\n".join(problems))
    yield _table(values_by_row, columns)


def _table(
    values_by_row: dict[int, tuple[str, ...]],
    columns: dict[str, str],
) -> pd.DataFrame:
    return pd.DataFrame(
        list(values_by_row.values()),
        index=list(values_by_row),
        columns=list(columns),
        dtype="str",
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of each row that is not empty."""
    number = 0
    csv.field_size_limit(FIELD_CHARACTERS)

    with _opened(path) as file:
        try:
            for number, fields in enumerate(csv.reader(file, strict=True), start=1):
                if any(fields):
                    yield number, fields
        except csv.Error as error:
            if number == 0:
                file.seek(0)
                csv_hints.refuse_header([file.readline(BLOCK)])

            problem = str(error)
            if "field limit" in problem:
                problem = f"a field of more than {FIELD_CHARACTERS:,} characters"
            raise Mistake(f"row {number + 1}: not CSV: {problem}; {csv_hints.QUESTION}") from None
        except UnicodeDecodeError as error:
            block = error.object
            position = file.buffer.tell() - len(block) + error.start
            line = _line_breaks_before(position, file) + 1
            byte = block[error.start]
            raise plain_text.not_utf_8(line, byte, position) from None


def _opened(path: Path) -> TextIO:
    remedy = "data.path must name the CSV file itself"
    if kind := artifacts.special_kind(path):
        raise Mistake(f"cannot be read: {kind}; {remedy}")
    try:
        with path.open("rb") as file:
            plain_text.refuse_other_formats(file, str(path), "CSV (UTF-8)")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise Mistake(f"cannot be read: {error.strerror}; {remedy}") from None


def _line_breaks_before(position: int, file: TextIO) -> int:
    file.buffer.seek(0)
    line_feeds = 0
    carriage_returns = 0
    for start in range(0, position, BLOCK):
        block = file.buffer.read(min(BLOCK, position - start))
        line_feeds += block.count(b"\n")
        carriage_returns += block.count(b"\r")
    return line_feeds or carriage_returns


def _positions(columns: dict[str, str], header: list[str]) -> list[int]:
    """The position of each column in the header."""
    csv_hints.refuse_values(columns.values(), header)
    problems = []
    for kind, name in columns.items():
        key = f"data.columns.{kind}"
        count = header.count(name)
        if count > 1:
            problems.append(f"{count} columns are named '{name}' ({key})")
        elif count == 0:
            hint = csv_hints.missing_column(name, header)
            problems.append(f"no column '{name}' ({key}); {hint}")

    if problems:
        raise Mistake("\n".join(problems))
    return [header.index(name) for name in columns.values()]
