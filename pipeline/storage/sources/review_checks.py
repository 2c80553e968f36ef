"""Check that reviews have texts and legal labels, and list all bad rows of a source in one message."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from pipeline.params import Mistake
from pipeline.storage.sources.spellings import difference

SHOWN = 5  # a message lists this many rows or values and only counts the others
SHOWN_CHARACTERS = 40  # a message shows this much of a long value
UNKNOWN_LABEL = "unknown"


@contextmanager
def naming(source: Path | str) -> Iterator[None]:
    """Put the name of the source in front of every line of a Mistake that the block raises."""
    try:
        yield
    except Mistake as mistake:
        raise Mistake(textwrap.indent(str(mistake), f"{source}: ")) from None


def checked(
    tables: Iterable[pd.DataFrame],
    spellings: tuple[str, str],
    place: str,
    column_names: Mapping[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the tables with all columns of `sources.read` and with the labels 0 and 1.

    spellings: the negative and the positive label in the tables.
    place: `row` or `file`, the word that messages use for the place of a review.
    column_names: the user's own names of the columns, for messages, if params.yaml has them.

    After the first bad row, yield no more tables but check the others. Then raise Mistake with one line per kind of bad
    row. Also raise Mistake if no review has one of the labels.
    """
    schema = _schema(spellings)
    failures = []
    labels = set()

    for table in tables:
        try:
            schema.validate(table, lazy=True)
        except pandera.errors.SchemaErrors as error:
            failures.append(error.failure_cases)

        labels |= set(table["label"].unique())
        if not failures and not table.empty:
            yield _with_all_columns(table, positive=spellings[1])

    negative, positive = spellings
    key = " (data.labels)" if column_names else ""
    allowed = f"must be '{negative}' or '{positive}'{key}"
    if column_names and len(labels) == 2 and labels.isdisjoint(spellings):
        allowed += "; if these two are the classes, name them in data.labels"
    if failures:
        problems = _problems(
            pd.concat(failures),
            place,
            column_names or {},
            spellings,
            allowed,
        )
        raise Mistake("\n".join(problems))
    if not labels:
        raise Mistake(f"no {place}s with a text and a label")
    for spelling in spellings:
        if spelling not in labels:
            raise Mistake(
                f"no {place} has the label '{spelling}'; both classes are needed, {allowed}"
            )


def _schema(spellings: tuple[str, str]) -> pa.DataFrameSchema:
    filled = pa.Check(lambda values: values.str.strip() != "", error="empty")
    known_label = pa.Check.isin(spellings, error=UNKNOWN_LABEL)
    columns = {
        "text": pa.Column(checks=filled),
        "label": pa.Column(checks=known_label),
        "group": pa.Column(checks=filled, required=False),
    }
    return pa.DataFrameSchema(columns)


def _with_all_columns(table: pd.DataFrame, positive: str) -> pd.DataFrame:
    missing = pd.Series(None, table.index, dtype="str")
    columns = {
        "text": table["text"],
        "label": (table["label"] == positive).astype("int8"),
        "group": table.get("group", missing),
        "part": table.get("part", missing),
    }
    return pd.DataFrame(columns)


def _problems(
    failures: pd.DataFrame,
    place: str,
    column_names: Mapping[str, str],
    spellings: tuple[str, str],
    allowed: str,
) -> Iterator[str]:
    """One line per column and failed check. `allowed` names the legal labels."""
    for (column, check), cases in failures.groupby(["column", "check"], sort=False):
        cases = cases.sort_values("index")
        rows = places(cases["index"].tolist(), place)
        problem = check

        if check == UNKNOWN_LABEL:
            labels = cases["failure_case"].unique()[:SHOWN]
            listed = ", ".join(map(quoted, labels))
            problem = f"{listed}: {allowed}{difference(labels, spellings)}"

        name = column_names.get(column, column)
        yield f"column '{name}': {rows}: {problem}"


def places(numbers: Sequence, place: str) -> str:
    """The first SHOWN rows or files, and how many more there are, such as `rows 3, 4`."""
    plural = "s" if len(numbers) > 1 else ""
    listed = ", ".join(map(str, numbers[:SHOWN]))
    more = ""
    if len(numbers) > SHOWN:
        more = f" and {len(numbers) - SHOWN} more"
    return f"{place}{plural} {listed}{more}"


def quoted(value: str) -> str:
    """A value in quotes, shortened: in a CSV file without a header, a whole review may stand in place of a name."""
    if len(value) > SHOWN_CHARACTERS:
        value = value[: SHOWN_CHARACTERS - 1] + "…"
    return repr(value)
