"""Products of Jacobians: closed forms of linear networks first, then networks differentiated by other means."""

from itertools import product

import numpy as np
import pytest

from pipeline.science.gradients import adjoint, jacobians

RANDOM = np.random.default_rng(0)


def ones(tokens, units):
    """The slopes of a linear network that reads one review."""
    return np.ones((tokens, 1, units))


def lyapunov(slope_TNH, recurrent_HH, warm_up=0):
    return jacobians.exponents(jacobians.log_stretches(slope_TNH, recurrent_HH), warm_up)


def spectral_norms(slope_TNH, recurrent_HH):
    """log10_norm_NL at every lag."""
    return jacobians.log10_spectral_norm(slope_TNH, recurrent_HH, range(len(slope_TNH)))


def orthogonal(units):
    return np.linalg.qr(RANDOM.normal(size=(units, units)))[0]


def normal(*eigenvalues):
    """A symmetric matrix: its powers have the powers of these as singular values."""
    basis_HH = orthogonal(len(eigenvalues))
    return (basis_HH * eigenvalues) @ basis_HH.T


class Network:
    """A random tanh network of 5 units that reads 2 reviews, written as its defining equation."""

    def __init__(self, seed, gain, tokens=9):
        random = np.random.default_rng(seed)
        self.recurrent_HH = gain * random.normal(size=(5, 5)) / np.sqrt(5)
        self.drive_TNH = random.normal(size=(tokens, 2, 5))
        self.readout_H = random.normal(size=5)
        self.states_TNH = []
        for drive_NH in self.drive_TNH:
            h_NH = self.states_TNH[-1] if self.states_TNH else np.zeros((2, 5))
            self.states_TNH.append(np.tanh(drive_NH + h_NH @ self.recurrent_HH))
        self.slope_TNH = 1 - np.array(self.states_TNH) ** 2

    def last_state_moves(self, lag, along_NH):
        """Forward mode: the derivative of h_T along a move of h_{T-lag}, by an exact complex step."""
        h_NH = self.states_TNH[-1 - lag] + 1e-200j * along_NH
        for drive_NH in self.drive_TNH[len(self.drive_TNH) - lag :]:
            h_NH = np.tanh(drive_NH + h_NH @ self.recurrent_HH)
        return h_NH.imag / 1e-200

    def product(self, lag):
        """dh_T/dh_{T-lag} of each review, one column per unit that is moved."""
        return np.stack([self.last_state_moves(lag, unit_H[None]) for unit_H in np.eye(5)], axis=2)

    def log10_gradient(self):
        return adjoint.adjoint_scan(self.slope_TNH, self.recurrent_HH, self.readout_H)

    def __call__(self, function, *arguments, **options):
        return function(self.slope_TNH, self.recurrent_HH, *arguments, **options)


# the largest singular value is below 1 for some of the first, well above it for the others
GAINS = [
    0.5,
    1.5,
    4.0,
]
NETWORKS = [Network(seed, gain) for gain, seed in product(GAINS, range(20))]


@pytest.mark.parametrize("gain", [0.9, 0.5, 1.2, 1e-30, 1e30])
def test_an_orthogonal_network_has_powers_of_its_gain_as_norm_and_bound(gain):
    slope_TNH, recurrent_HH, readout_H = ones(801, 6), gain * orthogonal(6), np.eye(6)[2]
    powers = np.arange(801) * np.log10(gain)
    for log10_NL in (
        spectral_norms(slope_TNH, recurrent_HH),
        jacobians.log10_bound(slope_TNH, recurrent_HH, readout_H),
        adjoint.adjoint_scan(slope_TNH, recurrent_HH, readout_H),
    ):
        np.testing.assert_allclose(log10_NL, powers[None], atol=1e-9)


def test_0_9_and_0_5_to_the_power_of_800_are_exact():
    # float32 cannot hold the second
    for gain, power, places in (
        (0.9, -36.60599, 1e-5),
        (0.5, -240.82, 1e-2),
    ):
        at_800 = jacobians.log10_spectral_norm(ones(801, 6), gain * orthogonal(6), [800])
        assert at_800 == pytest.approx(np.array([[power]]), abs=places)


