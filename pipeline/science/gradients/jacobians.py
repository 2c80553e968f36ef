"""How products of a tanh cell's Jacobians change all directions of the state. A gradient sees only one direction.

The state is h_t = tanh(x_t W + h_{t-1} U + b), and the logit is z = w h_T plus a bias. One step has the Jacobian
J_t = dh_t/dh_{t-1} = diag(slope_t) U^T. The product of the last k Jacobians is P = dh_T/dh_{T-k} = J_T ... J_{T-k+1},
so the gradient is dz/dh_{T-k} = w P. The norm of P limits how much any gradient can grow. The Lyapunov exponents are
the rates at which directions grow and fade (Engelken, Wolf & Abbott 2020, arXiv 2006.02427; Vogt et al. 2020, arXiv
2006.14123). We keep the scale of P as a logarithm, so that it has no underflow or overflow at any length. An exact
zero is -inf.

Arguments: `slope_TNH` is the derivative of the activation after each token in reading order (`adjoint.slopes`; 1 for a
linear network). `recurrent_HH` is U, and `readout_H` is w. T states have T - 1 Jacobians between them. The first slope
depends on the state before the text, so no function uses it. Lag k counts tokens back from the last state. One review
takes milliseconds, and some tens of reviews are enough.

Axes: T tokens, S steps, N reviews, H hidden units, L lags, C singular values.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.special import entr

RESOLVED = 1e-12  # relative to the largest singular value; rounding errors reach about 1e-14 of it


@np.errstate(divide="ignore")  # log10 of an exact zero
def log10_spectral_norm(slope_TNH, recurrent_HH, lags_L: Sequence[int]) -> np.ndarray:
    """Returns log10_norm_NL, log10 of the largest singular value of P at each lag. The lags must be in rising order."""
    value_NLH, log10_scale_NL = _singular_values(slope_TNH, recurrent_HH, lags_L)
    return np.log10(value_NLH[:, :, 0]) + log10_scale_NL


@np.errstate(divide="ignore")
def singular_values(
    slope_TNH, recurrent_HH, lags_L: Sequence[int], count: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (log10_value_NLC, effective_rank_NL): the `count` largest singular values of P and its effective rank.

    A value is nan if it is too small, relative to the largest one, for float64 to tell it from rounding errors. The
    effective rank is exp of the entropy of all values as shares of their sum (Roy & Vetterli 2007): H for an orthogonal
    P, 1 if a single direction remains, 0 if P is zero.
    """
    value_NLH, log10_scale_NL = _singular_values(slope_TNH, recurrent_HH, lags_L)
    sum_NL = value_NLH.sum(axis=2)
    divisor_NL = np.where(sum_NL > 0, sum_NL, 1)
    share_NLH = value_NLH / divisor_NL[:, :, None]
    entropy_NL = entr(share_NLH).sum(axis=2)
    effective_rank_NL = np.where(sum_NL > 0, np.exp(entropy_NL), 0)

    largest_NL1 = value_NLH[:, :, :1]
    resolved_NLH = np.where(value_NLH < RESOLVED * largest_NL1, np.nan, value_NLH)
    log10_value_NLC = np.log10(resolved_NLH[:, :, :count]) + log10_scale_NL[:, :, None]
    return log10_value_NLC, effective_rank_NL


def _singular_values(slope_TNH, recurrent_HH, lags_L: Sequence[int]):
    """Returns (value_NLH, log10_scale_NL). A singular value of P is value * 10^log10_scale; the largest comes first."""
    values = []
    log10_scales = []
    products = _products(slope_TNH, recurrent_HH)
    for lag, (product_NHH, log10_scale_N) in enumerate(products):
        if lag in lags_L:
            values.append(np.linalg.svd(product_NHH, compute_uv=False))
            log10_scales.append(log10_scale_N)

    return np.stack(values, axis=1), np.stack(log10_scales, axis=1)


