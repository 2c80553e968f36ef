"""The forms in which the served model accepts texts. Of a data frame with two columns, MLflow would score the first."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from pipeline.params import Mistake

ACCEPTED = (
    'over HTTP {"inputs": ["a text", "another text"]}; in Python a list, tuple, array, Series or Index of str, '
    "or a DataFrame of one column"
)


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
            # Pandas reads the surplus fields of a CSV as an index
            if not is_numeric_dtype(model_input.index):
                problem = "the index of a data frame must be numbers, so quote each text of a CSV"
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


def _refusal(problem: str) -> Mistake:
    return Mistake(f"{problem}. Accepted: {ACCEPTED}")
