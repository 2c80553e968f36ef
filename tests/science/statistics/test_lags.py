"""How far back a network remembers and learns."""

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
