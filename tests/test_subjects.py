"""The words for the texts of a source, wherever people read about them."""

import copy
from pathlib import Path
from typing import get_args

import pytest
import yaml

from pipeline import params
from pipeline.params import Data, Mistake, subjects

STUDY = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))


def data_of(folder: Path, **keys) -> Data:
    """The section `data` of the project's params.yaml with other values."""
    values = copy.deepcopy(STUDY)
    values["data"].update(keys)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return params.read(path).data


def test_every_source_has_words():
    sources = get_args(Data.model_fields["source"].annotation)
    assert set(sources) == set(subjects.OF_SOURCE)


def test_a_params_file_without_the_key_is_still_read(tmp_path):
    path = tmp_path / "params.yaml"
    data = {key: value for key, value in STUDY["data"].items() if key != "subject"}
    path.write_text(yaml.safe_dump({**STUDY, "data": data}), encoding="utf-8")
    assert params.read(path).data.subject is None


@pytest.mark.parametrize(
    ("source", "subject", "problem"),
    [
        (
            "imdb",
            "tweets",
            "data.subject: 'tweets': only source csv has a subject; write null for imdb",
        ),
        ("aclimdb", "tweets", "data.subject: 'tweets': only source csv has a subject; write null"),
        ("csv", "", "data.subject: '': must be one line of text"),
        ("csv", " tweets", "data.subject: ' tweets': must be words such as product reviews"),
        ("csv", "tweets\nmails", "data.subject: 'tweets\\nmails': must be one line of text"),
        ("csv", "1", "data.subject: '1': must be words such as product reviews"),
        ("csv", "\u200c", "data.subject: '\u200c': must be words such as product reviews"),
        ("csv", 5, "data.subject: 5: must be text; put a number"),
        ("csv", "t" * 101, "must have at most 100 characters"),
    ],
)
def test_a_wrong_subject_is_named_with_its_remedy(tmp_path, source, subject, problem):
    with pytest.raises(Mistake) as error:
        data_of(tmp_path, source=source, subject=subject)
    assert problem in str(error.value)
    assert len(str(error.value).split("\n")) == 1


SIGNS = "\0\x85\xad\u200b\u2028\u2029\u202e\u2066\ufeff\ue000"
TEXTS = ("path", "columns.text", "columns.label", "columns.group", "labels.negative")


@pytest.mark.parametrize(
    ("key", "sign"),
    [*((key, "\u202e") for key in TEXTS), *(("subject", sign) for sign in SIGNS)],
    ids=ascii,
)
def test_a_sign_that_is_no_letter_is_refused_in_every_text(tmp_path, key, sign):
    section, _, name = key.partition(".")
    text = f"reviews{sign}films"
    value = {**STUDY["data"][section], name: text} if name else text
    with pytest.raises(Mistake) as error:
        data_of(tmp_path, source="csv", **{section: value})
    problem = "must be one line of text, without control and format characters"
    assert str(error.value).endswith(f": data.{key}: {text!a}: {problem}")


@pytest.mark.parametrize("subject", ["دیدگاه‌ها", "क्‍ष", "👩‍👧 reviews", "cafe\u0301s", "映画の感想"])
def test_a_subject_may_be_in_any_script(tmp_path, subject):
    assert data_of(tmp_path, source="csv", subject=subject).subject == subject


@pytest.mark.parametrize("source", ["imdb", "aclimdb", "rotten_tomatoes"])
def test_the_card_of_film_texts_has_no_words_of_its_own(tmp_path, source):
    card = subjects.card(data_of(tmp_path, source=source))
    assert card == {"source": source}
    assert "film" in subjects.of_card(card).name
    assert subjects.labels(card) == ""


def test_the_card_of_a_csv_says_what_its_texts_and_labels_are(tmp_path):
    labels = {"negative": "ham", "positive": "spam"}
    card = subjects.card(data_of(tmp_path, source="csv", subject="E-Mails", labels=labels))
    assert card == {"source": "csv", "subject": "E-Mails", "labels": labels}

    subject = subjects.of_card(card)
    assert (subject.name, subject.noun) == ("E-Mails", "text")
    assert subjects.labels(card) == "Positive is the label 'spam', negative is 'ham'."


def test_a_csv_without_a_subject_holds_texts(tmp_path):
    card = subjects.card(data_of(tmp_path, source="csv"))
    assert subjects.of_card(card) == subjects.OWN_TEXTS


@pytest.mark.parametrize("subject", [None, "product reviews"])
def test_no_words_for_a_csv_are_about_films(tmp_path, subject):
    words = subjects.of_card(subjects.card(data_of(tmp_path, source="csv", subject=subject)))
    assert "film" not in str(words)
