"""What the products of a tanh cell's Jacobians do to every direction of the state, where a gradient sees only one.

J_t = dh_t/dh_{t-1} = diag(slope_t) U^T and P = dh_T/dh_{T-k} is the product of the last k, J_T ... J_{T-k+1}, so that
dz/dh_{T-k} = w P. The norm of P is the most that a gradient can be of what it started with; its Lyapunov exponents are
the rates at which directions grow and fade (Engelken, Wolf & Abbott 2020, arXiv 2006.02427; Vogt et al. 2020, arXiv
2006.14123). The scale of P is kept as a logarithm, so nothing under- or overflows at any length; an exact zero is -inf.

Axes: T tokens, S steps, N reviews, H hidden units, L lags, C singular values. `slope_TNH` is the activation's
derivative after each token in reading order (`gradient_flow.slopes`; 1 for a linear network), `recurrent_HH` is Keras'
U in h_t = tanh(x_t W + h_{t-1} U + b). T states have T - 1 Jacobians between them: the first slope, by the state before
the text, is in none of what follows. Lag k counts tokens from the last state. A review takes milliseconds: some tens
are enough.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import lapack
from scipy.special import entr

RESOLVED = 1e-12  # of the largest singular value; rounding is up to some 1e-14 of it


@np.errstate(divide="ignore")  # log10 of an exact zero
def log10_spectral_norm(slope_TNH, recurrent_HH, lags_L: Sequence[int] | None = None) -> np.ndarray:
    """log10_norm_NL of P, its largest singular value, at these lags; by default at all of them, which takes longer."""
    lags_L = range(len(slope_TNH)) if lags_L is None else lags_L
    value_NLH, log10_scale_NL = _singular_values(slope_TNH, recurrent_HH, lags_L)
    return np.log10(value_NLH[:, :, 0]) + log10_scale_NL


@np.errstate(divide="ignore")
def singular_values(slope_TNH, recurrent_HH, lags_L: Sequence[int], count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """(log10_value_NLC, effective_rank_NL) of P: the largest `count`, and how many directions get through.

    A value is nan where it is too small beside the largest for float64 to tell it from rounding. The effective rank is
    exp of the entropy of all values as shares of their sum (Roy & Vetterli 2007): H for an orthogonal P, 1 where a
    single direction is left, 0 for a P that is zero.
    """
    value_NLH, log10_scale_NL = _singular_values(slope_TNH, recurrent_HH, lags_L)
    sum_NL = value_NLH.sum(axis=2)
    share_NLH = value_NLH / np.where(sum_NL > 0, sum_NL, 1)[:, :, None]
    effective_rank_NL = np.where(sum_NL > 0, np.exp(entr(share_NLH).sum(axis=2)), 0)
    resolved_NLH = np.where(value_NLH < RESOLVED * value_NLH[:, :, :1], np.nan, value_NLH)
    return np.log10(resolved_NLH[:, :, :count]) + log10_scale_NL[:, :, None], effective_rank_NL


def _singular_values(slope_TNH, recurrent_HH, lags_L) -> tuple[np.ndarray, np.ndarray]:
    """(value_NLH, log10_scale_NL): the singular values of P are value 10^log10_scale, the largest first."""
    at_lag = {}
    for lag, (product_NHH, log10_scale_N) in enumerate(_products(slope_TNH, recurrent_HH)):
        if lag in lags_L:
            at_lag[lag] = np.linalg.svd(product_NHH, compute_uv=False), log10_scale_N
    value_LNH, log10_scale_LN = zip(*(at_lag[lag] for lag in lags_L), strict=True)
    return np.stack(value_LNH, axis=1), np.stack(log10_scale_LN, axis=1)


def _products(slope_TNH, recurrent_HH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """P at lags 0, 1, ..., T - 1 as (product_NHH, log10_scale_N): each row of it is scanned as a gradient is."""
    _, reviews, units = slope_TNH.shape
    product_NHH, log10_scale_N = np.tile(np.eye(units), (reviews, 1, 1)), np.zeros(reviews)
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
    """log10_bound_NL that |dz/dh| cannot exceed: |w| times sigma_max(U) max_j slope_j of every step of the lag.

    Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, with each step's own largest slope instead of the largest there can
    be, so it is a closer bound than theirs. One-sided: above 1 a step it says nothing.
    """
    factor_TN = np.linalg.norm(recurrent_HH, ord=2) * slope_TNH.max(axis=2)
    factor_TN[0] = np.linalg.norm(readout_H)
    return np.cumsum(np.log10(np.roll(factor_TN[::-1], 1, axis=0)), axis=0).T


def lyapunov(slope_TNH, recurrent_HH, warm_up: int = 0) -> np.ndarray:
    """exponent_NH in nats per token, the largest first, over the Jacobians after the first `warm_up`.

    By Q_t R_t = J_t Q_{t-1} in reading order, from Q = I: they are the means of log |R_jj|, and their sum is that of
    log |det J|. In a short text each depends on that start; a warm-up turns Q to where it belongs. As many are -inf as
    units of a step are saturated (slope exactly 0), if U mixes all units.
    """
    return exponents(log_stretches(slope_TNH, recurrent_HH), warm_up)


def exponents(log_stretch_SNH: np.ndarray, warm_up: int = 0) -> np.ndarray:
    """As `lyapunov`, from `log_stretches`."""
    steps = len(log_stretch_SNH) - warm_up
    if steps < 1:
        raise ValueError(f"{len(log_stretch_SNH) + 1} tokens leave no Jacobian after a warm-up of {warm_up}")

    exponent_NH = log_stretch_SNH[warm_up:].sum(axis=0) / steps
    return -np.sort(-exponent_NH, axis=1)


@np.errstate(divide="ignore")
def log_stretches(slope_TNH, recurrent_HH, directions: int | None = None) -> np.ndarray:
    """log_stretch_SNH: log |R_jj| of each of the S = T - 1 steps.

    With `directions`, Q has only that many columns: the largest exponents in a fraction of the time.
    LAPACK is called for one review at a time: NumPy's `qr` of all of them takes twice as long.
    """
    steps, (reviews, units) = len(slope_TNH) - 1, slope_TNH.shape[1:]
    first_HH = np.eye(units)[:directions]
    log_stretch_SNH = np.empty((steps, reviews, len(first_HH)))
    basis_NHH = np.tile(first_HH, (reviews, 1, 1))  # rows are the columns of Q, as LAPACK stores them
    workspace = 32 * units

    for step, slope_NH in enumerate(slope_TNH[1:]):
        stretched_NHH = (basis_NHH @ recurrent_HH) * slope_NH[:, None, :]
        # with its largest rows first, QR is right to rounding for every row: slopes of one step differ by powers of ten
        order_NH = np.argsort(-slope_NH, axis=1)

        for review, order_H in enumerate(order_NH):
            sorted_HH = stretched_NHH[review][:, order_H].T
            factored_HH, tau_H, _, _ = lapack.dgeqrf(sorted_HH, lwork=workspace, overwrite_a=True)
            log_stretch_SNH[step, review] = np.log(np.abs(np.diagonal(factored_HH)))
            orthogonal_HH, _, _ = lapack.dorgqr(factored_HH, tau_H, lwork=workspace, overwrite_a=True)
            basis_NHH[review][:, order_H] = orthogonal_HH.T

    return log_stretch_SNH


@np.errstate(divide="ignore")
def time_constants(slope_H, recurrent_HH) -> np.ndarray:
    """tokens_H in which each mode of the Jacobian at this (mean) slope fades to 1/e, the slowest first.

    -1 / log |lambda|; inf for a mode that does not fade (|lambda| >= 1), whether it stays or grows; 0 for one that is
    gone at once.
    """
    log_size_H = np.log(np.abs(np.linalg.eigvals(slope_H[:, None] * recurrent_HH.T)))
    return np.sort(np.where(log_size_H < 0, -1 / log_size_H, np.inf))[::-1]


def mechanism(slope_TNH, recurrent_HH) -> dict[str, float]:
    """The factors of a step's gain, over all reviews and Jacobians."""
    commutator_HH = recurrent_HH @ recurrent_HH.T - recurrent_HH.T @ recurrent_HH
    return {
        "mean_slope": float(slope_TNH[1:].mean()),
        "mean_largest_slope": float(slope_TNH[1:].max(axis=2).mean()),
        "largest_singular_value": float(np.linalg.norm(recurrent_HH, ord=2)),
        "spectral_radius": float(np.abs(np.linalg.eigvals(recurrent_HH)).max()),
        "non_normality": float(np.linalg.norm(commutator_HH)),
    }
