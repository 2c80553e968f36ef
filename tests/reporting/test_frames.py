"""The frames that several sections share."""

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import frames

KEYS = ["architecture", "lag_tokens"]


def seeds(values: list[float], architecture: str = "vanilla") -> pd.DataFrame:
    """One value per seed at lag 3."""
    rows = {"architecture": architecture, "lag_tokens": 3, "seed": range(len(values))}
    return pd.DataFrame({**rows, "value": values})


def networks(*designs: tuple[str, int, int], weights: str = "trained") -> pd.DataFrame:
    """Rows of (architecture, sequence length, trained length)."""
    rows = pd.DataFrame(designs, columns=["architecture", "sequence_length", "trained_length"])
    return rows.assign(weights=weights)


def test_the_median_seed_comes_with_the_range_and_the_number_of_seeds():
    (row,) = frames.median_seed(seeds([-1.0, -9.0, -2.0]), KEYS).to_dict("records")
    assert (row["value"], row["lowest"], row["highest"], row["seeds"]) == (-2.0, -9.0, -1.0, 3)


def test_curves_on_different_numbers_of_seeds_have_their_own_median():
    rows = pd.concat([seeds([-1.0, -3.0], "lstm"), seeds([-4.0])])
    medians = frames.median_seed(rows, KEYS)
    assert medians["architecture"].tolist() == ["vanilla", "lstm"]
    assert medians[["value", "seeds"]].to_numpy().tolist() == [[-4.0, 1], [-2.0, 2]]


def test_a_seed_that_is_not_a_number_is_not_left_out():
    (row,) = frames.median_seed(seeds([-1.0, np.nan, -2.0]), KEYS).to_dict("records")
    assert np.isnan([row["value"], row["lowest"], row["highest"]]).all()


@pytest.mark.parametrize(
    ("values", "median"), [([-np.inf, -1.0, -2.0], -2.0), ([-np.inf, -1.0], -np.inf)]
)
def test_a_gradient_of_zero_is_the_smallest_one(values, median):
    (row,) = frames.median_seed(seeds(values), KEYS).to_dict("records")
    assert (row["value"], row["lowest"]) == (median, -np.inf)


def test_networks_trained_at_the_measured_length_take_precedence():
    rows = networks(("lstm", 50, 100), ("lstm", 50, 50), ("vanilla", 50, 100), ("lstm", 800, 100))
    designs = frames.own_design(rows)[["architecture", "sequence_length", "trained_length"]]
    assert designs.to_numpy().tolist() == [
        ["lstm", 50, 50],
        ["vanilla", 50, 100],
        ["lstm", 800, 100],
    ]


def test_an_untrained_network_does_not_hide_one_trained_elsewhere():
    rows = pd.concat(
        [networks(("lstm", 800, 800), weights="initial"), networks(("lstm", 800, 100))]
    )
    assert len(frames.own_design(rows)) == 2


def test_a_network_is_named_with_its_half_and_its_cell_state():
    rows = pd.DataFrame(
        [
            ("bidirectional", "backward", "dz/dh"),
            ("bidirectional", "both", "dz/dx"),
            ("lstm", "forward", "dz/dc"),
            ("feedforward", "none", "dz/dx"),
        ],
        columns=["architecture", "direction", "quantity"],
    )
    assert frames.named(rows)["network"].tolist() == [
        "bidirectional RNN (backward half)",
        "bidirectional RNN",
        "LSTM (cell state)",
        "feed-forward network",
    ]


def test_rows_are_selected_by_one_value_or_by_several():
    rows = networks(("lstm", 50, 100), ("vanilla", 50, 50), ("lstm", 800, 100))
    assert frames.where(rows, architecture="lstm", sequence_length=50).index.tolist() == [0]
    assert frames.where(rows, sequence_length=(50, 800), trained_length=100).index.tolist() == [
        0,
        2,
    ]
