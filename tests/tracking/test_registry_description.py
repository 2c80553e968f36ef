"""The description of the registered model follows the data card."""

from pipeline.storage import artifacts
from pipeline.tracking import registry_description
from tests.support import toy_study


def test_the_description_says_which_texts_the_model_reads(tmp_path):
    toy_study.write(tmp_path)
    assert registry_description.read(tmp_path).startswith("Takes film reviews in plain words")

    labels = {"negative": "ham", "positive": "spam"}
    card = {"source": "csv", "subject": "E-Mails {0}", "labels": labels}
    artifacts.write_json(tmp_path / artifacts.DATA_CARD, card)
    description = registry_description.read(tmp_path)
    assert description.startswith("Takes E-Mails {0} in plain words")
    assert "the text is positive. Positive is the label 'spam', negative is 'ham'." in description


def test_markdown_shows_the_words_of_the_user_as_they_are(tmp_path):
    toy_study.write(tmp_path)
    labels = {"negative": "*", "positive": "_"}
    card = {"source": "csv", "subject": "50 % <b>{x}</b> & `[a](b)`", "labels": labels}
    artifacts.write_json(tmp_path / artifacts.DATA_CARD, card)
    description = registry_description.read(tmp_path)
    assert description.startswith(r"Takes 50 % \<b\>{x}\</b\> \& \`\[a\](b)\` in plain words")
    assert r"Positive is the label '\_', negative is '\*'." in description
