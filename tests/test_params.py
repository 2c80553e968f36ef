"""params.yaml is read as strict types, and every mistake in it is explained."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import params
from tests.support import repository

# a copy: params.yaml is people's to edit
STUDY = Path(__file__).with_name("study.yaml").read_text(encoding="utf-8")


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
    assert (textbook.embedding_dimension, textbook.hidden_size, textbook.sequence_length) == (
        32,
        64,
        100,
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "patience: 2  ",
            "patiense: 2  ",
            "settings.textbook.patiense: unknown key; did you mean 'patience'?",
        ),
        ("data:\n", "seeds: 3\ndata:\n", "seeds: unknown key; did you mean 'train.seeds'?"),
        (
            "seeds: 3",
            "seeds: '3'",
            "train.seeds: '3': must be a whole number, at least 2, at most 1000",
        ),
        (
            "seeds: 3",
            "seeds: 0",
            "train.seeds: 0: must be a whole number, at least 2, at most 1000",
        ),
        (
            "from: params.yaml, seed_factor: 2",
            "from: params.yaml, seed_factor: 0",
            "train.runs.vanilla-textbook.seed_factor: 0: must be a number, at least 0.001, at most 20",
        ),
        (
            "from: params.yaml, seed_factor: 2",
            "from: params.yaml, seed_factor: '0.6'",
            "train.runs.vanilla-textbook.seed_factor: '0.6': must be a number, at least 0.001, at most 20",
        ),
        (
            "from: params.yaml, seed_factor: 2",
            "from: params.yaml, seed_factor: 21",
            "train.runs.vanilla-textbook.seed_factor: 21: must be a number, at least 0.001, at most 20",
        ),
        (
            "seed: 1000",
            "seed: 5",
            "tune.seed: 5: must be at least 6: vanilla-textbook is trained on the seeds 0 to 5",
        ),
        ("source: imdb", "source: imbd", "did you mean 'imdb'?"),
        ("mask: false", "mask: no", "settings.textbook.mask: 'no': must be true or false"),
        (
            "architecture: lstm",
            "architecture: lsmt",
            "train.runs.lstm-textbook.architecture: 'lsmt': must be",
        ),
        (
            "lstm-textbook:  ",
            "lstm-text:  ",
            "train.runs.lstm-text: must be named ARCHITECTURE-SETTINGS",
        ),
        ("vanilla-tuned]", "vanila-tuned]", "evaluate.comparisons[3]: 'vanila-tuned' is not a run"),
        (
            "[100, 200, 400]  ",
            "[200, 100]  ",
            "evaluate.length_buckets: must increase, each above the one before",
        ),
        (
            "high: 0.4",
            "high: 1.5",
            "tune.space.dropout: 1.5: must be a number, at least 0, at most 0.99",
        ),
        ("low: 16, high: 128", "low: 16.5, high: 128", "tune.space.hidden_size"),
        (
            "low: 16, high: 128",
            "low: 256, high: 128",
            "tune.space.hidden_size: low must be below high",
        ),
        (
            "[10, 50, 100",
            "[10, 10, 100",
            "gradients.sequence_lengths: [10, 10, 100, 200] has a duplicate",
        ),
        (
            "architectures: [vanilla, bidirectional]",
            "architectures: [vanilla]",
            "'bidirectional' is not tuned",
        ),
        (
            "    epochs: 12",
            "    epochs: 4\n    epochs: 12",
            "line 32, column 5: not YAML: found duplicate key",
        ),
        (
            "up_to: 100\n  seeds: 3",
            "up_to: 100\n  seeds: 1",
            "gradients.seeds: 1: must be a whole number, at least 2, at most",
        ),
        (
            "updates: 400",
            "updates: 650",
            "retention.updates: 650: must be a whole number, a multiple of 100, above 0, at most",
        ),
        ("[5, 10, 20,", "[5, 5, 20,", "retention.lags: [5, 5, 20, 50, 100, 200] has a duplicate"),
        ("train:\n", "train: 3\nx:\n", "train: 3: must be a mapping"),
        ("0.001", ".nan", "settings.textbook.learning_rate: nan"),
        (
            "learning_rate: 0.001",
            "learning_rate: 1e-50",
            "learning_rate: 1e-50: must be a number, at least 1e-08, at most 1",
        ),
        (
            'negative: "0"',
            "negative: 0",
            "data.labels.negative: 0: must be text; put a number, true, false or null in",
        ),
        ("path: data/raw", 'path: "a\\0b"', "data.path: 'a\\x00b': must be one line of text"),
        (
            "seeds: 3",
            "seeds: 5000",
            "train.seeds: 5000: must be a whole number, at least 2, at most 1000",
        ),
        (
            "rung_epochs: 3",
            "rung_epochs: 0",
            "tune.rung_epochs: 0: must be a whole number, at least 1",
        ),
        (
            "finalists: 2",
            "finalists: 0",
            "tune.finalists: 0: must be a whole number, at least 1, at most 100",
        ),
        (
            "race_seeds: 4",
            "race_seeds: 1",
            "tune.race_seeds: 1: must be a whole number, at least 2, at most 1000",
        ),
        (
            "regret_seeds: 10",
            "regret_seeds: 1",
            "tune.regret_seeds: 1: must be a whole number, at least 2, at most 1000",
        ),
        ("rung_epochs: 3", "seeds: 2", "tune.seeds: unknown key"),
        (
            "    feedforward-textbook:   {architecture: feedforward,",
            "    1:   {seeds: feedforward,",
            "train.runs[1].seeds: unknown key; did you mean",
        ),
        (
            "seed: 1000",
            "seed: 5000000000",
            "tune.seed: 5000000000: must be a whole number, at least 0, at most 1000000000",
        ),
        (
            "bidirectional: [middle]",
            "bidirectional: [first]",
            "retention.signals.bidirectional: 'first': must be",
        ),
        (
            "bidirectional: [middle]",
            "feedforward: [middle]",
            "retention.signals.feedforward: it has no hidden state",
        ),
        (
            "bidirectional: [middle]",
            "flattened: [middle]",
            "retention.signals.flattened: it has no hidden state",
        ),
        (
            "architectures: [feedforward, vanilla, bidirectional, lstm]",
            "architectures: [flattened]",
            "gradients.architectures: ['flattened']: no network can be measured at the sequence lengths [200]",
        ),
        (
            "vanilla: [first, middle]",
            "vanilla: [first, first]",
            "retention.signals.vanilla: ['first', 'first'] has a dup",
        ),
        (
            "lstm: [first]",
            "lsmt: [first]",
            "retention.signals.lsmt: 'lsmt': must be 'feedforward', 'flattened'",
        ),
        (
            "vanilla: [first, middle]",
            "vanilla: []",
            "retention.signals.vanilla: []: too few entries, at least 1",
        ),
        (
            "low: 16, high: 128",
            "low: x, high: 128",
            "tune.space.hidden_size.low: 'x': must be a number",
        ),
        (
            "step: 0.1",
            "step: 1e-9",
            "tune.space.dropout: step is too small: it gives more than 10,000 values",
        ),
        (
            "  steady:  ",
            "  Steady Two: ",
            "settings.Steady Two: 'Steady Two': must be lower-case letters",
        ),
        (
            "  reviews: 500",
            "  reviews: 1",
            "gradients.reviews: 1: must be a whole number, at least 2, at most 1000000",
        ),
        (
            "vocabulary_size: 10000",
            "vocabulary_size: 3",
            "data.vocabulary_size: 3: must be a whole number, at least 4, at most 1000000",
        ),
        (
            "vocabulary_size: 10000",
            "vocabulary_size: 11",
            "gradients.words: 5: must be at most 4, half of the words in a vocabulary of 11 (data.vocabulary_size)",
        ),
        (
            "batch_size: 64",
            "batch_size: 100000",
            "settings.textbook: batch_size 100000 with 100 tokens, embedding_dimension 32 and hidden_size 64: too",
        ),
        (
            "seeds: 3                  # 0",
            "seeds: 600                # 0",
            "train.runs.vanilla-textbook.seed_factor: 2: with train.seeds 600 it has 1,200 seeds; it may have at most",
        ),
        (
            "architectures: [vanilla, bidirectional]",
            "architectures: []",
            "tune.architectures: []: too few entries, at least 1",
        ),
        (
            "alpha: 0.05",
            "alpha: 1e-9",
            "evaluate.alpha: 1e-09: must be a number, at least 0.0001, below 0.5",
        ),
        (
            "    mask: false",
            "    readout: mean\n    mask: false",
            "train.runs.feedforward-textbook: settings.textbook.readout: 'mean': must be last, because feedforward has "
            "no states",
        ),
        (
            "    mask: false",
            "    readout: middle\n    mask: false",
            "settings.textbook.readout: 'middle': must be 'last', 'mean' or 'max'",
        ),
        (
            "    mask: false",
            "    recurrent_initializer: identity\n    mask: false",
            "train.runs.feedforward-textbook: settings.textbook.recurrent_initializer: 'identity': must be orthogonal, "
            "because feedforward has no recurrent weights",
        ),
        (
            "    mask: false",
            "    recurrent_initializer: 0.9 ortogonal\n    mask: false",
            "'0.9 ortogonal': must be 'orthogonal', '0.9 orthogonal' or 'identity'; did you mean '0.9 orthogonal'?",
        ),
        (
            "    mask: false",
            "    gate_initializer: chrono\n    mask: false",
            "train.runs.vanilla-textbook: settings.textbook.gate_initializer: 'chrono': must be unit_forget, because "
            "vanilla has no gates",
        ),
        (
            "    mask: true",
            "    gate_initializer: chrono\n    mask: true",
            "tune.architectures: settings.steady.gate_initializer: 'chrono': must be unit_forget, because vanilla has",
        ),
        (
            "runs: [vanilla-tuned, lstm-textbook]",
            "runs: [vanilla-tuned, lstm-textbok]",
            "remedies.runs[1]: 'lstm-textbok' is not a run; did you mean 'lstm-textbook'?",
        ),
        (
            "runs: [vanilla-tuned, lstm-textbook]",
            "runs: [vanilla-tuned, vanilla-textbook]",
            "remedies.runs: 'vanilla-textbook' is the baseline (remedies.baseline); delete it here",
        ),
        (
            "runs: [vanilla-tuned, lstm-textbook]",
            "runs: [vanilla-tuned, vanilla-tuned]",
            "remedies.runs: ['vanilla-tuned', 'vanilla-tuned'] has a duplicate",
        ),
        (
            "baseline: vanilla-textbook",
            "baseline: vanilla",
            "remedies.baseline: 'vanilla' is not a run; did you mean 'vanilla-t",
        ),
        (
            "[vanilla-textbook, lstm-textbook]",
            "[lstm-textbook, lstm-textbook]",
            "[1]: ['lstm-textbook', 'lstm-textbook']: must",
        ),
    ],
)
def test_a_mistake_names_the_key_the_value_and_the_legal_values(mistake_of, old, new, problem):
    message = mistake_of(old, new)
    assert message.startswith("params.yaml: ")
    assert problem in message


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "patience: 2  ",
            "patiense: 2  ",
            "settings.textbook.patiense: unknown key; did you mean 'patience'? Allowed: ",
        ),
        (
            "vocabulary_size: 1",
            "vocabulary: 1",
            "data.vocabulary: unknown key; did you mean 'vocabulary_size'? Allowed: ",
        ),
        (
            "  seeds: 3",
            "  seeds:",
            "train.seeds: empty: must be a whole number, at least 2, at most 1000",
        ),
        (
            "low: 16, high: 128",
            "low: -1, high: 128",
            "tune.space.hidden_size.low: -1: must be a number, at least 0, at most",
        ),
        ("lstm: [first]", "gru: first", "retention.signals.gru: 'gru': must be"),
        ("size: 10000", "size: 2026-13-01", "line 16, column 20: not YAML: month must be in"),
        ("size: 10000", "size: !!int x", "line 16, column 20: not YAML: invalid literal for int"),
        ("size: 10000", "size: 2026-01-02", "data.vocabulary_size: 2026-01-02: must be a whole"),
        ("size: 10000", "size: 1\n  a: \a", "line 17: not YAML: the character '\\x07' is not"),
        ("data:", "a: " + "[" * 2000 + "\ndata:", "not YAML: values are nested too deeply"),
        ("data:", '"a\\nb": 1\ndata:', "'a\\nb': unknown key; allowed: data"),
    ],
)
def test_one_mistake_is_explained_in_one_line(mistake_of, old, new, line):
    message = mistake_of(old, new)
    assert message.startswith(f"params.yaml: {line}")
    assert len(message.splitlines()) == 1


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("data:\n  path: Märchen\n".encode("latin-1"))
    with pytest.raises(params.Mistake, match=r"yaml: line 2: the byte 0xe4 is not UTF-8; save"):
        params.read(path)


def test_a_missing_key_is_named_next_to_an_unknown_key_of_another_name(mistake_of):
    first, second = mistake_of("rung_epochs: 3", "seeds: 2").splitlines()
    assert first == "params.yaml: tune.rung_epochs: missing"
    assert second.startswith(
        "params.yaml: tune.seeds: unknown key; did you mean 'seed'? Allowed: architectures, settings"
    )


def test_the_seeds_of_a_run_are_train_seeds_times_its_factor():
    train = params.read(Path(__file__).with_name("study.yaml")).train
    assert train.seeds_of("lstm-textbook") == range(3)
    assert train.seeds_of("vanilla-textbook") == range(6)


@pytest.mark.parametrize(
    ("factor", "seeds"), [(0.6, 2), (0.5, 2), (0.001, 1), (1 / 3, 1), (2.5, 8), (1, 3)]
)
def test_a_fraction_of_the_seeds_is_rounded_up(factor, seeds):
    changed = copy.deepcopy(DOCUMENT)
    changed["train"]["runs"]["vanilla-textbook"]["seed_factor"] = factor
    train = params.validated(params.Params, changed, "params.yaml").train
    assert train.seeds_of("vanilla-textbook") == range(seeds)


def test_ten_seeds_times_0_7_are_seven():
    """The product of the two floats is 7.000000000000001."""
    changed = copy.deepcopy(DOCUMENT)
    changed["train"]["seeds"] = 10
    changed["train"]["runs"]["vanilla-textbook"]["seed_factor"] = 0.7
    train = params.validated(params.Params, changed, "params.yaml").train
    assert train.seeds_of("vanilla-textbook") == range(7)


def test_settings_without_the_encoders_keys_mean_keras_defaults():
    textbook = params.read(Path(__file__).with_name("study.yaml")).settings["textbook"]
    encoder = textbook.readout, textbook.recurrent_initializer, textbook.gate_initializer
    assert encoder == ("last", "orthogonal", "unit_forget")
    assert not {"readout", "recurrent_initializer", "gate_initializer"} & textbook.model_fields_set


def test_a_remedy_of_a_fixed_size_needs_the_textbooks_length():
    changed = copy.deepcopy(DOCUMENT)
    changed["settings"]["short"] = {**changed["settings"]["textbook"], "sequence_length": 50}
    run = {"architecture": "flattened", "settings": "short", "from": "params.yaml"}
    changed["train"]["runs"]["flattened-short"] = run
    changed["remedies"]["runs"] = ["flattened-short"]
    message = r"remedies.runs\[0\]: .* reads 50 tokens and has a fixed .*; delete it here$"
    with pytest.raises(params.Mistake, match=message):
        params.validated(params.Params, changed, "params.yaml")

    changed["remedies"].update(runs=["vanilla-tuned"], baseline="flattened-short")
    with pytest.raises(params.Mistake, match=r"remedies.baseline: .*; name another run$"):
        params.validated(params.Params, changed, "params.yaml")


def test_tune_seed_may_be_the_first_number_that_no_run_uses():
    changed = copy.deepcopy(DOCUMENT)
    changed["tune"]["seed"] = 6
    assert params.validated(params.Params, changed, "params.yaml").tune.seed == 6


def test_a_missing_file_and_a_file_without_a_mapping_are_mistakes(tmp_path):
    with pytest.raises(params.Mistake, match="no such file"):
        params.read(tmp_path / "absent.yaml")
    for name, content, value in (("list", "- 1\n", r"\[1\]"), ("nothing", "", "empty")):
        (tmp_path / f"{name}.yaml").write_text(content)
        with pytest.raises(
            params.Mistake, match=f"{name}.yaml: {value}: must be a mapping of keys"
        ):
            params.read(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "||||||| base", "=======", ">>>>>>> other"])
def test_a_merge_conflict_is_named_and_its_remedy_works(tmp_path, monkeypatch, marker):
    monkeypatch.chdir(tmp_path)
    path = Path("params.yaml")
    path.write_text(STUDY)
    repository.commit_all(tmp_path)
    repository.conflict(
        tmp_path, "params.yaml", STUDY + "\n", STUDY.replace("seeds: 3", "seeds: 4")
    )
    path.write_text(STUDY.replace("\ntrain:", f"\n{marker}\ntrain:"))

    with pytest.raises(params.Mistake, match="merge conflict") as raised:
        params.read()
    line = STUDY[: STUDY.index("\ntrain:")].count("\n") + 2
    assert str(raised.value).startswith(
        f"params.yaml: line {line}: a merge conflict ('{marker}'); "
    )

    repository.paste(tmp_path, str(raised.value).split("`")[3])
    assert params.read()


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


@pytest.mark.parametrize(
    "text",
    [
        "a: 2020-13-45",
        "a: !!int 'x'",
        "a: " + "9" * 5000,
        "a: " + "[" * 700,
        "a: \x01",
        "a: *b",
        "&a [*a]",
        "? {a: 1}\n: 2",
        "a: !!python/object/apply:os.system [id]",
        "{" + ", ".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 20)) + "}",
    ],
    ids=lambda text: text[:20],
)
def test_other_files_are_mistakes_of_one_line_and_run_no_code(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("*a0, ", "x, "))
    with pytest.raises(params.Mistake) as raised:
        params.read(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert max(map(len, str(raised.value).splitlines())) < 500


def outcome(function, *arguments):
    """The result and an empty message, or None and the message of a Mistake. Other exceptions pass."""
    try:
        return function(*arguments), ""
    except params.Mistake as mistake:
        return None, str(mistake)


@given(st.text("a:[]{}&*!?|>-#%@'\"\\ \n\t0.eE+<~\0é😀", max_size=40))
@settings(max_examples=150, deadline=None, database=None, derandomize=True)
def test_any_text_is_a_mapping_or_a_mistake(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    content, message = outcome(params.document, path)
    assert isinstance(content, dict) or len(message.splitlines()) == 1


DOCUMENT = params.document(Path(__file__).with_name("study.yaml"))
ODD = [
    *(-1, 0, 1, 10**6 + 1, 10**30, 16**6000, 0.0, 1e-320, 1e308, float("inf"), float("nan")),
    *(True, None),
]
ODD += [
    "",
    "0",
    "é😀",
    "a\nb",
    "\ud800",
    "vanilla",
    "textbook",
    "x" * 5000,
    [],
    {},
    ["first"],
    ["vanilla"] * 2,
    {1: 2},
]


def paths(value, path=()):
    """The path of every value in nested dicts and lists, as a tuple of keys and indices."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield from paths(inner, (*path, name))


