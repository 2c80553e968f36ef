"""Compare names and labels with those that we expect, as people see them: without blanks, quotes and upper case."""

import unicodedata
from collections.abc import Iterable

COMPOSED_DIFFERENTLY = "other Unicode characters that look the same: copy it from the file"
AROUND = " \"'"


def bare(name: str) -> str:
    r"""A name as people see it.

    >>> bare(' "Te\u200bxt"')
    'text'
    """
    printable = "".join(filter(str.isprintable, unicodedata.normalize("NFC", name)))
    return printable.strip(AROUND).casefold()


def are_composed_differently(name: str, other: str) -> bool:
    """Whether two different names look the same, because one has an accent as a character of its own."""
    composed = unicodedata.normalize("NFC", name)
    return name != other and composed == unicodedata.normalize("NFC", other)


def difference(labels: Iterable[str], allowed: Iterable[str]) -> str:
    r"""The end of a message about unknown labels: how the first similar one differs from an allowed label, or empty.

    >>> difference(["e\u0301"], ["0", "\u00e9"])
    '; other Unicode characters that look the same: copy it from the file'
    """
    allowed = list(allowed)
    for label in labels:
        for spelling in allowed:
            if are_composed_differently(label, spelling):
                return f"; {COMPOSED_DIFFERENTLY}"
            if bare(label) == bare(spelling):
                return f"; blanks, quotes and upper case count: write '{spelling}'"
            if _number(label) is not None and _number(label) == _number(spelling):
                return f"; write '{spelling}' for this number"
    return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
