"""The forms in which the served model accepts texts. Of a data frame with two columns, MLflow would score the first."""

import os
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

from pipeline.params import Mistake

ACCEPTED = (
    'over HTTP {"inputs": ["a text", "another text"]}; in Python a list, tuple, array, Series or Index of str, '
    "or a DataFrame of one column"
)
SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow sets it where it reads the requests


def texts_of(model_input: Any) -> list[str]:
    """The texts of an input; raises Mistake if something in it is not a text."""
    texts = _sequence(model_input)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise _refusal(f"entry {number} is of type {type(text).__name__}, not a text")
    return texts


def _sequence(model_input: Any) -> list:
    match model_input:
        case pd.DataFrame():
            columns = ", ".join(map(repr, model_input.columns)) or "none"
            if len(model_input.columns) != 1:
                problem = (
                    f"a data frame must have one column, the texts; its columns are: {columns}"
                )
                raise _refusal(problem)
            if _may_hold_words(model_input.index):
                problem = (
                    "the index of the data frame may hold words before a comma: quote each text of a CSV, "
                    "or call reset_index(drop=True)"
                )
                raise _refusal(problem)
            return model_input.iloc[:, 0].tolist()
        case pd.Series() | pd.Index():
            return model_input.tolist()
        case np.ndarray():
            if model_input.ndim != 1:
                raise _refusal(f"an array must have one axis; it has {model_input.ndim}")
            return model_input.tolist()
        case list() | tuple():
            return list(model_input)
        case _:
            raise _refusal(f"got {type(model_input).__name__}, not a list of texts")


def _may_hold_words(index: pd.Index) -> bool:
    """Whether the index may come from surplus fields of a CSV, which pandas reads as an index without a name.

    Such fields can be numbers, but so can the index of rows that somebody chose in Python. So numbers other than
    0, 1, 2, ... are refused only where MLflow reads the CSV.
    """
    if any(name is not None for name in index.names):
        return False
    if not is_integer_dtype(index):
        return True
    return SERVING in os.environ and not index.equals(pd.RangeIndex(len(index)))


def _refusal(problem: str) -> Mistake:
    return Mistake(f"{problem}. Accepted: {ACCEPTED}")
