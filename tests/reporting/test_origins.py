"""The inputs that a figure, a table or a sentence names are those that change it."""

import pandas as pd
import pytest

from pipeline.reporting import document, figures, origins
from pipeline.stages import report
from pipeline.stages.context import Context
from tests.reporting import invented

COUNTS = {  # numbers of seeds or reviews, sizes, names, or yes and no, which do not depend on the floats we change
    ("figures", "tuning-sizes"),
    ("tables", "counts"),
    ("tables", "layers"),
    ("tables", "measured"),
    ("sentences", "few_seeds"),
    ("sentences", "unequal_seeds"),
    ("sentences", "seeds_of_runs"),
    ("sentences", "learned"),
}
# of params.yaml, not of a file
SETTINGS = {
    ("sentences", "seeds"),
    ("sentences", "seeds_of_curves"),
}
BITS = 5  # of the number of an input
Shown = dict[tuple[str, str], str]


class Caught(Exception):
    pass


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The arguments that `report` passes to `document.story`, of an invented study."""
    arguments = {}

    def catch(**keywords):
        arguments.update(keywords)
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        outline = invented.Outline(lengths=[10, 100], seeds=2)
        study = invented.study(outline)
        patch.chdir(tmp_path_factory.mktemp("origins"))
        invented.write(outline)
        invented.record(study)
        patch.setattr(document, "story", catch)
        with pytest.raises(Caught):
            report.main(Context(study))
    return arguments


def outputs(inputs: dict) -> Shown:
    """{(kind, name): the whole content} of all figures, tables and sentences."""
    story = document.story(**inputs)
    pictures = {}
    for name, figure in story["figures"].items():
        panels = [panel.to_dict(validate=False) for panel in figure["panels"]]
        pictures[name] = figure["see"], figure["alternative"], panels

    contents = {}
    for kind, items in (
        ("figures", pictures),
        ("tables", story["tables"]),
        ("sentences", story["sentences"]),
    ):
        contents |= {(kind, name): repr(content) for name, content in items.items()}
    return contents


def changed(value):
    """The value with every float a little different, not by one factor or distance."""
    match value:
        case pd.DataFrame():
            floats = value.select_dtypes("float").columns.drop("index", errors="ignore")
            shift = 0.003 * value.index / len(value)
            return value.assign(**{name: 0.93 * value[name] + shift for name in floats})
        case dict():
            return {key: changed(item) for key, item in value.items()}
        case list():
            return [changed(item) for item in value]
        case float():
            return 0.93 * value + 0.001
    return value


@pytest.fixture(scope="module")
def before(inputs):
    """The outputs of unchanged inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "specified", lambda panels: panels)
        return outputs(inputs)


def named_inputs(before: Shown) -> dict[tuple[str, str], set[str]]:
    """{(kind, name): the inputs that a figure, table or sentence names}."""
    named = {}
    for kind, name in before:
        known_as = "reading" if name.startswith("reading-") else name
        named[kind, name] = set(origins.OF[kind].get(known_as, ()))
    return named


@pytest.mark.slow
@pytest.mark.parametrize(
    "bit", [0, *(pytest.param(bit, marks=pytest.mark.exhaustive) for bit in range(1, BITS))]
)
def test_an_output_names_exactly_the_inputs_that_change_it(bit, inputs, before, monkeypatch):
    """Each round changes the inputs whose number has this bit. The rounds together distinguish every two inputs."""
    monkeypatch.setattr(figures, "specified", lambda panels: panels)
    names = sorted(inputs.keys() - {"settings", "claims"})
    assert len(names) < 2**BITS
    changed_inputs = {name for number, name in enumerate(names, 1) if number >> bit & 1}
    after = outputs({**inputs, **{name: changed(inputs[name]) for name in changed_inputs}})

    changed_outputs = {output for output in before if after[output] != before[output]}
    named = named_inputs(before)
    expected = {output for output in named if named[output] & changed_inputs}
    assert changed_outputs - COUNTS == expected - COUNTS


@pytest.mark.slow
def test_only_sentences_about_settings_name_no_file(before):
    assert {output for output, names in named_inputs(before).items() if not names} == SETTINGS


def test_marks_on_figures_tables_and_sentences_give_hash_and_key():
    story = {
        "figures": {"accuracy": {"see": "this"}, "reading-1": {"see": "that"}},
        "choices": {"memory-by-lag": {10: {"see": "both"}}},
        "tables": {"results": {"caption": "of runs"}, "trials": [{"caption": "of one"}]},
        "sentences": {"best": ["One wins."], "seeds": "Three seeds."},
        "claims": [{"measures": {"caption": "all"}}],
    }
    files = {
        "claims": [origins.File("reports/claims.json", "claims", "c0", {})],
        "metrics": [origins.File("reports/metrics.json", "evaluate", "a1", {"vanilla": "k2"})],
        "examples": [origins.File("reports/examples.json", "examples", "e3", {})],
        "trials": [origins.File("reports/tuning/vanilla.csv", "tune@vanilla", "b4", {})],
        "memory": [origins.File("reports/memory/10.csv", "gradients@10", "d5", {})],
        "ensembles": [origins.File("reports/ensembles.json", "evaluate", "f6", {})],
    }
    marked = origins.marked(story, files, {"vanilla": "training"})
    tables = marked["tables"]
    assert [figure["origins"] for figure in marked["figures"].values()] == [[2], [3]]
    assert tables["results"]["origins"] == [6, 2]
    assert tables["trials"][0]["origins"] == [4]
    assert marked["choices"]["memory-by-lag"][10]["origins"] == [5]
    assert marked["claims"][0]["measures"]["origins"] == [1]
    assert marked["cited"] == {"One wins.": [2], "Three seeds.": []}
    assert marked["hovers"][2] == "reports/metrics.json, MD5 a1, by evaluate, MLflow vanilla k2"
    assert tables["files"]["rows"][1] == ["2", "reports/metrics.json", "evaluate", "a1", "vanilla"]
    assert tables["runs"]["rows"] == [["vanilla", "training", "k2"]]
