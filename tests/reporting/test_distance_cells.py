import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import distance_cells, distance_findings
from pipeline.science.gradients import decay

NONE = (np.nan, np.nan, np.nan)


def fit(trained_length=100, sequence_length=100, r2=0.95, half_life=(12, 10, 15), horizons=(57, 46, 74), **changes):
    """A row of reports/decay; `half_life`, every horizon and `left`, log10 at the last lag, are (value, low, high)."""
    left = changes.pop("left", (-1, -1.5, -0.5))
    row = {"architecture": "vanilla", "direction": "forward", "weights": "trained", "initialiser": "orthogonal"}
    row |= {"sequence_length": sequence_length, "trained_length": trained_length, "quantity": "dz/dh"}
    row |= {"seeds": 3, "reviews": 500, "last_lag_tokens": sequence_length - 1, "r2": r2}
    for name, values in (
        ("half_life_tokens", half_life),
        ("log10_at_last_lag", left),
        *((f"horizon_{each}", horizons) for each in decay.EPSILONS),
    ):
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return {**row, **changes}


def shown(*rows, length=100):
    """{weights, as the table says them: the cells after the counts}."""
    table = distance_cells.decays(pd.DataFrame(rows), length, 100)
    return {row[1]: row[3:] for row in table["rows"]}


@pytest.mark.parametrize(
    ("r2", "half_life", "said"),
    [
        (0.95, (12, 10, 15), "12.0 (10.0 to 15.0)"),
        (0.9, (12, np.nan, np.nan), "12.0"),
        (0.374, NONE, "not exponential (R² 0.37)"),
        (np.nan, NONE, "none (flat, or too few lags)"),
        (0.95, (np.inf, 90, np.inf), "no end (90.0 to no end)"),
    ],
)
def test_a_half_life_is_shown_only_for_an_exponential_curve(r2, half_life, said):
    assert shown(fit(r2=r2, half_life=half_life))["trained at this length"][0] == said


@pytest.mark.parametrize(
    ("horizons", "said"),
    [
        ((57, 46, 74), "57 (46 to 74)"),
        ((57, np.nan, np.nan), "57"),
        ((57, 46, np.inf), "57 (46 to > 99)"),
        ((np.inf, 80, np.inf), "> 99 (80 to > 99)"),
        ((np.inf, np.inf, np.inf), "> 99"),
        (NONE, "not finite"),
    ],
)
def test_an_unreached_horizon_lies_beyond_the_last_lag(horizons, said):
    assert shown(fit(horizons=horizons))["trained at this length"][1:] == [said] * 3


def test_a_sentence_about_a_censored_horizon_gives_the_last_lag():
    (sentence,) = distance_findings.decays(pd.DataFrame([fit(r2=0.2, half_life=NONE, horizons=(np.inf,) * 3)]), 100)
    assert sentence == (
        "vanilla, trained at 100 tokens: half-life not exponential (R² 0.20); the gradient stays below 10 % nowhere "
        "within 99 tokens, below 0.1 % nowhere within 99 tokens."
    )


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
    others = {"bidirectional": fit(left=(-9.0, -9.5, -8.5), architecture="bidirectional", direction="backward")}
    said = distance_findings.fades(pd.DataFrame([*others.values(), fit(left=left)]), 100, 0.001)
    assert said[0].startswith(f"In the trained vanilla network the gradient {fate}: 99 tokens back, ")
    assert said[0].endswith("Vanished is what has all of its interval below 0.1 %.")
    assert said[1] == (
        "The other trained networks: bidirectional (backward) 1.0·10⁻⁹ (3.2·10⁻¹⁰ to 3.2·10⁻⁹), vanishes."
    )


def test_a_sentence_about_all_lengths_gives_the_finding_at_each():
    rows = [fit(length, length, left=left) for length, left in ((50, (-2, -2.5, -1)), (200, (-4, -5, -2)))]
    (said,) = distance_findings.fades_with_length(pd.DataFrame(rows), [50, 200], 0.001)
    assert said.endswith(
        "is 1 % (0.32 % to 10 %) at 50 and 0.01 % (1.0·10⁻⁵ to 1 %) at 200 tokens: it does not vanish at 50 tokens; it "
        "is not shown to vanish at 200 tokens."
    )


def test_the_two_designs_stand_in_rows_of_their_own():
    here, elsewhere = (12, 11, 13), (24, 23, 25)
    found = shown(fit(50, 50, half_life=here), fit(100, 50, half_life=elsewhere), length=50)
    assert {design: cells[0] for design, cells in found.items()} == {
        "trained at this length": "12.0 (11.0 to 13.0)",
        "trained at 100 tokens": "24.0 (23.0 to 25.0)",
    }


def test_a_network_is_never_shown_as_trained_at_another_length():
    assert list(shown(fit(100, 200), length=200)) == ["trained at 100 tokens"]
