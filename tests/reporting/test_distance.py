import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import distance, distance_cells, distance_findings, tables

NETWORK = {"architecture": "vanilla", "sequence_length": 4, "trained_length": 4}
TRAINED = {**NETWORK, "direction": "forward", "weights": "trained", "initialiser": "orthogonal"}


def curve(values, **changes):
    """The rows of one seed's curve, by lag; dz/dx of the trained vanilla network."""
    return pd.DataFrame(
        {
            **TRAINED,
            "quantity": "dz/dx",
            "seed": 0,
            "lag_tokens": range(len(values)),
            "log10_relative_norm": values,
            "reviews": 9,
            **changes,
        }
    )


def decayed(**changes):
    """A row of reports/decay: half-life 5 (4 to 6) tokens, below 10 % from lag 2, never below 1 % within 3 lags."""
    row = {
        **TRAINED,
        "quantity": "dz/dh",
        "seeds": 3,
        "reviews": 9,
        "last_lag_tokens": 3,
        "r2": 0.95,
        "exponential_seeds": 3,
        "collapsed_seeds": np.nan,
    }
    values = {
        "half_life_tokens": 5.0,
        "horizon_1e-1": 2.0,
        "horizon_1e-2": np.inf,
        "horizon_1e-3": np.inf,
    }
    for name, value in values.items():
        row |= {name: value, f"{name}_low": value - 1, f"{name}_high": value + 1}
    return pd.DataFrame([{**row, **changes}])


def test_networks_trained_at_the_measured_length_take_precedence():
    rows = [
        {"architecture": "lstm", "sequence_length": 10, "trained_length": 10},
        {"architecture": "lstm", "sequence_length": 10, "trained_length": 100},
        {"architecture": "lstm", "sequence_length": 800, "trained_length": 100},
    ]
    selected = distance.one_design(pd.DataFrame(rows))
    assert selected["trained_length"].tolist() == [10, 100]
    assert selected["sequence_length"].tolist() == [10, 800]


def test_an_untrained_network_does_not_hide_one_trained_elsewhere():
    axes = {"architecture": "lstm", "sequence_length": 800}
    initial = {**axes, "trained_length": 800, "weights": "initial"}
    trained = {**axes, "trained_length": 100, "weights": "trained"}
    selected = distance.one_design(pd.DataFrame([initial, trained]))
    assert selected["weights"].tolist() == ["initial", "trained"]


def test_a_network_of_the_textbooks_length_belongs_to_both_designs():
    rows = [(100, 100, "trained"), (50, 50, "trained"), (50, 100, "trained"), (50, 50, "initial")]
    frame = pd.DataFrame(rows, columns=["sequence_length", "trained_length", "weights"])
    groups = distance.designs(frame, 100).groupby("design")["sequence_length"]
    members = {design: lengths.tolist() for design, lengths in groups}
    assert members == {
        "before training": [50],
        "trained at this length": [100, 50],
        "trained at 100 tokens": [100, 50],
    }


def test_curves_on_different_seeds_have_their_own_median_and_number_of_seeds():
    ten = [
        curve([0.0, -1.0 - seed], sequence_length=2, trained_length=2, seed=seed)
        for seed in range(10)
    ]
    two = [curve([0.0, -1.0]), curve([0.0, -3.0], seed=1)]
    curves = distance.curves(pd.concat([*ten, *two]), {2, 4})
    last = curves[curves["lag_tokens"] == 1].set_index("sequence_length")
    assert last["mean"].to_dict() == {2: -5.5, 4: -2.0}  # the column that figures draw
    assert last["seeds"].to_dict() == {2: 10, 4: 2}


def test_words_are_counted_from_the_first_for_either_direction():
    values = [0.0, -1.0, -2.0, -3.0]
    frames = [
        curve(values, architecture="bidirectional", direction=name) for name in ("both", "backward")
    ]
    positions = distance.by_position(distance.curves(pd.concat(frames), {4}), 4)
    position = positions.set_index(["direction", "lag_tokens"])["position"]
    assert [position["both", lag] for lag in (0, 3)] == [4, 1]
    assert [position["backward", lag] for lag in (0, 3)] == [1, 4]


def test_the_word_with_the_smallest_gradient_is_named_by_its_place():
    positions = distance.by_position(distance.curves(curve([0.0, -1.0, -2.0, -0.5]), {4}), 4)
    (sentence,) = distance_findings.places(positions, 4)
    assert "number 2, with 1 %" in sentence
    assert "32 %" in sentence