@pytest.mark.parametrize("gain", [0.9, 1.2])  # the second is the positive control: it must explode
def test_every_exponent_of_an_orthogonal_network_is_the_log_of_its_gain(gain):
    exponent_NH = lyapunov(ones(801, 6), gain * orthogonal(6))
    np.testing.assert_allclose(exponent_NH, np.full((1, 6), np.log(gain)), atol=1e-10)
    assert (exponent_NH > 0).all() == (gain > 1)


def test_a_non_normal_network_of_spectral_radius_half_grows_then_fades():
    recurrent_HH = np.array([[0.5, 10.0], [0.0, 0.5]])
    lags = np.arange(51)
    log10_norm_NL = spectral_norms(ones(51, 2), recurrent_HH)
    # U^k = 0.5^k [[1, 20 k], [0, 1]]
    closed_form = lags * np.log10(0.5) + np.arcsinh(10 * lags) / np.log(10)
    np.testing.assert_allclose(log10_norm_NL[0], closed_form, atol=1e-12)
    assert log10_norm_NL[0, 1] > 0 > log10_norm_NL[0, 50]
    parts = jacobians.mechanism(ones(51, 2), recurrent_HH)
    assert parts["spectral_radius"] == pytest.approx(0.5)
    assert parts["largest_singular_value"] == pytest.approx(0.5 * np.exp(np.arcsinh(10)))
    # U U' - U' U = diag(100, -100)
    assert parts["non_normality"] == pytest.approx(100 * np.sqrt(2))


def test_norm_and_gradient_finally_fade_by_the_spectral_radius():
    basis_HH = RANDOM.normal(size=(5, 5))
    recurrent_HH = basis_HH @ np.diag([0.97, -0.8, 0.6, 0.5, 0.1]) @ np.linalg.inv(basis_HH)
    norm = spectral_norms(ones(401, 5), recurrent_HH)
    gradient = adjoint.adjoint_scan(ones(401, 5), recurrent_HH, RANDOM.normal(size=5))
    for log10_NL in (norm, gradient):
        assert (log10_NL[0, 400] - log10_NL[0, 200]) / 200 == pytest.approx(
            np.log10(0.97), abs=1e-6
        )
    parts = jacobians.mechanism(ones(401, 5), recurrent_HH)
    assert parts["spectral_radius"] == pytest.approx(0.97)
    assert parts["largest_singular_value"] > 1 > parts["spectral_radius"]


@pytest.mark.parametrize("lag", [1, 4, 8])
def test_forward_mode_and_the_backward_scan_agree(lag):
    for network in NETWORKS:
        along_NH = np.random.default_rng(lag).normal(size=(2, 5))
        forward_N = network.last_state_moves(lag, along_NH) @ network.readout_H
        gradient_NH = np.tile(network.readout_H, (2, 1))
        for slope_NH in network.slope_TNH[: -lag - 1 : -1]:
            gradient_NH = (gradient_NH * slope_NH) @ network.recurrent_HH.T
        # both may be at right angles
        size_N = np.linalg.norm(along_NH, axis=1) * np.linalg.norm(gradient_NH, axis=1)
        np.testing.assert_array_less(
            np.abs(np.vecdot(along_NH, gradient_NH) - forward_N) / size_N, 1e-12
        )
        log10_norm_N = network.log10_gradient()[:, lag]
        np.testing.assert_allclose(
            10.0**log10_norm_N, np.linalg.norm(gradient_NH, axis=1), rtol=1e-12
        )


def test_norms_and_singular_values_match_the_forward_mode_jacobian():
    for network in NETWORKS:
        norm_NL, gradient_NL = network(spectral_norms), network.log10_gradient()
        log10_value_NLC, rank_NL = network(jacobians.singular_values, range(9), count=3)
        for lag in range(9):
            product_NHH = network.product(lag)
            value_NH = np.linalg.svd(product_NHH, compute_uv=False)
            np.testing.assert_allclose(norm_NL[:, lag], np.log10(value_NH[:, 0]), atol=1e-9)
            # below, the reference is rounded as well
            sure_NC = value_NH[:, :3] > 1e-8 * value_NH[:, :1]
            np.testing.assert_allclose(
                log10_value_NLC[:, lag][sure_NC], np.log10(value_NH[:, :3][sure_NC]), atol=1e-6
            )
            share_NH = value_NH / value_NH.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(
                rank_NL[:, lag], np.prod(share_NH**-share_NH, axis=1), rtol=1e-9
            )
            explicit_N = np.linalg.norm(network.readout_H @ product_NHH, axis=1)
            np.testing.assert_allclose(gradient_NL[:, lag], np.log10(explicit_N), atol=1e-9)


