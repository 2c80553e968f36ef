"""`prepare` writes splits that share no review, and nothing where the input is wrong."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline import params
from pipeline.params import SPLITS, Mistake
from pipeline.stages import prepare
from pipeline.stages.context import Context
from pipeline.storage import artifacts

PARAMS = params.read(Path(__file__).parents[2] / "params.yaml")
OTHER_FILES = ("data/prepared/vocabulary.txt", "reports/data.json")


def with_data(**changes):
    """The study's parameters with another section `data`. One word per label and short texts can be measured."""
    data = PARAMS.data.model_copy(update=changes)
    gradients = PARAMS.gradients.model_copy(update={"sequence_lengths": [2], "words": 1})
    return Context(PARAMS.model_copy(update={"data": data, "gradients": gradients}))


def contents(folder):
    """{path in the folder: bytes} of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def read_splits():
    return {name: artifacts.read_parquet(artifacts.split(name)) for name in SPLITS}


@pytest.fixture(scope="module")
def imdb(tmp_path_factory):
    """(data card, splits) of the default source without a limit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imdb"))
        prepare.main(with_data(source="imdb", limit=None))
        return artifacts.read_json(artifacts.DATA_CARD), read_splits()


def test_copies_in_the_default_source_are_all_on_one_side(imdb):
    card, _ = imdb
    duplicates = card["duplicates"]
    assert duplicates["exact"] == 96
    assert duplicates["normalised"] == 99
    assert duplicates["contradictory"] == 0
    assert duplicates["moved"] > 0
    assert duplicates["apart"] == 0


def test_the_default_splits_have_exactly_their_sizes_and_are_balanced(imdb):
    _, splits = imdb
    sizes = {name: len(split) for name, split in splits.items()}
    assert sizes == {"train": 17_500, "validation": 2_500, "test": 5_000}
    for split in splits.values():
        assert split["label"].mean() == 0.5


def test_every_review_is_in_one_split(imdb):
    _, splits = imdb
    reviews = pd.concat(splits.values())
    assert sorted(reviews["review"]) == list(range(25_000))


def test_no_encoded_text_is_in_two_splits(imdb):
    _, splits = imdb
    texts = {}
    for name, split in splits.items():
        texts[name] = {ids.tobytes() for ids in split["tokens"] if len(ids) > 20}

    assert not texts["train"] & texts["validation"]
    assert not (texts["train"] | texts["validation"]) & texts["test"]


def test_every_prepared_review_has_a_token_and_no_padding(imdb):
    _, splits = imdb
    for split in splits.values():
        tokens = split["tokens"]
        assert tokens.map(len).min() >= 1
        assert tokens.map(min).min() >= 1
        assert tokens.map(max).max() < PARAMS.data.vocabulary_size


def test_two_runs_write_the_same_bytes(tmp_path, monkeypatch):
    runs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        prepare.main(with_data(source="rotten_tomatoes", limit=1000))
        runs.append(contents(folder))

    first, second = runs
    assert first == second
    assert set(first) == {*map(str, map(artifacts.split, SPLITS)), *OTHER_FILES}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_file(project, rows):
    """The context of a study of a person's own CSV file with these rows: text, label, film."""
    path = project / "mine.csv"
    pd.DataFrame(rows, columns=["text", "label", "film"]).to_csv(path, index=False)
    columns = PARAMS.data.columns.model_copy(update={"group": "film"})
    return with_data(source="csv", path=str(path), columns=columns)


