"""What a figure, a table or a sentence says it was computed from is what changes it."""

import pandas as pd
import pytest

from pipeline.reporting import document, figures, origins
from pipeline.stages import report
from pipeline.stages.context import Context
from tests.reporting import invented

COUNTS = {  # numbers of seeds or reviews, sizes, names or yes and no: what is moved here, floats, does not change them
    ("figures", "tuning-sizes"),
    ("tables", "counts"),
    ("tables", "layers"),
    ("tables", "measured"),
    ("sentences", "few_seeds"),
    ("sentences", "unequal_seeds"),
    ("sentences", "seeds_of_runs"),
    ("sentences", "learned"),
}
SETTINGS = {("sentences", "seeds"), ("sentences", "seeds_of_curves")}  # of params.yaml, not of a file


BITS = 5  # of the number of an input
SMALLER = {**invented.DEFAULT, "lengths": [10, 100], "seeds": 2}


class Caught(Exception):
    pass


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What `report` hands to `document.story`, of an invented study."""
    found = {}

    def catch(**given):
        found.update(given)
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        study = invented.study(**SMALLER)
        patch.chdir(tmp_path_factory.mktemp("origins"))
        invented.write(**SMALLER)
        invented.record(study)
        patch.setattr(document, "story", catch)
        with pytest.raises(Caught):
            report.main(Context(study))
    return found


def shown(given) -> dict:
    """{(kind, name): everything that it shows} of all figures, tables and sentences."""
    told = document.story(**given)
    pictures = {
        name: (figure["see"], figure["alternative"], [panel.to_dict(validate=False) for panel in figure["panels"]])
        for name, figure in told["figures"].items()
    }
    kinds = {"figures": pictures, "tables": told["tables"], "sentences": told["sentences"]}
    return {(kind, name): repr(found) for kind, known in kinds.items() for name, found in known.items()}


def moved(value):
    """With every float a little different, not by one factor or distance."""
    match value:
        case pd.DataFrame():
            floats = value.select_dtypes("float").columns.drop("index", errors="ignore")
            return value.assign(**{name: 0.93 * value[name] + 0.003 * value.index / len(value) for name in floats})
        case dict():
            return {key: moved(each) for key, each in value.items()}
        case list():
            return [moved(each) for each in value]
        case float():
            return 0.93 * value + 0.001
    return value


@pytest.fixture(scope="module")
def before(inputs):
    """What is shown where no input was moved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "specified", lambda panels: panels)
        return shown(inputs)


def named_inputs(before) -> dict:
    """{(kind, name): the inputs that a figure, table or sentence names}."""
    return {
        (kind, name): set(origins.OF[kind].get("reading" if name.startswith("reading-") else name, ()))
        for kind, name in before
    }


@pytest.mark.slow
@pytest.mark.parametrize("bit", [0, *(pytest.param(bit, marks=pytest.mark.exhaustive) for bit in range(1, BITS))])
def test_an_output_names_exactly_the_inputs_that_change_it(bit, inputs, before, monkeypatch):
    """Each round moves the inputs whose number has this bit. The five rounds together tell every input from another."""
    monkeypatch.setattr(figures, "specified", lambda panels: panels)
    numbers = {name: number for number, name in enumerate(sorted(inputs.keys() - {"settings", "claims"}), 1)}
    assert max(numbers.values()) < 2**BITS
    moved_inputs = {name for name, number in numbers.items() if number >> bit & 1}
    after = shown({**inputs, **{name: moved(inputs[name]) for name in moved_inputs}})
    changed = {each for each in before if after[each] != before[each]}
    named = named_inputs(before)
    assert changed - COUNTS == {each for each in named if named[each] & moved_inputs} - COUNTS


@pytest.mark.slow
def test_only_sentences_about_settings_name_no_file(before):
    assert {each for each, names in named_inputs(before).items() if not names} == SETTINGS


def test_marks_on_figures_tables_and_sentences_give_hash_and_key():
    told = {
        "figures": {"accuracy": {"see": "this"}, "reading-1": {"see": "that"}},
        "choices": {"memory-by-lag": {10: {"see": "so many"}}},
        "tables": {"results": {"caption": "of runs"}, "trials": [{"caption": "of one"}]},
        "sentences": {"best": ["One wins."], "seeds": "Three seeds."},
        "claims": [{"measures": {"caption": "all"}}],
    }
    read = {
        "claims": [origins.File("reports/claims.json", "claims", "c0", {})],
        "metrics": [origins.File("reports/metrics.json", "evaluate", "a1", {"vanilla": "k2"})],
        "examples": [origins.File("reports/examples.json", "examples", "e3", {})],
        "trials": [origins.File("reports/tuning/vanilla.csv", "tune@vanilla", "b4", {})],
        "memory": [origins.File("reports/memory/10.csv", "gradients@10", "d5", {})],
    }
    found = origins.marked(told, read, {"vanilla": "training"})
    assert [figure["origins"] for figure in found["figures"].values()] == [[2], [3]]
    assert (found["tables"]["results"]["origins"], found["tables"]["trials"][0]["origins"]) == ([2], [4])
    assert found["choices"]["memory-by-lag"][10]["origins"] == [5]
    assert found["claims"][0]["measures"]["origins"] == [1]
    assert found["cited"] == {"One wins.": [2], "Three seeds.": []}
    assert found["hovers"][2] == "reports/metrics.json, MD5 a1, by evaluate, MLflow vanilla k2"
    assert found["tables"]["files"]["rows"][1] == ["2", "reports/metrics.json", "evaluate", "a1", "vanilla"]
    assert found["tables"]["runs"]["rows"] == [["vanilla", "training", "k2"]]
