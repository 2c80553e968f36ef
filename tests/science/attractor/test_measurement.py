"""Networks whose slow direction and time constant are known: the measurement finds them, or says that there is none."""

import numpy as np
import pytest

from pipeline.science.attractor import gradient_directions, measurement, slow_modes
from pipeline.science.attractor.properties import Design, Words
from pipeline.science.attractor.recurrences import TanhRecurrence, visited_states
from pipeline.science.gradients.adjoint import TanhCell

UNITS, WORDS, REVIEWS, LENGTH = 12, 40, 24, 60
SMALL = 1e-5  # drives so small that tanh is the identity: its slope is 1 - 1e-8
SLOW = np.exp(-1 / 50)  # the eigenvalue of a mode that fades to 1/e in 50 tokens
FAST = np.linspace(0.2, 0.7, UNITS - 1)
DESIGN = Design(linearised_reviews=6, states_per_review=4, far_lag=20)
RANDOM = np.random.default_rng(1)
ORTHOGONAL = np.linalg.qr(RANDOM.normal(size=(UNITS, UNITS)))[0]
SKEW = RANDOM.normal(size=(UNITS, UNITS))  # its columns are far from orthogonal


def rotation(size: float, angle: float):
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def network(recurrent_HH, readout_H=None) -> TanhRecurrence:
    random = np.random.default_rng(2)
    drive_VH = SMALL * random.normal(size=(WORDS, UNITS))
    readout_H = np.ones(UNITS) if readout_H is None else readout_H
    return TanhRecurrence(TanhCell("forward", drive_VH, np.eye(UNITS), recurrent_HH, readout_H))


def measured(network, weight_V=None):
    tokens_NT = np.random.default_rng(3).integers(0, WORDS, size=(REVIEWS, LENGTH))
    weight_V = np.arange(WORDS) if weight_V is None else weight_V
    tables = measurement.measure(network, tokens_NT, Words(np.arange(WORDS), weight_V), DESIGN)
    return tables, tables["modes"].set_index("measure")["value"]


@pytest.mark.parametrize("basis_HH", [ORTHOGONAL, SKEW], ids=["normal", "non-normal"])
def test_the_direction_and_time_constant_of_a_line_attractor_are_found(basis_HH):
    recurrent_HH = basis_HH @ np.diag([SLOW, *FAST]) @ np.linalg.inv(basis_HH)
    slow_S = basis_HH[:, 0] / np.linalg.norm(basis_HH[:, 0])
    readout_H = np.linalg.inv(basis_HH)[0] + 0.1
    line = network(recurrent_HH, readout_H * np.sign(readout_H @ slow_S))
    tables, modes = measured(line, weight_V=line.cell.drive_VH @ slow_S)

    assert modes["time_constant_1"] == pytest.approx(50, rel=1e-3)
    assert modes["time_constant_2"] == pytest.approx(-1 / np.log(FAST[-1]), rel=1e-3)
    assert modes[["agreement", "straight", "gradient_share"]].min() > 0.999
    assert abs(modes["valence"]) > 0.999

    projection_V = tables["words"]["projection"]
    of_known = line.cell.drive_VH @ slow_S
    assert abs(np.corrcoef(projection_V, of_known)[0, 1]) > 0.9999
    lags = tables["lags"].set_index("lag_tokens")
    # a skew basis mixes fast modes into the slow direction, until they have faded
    fading = lags["log10_slow"].diff().loc[40:]
    np.testing.assert_allclose(fading, np.log10(SLOW), atol=1e-4)


def test_the_slow_direction_is_a_left_eigenvector_not_a_right_one():
    recurrent_HH = SKEW @ np.diag([SLOW, *FAST]) @ np.linalg.inv(SKEW)
    modes = slow_modes.slowest_modes(recurrent_HH.T[None])
    left_S, right_S = SKEW[:, 0], np.linalg.inv(SKEW)[0]
    cosine = abs(modes.left_NS[0] @ left_S) / np.linalg.norm(left_S)
    assert cosine == pytest.approx(1)
    cosine = abs(modes.right_NS[0] @ right_S) / np.linalg.norm(right_S)
    assert cosine == pytest.approx(1)
    assert abs(modes.left_NS[0] @ modes.right_NS[0]) < 0.9


