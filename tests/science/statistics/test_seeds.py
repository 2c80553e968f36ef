"""Choices between seeds."""

import numpy as np
import pytest

from pipeline.science.statistics import intervals, seeds


def test_the_best_seed_has_the_highest_accuracy_of_equals_the_lowest():
    assert seeds.best_seed({"0": 0.7, "1": 0.9, "2": 0.8}) == 1
    # 10 is after 2 as a number, not as a text
    assert seeds.best_seed({"10": 0.8, "2": 0.8, "0": 0.7}) == 2


def test_of_equal_networks_the_lowest_seed_wins_then_the_first_name():
    assert seeds.best_network({("a", 1): 0.8, ("b", 0): 0.8}) == ("b", 0)
    assert seeds.best_network({("b", 0): 0.8, ("a", 0): 0.8}) == ("a", 0)


@pytest.mark.parametrize("lead", [-0.02, 0.0, 0.005, 0.012, 0.02, 0.05])
def test_a_run_is_shown_better_exactly_where_welchs_interval_is_above_0(lead):
    baseline_R = np.random.default_rng(0).normal(0.8, 0.01, 5).tolist()
    run_S = np.random.default_rng(1).normal(0.8 + lead, 0.01, 4).tolist()
    low = intervals.difference(baseline_R, run_S)["low"]
    assert seeds.shown_better(baseline_R, run_S) == (low > 0)


def test_one_seed_or_no_scatter_shows_nothing():
    assert not seeds.shown_better([0.8], [0.9, 0.91])
    assert not seeds.shown_better([0.8, 0.8], [0.9, 0.9])
