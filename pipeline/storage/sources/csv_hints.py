"""Name the cause why a table is not the CSV file that we read: what people do with spreadsheets and editors."""

import difflib
import re
from collections.abc import Collection, Sequence

from pipeline.params import Mistake
from pipeline.storage.sources import review_checks
from pipeline.storage.sources.spellings import (
    COMPOSED_DIFFERENTLY,
    are_composed_differently,
    bare,
)

OTHER_SEPARATORS = ";\t|"
LONGEST_NAME = 100  # characters; a longer name of a column is a text
BLANK_BEFORE_QUOTE = re.compile(r'\s+"')
# around a text with a comma: from the start of a field to the end of another
OTHER_QUOTES = re.compile(r"(?:^|,)(['‘“„«])[^,]*,.*['’”“»](?:,|$)", re.DOTALL)
QUESTION = "is a quote never closed or not doubled, or is a blank between a quote and a comma?"


def refuse_header(header: list[str]) -> None:
    """Raise Mistake if row 1 cannot hold the names of columns, whatever these names are."""
    first = header[0]
    if first.casefold().startswith("sep="):
        line = ",".join(header)
        problem = "tells Excel the separator and names no column"
        raise Mistake(f"row 1: {line!r} {problem}; delete this row")
    if re.match(r'[\[{]\s*(?:["{\[]|$)', first):
        raise Mistake("row 1: this file seems to be JSON; save it as CSV")

    separator = re.search(f"[{OTHER_SEPARATORS}]", first)
    if separator and len(header) == 1:
        raise Mistake(
            f"columns must be separated by commas; this file seems to use {separator[0]!r}"
        )


def missing_column(name: str, header: list[str]) -> str:
    r"""The problem with the header that lacks a column: a similar name, no header at all, and all columns.

    >>> missing_column("e\u0301", ["\u00e9"]).partition(": ")[2]
    "other Unicode characters that look the same: copy it from the file. Columns here: 'é'"
    """
    listed = ", ".join(map(review_checks.quoted, header))
    columns_here = f"Columns here: {listed}"

    for other in header:
        if bare(other) == bare(name):
            problem = "blanks, quotes and upper case count"
            if are_composed_differently(other, name):
                problem = COMPOSED_DIFFERENTLY
            elif not other.isprintable():
                problem = "delete the characters that nobody sees there"
            return f"row 1 spells it {review_checks.quoted(other)}: {problem}. {columns_here}"

    similar = difflib.get_close_matches(name, header, n=1)
    if similar:
        return f"did you mean {review_checks.quoted(similar[0])}? {columns_here}"
    return columns_here


def refuse_values(names: Collection[str], header: list[str]) -> None:
    """Raise Mistake if row 1 has none of the names that the columns should have, and instead a text or a number."""
    if not set(names).isdisjoint(header):
        return
    for field in header:
        if field.strip().isdigit() or len(field) > LONGEST_NAME:
            remedy = f"insert a row with the names of the columns ({', '.join(names)}) above it"
            raise Mistake(
                f"row 1 holds {review_checks.quoted(field)}, so it is not a header; {remedy}"
            )


def uneven_row(fields: Sequence[str], header: Sequence[str]) -> str:
    """The problem with a row that has another number of fields than the header, with its cause."""
    return f"not {len(header)} fields as in the header; {_cause(fields, header)}"


def _cause(fields: Sequence[str], header: Sequence[str]) -> str:
    surplus = fields[len(header) :]
    if surplus and not any(surplus):
        return "surplus commas at the end of the row; delete these empty columns"
    unnamed = header[len(fields) :]
    if unnamed and not any(unnamed):
        return "surplus commas at the end of row 1; delete these empty columns"
    if any(map(BLANK_BEFORE_QUOTE.match, fields)):
        return "a blank before a quote; remove blanks next to commas"
    if quotes := OTHER_QUOTES.search(",".join(fields)):
        return f'it seems to use the quote {quotes[1]}; only " is a quote in CSV'
    for separator in OTHER_SEPARATORS:
        if len(fields) == 1 and fields[0].count(separator) == len(header) - 1:
            return f"it seems to use {separator!r}; columns must be separated by commas"
    return "a text with a comma, a quote or a line break needs quotes around it"
