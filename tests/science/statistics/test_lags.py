"""How far back a network remembers and learns."""

import pandas as pd
import pytest

from pipeline.science.statistics import lags


@pytest.mark.parametrize(
    ("low_by_lag", "reach"),
    [
        ({0: 0.9, 2: 0.8, 5: 0.5, 8: 0.9}, 2),
        ({8: 0.9, 5: 0.5, 2: 0.8, 0: 0.9}, 2),
        ({0: 0.9, 2: 0.8}, 2),
        ({0: 0.5, 2: 0.9}, None),
        ({0: 0.9, 2: float("nan"), 5: 0.9}, 0),
        ({0: None, 2: 0.9}, None),
    ],
    ids=["a gap", "any order", "to the last lag", "nowhere", "no number", "no interval"],
)
def test_memory_reaches_to_the_lag_before_the_first_lower_bound_at_chance(low_by_lag, reach):
    assert lags.reach_of_memory(low_by_lag, 0.55) == reach


def test_a_lag_is_learned_where_half_of_the_seeds_learn_it():
    assert lags.longest_lag_learned({5: 1.0, 10: 0.5, 20: 1 / 3}) == 10
    assert lags.longest_lag_learned({5: 0.0, 10: 0.75}) == 10
    assert lags.longest_lag_learned({5: 0.4}) == 0


def test_an_effect_is_a_share_of_the_same_networks_effect_at_lag_0():
    network = {"architecture": "vanilla", "sequence_length": 9, "trained_length": 9}
    rows = [(0, 0, 2.0), (0, 3, 1.0), (1, 0, 4.0), (1, 3, 1.0)]
    memory = pd.DataFrame(rows, columns=["seed", "lag_tokens", "contrast"]).assign(**network)
    assert lags.effect_shares(memory)["share"].tolist() == [1.0, 0.5, 1.0, 0.25]
