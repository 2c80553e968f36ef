"""The source `csv`: the user's own CSV file. params.yaml names its columns and labels."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.params import Data, Mistake
from pipeline.storage.sources import csv_table, review_checks


def read(data: Data) -> Iterator[pd.DataFrame]:
    """The reviews of the file data.path, in parts."""
    negative, positive = data.labels.negative, data.labels.positive
    if negative == positive:
        raise Mistake(f"data.labels: negative and positive are both '{negative}'; they must differ")

    columns = data.columns.model_dump(exclude_none=True)
    names = list(columns.values())
    if len(set(names)) < len(names):
        raise Mistake(f"data.columns: {', '.join(names)}: must be different columns")

    with review_checks.naming(data.path):
        tables = csv_table.read(Path(data.path), columns)
        parts = review_checks.checked(
            tables,
            spellings=(negative, positive),
            place="row",
            column_names=columns,
        )
        for reviews in parts:
            yield reviews.set_index(reviews.index - 2)  # row 2 of the sheet is review 0