def value_at(path, document):
    for part in path:
        document = document[part]
    return document


def changed_document(data):
    """The study's parameters with one or two values replaced, deleted or renamed."""
    document = copy.deepcopy(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 2))):
        *outer, last = data.draw(st.sampled_from([path for path in paths(document) if path]))
        container = value_at(outer, document)

        match data.draw(st.sampled_from(["replace", "replace", "drop", "rename"])):
            case "replace":
                container[last] = data.draw(st.sampled_from(ODD))
            case "rename" if isinstance(container, dict):
                container[data.draw(st.sampled_from(["seeds", "x" * 999, 1, None, "ключ"]))] = (
                    container.pop(last)
                )
            case _:
                del container[last]
    return document


@given(st.data())
@settings(max_examples=400, deadline=None, database=None, derandomize=True)
def test_parameters_are_accepted_unchanged_or_refused_by_their_key(data):
    """Nothing is converted. Accepted values are finite, of a sensible size, and name nothing twice."""
    document = changed_document(data)
    accepted, message = outcome(params.validated, params.Params, document, "params.yaml")

    if accepted is None:
        assert all(line.startswith("params.yaml: ") for line in message.splitlines())
        assert not any(
            word in message for word in ("Input should", "[key]", "validation, not", "instance of")
        )
        return

    accepted = accepted.model_dump(by_alias=True, exclude_unset=True)
    assert as_text(accepted) == as_text(document)

    for path in paths(accepted):
        value = value_at(path, accepted)
        if isinstance(value, list):
            may_be_empty = (
                ("evaluate", "comparisons"),
                ("claims", "disclosures"),
                ("remedies", "runs"),
            )
            assert value or path in may_be_empty
            assert len(set(map(str, value))) == len(value)
        if isinstance(value, int | float):
            assert 0 <= value <= 1_000_000_000
        if isinstance(value, str):
            assert value.isprintable()