def test_a_persons_file_is_split_by_group_with_the_words_of_train_alone(project):
    rows = [(f"shared shared common word{n}", n % 2, f"film {n // 4}") for n in range(400)]
    prepare.main(own_file(project, rows))
    card = artifacts.read_json(artifacts.DATA_CARD)
    splits = read_splits()

    films = {}
    for name, split in splits.items():
        films[name] = {number // 4 for number in split["review"]}
    assert not films["train"] & films["validation"]
    assert not films["train"] & films["test"]
    assert card["groups"]["in_more_than_one_split"] == 0

    words = artifacts.read_text(artifacts.VOCABULARY).splitlines()
    assert words[:4] == ["<pad>", "<unknown>", "shared", "common"]
    assert set(words[4:]) == {f"word{number}" for number in splits["train"]["review"]}
    for name, rate in (("train", 0), ("validation", 0.25), ("test", 0.25)):
        assert card["splits"][name]["out_of_vocabulary_rate"] == rate


def test_the_card_is_plain_json_and_names_no_place_of_this_machine(project):
    rows = [(f"shared common word{n}", n % 2, f"film {n // 4}") for n in range(400)]
    prepare.main(own_file(project, rows))
    text = (project / "reports/data.json").read_text()
    card = json.loads(text)
    assert (card["source"], card["subject"]) == ("csv", "texts")
    assert card["labels"] == {"negative": "0", "positive": "1"}
    assert " texts train" in card["split_rule"]
    assert str(project) not in text


def test_a_mistake_writes_nothing(project):
    context = own_file(project, [("good", 1, "f"), ("bad", 7, "g")])
    with pytest.raises(Mistake, match="row 3: '7'"):
        prepare.main(context)
    assert set(contents(project)) == {"mine.csv"}


def varied(count=300, positive=150, text="{0} a long film about word{0} and other words"):
    """Rows of a file whose texts differ, with the labels in turn until one of them is used up."""
    rare = min(positive, count - positive)
    labels = [number % 2 for number in range(2 * rare)]
    labels += [int(positive > rare)] * (count - len(labels))
    return [(text.format(number), label, f"film {number}") for number, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("rows", "changes", "problem"),
    [
        (
            varied(),
            {"gradients.sequence_lengths": [2, 25, 50]},
            "params.yaml: gradients.sequence_lengths: 25, 50: too long: the longest length with validation texts of "
            "both labels is 9",
        ),
        (
            varied(),
            {"gradients.words": 200},
            "params.yaml: gradients.words: 200: must be at most 3, half of the 7 words of the vocabulary that are in "
            "at least 1 % of the training texts",
        ),
        (
            varied(),
            {"data.vocabulary_size": 4, "gradients.words": 2},
            "params.yaml: gradients.words: 2: must be at most 1, half of the 2 words of the vocabulary that are in "
            "at least 1 % of the training texts",
        ),
        (
            varied(100, 50),
            {"evaluate.calibration_bins": 50},
            "params.yaml: evaluate.calibration_bins: 50: must be at most 20, the number of test texts",
        ),
        (
            varied(text="word{}"),
            {},
            "data: the longest length with validation texts of both labels is 1; to measure gradients, it must be "
            "at least 2 tokens: use a source with longer texts; half of the texts have at most 1 token: if no blanks "
            "are between their words, insert blanks first\ndata: 0 words of the vocabulary are in at least 1 % of the "
            "training texts; the word effect needs 2 or more: use a source with more text, or raise "
            "data.vocabulary_size; if no blanks are between their words, insert blanks first",
        ),
        (
            varied(text="とても面白い映画{0}、また見たい。"),
            {"gradients.sequence_lengths": [2, 25]},
            "params.yaml: gradients.sequence_lengths: 25: too long: the longest length with validation texts of "
            "both labels is 2; half of the texts have at most 2 tokens: if no blanks are between",
        ),
        (
            varied(text="หนังเรื่อง{0}สนุกมาก"),
            {},
            "data: the longest length with validation texts of both labels is 1; to measure gradients, it must be "
            "at least 2 tokens: use a source with longer texts; half of the texts have at most 1 token: if no",
        ),
        (
            varied(text="the same"),
            {},
            "data: the train split has no negative text: 0 texts (dropped: 300 equal to one with the other label) are",
        ),
        (
            varied(text="!?"),
            {},
            "data: the train split has no negative text: 0 texts (dropped: 300 without words) are too few",
        ),
        (
            varied(300, 299),
            {},
            "data: the validation split has no negative text: 300 texts are too few or their groups too large",
        ),
    ],
    ids=[
        "lengths above the texts",
        "too many words",
        "tiny vocabulary",
        "more bins than reviews",
        "one token",
        "Japanese",
        "Thai",
        "equal texts",
        "empty after cleaning",
        "one negative review",
    ],
)
def test_data_that_a_later_stage_cannot_measure_are_refused(project, rows, changes, problem):
    context = changed(own_file(project, rows), changes)
    with pytest.raises(Mistake) as raised:
        prepare.main(context)
    assert str(raised.value).startswith(problem)
    assert set(contents(project)) == {"mine.csv"}


def changed(context, changes):
    """The context with other values of these keys, each of the form `section.key`."""
    study = context.params
    for path, value in changes.items():
        section, key = path.split(".")
        section_changed = getattr(study, section).model_copy(update={key: value})
        study = study.model_copy(update={section: section_changed})
    return Context(study)


@pytest.mark.parametrize(
    "rows",
    [
        varied(300, 291),
        varied(),
        varied(text="😀 film{0} 電影 好看 {0}"),
        [*varied(), ("a long film " * 200_000, 1, "long")],
    ],
    ids=["97 % positive", "alternating labels", "emoji and CJK", "one very long text"],
)
def test_unusual_data_that_can_be_measured_are_prepared(project, rows):
    prepare.main(own_file(project, rows))
    for split in read_splits().values():
        assert set(split["label"]) == {0, 1}
