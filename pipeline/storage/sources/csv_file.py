"""The source `csv`: a file of the user, whose columns and labels params.yaml names."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.params import Data, Mistake
from pipeline.storage.sources import csv_table, review_checks


def read(data: Data) -> Iterator[pd.DataFrame]:
    """The reviews of the file data.path, in parts."""
    spellings = (data.labels.negative, data.labels.positive)
    if spellings[0] == spellings[1]:
        raise Mistake(f"data.labels: negative and positive are both '{spellings[0]}'; they must differ")

    columns = data.columns.model_dump(exclude_none=True)
    if len(set(columns.values())) < len(columns):
        raise Mistake(f"data.columns: {', '.join(columns.values())}: each must be a column of its own")

    with review_checks.naming(data.path):
        tables = csv_table.read(Path(data.path), columns)
        for reviews in review_checks.checked(tables, spellings, "row", columns):
            yield reviews.set_index(reviews.index - 2)  # row 2 of the sheet is review 0
