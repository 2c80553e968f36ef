"""The inputs that sections share."""

import numpy as np
import pytest
from pandas import DataFrame

from pipeline.params import Mistake
from pipeline.reporting import inputs

PAIR = {
    **dict.fromkeys(inputs.PAIR),
    "baseline": "vanilla-textbook",
    "run": "bidirectional-textbook",
    "answers": "architecture",
    "baseline_seeds": 3,
    "run_seeds": 3,
    "difference": 0.02,
    "p_better": 0.5,
}


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "verdict"),
    [
        (0.1, 0.2, 0.01, "higher"),
        (-0.2, -0.1, 0.01, "lower"),
        (-0.1, 0.1, 0.01, "unclear"),
        (0.0, 0.1, 0.01, "unclear"),
        (0.1, 0.2, 0.06, "unclear"),
        (None, 0.1, 0.01, "undefined"),
        (0.1, 0.2, None, "unclear"),
    ],
)
def test_a_difference_needs_an_interval_without_zero_and_holms_consent(low, high, p_holm, verdict):
    row = {**PAIR, "low": low, "high": high, "p_holm": p_holm}
    assert inputs.pairs([row], {"alpha": 0.05})["verdict"].tolist() == [verdict]


def test_p_better_is_required_and_its_null_bounds_become_nan():
    table = inputs.pairs([PAIR], {"alpha": 0.05})
    assert table["p_better"].tolist() == [0.5]
    assert table["p_better_low"].isna().all()
    without = {name: value for name, value in PAIR.items() if name != "p_better"}
    with pytest.raises(KeyError, match="p_better"):
        inputs.pairs([without], {"alpha": 0.05})


def test_a_study_without_comparisons_has_an_empty_table_of_them():
    table = inputs.pairs([], {"alpha": 0.05})
    assert table.empty
    assert "verdict" in table


def test_a_run_of_the_parameters_that_evaluate_has_not_seen_is_named():
    with pytest.raises(Mistake, match=r"metrics.json: no run 'lstm-textbook'.*dvc repro evaluate"):
        inputs.results({}, {}, {"runs": ["lstm-textbook"]})


def test_a_score_that_was_not_finite_is_nan_in_the_order_of_the_seeds():
    accuracy = {"mean": None, "sd": None, "low": None, "high": None}
    accuracy["scores"] = {"10": 0.8, "2": None}
    measures = {f"test/{name}": {"mean": 0.5} for name in inputs.MEASURES_OF_A_RUN}
    metrics = {"a-b": {"parameters": 7, "test/accuracy": accuracy, **measures}}
    table = inputs.results(metrics, {"a-b": {"architecture": "a"}}, {"runs": ["a-b"]})
    assert np.isnan(table["mean"].item())
    assert list(table["scores"].item()) == [2, 10]
    assert np.isnan(table["scores"].item()[2])


@pytest.mark.parametrize(
    ("value", "is_empty"),
    [(None, True), ({}, True), (DataFrame(), True), ({"a": 0}, False), (0, False), ([], False)],
    ids=str,
)
def test_only_no_value_an_empty_table_and_an_empty_dictionary_start_empty(value, is_empty):
    values = inputs.Inputs({"first": value, "second": None}, {})
    assert values.starts_empty(lambda first, second: None) == is_empty
    assert not values.starts_empty(lambda: None)
