"""The section about the data and the settings, and the method and the commands."""

import re

import pandas as pd
import pytest

from pipeline.reporting.inputs import Inputs
from pipeline.reporting.numbers import percent
from pipeline.reporting.parts import Bullets, Command, Details, Table, made
from pipeline.reporting.sections import data, method, reproduce
from pipeline.storage import artifacts
from tests.reporting import invented

CARD = invented.card()
OWN = {
    **CARD,
    "source": "csv",
    "subject": "text messages",
    "labels": {"negative": "schlecht", "positive": "gut"},
    "split_rule": "Whole groups stay in one split.",
    "groups": {"groups": 12, "largest": 40},
}
RUNS = ["vanilla-textbook", "lstm-tuned", "vanilla-tuned"]
MODELS = {run: invented._model(run, 2) for run in RUNS}
PAIR = {"baseline": "vanilla-textbook", "run": "vanilla-tuned"}


def parts(section, card: dict = CARD, compared: tuple = (PAIR,)) -> list:
    files = {"card": card, "models": MODELS, "compared": list(compared)}
    return [part.part for part in made(section, Inputs(files, {})).parts]


def tables(card: dict = CARD) -> dict[str, Table]:
    folded = [part for part in parts(data.SECTION, card) if isinstance(part, Details)]
    tables = [inner for part in folded for inner in part.parts if isinstance(inner, Table)]
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    return {table.caption: table for table in tables}


def counts(card: dict) -> dict[str, str]:
    return {row[0]: row[1] for row in tables(card)["Counts of the preparation"].rows}


def texts(section, **inputs) -> str:
    """All sentences of a section."""
    sentences = []
    for part in parts(section, **inputs):
        for inner in part.parts if isinstance(part, Details) else [part]:
            sentences += [inner] if isinstance(inner, str) else []
            sentences += inner.texts if isinstance(inner, Bullets) else []
    return " ".join(sentences)


def test_the_data_are_described_in_the_first_sentences():
    opening, *_ = parts(data.SECTION)
    assert opening == (
        "The data are 25,000 reviews of films (IMDB, in English; Maas et al. 2011). 50.0 % of them are positive. "
        "A network reads the last 100 tokens of each review and gives the probability that it is positive."
    )


def test_own_texts_are_called_by_their_own_words_and_labels():
    opening, *_ = parts(data.SECTION, OWN)
    assert "25,000 text messages (a CSV file of your own)" in opening
    assert "Positive is the label 'gut', negative is 'schlecht'." in opening


@pytest.mark.parametrize("section", [data.SECTION, method.SECTION], ids=["data", "method"])
def test_a_study_of_own_texts_mentions_no_films(section):
    words = texts(section, card=OWN) + str(parts(section, OWN))
    assert re.findall("film|movie|review|IMDB|English", words, re.IGNORECASE) == []


def test_a_row_per_split_with_its_size_lengths_and_unknown_words():
    (table,) = [table for caption, table in tables().items() if caption.startswith("The splits")]
    test = dict(zip(table.columns, table.rows[2], strict=True))
    expected = {
        "split": "test",
        "reviews": "5,000",
        "positive": "50.0 %",
        "cut": "87.0 %",
        "padded": "12.0 %",
        "unknown words": "3.0 %",
        "length, p5": "64",
        "length, p50": "174",
        "length, max": "2,473",
    }
    assert expected.items() <= test.items()


def test_every_count_of_the_preparation_is_in_the_table():
    rows = counts(OWN)
    assert rows["duplicates: kept in: train"] == "70"
    assert rows["vocabulary: words in train"] == "70,000"
    assert rows["groups: largest"] == "40"
    assert not [name for name in counts(CARD) if "groups" in name]


def test_a_row_per_run_with_every_setting_in_words():
    table = tables()["The settings of every run"]
    assert [row[0] for row in table.rows] == RUNS
    settings = dict(zip(table.columns, table.rows[1], strict=True))
    assert len(settings) == 1 + len(invented.TEXTBOOK)
    assert (settings["hidden size"], settings["mask"], settings["clip norm"]) == (
        "96",
        "no",
        "",
    )
    assert settings["learning rate"] == "0.00043"


def test_every_layer_of_every_run_is_in_the_table():
    table = tables()["The layers of every run"]
    assert [row[0] for row in table.rows] == [run for run in RUNS for _ in range(3)]
    assert table.rows[1] == ["vanilla-textbook", "vanilla", "Encoder", "[64]", "6,208"]


def test_a_study_without_comparisons_has_no_caveat_about_them():
    assert "Holm's correction" in texts(method.SECTION)
    assert "Holm" not in texts(method.SECTION, compared=())


def test_the_models_know_only_the_end_of_long_texts():
    text = texts(method.SECTION, card=OWN)
    assert "They see only the end of 87.0 % of the test texts" in text
    assert "or for texts that are not text messages in the language of the data" in text


def test_the_command_that_runs_the_study_again_is_a_target_of_make():
    (command,) = [part for part in parts(reproduce.SECTION) if isinstance(part, Command)]
    makefile = (invented.PROJECT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", command.text, re.MULTILINE)
    assert targets == ["reproduce", "ui"]
    assert set(targets) <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


def test_every_file_of_numbers_in_reports_is_listed():
    names = {name for files, _ in reproduce.FILES for name in files.split(", ")}
    paths = vars(artifacts).values()
    files = {str(path.relative_to("reports")) for path in paths if str(path).startswith("reports/")}
    pages = {"README.md", "index.html", "playground.html", "figures"}
    assert files - pages <= names
    assert names <= files | {"machine.json", "replications"}


def test_a_table_of_a_frame_aligns_numbers_right_and_leaves_gaps_empty():
    frame = pd.DataFrame(
        {"run_name": ["a", None], "share": [0.5, None], "size": [1234, 0.00012345]}
    )
    table = Table.of("caption", frame.astype({"size": object}), share=percent)
    assert table.columns == ["run name", "share", "size"]
    assert table.rows == [["a", "50.0 %", "1,234"], ["", "", "0.0001234"]]
    assert list(table.aligned_left) == [0]
    assert (table.sortable, table.filterable) == (True, False)
    assert Table.of("caption", {"a": range(11)}).filterable