def as_text(document):
    """JSON in which 1 and 1.0 are equal, but 1 and true are not."""
    return json.dumps(json.loads(json.dumps(document), parse_int=float), sort_keys=True)


def test_the_order_of_keys_changes_nothing(tmp_path):
    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return value

    study, in_other_order = tmp_path / "study.yaml", tmp_path / "other.yaml"
    study.write_text(STUDY, encoding="utf-8")
    in_other_order.write_text(json.dumps(turned(params.document(study))))

    values = params.read(study).model_dump()
    turned_values = params.read(in_other_order).model_dump()
    for section in (values, turned_values):
        section["settings"] = sorted(section["settings"].items())  # nothing lists these
    assert json.dumps(turned_values) == json.dumps(values)
    assert list(values["train"]["runs"]) == list(params.document(study)["train"]["runs"])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"data": {"vocabulary_size": 1_000_000}, "textbook": {"embedding_dimension": 1000}},
            "settings.textbook: embedding_dimension 1000 with data.vocabulary_size 1000000: too large: their product "
            "must be at most 100,000,000",
        ),
        (
            {"data": {"vocabulary_size": 1_000_000}, "embedding_dimension": {"high": 104}},
            "tune.space: embedding_dimension 104 with data.vocabulary_size 1000000: too large",
        ),
        (
            {"textbook": {"batch_size": 5000}, "gradients": {"sequence_lengths": [800]}},
            "gradients.sequence_lengths: batch_size 5000 with 800 tokens, embedding_dimension 32 and hidden_size 64",
        ),
        (
            {"textbook": {"batch_size": 5000}, "retention": {"lags": [400]}},
            "retention.lags: batch_size 5000 with 801 tokens, embedding_dimension 32 and hidden_size 64",
        ),
    ],
)
def test_a_network_too_large_for_memory_is_refused_in_one_line(changes, line):
    document = copy.deepcopy(DOCUMENT)
    sections = {
        **document,
        "textbook": document["settings"]["textbook"],
        "embedding_dimension": document["tune"]["space"]["embedding_dimension"],
    }
    for name, values in changes.items():
        sections[name].update(values)

    with pytest.raises(params.Mistake) as raised:
        params.validated(params.Params, document, "params.yaml")
    assert str(raised.value).startswith(f"params.yaml: {line}")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("lengths", "length", "expected"),
    [([100, 25, 50], 100, 100), ([8], 40, 8), ([25, 50], 40, 50), ([60, 20], 40, 20)],
)
def test_the_nearest_length_is_one_of_the_checked_ones(lengths, length, expected):
    assert params.nearest(lengths, length) == expected


