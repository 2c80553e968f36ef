"""`predict` on a small network."""

from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo

from pipeline.__main__ import main
from pipeline.commands import predict
from pipeline.params import Mistake, document
from pipeline.science.networks import architectures
from pipeline.storage import artifacts
from tests.support import trained_run
from tests.support.trained_run import SETTINGS, SIZE

RUN = "vanilla-textbook"
VOCABULARY = "data/prepared/vocabulary.txt"


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = architectures.initial_model("vanilla", SETTINGS, SIZE, seed=0)
    trained_run.write(RUN, model)
    return model


def test_every_line_of_a_file_gets_the_probability_of_keras(network, tmp_path, capsys):
    (tmp_path / "reviews.txt").write_text("A FINE film!\nnot dull\n")
    assert main(["predict", "--file", "reviews.txt"]) == 0
    answers = capsys.readouterr().out.splitlines()

    tokens_NT = np.zeros((2, 7), np.int32)
    tokens_NT[0, -3:] = 1, 2, 4
    tokens_NT[1, -2:] = 1, 3
    expected = network.predict(tokens_NT, verbose=0)[:, 0]
    assert [float(answer.split()[1]) for answer in answers] == pytest.approx(expected, abs=1e-4)

    assert main(["predict", "A fine film"]) == 0
    assert capsys.readouterr().out.strip() == answers[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "fine\nunheard\n",
            "reviews.txt: line 2: 'unheard': the vocabulary contains none of its words",
        ),
        ("fine\n\n", "--file reviews.txt: line 2 is empty; write one text per line"),
        ("", "--file reviews.txt: line 1 is empty; write one text per line"),
        ("fine\n?!\n", "reviews.txt: line 2: '?!': it contains no word"),
    ],
)
@pytest.mark.usefixtures("network")
def test_a_line_without_a_known_word_is_named(tmp_path, capsys, content, problem):
    (tmp_path / "reviews.txt").write_text(content)
    assert main(["predict", "--file", "reviews.txt"]) == 2
    printed = capsys.readouterr()
    assert problem in printed.err
    assert printed.out == ""


def test_of_equal_accuracies_the_lowest_seed_is_chosen():
    scores = {"b": {"validation/accuracy": {"scores": {"2": 0.8, "10": 0.8, "0": 0.7}}}}
    assert predict.chosen(scores, None, None) == ("b", 2)
    assert predict.chosen({**scores, "a": scores["b"]}, None, None) == ("a", 2)


def test_a_seed_is_chosen_from_the_runs_that_have_it():
    scores = {
        "two": {"validation/accuracy": {"scores": {"0": 0.9, "1": 0.8}}},
        "three": {"validation/accuracy": {"scores": {"0": 0.7, "1": 0.7, "2": 0.6}}},
    }
    assert predict.chosen(scores, None, 2) == ("three", 2)
    assert predict.chosen(scores, None, 1) == ("two", 1)
    with pytest.raises(Mistake, match=r"^--seed 2: not trained; allowed: 0, 1$"):
        predict.chosen(scores, "two", 2)
    with pytest.raises(Mistake, match=r"^--seed 3: not trained; allowed: 0, 1, 2$"):
        predict.chosen(scores, None, 3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"fine\n\xff\n", "not UTF-8 text (invalid start byte at byte 5); convert it"),
    ],
)
@pytest.mark.usefixtures("network")
def test_an_unreadable_file_of_texts_is_named_once(tmp_path, capsys, content, problem):
    if content is not None:
        (tmp_path / "reviews.txt").write_bytes(content)
    assert main(["predict", "--file", "reviews.txt"]) == 2
    assert capsys.readouterr().err == f"error: --file reviews.txt: {problem}\n"


@pytest.mark.usefixtures("network")
def test_only_a_line_break_separates_texts(tmp_path, capsys):
    (tmp_path / "reviews.txt").write_text("fine\x0cfilm\u2028dull\r\nnot dull", encoding="utf-8")
    assert main(["predict", "--file", "reviews.txt"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.usefixtures("network")
def test_metrics_that_are_empty_or_damaged_are_named(capsys):
    artifacts.write_json(artifacts.METRICS, {})
    assert main(["predict", "fine"]) == 2
    assert (
        "error: reports/metrics.json: contains no trained network; run `dvc repro`"
        in capsys.readouterr().err
    )
    artifacts.METRICS.write_text('{"vanilla')
    assert main(["predict", "fine"]) == 2
    assert "error: reports/metrics.json: damaged (Unterminated string" in capsys.readouterr().err


@pytest.fixture
def recorded(network):
    """The network's folder with a dvc.lock, its hashes by DVC itself."""
    models = f"{artifacts.MODELS}/{RUN}"
    with Repo.init(no_scm=True) as repo:
        for path in (models, VOCABULARY):
            repo.add(path)
    [network_out] = document(Path(f"{models}.dvc"))["outs"]
    [vocabulary_out] = document(Path(f"{VOCABULARY}.dvc"))["outs"]

    data = {"path": "data/prepared/train.parquet", "hash": "md5", "md5": "0"}
    stages = {
        f"train@{RUN}": {"deps": [data], "outs": [{**network_out, "path": models}]},
        "prepare": {"outs": [{**vocabulary_out, "path": VOCABULARY}, {**data}]},
    }
    artifacts.write_json(Path("dvc.lock"), {"stages": stages})
    return stages


@pytest.mark.parametrize("changed", [VOCABULARY, f"artifacts/models/{RUN}/seed-0.weights.h5"])
def test_a_changed_network_or_vocabulary_is_refused(recorded, capsys, changed):
    assert main(["predict", "fine"]) == 0
    with Path(changed).open("ab") as file:
        file.write(b"\n")
    capsys.readouterr()
    for command in ("predict", "read"):
        assert main([command, "fine"]) == 2
        printed = capsys.readouterr()
        assert "differs from dvc.lock; `dvc checkout --force " in printed.err
        assert printed.out == ""


def test_a_vocabulary_of_other_data_is_refused(recorded, capsys):
    recorded["prepare"]["outs"][-1]["md5"] = "1"
    artifacts.write_json(Path("dvc.lock"), {"stages": recorded})
    assert main(["predict", "fine"]) == 2
    problem = f"artifacts/models/{RUN}: trained on other data than {VOCABULARY} comes from"
    assert problem in capsys.readouterr().err
