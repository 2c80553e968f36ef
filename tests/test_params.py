"""params.yaml as strict types."""

import json
from pathlib import Path

import pytest

from pipeline import params

STUDY = Path(__file__).with_name("study.yaml").read_text(encoding="utf-8")  # a copy: params.yaml is people's to edit


@pytest.fixture
def mistake_of(tmp_path):
    """The message for the study's parameters with one text replaced."""

    def of(old: str, new: str) -> str:
        assert old in STUDY
        path = tmp_path / "params.yaml"
        path.write_text(STUDY.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(params.Mistake) as raised:
            params.read(path)
        return str(raised.value).replace(str(path), "params.yaml")

    return of


def test_the_parameters_of_this_checkout_are_right():
    assert params.read().settings["textbook"]


def test_textbook_is_the_tutorials_network():
    textbook = params.read(Path(__file__).with_name("study.yaml")).settings["textbook"]
    assert (textbook.embedding_dimension, textbook.hidden_size, textbook.sequence_length) == (32, 64, 100)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("patience: 2  ", "patiense: 2  ", "settings.textbook.patiense: unknown key; did you mean 'patience'?"),
        ("data:\n", "seeds: 3\ndata:\n", "seeds: unknown key; did you mean 'train.seeds'?"),
        ("seeds: 3", "seeds: '3'", "train.seeds: '3': must be a valid integer"),
        ("seeds: 3", "seeds: 0", "train.seeds: 0: must be greater than or equal to 2"),
        ("source: imdb", "source: imbd", "did you mean 'imdb'?"),
        ("mask: false", "mask: no", "settings.textbook.mask: 'no': must be a valid boolean"),
        ("architecture: lstm", "architecture: lsmt", "train.runs.lstm-textbook.architecture: 'lsmt': must be"),
        ("lstm-textbook:  ", "lstm-text:  ", "train.runs.lstm-text: a run is named architecture-settings"),
        ("vanilla-tuned]", "vanila-tuned]", "evaluate.comparisons[3]: 'vanila-tuned' is not a run"),
        ("[100, 200, 400]  ", "[200, 100]  ", "evaluate.length_buckets: must rise, each end above the one before"),
        ("high: 0.4", "high: 1.5", "tune.space.dropout: 1.5: must be less than 1"),
        ("low: 16, high: 128", "low: 16.5, high: 128", "tune.space.hidden_size"),
        ("low: 16, high: 128", "low: 256, high: 128", "tune.space.hidden_size: low must be below high"),
        ("[10, 50, 100", "[10, 10, 100", "gradients.sequence_lengths: [10, 10, 100, 200] names something twice"),
        ("architectures: [vanilla, bidirectional]", "architectures: [vanilla]", "'bidirectional' is not tuned"),
        ("    epochs: 12", "    epochs: 4\n    epochs: 12", "line 32, column 5: not YAML: found duplicate key"),
        ("up_to: 100\n  seeds: 3", "up_to: 100\n  seeds: 1", "gradients.seeds: 1: must be greater than or equal to 2"),
        ("updates: 400", "updates: 650", "retention.updates: 650: must be a multiple of 100"),
        ("[5, 10, 20,", "[5, 5, 20,", "retention.lags: [5, 5, 20, 50, 100, 200] names something twice"),
        ("train:\n", "train: 3\nx:\n", "train: 3: must be a mapping"),
        ("0.001", ".nan", "settings.textbook.learning_rate: nan"),
    ],
)
def test_a_mistake_names_the_key_the_value_and_what_is_legal(mistake_of, old, new, said):
    message = mistake_of(old, new)
    assert message.startswith("params.yaml: ")
    assert said in message


def test_a_file_that_is_missing_or_no_mapping_gets_one_line(tmp_path):
    with pytest.raises(params.Mistake, match="no such file"):
        params.read(tmp_path / "absent.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(params.Mistake, match="must be a mapping"):
        params.read(tmp_path / "list.yaml")


def test_yaml_is_read_as_dvc_reads_it(tmp_path):
    """YAML 1.2: `1e-3` is a number."""
    path = tmp_path / "params.yaml"
    path.write_text(STUDY.replace("learning_rate: 0.001", "learning_rate: 1e-3"))
    assert params.read(path).settings["textbook"].learning_rate == 0.001


def test_tuned_settings_are_read_from_the_file_of_tune(tmp_path):
    path = tmp_path / "vanilla.json"
    values = params.read().settings["textbook"].model_dump()
    path.write_text(json.dumps({"settings": {"tuned": {**values, "hidden_size": 48}}}))
    assert params.read_settings(path, "tuned").hidden_size == 48
    with pytest.raises(params.Mistake, match=r"settings\.untuned: missing; did you mean 'tuned'"):
        params.read_settings(path, "untuned")