def test_an_unknown_key_that_is_no_misspelling_hides_no_missing_one(tmp_path):
    text = Path("params.yaml").read_text(encoding="utf-8")
    start, end = text.index("\nremedies:"), text.index("\nclaims:")
    file = tmp_path / "params.yaml"
    file.write_text(f"seeds: 3\n{text[:start]}{text[end:]}", encoding="utf-8")

    with pytest.raises(params.Mistake) as refused:
        params.read(file)
    assert "seeds: unknown key; did you mean 'train.seeds'?" in str(refused.value)
    assert "remedies: missing" in str(refused.value)


def test_a_typo_in_settings_from_which_others_are_made_is_one_line(tmp_path):
    text = Path("params.yaml").read_text(encoding="utf-8")
    file = tmp_path / "params.yaml"
    file.write_text(text.replace("hidden_size: 64", "hiden_size: 64", 1), encoding="utf-8")

    with pytest.raises(params.Mistake) as refused:
        params.read(file)
    (line,) = [line for line in str(refused.value).splitlines() if "hiden_size" in line]
    assert "settings.textbook.hiden_size: unknown key; did you mean 'hidden_size'?" in line
    assert line.endswith(
        "(also settings.pooled, settings.maxpooled, settings.shrunk, settings.identity, settings.chrono)"
    )
