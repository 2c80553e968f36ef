"""Verdicts on the properties of a line attractor, from intervals over seeds."""

import numpy as np
import pandas as pd
import pytest

from pipeline import params
from pipeline.science.attractor import properties

LIMITS = params.read().attractor
GOOD = {
    "slow_ratio": 8.0,
    "straight": 1.0,
    "agreement": 0.95,
    "valence": 0.9,
    "gradient_share": 0.9,
}
LAGS = (0, 1, 20, 90, 99)


def verdicts(seeds=10, spread=0.0, **values):
    """The verdicts on a network whose measures are GOOD but for these values."""
    modes, lags = [], []
    for weights in ("initial", "trained"):
        for seed in range(seeds):
            axes = {"architecture": "vanilla", "weights": weights, "seed": seed}
            for measure, value in {**GOOD, **values}.items():
                value += spread * (seed - (seeds - 1) / 2)
                value = 0.01 if weights == "initial" else value
                modes.append({**axes, "measure": measure, "value": value, "chance": 0.1})
            for lag in LAGS:
                shares = {
                    "valence": 0.9 - lag / 1000,
                    "common_share": 0.8 - lag / 100,
                    "steady": 1.0,
                }
                lags.append({**axes, "lag_tokens": lag, **shares})

    table = properties.properties(pd.DataFrame(modes), pd.DataFrame(lags), LIMITS)
    return table.set_index("property")


def test_a_line_attractor_has_all_properties():
    table = verdicts()
    assert table.loc[[properties.ALL, *properties.PARTS], "verdict"].eq("holds").all()
    assert table.loc["valence", "at_initialisation"] == 0.01


@pytest.mark.parametrize("name", properties.PARTS)
def test_one_property_that_does_not_hold_decides(name):
    table = verdicts(**{name: 0.1})
    assert table.loc[name, "verdict"] == "does not hold"
    assert table.loc[properties.ALL, "verdict"] == "does not hold"


def test_an_interval_around_the_threshold_shows_nothing():
    table = verdicts(valence=LIMITS.valence, spread=0.01)
    assert table.loc["valence", "low"] < LIMITS.valence < table.loc["valence", "high"]
    assert table.loc[["valence", properties.ALL], "verdict"].eq("not shown").all()


def test_few_seeds_have_no_interval_and_no_verdict():
    table = verdicts(seeds=5)
    assert table["verdict"].eq("not shown").all()


def test_an_infinite_ratio_is_a_slow_mode_and_a_missing_one_is_open():
    assert verdicts(slow_ratio=np.inf).loc["slow_ratio", "verdict"] == "holds"
    assert verdicts(slow_ratio=np.nan).loc["slow_ratio", "verdict"] == "not shown"


def test_the_gradient_is_read_at_the_lags_of_a_sentence_and_before_the_first_word():
    table = verdicts()
    assert table.loc["far_valence", ["value", "lag_tokens"]].tolist() == [0.81, 90]
    assert table.loc["common_share", ["value", "lag_tokens"]].tolist() == pytest.approx([0.6, 20])


def test_without_networks_there_are_no_rows():
    empty = pd.DataFrame(columns=["architecture", "weights", "seed", "measure", "value", "chance"])
    assert properties.properties(empty, empty, LIMITS).empty
