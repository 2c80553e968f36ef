"""The files that a part of the report names are exactly those that change it."""

from typing import Any

import altair as alt
import pandas as pd
import pytest

from pipeline.reporting.inputs import DERIVED, Inputs, derived
from pipeline.reporting.parts import Choice, Details, Figure, Finding, Part
from pipeline.reporting.sections import SECTIONS
from pipeline.stages import report
from pipeline.stages.context import Context
from tests.reporting import invented

# the words for the texts, the length that is shown first and the names of runs depend on no float of these inputs
CHOOSING = {"card", "decay", "models"}
# these parts hold counts, names or verdicts, which our small changes leave as they are
INSENSITIVE = {
    "Findings: best_network": {"gains", "runs"},
    "The tutorial's sentences: answer": {"claims"},
    "Results: answers": {"gains", "metrics"},
    "Results: failed_seeds": {"runs"},
    "How far back do gradients reach?: answer": {"claims", "decay_by_seed"},
    "Why do gradients fade?: training": {"everything"},
    "Memory: definitions": {"memory"},
    "Why does the gradient fade and the word survive?: answer": {"attractor", "retention"},
    "Tuning: answer": {"studies"},
    "Tuning: recipe": {"studies"},
    "Tuning: search": {"studies"},
    "Reading word by word: answer": {"examples"},
    "Reading word by word: choice_of_texts": {"examples"},
    "Method and caveats: statistics": {"compared"},
}
BITS = 5  # of the number of an input


class Caught(Exception):
    pass


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Any]:
    """The inputs that `report` reads from the files of an invented study, and those that are not files."""
    caught = {}

    def catch(files, settings, **others):
        caught.update(files=files, others={"settings": settings, **others})
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        outline = invented.Outline(lengths=[10, 100], seeds=2)
        study = invented.study(outline)
        patch.chdir(tmp_path_factory.mktemp("origins"))
        invented.write(outline)
        invented.record(study)
        patch.setattr(report, "Inputs", catch)
        with pytest.raises(Caught):
            report.main(Context(study))
    return caught


def contents(files: dict[str, Any], others: dict[str, Any]) -> dict[str, str]:
    """{section and maker: everything that its parts show}."""
    values = Inputs(files, **others)
    shown = {}
    for section in SECTIONS:
        for maker in section.makers:
            parts = values.call(maker)
            parts = parts if isinstance(parts, list) else [parts]
            shown[f"{section.title}: {maker.__name__}"] = repr([_content(part) for part in parts])
    return shown


def _content(part: Part | None) -> Any:
    match part:
        case Figure():
            return part.title, part.reading, part.alternative, [_drawn(it) for it in part.panels]
        case Finding():
            return part.number, part.sentence, _content(part.figure)
        case Details():
            return part.summary, [_content(inner) for inner in part.parts]
        case Choice():
            return {name: _content(option) for name, option in part.options.items()}
    return part


def _drawn(panel: alt.LayerChart) -> dict[str, Any]:
    return panel.to_dict(validate=False)


def changed(value: Any) -> Any:
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


def named_inputs(files: dict[str, Any], others: dict[str, Any]) -> dict[str, set[str]]:
    """{section and maker: the files that its parts name}."""
    values = Inputs(files, **others)
    return {
        f"{section.title}: {maker.__name__}": set(values.files_of(maker))
        for section in SECTIONS
        for maker in section.makers
    }


@pytest.fixture(scope="module")
def before(inputs):
    return contents(**inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bit", [0, *(pytest.param(bit, marks=pytest.mark.exhaustive) for bit in range(1, BITS))]
)
def test_a_part_names_exactly_the_inputs_that_change_it(bit, inputs, before):
    """Each round changes the inputs whose number has this bit. The rounds together distinguish every two inputs."""
    names = sorted(inputs["files"])
    assert len(names) < 2**BITS
    changed_inputs = {name for number, name in enumerate(names, 1) if number >> bit & 1}
    other_files = {
        name: changed(value) if name in changed_inputs else value
        for name, value in inputs["files"].items()
    }
    after = contents(other_files, inputs["others"])

    changed_parts = {place for place in before if after[place] != before[place]}
    may_change = set()
    must_change = set()
    for place, named in named_inputs(**inputs).items():
        concerned = named & changed_inputs
        if concerned:
            may_change.add(place)
        if concerned - CHOOSING - INSENSITIVE.get(place, set()):
            must_change.add(place)
    assert changed_parts - may_change == set()
    assert must_change - changed_parts == set()


def test_every_input_has_a_name_of_its_own(inputs):
    assert not set(DERIVED) & {*inputs["files"], *inputs["others"]}


def test_two_derived_inputs_of_one_name_are_refused():
    def subject():
        pass

    with pytest.raises(ValueError, match="two derived inputs have the name subject"):
        derived(subject)


@pytest.mark.slow
def test_every_file_that_the_report_reads_is_used(inputs):
    used = set().union(*named_inputs(**inputs).values())
    assert set(inputs["files"]) == used
