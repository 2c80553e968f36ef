"""The section of remedies: its answer follows the numbers, in a study of any shape."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting.inputs import Inputs
from pipeline.reporting.parts import Details, Figure, MadeSection, Table, made
from pipeline.reporting.sections import remedies
from pipeline.science import remedy_tables
from tests.reporting import invented

METRICS = {"mean": 0.8, "low": 0.79, "high": 0.81, "scores": {"0": 0.8, "1": 0.81, "2": 0.79}}
VALUES = {"readout": "last", "mask": False, "dropout": 0.0}


def summary(runs: tuple[str, ...] = ("vanilla-tuned", "lstm-textbook")) -> list[dict]:
    outline = invented.Outline(runs=["vanilla-textbook", *runs], seeds=6)
    rows = invented.remedies(np.random.default_rng(0), outline)
    metrics = {run: {"test/accuracy": METRICS} for run in outline.runs}
    values = dict.fromkeys(outline.runs, VALUES)
    values["vanilla-tuned"] = {**VALUES, "mask": True, "dropout": 0.2}
    entries = remedy_tables.by_run(rows, "vanilla-textbook", metrics, values)
    return [{**entry, "recipe": entry["run"].split("-")[1]} for entry in entries]


def section(entries: list[dict]) -> MadeSection:
    names = [entry["run"] for entry in entries]
    seeds = pd.DataFrame({"run": names, "seed": 0, "word_gradient": -1.0, "used": 0.6})
    files = {"remedies": entries, "remedies_by_seed": seeds, "card": invented.card()}
    return made(remedies.SECTION, Inputs(files, {}))


def part(entries: list[dict], kind: type) -> Any:
    return next(made.part for made in section(entries).parts if isinstance(made.part, kind))


def with_difference(entries: list[dict], name: str, low: float, high: float) -> list[dict]:
    changed = copy.deepcopy(entries)
    for entry in changed[1:]:
        entry["difference"][name] = {"value": (low + high) / 2, "low": low, "high": high}
    return changed


def test_the_answer_counts_and_names_the_remedies_that_help():
    entries = with_difference(summary(), "accuracy", 0.01, 0.02)
    text = part(entries, str)
    assert text.startswith("Both remedies kept more of the gradient at a word 90 tokens before")
    assert "Both remedies raised the accuracy." in text

    entries[1]["difference"]["accuracy"]["low"] = -0.01
    text = part(entries, str)
    assert "1 of 2 remedies raised the accuracy: LSTM." in text


def test_remedies_of_the_same_settings_have_the_names_of_their_runs():
    entries = summary()
    tuned, other = entries[1:]
    other |= {**tuned, "run": "vanilla-steady"}
    for entry in (tuned, other):
        entry["recipe"] = "steady"
    names = list(remedies.remedy_table(entries)["remedy"][1:])
    assert names == ["steady settings (vanilla-tuned)", "steady settings (vanilla-steady)"]


def test_texts_of_two_tokens_have_no_remedies():
    """Every network keeps all of the gradient at the last word, and the other word is the first."""
    entries = [{**entry, "lag_tokens": 0} for entry in summary()]
    assert section(entries).parts == []


def with_accuracy(entries: list[dict], run: str, value: float) -> None:
    (entry,) = [entry for entry in entries if entry["run"] == run]
    entry["accuracy"] |= {"value": value, "low": value - 0.01, "high": value + 0.01}


def test_the_answer_begins_with_the_best_remedies_unless_they_are_equal():
    entries = summary()
    assert part(entries, str).startswith("Both remedies")  # of equal accuracy

    with_accuracy(entries, "vanilla-tuned", 0.9)
    assert part(entries, str).startswith(
        "Among the remedies, the gradient is largest with LSTM, and the accuracy is highest with tuned settings. "
        "So a larger gradient alone does not make a network more accurate. Both"
    )
    with_accuracy(entries, "vanilla-tuned", 0.805)
    assert "more accurate" not in part(entries, str)
    with_accuracy(entries, "lstm-textbook", 0.95)
    assert part(entries, str).startswith(
        "Among the remedies, the gradient is largest and the accuracy highest with LSTM. Both"
    )


def test_an_effect_can_exceed_that_of_the_last_word():
    entries = summary()
    entries[1]["measures"]["share"] = {"value": 47.0, "low": -5.2, "high": 99.2}
    (_, *_, more) = part(entries, Details).parts
    assert more.rows[1][-1] == "4700.0 % (−520.0 to 9920.0 %)"


def test_a_difference_that_the_seeds_do_not_show_is_not_claimed():
    entries = with_difference(summary(), "accuracy", -0.01, 0.02)
    assert "We cannot show that a remedy raised the accuracy." in part(entries, str)


def test_a_remedy_that_costs_accuracy_is_named():
    entries = with_difference(summary(), "accuracy", -0.03, -0.01)
    assert "lowered the accuracy" in part(entries, str)


def test_one_remedy_is_called_the_remedy():
    text = part(summary(("lstm-textbook",)), str)
    assert text.startswith("The remedy")


def test_the_baseline_is_the_first_row_of_the_table():
    table = part(summary(), Table)
    names = [row[0] for row in table.rows]
    assert names == ["none (vanilla RNN, textbook settings)", "tuned settings", "LSTM"]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["multiply-adds"] == "1.00 ×"
    assert row["run"] == "vanilla-textbook"
    assert "(79.0 to 81.0)" in row["test accuracy"]


@pytest.mark.parametrize(
    ("architecture", "changes", "name"),
    [
        ("vanilla", {"readout": "mean"}, "mean pooling"),
        ("lstm", {"gate_initializer": "chrono"}, "LSTM with chrono gates"),
        ("vanilla", {"dropout": 0.2, "mask": True}, "steady settings"),
        ("lstm", {}, "LSTM"),
    ],
)
def test_a_remedy_is_named_by_its_difference_from_the_baseline(architecture, changes, name):
    entries = summary()[:2]
    entries[1] |= {"architecture": architecture, "changes": changes, "recipe": "steady"}
    assert part(entries, Table).rows[1][0] == name


def test_a_gradient_of_exactly_zero_has_no_number():
    entries = summary()
    entries[1]["measures"]["word_gradient"] = {"value": None, "low": None, "high": None}
    assert part(entries, Table).rows[1][1] == "not finite"
    assert part(entries, Figure).panels


def test_a_study_without_remedies_has_no_section():
    assert section(summary(())).parts == []


def test_the_details_have_the_other_measures():
    (_, *_, more) = part(summary(), Details).parts
    assert list(more.columns) == ["remedy", *remedies.OTHERS.values()]
    assert len(more.rows) == 3
