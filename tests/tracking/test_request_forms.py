"""The forms in which the served model accepts texts, and the message for every other form."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest

from pipeline.params import Mistake
from pipeline.tracking.request_forms import ACCEPTED, texts_of

TWO = ["so dull", "so fine"]
ACCEPTED_FORMS = {
    "list": TWO,
    "tuple": tuple(TWO),
    "array": np.array(TWO),
    "array of objects": np.array(TWO, dtype=object),
    "Series": pd.Series(TWO),
    "Series of categories": pd.Series(TWO, dtype="category"),
    "Index": pd.Index(TWO),
    "DataFrame": pd.DataFrame({"any name": TWO}),
    "DataFrame of some rows": pd.DataFrame({"any name": ["fine", *TWO]})[1:],
    "DataFrame with numbers of texts": pd.DataFrame({"any name": TWO}, index=[7, 3]),
    "CSV": pd.read_csv(StringIO('text\nso dull\n"so fine"\n')),
}
REFUSED_FORMS = {
    "label before text": (
        pd.DataFrame({"label": ["bad", "good"], "text": TWO}),
        "a data frame must have one column, the texts; its columns are: 'label', 'text'. Accepted: over",
    ),
    "label after text": (
        pd.DataFrame({"text": TWO, "label": ["bad", "good"]}),
        "a data frame must have one column, the texts; its columns are: 'text', 'label'",
    ),
    "no column": (
        pd.DataFrame(),
        "a data frame must have one column, the texts; its columns are: none",
    ),
    "CSV with a comma in its texts": (
        pd.read_csv(StringIO("text\nThe film, which is good\n")),
        "the index of a data frame must be numbers, so quote each text of a CSV",
    ),
    "CSV with two commas in its texts": (
        pd.read_csv(StringIO("text\nfine, fine, so dull\n")),
        "the index of a data frame must be numbers, so quote each text of a CSV",
    ),
    "column of numbers": (pd.DataFrame({"text": [1, 2]}), "entry 1 is of type int, not a text"),
    "column with a gap": (pd.DataFrame({"text": ["fine", None]}), "entry 2 is of type "),
    "Series with a gap": (pd.Series(["fine", None]), "entry 2 is of type "),
    "array of two axes": (np.array([TWO]), "an array must have one axis; it has 2"),
    "array of bytes": (np.array([b"fine"]), "entry 1 is of type bytes, not a text"),
    "numbers": ([1.5], "entry 1 is of type float, not a text"),
    "None in a list": (["fine", None], "entry 2 is of type NoneType, not a text"),
    "nested lists": ([TWO], "entry 1 is of type list, not a text"),
    "list of dicts": ([{"text": "fine"}], "entry 1 is of type dict, not a text"),
    "bytes in a list": ([b"fine"], "entry 1 is of type bytes, not a text"),
    "one text": ("fine", "got str, not a list of texts"),
    "bytes": (b"fine", "got bytes, not a list of texts"),
    "dict": ({"inputs": TWO}, 'got dict, not a list of texts. Accepted: over HTTP {"inputs": ["a'),
    "None": (None, "got NoneType, not a list of texts"),
    "number": (5, "got int, not a list of texts"),
}


@pytest.mark.parametrize("form", ACCEPTED_FORMS.values(), ids=ACCEPTED_FORMS)
def test_texts_in_these_forms_are_accepted(form):
    assert texts_of(form) == TWO


@pytest.mark.parametrize(("form", "problem"), REFUSED_FORMS.values(), ids=REFUSED_FORMS)
def test_another_form_is_refused_with_the_forms_that_are_accepted(form, problem):
    with pytest.raises(Mistake) as error:
        texts_of(form)
    assert str(error.value).startswith(problem)
    assert str(error.value).endswith(f"Accepted: {ACCEPTED}")