def test_words_that_raise_the_logit_have_positive_projections():
    recurrent_HH = ORTHOGONAL @ np.diag([SLOW, *FAST]) @ ORTHOGONAL.T
    for sign in (1, -1):
        line = network(recurrent_HH, sign * ORTHOGONAL[:, 0])
        weight_V = line.cell.drive_VH @ line.readout_S
        _, modes = measured(line, weight_V)
        assert modes["valence"] > 0.999


def test_a_network_without_a_slow_mode_has_no_line():
    _, modes = measured(network(0.9 * ORTHOGONAL))
    assert modes["slow_ratio"] == pytest.approx(1, abs=1e-3)
    assert modes["time_constant_1"] == pytest.approx(-1 / np.log(0.9), rel=1e-3)
    assert modes["gradient_share"] < 0.5


def test_a_slow_pair_rotates_and_counts_as_one_mode():
    recurrent_HH = np.diag([0.0, 0.0, *FAST[1:]])
    recurrent_HH[:2, :2] = rotation(SLOW, 0.3)
    _, modes = measured(network(recurrent_HH))
    assert modes["straight"] == 0
    assert modes["time_constant_1"] == pytest.approx(50, rel=1e-3)
    assert modes["time_constant_2"] == pytest.approx(-1 / np.log(FAST[-1]), rel=1e-3)


def test_words_whose_weights_are_chance_stay_below_chance():
    recurrent_HH = ORTHOGONAL @ np.diag([SLOW, *FAST]) @ ORTHOGONAL.T
    _, modes = measured(network(recurrent_HH))
    tables, _ = measured(network(recurrent_HH))
    chance = tables["modes"].set_index("measure")["chance"]
    assert modes["valence"] < chance["valence"] < 0.5
    assert chance["agreement"] < 0.4 < modes["agreement"]


@pytest.mark.parametrize(
    ("sizes", "ratio"),
    [
        ([np.exp(-1 / 40), np.exp(-1 / 10)], 4),
        ([1.0, 0.5], np.inf),
        ([1.2, 1.1], 1),
        ([0.5, 0.0], np.inf),
    ],
    ids=["both fade", "one lasts", "both last", "one vanishes at once"],
)
def test_the_ratio_compares_the_two_slowest_modes(sizes, ratio):
    with np.errstate(divide="ignore"):
        log_size_NM = np.log([sizes])
    assert slow_modes.slow_ratio(log_size_NM)[0] == pytest.approx(ratio)


def test_one_unit_has_no_second_mode():
    modes = slow_modes.slowest_modes(np.array([[[0.5]]]))
    assert np.isnan(slow_modes.slow_ratio(modes.log_size_NM)).all()


def test_agreement_ignores_signs_and_phases():
    vector_NS = np.array([[1, 0], [-1, 0], [1j, 0]])
    assert slow_modes.agreement(vector_NS) == pytest.approx(1)
    assert slow_modes.agreement(np.eye(2)) == 0
    assert np.isnan(slow_modes.agreement(np.eye(2)[:1]))


@pytest.mark.parametrize(("variances", "dimensions"), [([1, 0, 0], 1), ([2, 2, 2], 3)])
def test_the_participation_ratio_counts_dimensions(variances, dimensions):
    assert slow_modes.participation_ratio(np.array(variances)) == pytest.approx(dimensions)


def test_gradients_are_those_of_the_adjoint():
    random = np.random.default_rng(4)
    cell = TanhCell(
        "forward",
        random.normal(size=(WORDS, UNITS)),
        np.eye(UNITS),
        random.normal(size=(UNITS, UNITS)) / 3,
        random.normal(size=UNITS),
    )
    tokens_NT = random.integers(0, WORDS, size=(5, 9))
    wanted_NL = cell.log10_norms(tokens_NT)
    line = TanhRecurrence(cell)
    state_TNS = visited_states(line, tokens_NT)
    gradients = gradient_directions.gradients_by_lag(line, state_TNS, tokens_NT)
    log10_norm_NL = np.stack([gradient.log10_norm_N for gradient in gradients], axis=1)
    np.testing.assert_allclose(log10_norm_NL, wanted_NL, atol=1e-10)
