"""The forms in which the served model accepts texts. MLflow alone would score the first column of any data frame."""

import os
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray
from pandas.api.types import is_integer_dtype

from pipeline.params import Mistake

ACCEPTED = (
    'over HTTP {"inputs": ["a text", "another text"]}; in Python a list, tuple, array, Series or Index of str, '
    "or a DataFrame of one column"
)
# as in csv_hints.py, whose imports a served model does not have
OTHER_SEPARATORS = ";\t|"
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
            return _single_column(model_input).tolist()
        case pd.Series() | pd.Index() | ExtensionArray():
            return model_input.tolist()
        case np.ndarray():
            if model_input.ndim != 1:
                raise _refusal(f"an array must have one axis; it has {model_input.ndim}")
            return model_input.tolist()
        case list() | tuple():
            return list(model_input)
        case _:
            raise _refusal(f"got {type(model_input).__name__}, not a list of texts")


def _single_column(frame: pd.DataFrame) -> pd.Series:
    """The texts of a data frame. MLflow makes one of a CSV, too, and loses a text or takes a label for words."""
    if SERVING in os.environ:
        raise _refusal("data frames and CSV are accepted only in Python")

    columns = ", ".join(map(repr, frame.columns)) or "none"
    # a separator in the name of the column shows that pandas did not split a CSV
    if len(frame.columns) != 1 or set(OTHER_SEPARATORS) & set(str(frame.columns[0])):
        raise _refusal(f"a data frame must have one column, the texts; its columns are: {columns}")
    is_named = any(name is not None for name in frame.index.names)
    # pandas makes an index of surplus fields
    if not is_named and not is_integer_dtype(frame.index):
        problem = (
            "the index of the data frame may hold words before a comma: quote each text of a CSV, "
            "or call reset_index(drop=True)"
        )
        raise _refusal(problem)
    return frame.iloc[:, 0]


def _refusal(problem: str) -> Mistake:
    return Mistake(f"{problem}. Accepted: {ACCEPTED}")