def test_a_word_effect_is_a_share_of_its_own_seeds_last_word():
    rows = [(0, 0, 4.0), (0, 3, 1.0), (1, 0, 2.0), (1, 3, -1.0)]
    frame = pd.DataFrame(rows, columns=["seed", "lag_tokens", "contrast"]).assign(**NETWORK)
    last = distance.effects(frame).iloc[-1]
    assert (last["mean"], last["lowest"], last["highest"]) == (-0.125, -0.5, 0.25)


def test_the_memory_deficit_is_of_networks_trained_at_each_length_alone():
    rows = [
        (50, 50, "plain", 0.8),
        (50, 50, "bag_of_words", 0.9),
        (50, 100, "plain", 0.5),
        (50, 100, "bag_of_words", 0.9),
    ]
    frame = pd.DataFrame(rows, columns=["sequence_length", "trained_length", "probe", "accuracy"])
    frame = pd.concat([frame.assign(architecture="lstm", seed=seed) for seed in (0, 1)])
    (row,) = distance.deficits(frame).itertuples()
    assert (row.trained_length, row.seeds) == (50, 2)
    assert row.mean == pytest.approx(0.1)


def test_a_bag_of_words_is_ahead_only_if_its_interval_is_above_0():
    row = {"architecture": "lstm", "mean": 0.02, "seeds": 3}
    rows = [
        {**row, "sequence_length": 50, "low": -0.01, "high": 0.05},
        {**row, "sequence_length": 100, "low": 0.01, "high": 0.03},
    ]
    (sentence,) = distance_findings.deficits(pd.DataFrame(rows))
    assert "+2.0 at 50 (−1.0 to 5.0) and +2.0 at 100 (1.0 to 3.0) tokens" in sentence
    assert sentence.endswith("the bag is ahead at 100 tokens.")


def test_an_unreached_horizon_is_reported_beyond_the_last_lag():
    (row,) = distance_cells.decays(decayed(), 4, 100)["rows"]
    assert row[2:] == ["3 / 9", "3", "5.0 (4.0 to 6.0)", "2 (1 to 3)", "> 3", "> 3"]
    (sentence,) = distance_findings.decays(decayed(), 4)
    assert "below 10 % from lag 2 (1 to 3) on (sooner than by its half-life: " in sentence
    assert sentence.endswith("), below 0.1 % nowhere within 3 tokens.")


def test_a_curve_that_is_no_exponential_has_no_half_life():
    (row,) = distance_cells.decays(decayed(half_life_tokens=np.nan, r2=0.374), 4, 100)["rows"]
    assert row[4] == "not exponential (R² 0.37)"


def test_at_the_textbooks_length_a_network_of_both_designs_is_one_row():
    assert len(distance_cells.decays(decayed(), 4, 4)["rows"]) == 1
    both = pd.concat([decayed(), decayed(trained_length=100)])
    assert [row[1] for row in distance_cells.decays(both, 4, 100)["rows"]] == [
        "trained at this length",
        "trained at 100 tokens",
    ]


def test_few_seeds_come_with_a_caveat_about_their_interval():
    (sentence,) = distance_findings.few_seeds(
        pd.concat([decayed(), decayed(sequence_length=9, trained_length=9, seeds=10)])
    )
    assert "trained at 4 tokens rest on as few as 3 seeds, others on up to 10" in sentence
    assert "Fewer than six seeds have no interval" in sentence
    assert distance_findings.few_seeds(decayed(seeds=10)) == []


def test_few_seeds_of_one_architecture_are_not_attributed_to_all():
    mixed = pd.concat([decayed(seeds=2), decayed(architecture="lstm", seeds=4)])
    (sentence,) = distance_findings.few_seeds(mixed)
    assert "trained at 4 tokens rest on as few as 2 seeds, others on up to 4" in sentence


def test_architectures_with_different_numbers_of_seeds_are_named_with_them():
    mixed = pd.concat(
        [
            decayed(seeds=20),
            decayed(architecture="lstm", seeds=10),
            decayed(sequence_length=9, seeds=3),
        ]
    )
    (sentence,) = distance_findings.unequal_seeds(mixed)
    assert sentence.startswith("Numbers of seeds at 4 tokens: 20 for vanilla, 10 for lstm. ")
    assert distance_findings.unequal_seeds(decayed()) == []