def test_no_gradient_exceeds_its_bounds_in_one_step_or_in_all():
    least_slack, largest = np.inf, []
    for network in NETWORKS:
        gradient_NL, bound_NL = (
            network.log10_gradient(),
            network(jacobians.log10_bound, network.readout_H),
        )
        norm_NL = network(spectral_norms)
        rounding = np.log10(1 + 1e-12)
        assert (np.diff(gradient_NL) <= np.diff(bound_NL) + rounding).all()
        assert (gradient_NL <= bound_NL + rounding).all()
        assert (
            gradient_NL <= norm_NL + np.log10(np.linalg.norm(network.readout_H)) + rounding
        ).all()
        least_slack = min(least_slack, np.diff(bound_NL - gradient_NL).min())
        largest.append(np.linalg.norm(network.recurrent_HH, ord=2))
    assert min(largest) < 1 < max(largest)
    assert 0 < least_slack < 0.1  # the bound is not loose by construction


def test_the_bound_of_a_step_is_singular_value_times_largest_slope():
    slope_TNH = np.array([[[0.1, 0.1]], [[0.5, 0.2]], [[0.3, 0.4]]])
    bound_NL = jacobians.log10_bound(slope_TNH, np.diag([3.0, -2.0]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(10.0**bound_NL, [[5.0, 5 * 3 * 0.4, 5 * 3 * 0.4 * 3 * 0.5]])


def test_exponents_add_up_to_the_mean_log_determinant():
    for network in NETWORKS:
        log_determinant_N = np.log(network.slope_TNH[1:]).sum(axis=2).mean(axis=0)
        log_determinant_N += np.linalg.slogdet(network.recurrent_HH).logabsdet
        np.testing.assert_allclose(network(lyapunov).sum(axis=1), log_determinant_N, atol=1e-10)


def test_no_exponent_exceeds_the_log_norm_of_the_product_per_step():
    for network in NETWORKS:
        exponent_NH = network(lyapunov)
        log_norm_N = network(spectral_norms)[:, -1] * np.log(10)
        assert (exponent_NH <= log_norm_N[:, None] / 8 + 1e-12).all()
        assert (np.diff(exponent_NH) <= 0).all()


def test_exponents_add_up_for_slopes_that_differ_by_powers_of_ten():
    random = np.random.default_rng(0)
    slope_TNH, recurrent_HH = 10.0 ** random.uniform(-15, 0, (30, 2, 5)), random.normal(size=(5, 5))
    log_determinant_N = (
        np.log(slope_TNH[1:]).sum(axis=2).mean(axis=0) + np.linalg.slogdet(recurrent_HH).logabsdet
    )
    np.testing.assert_allclose(
        lyapunov(slope_TNH, recurrent_HH).sum(axis=1), log_determinant_N, atol=1e-10
    )


def by_qr_of(product_NHH):
    """The expected exponents over 4 steps: a QR factorisation is unique up to signs, so one QR equals four."""
    triangle_NHH = np.linalg.qr(product_NHH).R
    return -np.sort(-np.log(np.abs(np.diagonal(triangle_NHH, axis1=1, axis2=2))), axis=1) / 4


def test_exponents_use_the_tangent_order_not_the_transposed_product():
    wrong_NH = []
    # of small gain: the explicit product of the others is lost in rounding
    for network in NETWORKS[:20]:
        exponent_NH = lyapunov(network.slope_TNH[-5:], network.recurrent_HH)
        np.testing.assert_allclose(exponent_NH, by_qr_of(network.product(4)), atol=1e-6)
        transposed_NH = by_qr_of(network.product(4).transpose(0, 2, 1))
        np.testing.assert_allclose(transposed_NH.sum(axis=1), exponent_NH.sum(axis=1), atol=1e-6)
        wrong_NH.append(np.abs(transposed_NH - exponent_NH))
    assert np.median(wrong_NH) > 0.05


def test_exponents_skip_the_warm_up_and_norms_the_first_slope():
    slope_TNH, recurrent_HH = ones(31, 4), 0.9 * orthogonal(4)
    slope_TNH[0] = np.nan  # of the first state, which no Jacobian uses
    slope_TNH[1:11] = 0.5
    ones_NH = np.ones((1, 4))
    np.testing.assert_allclose(
        lyapunov(slope_TNH, recurrent_HH, 10), np.log(0.9) * ones_NH, atol=1e-12
    )
    mean_exponent = np.log(0.9) + np.log(0.5) / 3
    np.testing.assert_allclose(
        lyapunov(slope_TNH, recurrent_HH), mean_exponent * ones_NH, atol=1e-12
    )
    norm_NL = jacobians.log10_spectral_norm(slope_TNH, recurrent_HH, [20, 30])
    np.testing.assert_allclose(
        norm_NL, [[20 * np.log10(0.9), 30 * mean_exponent / np.log(10)]], atol=1e-12
    )
    with pytest.raises(ValueError, match="31 tokens leave no Jacobian after a warm-up of 30"):
        lyapunov(slope_TNH, recurrent_HH, 30)


def test_the_first_exponents_are_the_same_without_the_others():
    network = NETWORKS[-1]
    every_SNH = network(jacobians.log_stretches)
    np.testing.assert_allclose(
        network(jacobians.log_stretches, directions=2), every_SNH[:, :, :2], rtol=1e-9
    )


def test_singular_values_are_powers_of_eigenvalues_until_rounding():
    lags = [0, 1, 20, 60, 120, 800]
    value_NLC, rank_NL = jacobians.singular_values(
        ones(801, 4), normal(0.9, -0.8, 0.5, 0.1), lags, count=3
    )
    powers_LC = np.outer(lags, np.log10([0.9, 0.8, 0.5]))
    hidden_LC = powers_LC - powers_LC[:, :1] < -12
    assert hidden_LC.sum(axis=1).tolist() == [0, 0, 0, 1, 1, 2]
    np.testing.assert_allclose(value_NLC[0], np.where(hidden_LC, np.nan, powers_LC), atol=1e-2)
    np.testing.assert_allclose(value_NLC[0, :, 0], powers_LC[:, 0], atol=1e-9)
    assert rank_NL[0, 0] == pytest.approx(4)
    assert rank_NL[0, -1] == pytest.approx(1)


def test_an_orthogonal_product_has_full_effective_rank_at_every_lag():
    _, rank_NL = jacobians.singular_values(ones(301, 7), 0.3 * orthogonal(7), range(301))
    np.testing.assert_allclose(rank_NL, 7, rtol=1e-9)


def test_saturation_gives_minus_infinity_in_its_own_review_only():
    slope_TNH = np.ones((9, 2, 3))
    slope_TNH[6, 0] = 0.0  # lags 3 and beyond of the first review go through it
    recurrent_HH = orthogonal(3)
    dead_NL = [[False] * 3 + [True] * 6, [False] * 9]
    value_NLC, rank_NL = jacobians.singular_values(slope_TNH, recurrent_HH, range(9))

    for log10_NL in (
        spectral_norms(slope_TNH, recurrent_HH),
        jacobians.log10_bound(slope_TNH, recurrent_HH, np.ones(3)),
        value_NLC.max(axis=2),
    ):
        assert np.isneginf(log10_NL).tolist() == dead_NL
        assert not np.isnan(log10_NL).any()

    np.testing.assert_allclose(rank_NL, np.where(dead_NL, 0, 3))
    exponent_NH = lyapunov(slope_TNH, recurrent_HH)
    assert np.isneginf(exponent_NH[0]).all()
    np.testing.assert_allclose(exponent_NH[1], 0, atol=1e-12)


@pytest.mark.parametrize("units", [3, 64])  # LAPACK works on the second in blocks
def test_each_saturated_unit_of_a_step_removes_one_direction(units):
    slope_TNH, recurrent_HH = ones(40, units), orthogonal(units)
    slope_TNH[20, 0, :2] = 0.0
    slope_TNH[30, 0, 2] = 0.0
    assert np.isneginf(lyapunov(slope_TNH, recurrent_HH)).tolist() == [
        [False] * (units - 2) + [True] * 2
    ]
    assert np.isneginf(lyapunov(slope_TNH, recurrent_HH, warm_up=25)).sum() == 1
    norm_NL = jacobians.log10_spectral_norm(slope_TNH, recurrent_HH, [39])
    value_NLC, rank_NL = jacobians.singular_values(slope_TNH, recurrent_HH, [39], count=3)
    assert -1 < norm_NL[0, 0] == value_NLC[0, 0, 0] < 1e-12
    assert 1 - 1e-12 < rank_NL[0, 0] < units - 2 + 1e-9


def test_time_constants_are_the_tokens_until_a_mode_falls_to_1_over_e():
    turn_HH = np.zeros((6, 6))
    # 0.8 exp(+-i)
    turn_HH[:2, :2] = 0.8 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    turn_HH[2:, 2:] = np.diag([1.0, 1.5, -np.exp(-1 / 40), 0.0])
    tokens_H = jacobians.time_constants(np.ones(6), turn_HH)
    np.testing.assert_allclose(
        tokens_H, [np.inf, np.inf, 40, -1 / np.log(0.8), -1 / np.log(0.8), 0]
    )


def test_time_constants_belong_to_the_jacobian_not_to_the_weights():
    recurrent_HH = RANDOM.normal(size=(4, 4))
    slope_H = np.array([0.1, 0.2, 0.3, 0.4])
    jacobian_HH = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            jacobian_HH[i, j] = slope_H[i] * recurrent_HH[j, i]
    size_H = np.sort(np.abs(np.linalg.eigvals(jacobian_HH)))[::-1]
    np.testing.assert_allclose(
        np.exp(-1 / jacobians.time_constants(slope_H, recurrent_HH)), size_H, rtol=1e-9
    )


def test_mechanism_averages_the_slopes_and_the_largest_slopes():
    slope_TNH = np.array([[[9.0, 9.0]], [[0.5, 0.1]], [[0.2, 0.8]]])  # the first is in no Jacobian
    parts = jacobians.mechanism(slope_TNH, orthogonal(2))
    assert parts["mean_slope"] == pytest.approx(0.4)
    assert parts["mean_largest_slope"] == pytest.approx(0.65)
    assert parts["non_normality"] == pytest.approx(0, abs=1e-12)


def test_a_change_of_basis_changes_no_norm_and_no_exponent():
    eigenvalues = np.array([1.1, 0.9, 0.7, 0.5, 0.2])
    recurrent_HH = np.diag(eigenvalues) + np.triu(RANDOM.normal(size=(5, 5)), 1)
    basis_HH = orthogonal(5)
    changed_HH = basis_HH.T @ recurrent_HH @ basis_HH
    slope_TNH = ones(601, 5)
    norm_NL = spectral_norms(slope_TNH, recurrent_HH)
    np.testing.assert_allclose(spectral_norms(slope_TNH, changed_HH), norm_NL, atol=1e-9)
    # after the warm-up, exponents do not depend on the initial basis
    for weights_HH in (
        recurrent_HH,
        changed_HH,
    ):
        exponent_NH = lyapunov(slope_TNH, weights_HH, warm_up=300)
        np.testing.assert_allclose(exponent_NH, np.log(eigenvalues)[None], atol=1e-10)


ORDER = [3, 0, 4, 1, 2]


def test_the_order_of_units_changes_no_norm_singular_value_or_bound():
    for network in NETWORKS:
        permuted = network.slope_TNH[:, :, ORDER], network.recurrent_HH[np.ix_(ORDER, ORDER)]
        np.testing.assert_allclose(spectral_norms(*permuted), network(spectral_norms), atol=1e-9)
        permuted_values = jacobians.singular_values(*permuted, [8], 2)
        values = network(jacobians.singular_values, [8], 2)
        for permuted_value, value in zip(permuted_values, values, strict=True):
            np.testing.assert_allclose(permuted_value, value, atol=1e-6)
        bound_NL = network(jacobians.log10_bound, network.readout_H)
        np.testing.assert_allclose(
            jacobians.log10_bound(*permuted, network.readout_H[ORDER]), bound_NL, atol=1e-12
        )


def test_the_order_of_units_changes_no_exponent_after_the_warm_up():
    network = Network(0, gain=1.5, tokens=300)
    permuted = network.slope_TNH[:, :, ORDER], network.recurrent_HH[np.ix_(ORDER, ORDER)]
    np.testing.assert_allclose(
        lyapunov(*permuted, warm_up=150), network(lyapunov, warm_up=150), atol=1e-10
    )
