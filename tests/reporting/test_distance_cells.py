"""The cells and sentences about half-lives, horizons and vanishing gradients."""

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import distance_cells, distance_findings
from pipeline.science.gradients import decay

NONE = (np.nan, np.nan, np.nan)


def fit(
    trained_length=100,
    sequence_length=100,
    r2=0.95,
    half_life=(12, 10, 15),
    horizons=(57, 46, 74),
    **changes,
):
    """A row of reports/decay; `half_life`, every horizon and `left`, log10 at the last lag, are (value, low, high)."""
    intervals = {
        "half_life_tokens": half_life,
        "log10_at_last_lag": changes.pop("left", (-1, -1.5, -0.5)),
    }
    intervals |= {f"horizon_{epsilon}": horizons for epsilon in decay.EPSILONS}
    row = {
        "architecture": "vanilla",
        "direction": "forward",
        "weights": "trained",
        "initialiser": "orthogonal",
        "sequence_length": sequence_length,
        "trained_length": trained_length,
        "quantity": "dz/dh",
        "seeds": 3,
        "reviews": 500,
        "last_lag_tokens": sequence_length - 1,
        "r2": r2,
        "exponential_seeds": 2,
        "collapsed_seeds": np.nan,
    }
    for name, (value, low, high) in intervals.items():
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return {**row, **changes}


def cells_by_design(*rows, length=100):
    """{weights, in the words of the table: the cells after the counts}."""
    table = distance_cells.decays(pd.DataFrame(rows), length, 100)
    return {row[1]: row[4:] for row in table["rows"]}


@pytest.mark.parametrize(
    ("r2", "half_life", "cell"),
    [
        (0.95, (12, 10, 15), "12.0 (10.0 to 15.0)"),
        (0.9, (12, np.nan, np.nan), "12.0"),
        (0.374, NONE, "not exponential (R² 0.37)"),
        (np.nan, NONE, "none (flat, or too few lags)"),
        (0.95, (12, 10, np.inf), "12.0 (10.0 to > 85)"),
        (0.95, NONE, "none within the 85 fitted tokens"),
    ],
)
def test_a_half_life_is_shown_only_for_an_exponential_curve(r2, half_life, cell):
    assert cells_by_design(fit(r2=r2, half_life=half_life))["trained at this length"][0] == cell


@pytest.mark.parametrize(
    ("horizons", "cell"),
    [
        ((57, 46, 74), "57 (46 to 74)"),
        ((57, np.nan, np.nan), "57"),
        ((57, 46, np.inf), "57 (46 to > 99)"),
        ((np.inf, 80, np.inf), "> 99 (80 to > 99)"),
        ((np.inf, np.inf, np.inf), "> 99"),
        (NONE, "not finite"),
    ],
)
def test_an_unreached_horizon_lies_beyond_the_last_lag(horizons, cell):
    assert cells_by_design(fit(horizons=horizons))["trained at this length"][1:] == [cell] * 3


def test_a_sentence_about_a_censored_horizon_gives_the_last_lag():
    (sentence,) = distance_findings.decays(
        pd.DataFrame([fit(r2=0.2, half_life=NONE, horizons=(np.inf,) * 3)]), 100
    )
    assert sentence == (
        "vanilla, trained at 100 tokens: half-life not exponential (R² 0.20); the gradient stays below 10 % nowhere "
        "within 99 tokens, below 0.1 % nowhere within 99 tokens."
    )


def test_three_seeds_are_points_without_an_interval():
    row = fit(
        half_life=(12, np.nan, np.nan), horizons=(57, np.nan, np.nan), left=(-1, np.nan, np.nan)
    )
    assert cells_by_design(row)["trained at this length"] == ["12.0", "57", "57", "57"]
    (sentence, *_) = distance_findings.fades(pd.DataFrame([row]), 100, 0.001)
    assert ", 10 % is left of the gradient" in sentence
    assert "(median of 3 seeds, too few for an interval)" in sentence


def test_collapsed_seeds_are_named_where_their_gradient_is_shown():
    backward = fit(architecture="bidirectional", direction="backward", collapsed_seeds=5.0)
    sentences = distance_findings.decays(pd.DataFrame([fit(), backward]), 100)
    named = [sentence for sentence in sentences if "collapsed" in sentence]
    (sentence,) = named
    assert sentence.startswith("bidirectional (backward)")
    assert "It collapsed in 1 of 3 seeds (5)" in sentence


@pytest.mark.parametrize(
    ("left", "fate"),
    [
        ((-5.0, -6.0, -3.1), "vanishes"),
        ((-5.0, -6.0, -2.9), "is not shown to vanish"),
        ((-2.0, -2.9, -1.0), "does not vanish"),
        ((-5.0, np.nan, np.nan), "is not shown to vanish"),
        (NONE, "is not shown to vanish"),
    ],
)
def test_a_gradient_vanishes_if_its_interval_is_below_the_threshold(left, fate):
    other = fit(left=(-9.0, -9.5, -8.5), architecture="bidirectional", direction="backward")
    first, second, *_ = distance_findings.fades(pd.DataFrame([other, fit(left=left)]), 100, 0.001)
    assert first.startswith(f"In the trained vanilla network the gradient {fate}: 99 tokens back, ")
    assert "below 0.1 %" in first
    assert "bidirectional (backward) 1.0·10⁻⁹ (3.2·10⁻¹⁰ to 3.2·10⁻⁹), vanishes" in second


def test_a_sentence_about_all_lengths_gives_the_finding_at_each():
    rows = [
        fit(length, length, left=left)
        for length, left in ((50, (-2, -2.5, -1)), (200, (-4, -5, -2)))
    ]
    (sentence,) = distance_findings.fades_with_length(pd.DataFrame(rows), [50, 200], 0.001)
    assert sentence.endswith(
        "is 1 % (0.32 % to 10 %) at 50 and 0.01 % (1.0·10⁻⁵ to 1 %) at 200 tokens: it does not vanish at 50 tokens; it "
        "is not shown to vanish at 200 tokens."
    )


def test_the_two_designs_stand_in_rows_of_their_own():
    own = fit(50, 50, half_life=(12, 11, 13))
    longer = fit(100, 50, half_life=(24, 23, 25))
    cells = cells_by_design(own, longer, length=50)
    assert {design: row[0] for design, row in cells.items()} == {
        "trained at this length": "12.0 (11.0 to 13.0)",
        "trained at 100 tokens": "24.0 (23.0 to 25.0)",
    }


def test_a_network_is_never_shown_as_trained_at_another_length():
    assert list(cells_by_design(fit(100, 200), length=200)) == ["trained at 100 tokens"]
