"""The forms in which the served model accepts texts, and the message for every other form."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT

from pipeline.params import Mistake
from pipeline.tracking.request_forms import ACCEPTED, texts_of

TWO = ["so dull", "so fine"]
ACCEPTED_FORMS = {
    "list": TWO,
    "tuple": tuple(TWO),
    "array": np.array(TWO),
    "array of objects": np.array(TWO, dtype=object),
    "Series": pd.Series(TWO),
    "array of pandas": pd.Series(TWO).array,
    "Series of categories": pd.Series(TWO, dtype="category"),
    "Index": pd.Index(TWO),
    "DataFrame": pd.DataFrame({"any name": TWO}),
    "DataFrame of some rows": pd.DataFrame({"any name": ["fine", *TWO]})[1:],
    "DataFrame with numbers of texts": pd.DataFrame({"any name": TWO}, index=[7, 3]),
    "DataFrame with a named index of texts": pd.DataFrame(
        {"id": ["a", "b"], "text": TWO}
    ).set_index("id"),
    "DataFrame with two named indexes": pd.DataFrame(
        {"id": ["a", "b"], "year": [1, 2], "text": TWO}
    ).set_index(["id", "year"]),
    "CSV": pd.read_csv(StringIO('text\nso dull\n"so fine"\n')),
}
HOLDS_WORDS = (
    "the index of the data frame may hold words before a comma: quote each text of a CSV, "
    "or call reset_index(drop=True)"
)
REFUSED_FORMS = {
    "label before text": (
        pd.DataFrame({"label": ["bad", "good"], "text": TWO}),
        "a data frame must have one column, the texts; its columns are: 'label', 'text'. Accepted: over",
    ),
    "label after text": (
        pd.DataFrame({"text": TWO, "label": ["bad", "good"]}),
        "a data frame must have one column, the texts; its columns are: 'text', 'label'",
    ),
    "label behind another separator": (
        pd.read_csv(StringIO("text;label\nso dull;1\n")),
        "a data frame must have one column, the texts; its columns are: 'text;label'",
    ),
    "no column": (
        pd.DataFrame(),
        "a data frame must have one column, the texts; its columns are: none",
    ),
    **{
        f"CSV that begins with {text!r}": (pd.read_csv(StringIO(f"text\n{text}\n")), HOLDS_WORDS)
        for text in (
            "The film, which is good",
            "fine, fine, so dull",
            "False, it is good",
            "NA, so dull",
            "8.5, so dull",
            "10,000,000 fans",
            ", comma first",
        )
    },
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


FRAMES = {
    "JSON of a frame": pd.DataFrame(**pd.DataFrame({"text": TWO}).to_dict(orient="split")),
    "CSV without a header": pd.read_csv(StringIO("so dull\nso fine\n")),
    "CSV with a number before a comma": pd.read_csv(StringIO("text\n10,000 fans\n")),
    "CSV with two columns": pd.read_csv(StringIO("label,text\nbad,so dull\n")),
    "CSV of Excel": pd.read_csv(StringIO("text;label\nso dull;1\n")),
    "CSV with numbers of rows": pd.read_csv(StringIO('"text"\n"1" "so dull"\n')),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_server_refuses_every_data_frame_and_csv(monkeypatch, frame):
    monkeypatch.setenv(_MLFLOW_IS_IN_SERVING_ENVIRONMENT.name, "true")
    with pytest.raises(Mistake, match="data frames and CSV are accepted only in Python"):
        texts_of(frame)
