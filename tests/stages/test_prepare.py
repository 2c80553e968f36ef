import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline import params
from pipeline.params import SPLITS, Mistake
from pipeline.stages import prepare
from pipeline.storage import artifacts

PARAMS = params.read(Path(__file__).parents[2] / "params.yaml")


def with_data(**changes):
    return PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update=changes)})


def written(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def imdb(tmp_path_factory):
    """The default source prepared once, whole: the data card and the splits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imdb"))
        prepare.main(with_data(source="imdb", limit=None))
        splits = {name: artifacts.read_parquet(artifacts.split(name)) for name in SPLITS}
        return artifacts.read_json(artifacts.DATA_CARD), splits


def test_the_default_source_has_its_known_copies_and_none_is_apart(imdb):
    duplicates = imdb[0]["duplicates"]
    assert (duplicates["exact"], duplicates["normalised"], duplicates["contradictory"]) == (96, 99, 0)
    assert duplicates["moved"] > 0
    assert duplicates["apart"] == 0


def test_the_default_splits_have_exactly_their_sizes_and_are_balanced(imdb):
    assert {name: len(split) for name, split in imdb[1].items()} == {
        "train": 17_500,
        "validation": 2_500,
        "test": 5_000,
    }
    assert all(split["label"].mean() == 0.5 for split in imdb[1].values())


def test_every_review_is_in_one_split(imdb):
    assert sorted(pd.concat(imdb[1].values())["review"]) == list(range(25_000))


def test_no_encoded_text_is_in_two_splits(imdb):
    texts = {name: {ids.tobytes() for ids in split["tokens"] if len(ids) > 20} for name, split in imdb[1].items()}
    assert not texts["train"] & texts["validation"]
    assert not (texts["train"] | texts["validation"]) & texts["test"]


def test_every_prepared_review_has_a_token_and_no_padding(imdb):
    for split in imdb[1].values():
        assert split["tokens"].map(len).min() >= 1
        assert split["tokens"].map(min).min() >= 1
        assert split["tokens"].map(max).max() < PARAMS.data.vocabulary_size


def test_two_runs_write_the_same_bytes(tmp_path, monkeypatch):
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        prepare.main(with_data(source="rotten_tomatoes", limit=1000))
        found.append(written(tmp_path / name))
    assert found[0] == found[1]
    assert set(found[0]) == {*(f"data/prepared/{name}.parquet" for name in SPLITS), *OTHERS}


OTHERS = ("data/prepared/vocabulary.txt", "reports/data.json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_file(project, rows):
    path = project / "mine.csv"
    pd.DataFrame(rows, columns=["text", "label", "film"]).to_csv(path, index=False)
    columns = PARAMS.data.columns.model_copy(update={"group": "film"})
    return with_data(source="csv", path=str(path), columns=columns)


def test_a_persons_own_file_is_prepared_by_group_with_the_words_of_train_alone(project):
    rows = [(f"word{n} shared", n % 2, f"film {n // 4}") for n in range(400)]
    prepare.main(own_file(project, rows))
    card = artifacts.read_json(artifacts.DATA_CARD)
    splits = {name: artifacts.read_parquet(artifacts.split(name)) for name in SPLITS}
    films = {name: {number // 4 for number in split["review"]} for name, split in splits.items()}
    assert not films["train"] & films["validation"]
    assert not films["train"] & films["test"]
    assert card["groups"]["in_more_than_one_split"] == 0
    words = artifacts.read_text(artifacts.VOCABULARY).splitlines()
    assert words[:3] == ["<pad>", "<unknown>", "shared"]
    assert set(words[3:]) == {f"word{number}" for number in splits["train"]["review"]}
    for name, rate in (("train", 0), ("validation", 0.5), ("test", 0.5)):
        assert card["splits"][name]["out_of_vocabulary_rate"] == rate


def test_the_card_is_plain_json_and_names_no_place_of_this_machine(project):
    prepare.main(own_file(project, [(f"word{n}", n % 2, f"film {n // 4}") for n in range(400)]))
    text = (project / "reports/data.json").read_text()
    assert json.loads(text)["source"] == "csv"
    assert str(project) not in text


def test_a_mistake_writes_nothing(project):
    settings = own_file(project, [("good", 1, "f"), ("bad", 7, "g")])
    with pytest.raises(Mistake, match="row 3: '7'"):
        prepare.main(settings)
    assert set(written(project)) == {"mine.csv"}
