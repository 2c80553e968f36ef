"""Compare names and labels with those that we expect, as people see them: without blanks, quotes and upper case."""

from collections.abc import Iterable

AROUND = " \"'"


def bare(name: str) -> str:
    r"""A name as people see it.

    >>> bare(' "Te\u200bxt"')
    'text'
    """
    printable = "".join(filter(str.isprintable, name))
    return printable.strip(AROUND).casefold()


def difference(labels: Iterable[str], allowed: Iterable[str]) -> str:
    """The end of a message about unknown labels: how the first similar one differs from an allowed label, or empty."""
    allowed = list(allowed)
    for label in labels:
        for spelling in allowed:
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
