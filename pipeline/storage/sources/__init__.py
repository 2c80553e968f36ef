"""Reads reviews from every source into tables of one form, and checks their texts and labels.

To add a source, write a module with a function that yields the tables described in `read`. Add the source to `read`,
to `Data.source` in pipeline/params/schema.py, and what its texts are to pipeline/params/subjects.py.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.params import Data
from pipeline.storage.sources import aclimdb, csv_file, even_sample, movie_reviews


def read(data: Data) -> Iterator[pd.DataFrame]:
    """All reviews of a source, in their order there. They come in parts, so that only one part must be in memory.

    The index is the number of each review in the source, from 0. The columns are

    - `text`, never blank,
    - `label`, 0 for negative and 1 for positive,
    - `group`, missing if the source names no groups,
    - `part`, "train" or "test" if the source has an official split, otherwise missing.

    Raise Mistake if the source cannot be used. Problems with single reviews are raised together, after the last part.
    """
    match data.source:
        case "csv":
            read_parts = partial(csv_file.read, data)
        case "aclimdb":
            reviews = aclimdb.read(Path(data.path))
            read_parts = partial(iter, [reviews])
        case _:
            read_parts = partial(movie_reviews.read, data.source)

    if data.limit is None:
        return read_parts()
    return even_sample.read(read_parts, data.limit)