def test_the_table_of_seeds_shows_the_fewest_and_the_most():
    mixed = pd.concat([decayed(seeds=20), decayed(architecture="lstm", seeds=10)])
    rows = distance_cells.measured(mixed, 100, [4])["rows"]
    assert [row[1] for row in rows] == ["none", "10 to 20 / 9", "none"]
    assert distance_cells.measured(decayed(), 100, [4])["rows"][1][1] == "3 / 9"


def mechanism(**values) -> pd.DataFrame:
    """The mechanism of one trained vanilla network on two seeds with these numbers."""
    measures = [(name, np.nan, value) for name, value in values.items()]
    measures += [("lyapunov", 1, -0.1), ("lyapunov", 2, -0.2)]
    frame = pd.DataFrame(measures, columns=["measure", "index", "value"])
    frame = frame.assign(**NETWORK, direction="forward", weights="trained", epoch=np.nan, reviews=9)
    return distance.mechanism(pd.concat([frame.assign(seed=seed) for seed in (0, 1)]))


USUAL = {
    "mean_slope": 0.9,
    "rms_state": 0.2,
    "bound_slack": 2 * np.log(10),
    "bound_violations": 0.0,
}


def test_a_gradient_can_fade_although_the_weights_are_above_1():
    numbers = mechanism(largest_singular_value=1.3, spectral_radius=1.05, **USUAL)
    (sentence,) = distance_findings.mechanism(numbers, 4)
    assert "the largest Lyapunov exponent is −0.100 nats a token" in sentence
    assert (
        "The largest singular value and largest eigenvalue (in size) of U are above 1" in sentence
    )
    assert sentence.endswith("the most persistent direction shrinks.")
    (bound,) = distance_findings.bound(numbers, 4)
    assert "exceeded its upper bound at no lag of any review." in bound
    assert "1.0·10² in vanilla" in bound


def test_weights_below_1_are_not_described_as_above_it():
    numbers = mechanism(largest_singular_value=0.9, spectral_radius=0.8, **USUAL)
    (sentence,) = distance_findings.mechanism(numbers, 4)
    assert (
        "Neither the largest singular value nor the largest eigenvalue of U is above 1" in sentence
    )


def test_a_lag_counts_as_learned_where_half_of_the_seeds_learned_it():
    rows = [
        (5, 0, True),
        (5, 1, True),
        (20, 0, True),
        (20, 1, False),
        (50, 0, False),
        (50, 1, False),
    ]
    frame = pd.DataFrame(rows, columns=["lag_tokens", "seed", "solved"])
    frame = frame.assign(architecture="lstm", signal="first", accuracy=0.9)
    (sentence,) = distance_findings.learned(distance.learned(frame))
    assert sentence.endswith(
        "at least half of its seeds learned it over 20 tokens, and over no longer lag that was tried."
    )
    (sentence,) = distance_findings.learned(distance.learned(frame[frame["lag_tokens"] < 50]))
    assert sentence.endswith("over 20 tokens, the longest lag that was tried.")


def test_usable_memory_ends_before_its_interval_meets_the_threshold():
    one = pd.DataFrame({"lag_tokens": [0, 1, 3], "sign_accuracy": [0.9, 0.6, 0.54], **NETWORK})
    frame = pd.concat(
        [
            one.assign(seed=seed, sign_accuracy=one["sign_accuracy"] + seed / 1000)
            for seed in (0, 1, 2)
        ]
    )
    remembering = tables.remembering(tables.memory(frame, "sign_accuracy"), 0.55)
    reach = distance.reach(decayed(), remembering)
    (sentence,) = distance_findings.reach(reach, 4, 0.55)
    assert (
        "more than 55.0 % of reviews up to lag 1; the gradient stays below 10 % from lag 2 (1 to 3) on"
        in sentence
    )
    (row,) = distance_cells.reach(reach, 0.55)["rows"]
    assert row[4:] == ["1", "2 (1 to 3)", "> 3"]


def test_initialisations_are_compared_at_the_longest_length():
    axes = {"quantity": "dz/dh", "weights": "initial", "sequence_length": 2, "trained_length": 2}
    frames = [
        curve([0.0, -1.0], initialiser="orthogonal", **axes),
        curve([0.0, -5.0], initialiser="0.9 orthogonal", **axes),
    ]
    initial = distance.of_starts(distance.curves(pd.concat(frames), {2}))
    (sentence,) = distance_findings.starts(initial)
    assert "10 % with orthogonal and 1.0·10⁻⁵ with 0.9 orthogonal" in sentence
    assert "4.0 powers of ten apart" in sentence
