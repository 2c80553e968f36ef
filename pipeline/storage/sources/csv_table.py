"""Read columns of a CSV file as text, a limited amount at a time. `csv_file` and `movie_reviews` use it."""

import csv
import difflib
import re
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import pandas as pd

from pipeline.params import Mistake
from pipeline.storage.sources import review_checks

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

    _refuse_other_separator(header)
    pick_columns = itemgetter(*_positions(columns, header))
    values_by_row = {}
    characters = 0
    uneven_rows = []

    for number, fields in rows:
        if len(fields) != len(header):
            uneven_rows.append(number)
            continue

        values = pick_columns(fields)
        values_by_row[number] = values
        characters += sum(map(len, values))

        if characters >= PART_CHARACTERS:
            yield _table(values_by_row, columns)
            values_by_row = {}
            characters = 0

    if uneven_rows:
        places = review_checks.places(uneven_rows, "row")
        raise Mistake(
            f"{places}: not {len(header)} fields as in the header;"
            " a text with a comma, a quote or a line break needs quotes around it"
        )
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
                _refuse_other_separator([file.readline(BLOCK)])

            problem = str(error)
            if "field limit" in problem:
                problem = f"a field of more than {FIELD_CHARACTERS:,} characters"
            question = "is a quote never closed or not doubled?"
            raise Mistake(f"row {number + 1}: not CSV: {problem}; {question}") from None
        except UnicodeDecodeError as error:
            block = error.object
            position = file.buffer.tell() - len(block) + error.start
            line = _line_breaks_before(position, file) + 1
            byte = block[error.start]
            raise review_checks.not_utf_8(line, byte, position) from None


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        remedy = "data.path must name the CSV file itself"
        raise Mistake(f"cannot be read: {error.strerror}; {remedy}") from None


def _line_breaks_before(position: int, file: TextIO) -> int:
    file.buffer.seek(0)
    line_breaks = 0
    for start in range(0, position, BLOCK):
        block = file.buffer.read(min(BLOCK, position - start))
        line_breaks += block.count(b"\n")
    return line_breaks


def _positions(columns: dict[str, str], header: list[str]) -> list[int]:
    """The position of each column in the header."""
    problems = []
    for kind, name in columns.items():
        key = f"data.columns.{kind}"
        count = header.count(name)
        if count > 1:
            problems.append(f"{count} columns are named '{name}' ({key})")
        elif count == 0:
            alternatives = _alternatives(name, header)
            problems.append(f"no column '{name}' ({key}); {alternatives}")

    if problems:
        raise Mistake("\n".join(problems))
    return [header.index(name) for name in columns.values()]


def _alternatives(name: str, header: list[str]) -> str:
    """The columns that exist, with a similar one first."""
    listed = ", ".join(map(review_checks.quoted, header))
    similar = difflib.get_close_matches(name, header, n=1)
    hint = ""
    if similar:
        hint = f"did you mean {review_checks.quoted(similar[0])}? "
    return f"{hint}Columns here: {listed}"


def _refuse_other_separator(header: list[str]) -> None:
    """Raise Mistake if the header is a single field that seems to use another separator than a comma."""
    separator = re.search(r"[;\t|]", header[0])
    if separator and len(header) == 1:
        raise Mistake(
            f"columns must be separated by commas; this file seems to use {separator[0]!r}"
        )