def _products(slope_TNH, recurrent_HH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields P at lags 0, 1, ..., T - 1 as (product_NHH, log10_scale_N), scaled by its largest entry."""
    _, reviews, units = slope_TNH.shape
    product_NHH = np.tile(np.eye(units), (reviews, 1, 1))
    log10_scale_N = np.zeros(reviews)
    yield product_NHH, log10_scale_N

    for slope_NH in slope_TNH[:0:-1]:
        product_NHH = (product_NHH * slope_NH[:, None, :]) @ recurrent_HH.T
        size_N = np.abs(product_NHH).max(axis=(1, 2))
        size_N[size_N == 0] = 1  # a product that is exactly zero stays zero
        product_NHH /= size_N[:, None, None]
        log10_scale_N = log10_scale_N + np.log10(size_N)
        yield product_NHH, log10_scale_N


@np.errstate(divide="ignore")
def log10_bound(slope_TNH, recurrent_HH, readout_H) -> np.ndarray:
    """Returns log10_bound_NL, an upper bound of log10 |dz/dh| at each lag.

    Each step multiplies the gradient by at most sigma_max(U) times the largest slope of a unit. At lag 0 it is |w|.

    Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, use the largest slope possible. We use the largest slope of each
    step, which gives a tighter bound. A factor above 1 shows nothing: the gradient may still fade.
    """
    factor_TN = np.linalg.norm(recurrent_HH, ord=2) * slope_TNH.max(axis=2)
    factor_TN[0] = np.linalg.norm(readout_H)
    factor_LN = np.roll(factor_TN[::-1], 1, axis=0)
    return np.cumsum(np.log10(factor_LN), axis=0).T


def exponents(log_stretch_SNH, warm_up: int = 0) -> np.ndarray:
    """Returns the Lyapunov exponents from `log_stretches`: exponent_NH in nats per token, the largest first.

    They are means of log |R_jj| over the steps after the first `warm_up`. Their sum is the mean of log |det J|. In a
    short text they depend on the initial Q, so the warm-up lets Q converge first. If U mixes all units, every saturated
    unit of a step (slope exactly 0) makes one exponent -inf. Raises ValueError if the warm-up leaves no step.
    """
    steps = len(log_stretch_SNH) - warm_up
    if steps < 1:
        raise ValueError(
            f"{len(log_stretch_SNH) + 1} tokens leave no Jacobian after a warm-up of {warm_up}"
        )

    exponent_NH = log_stretch_SNH[warm_up:].sum(axis=0) / steps
    return -np.sort(-exponent_NH, axis=1)


@np.errstate(divide="ignore")
def log_stretches(slope_TNH, recurrent_HH, directions: int | None = None) -> np.ndarray:
    """Returns log_stretch_SNH: log |R_jj| of Q_t R_t = J_t Q_{t-1}, from Q = I, for each of the S = T - 1 steps.

    With `directions`, Q has only that many columns. This gives the largest exponents in a fraction of the time. We call
    LAPACK for one review at a time, because NumPy's `qr` of all reviews takes twice as long.
    """
    tokens, reviews, units = slope_TNH.shape
    first_HH = np.eye(units)[:directions]
    log_stretch_SNH = np.empty((tokens - 1, reviews, len(first_HH)))
    # rows are the columns of Q, as LAPACK stores them
    basis_NHH = np.tile(first_HH, (reviews, 1, 1))
    workspace = 32 * units
    factorise, orthogonal_factor = get_lapack_funcs(("geqrf", "orgqr"))  # for float64

    for step, slope_NH in enumerate(slope_TNH[1:]):
        stretched_NHH = (basis_NHH @ recurrent_HH) * slope_NH[:, None, :]
        # QR is accurate for every row if the largest rows come first: slopes of a step differ by powers of ten.
        order_NH = np.argsort(-slope_NH, axis=1)

        for review, order_H in enumerate(order_NH):
            sorted_HH = stretched_NHH[review][:, order_H].T
            factored_HH, tau_H, _, _ = factorise(sorted_HH, lwork=workspace, overwrite_a=True)
            log_stretch_SNH[step, review] = np.log(np.abs(np.diagonal(factored_HH)))
            orthogonal_HH, _, _ = orthogonal_factor(
                factored_HH, tau_H, lwork=workspace, overwrite_a=True
            )
            basis_NHH[review][:, order_H] = orthogonal_HH.T

    return log_stretch_SNH


@np.errstate(divide="ignore")
def time_constants(slope_H, recurrent_HH) -> np.ndarray:
    """Returns tokens_H, the time in tokens in which each mode fades to 1/e, the slowest first.

    The modes are the eigenvectors of the Jacobian at this mean slope, and lambda are their eigenvalues.

    The time constant is -1 / log |lambda|. It is inf for a mode that does not fade (|lambda| >= 1) and 0 for a mode
    that vanishes in one step.
    """
    jacobian_HH = slope_H[:, None] * recurrent_HH.T
    log_size_H = np.log(np.abs(np.linalg.eigvals(jacobian_HH)))
    tokens_H = np.where(log_size_H < 0, -1 / log_size_H, np.inf)
    return np.sort(tokens_H)[::-1]


def mechanism(slope_TNH, recurrent_HH) -> dict[str, float]:
    """Returns the factors that decide how much a step changes a gradient, over all reviews and Jacobians."""
    slope_SNH = slope_TNH[1:]
    eigenvalue_H = np.linalg.eigvals(recurrent_HH)
    commutator_HH = recurrent_HH @ recurrent_HH.T - recurrent_HH.T @ recurrent_HH
    return {
        "mean_slope": float(slope_SNH.mean()),
        "mean_largest_slope": float(slope_SNH.max(axis=2).mean()),
        "largest_singular_value": float(np.linalg.norm(recurrent_HH, ord=2)),
        "spectral_radius": float(np.abs(eigenvalue_H).max()),
        "non_normality": float(np.linalg.norm(commutator_HH)),
    }
