"""The gradient of the logit by lag: its size, its direction, and the valence of the words that it reads.

The gradient dz/ds_{t-1} = dz/ds_t J_t shows which direction carries a word to the logit. A direction that is fitted on
some reviews is measured on others: rows 0, 2, 4, ... are for fits, and rows 1, 3, 5, ... for measurements.

Axes: N reviews, S numbers of a whole state, T tokens, V words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.science.attractor.recurrences import Recurrence
from pipeline.science.attractor.slow_modes import first_axis


@dataclass(frozen=True)
class Gradient:
    """dz/ds at one lag: its direction (norm 1, or 0 where the gradient is zero) and log10 of its norm, per review."""

    direction_NS: np.ndarray
    log10_norm_N: np.ndarray


def gradients_by_lag(network: Recurrence, state_TNS, tokens_NT) -> Iterator[Gradient]:
    """Yields the gradient of the logit with respect to the whole state, from the last one back."""
    direction_NS, log10_norm_N = _unit(np.tile(network.readout_S, (len(tokens_NT), 1)))
    yield Gradient(direction_NS, log10_norm_N)

    for t in range(tokens_NT.shape[1] - 1, 0, -1):
        jacobian_NSS = network.jacobians(state_TNS[t], tokens_NT[:, t])
        moved_NS = np.einsum("ni,nij->nj", direction_NS, jacobian_NSS)
        direction_NS, log10_change_N = _unit(moved_NS)
        log10_norm_N = log10_norm_N + log10_change_N
        yield Gradient(direction_NS, log10_norm_N)


def by_lag(gradients: list[Gradient], slow_S, effect_VS, weight_V) -> pd.DataFrame:
    """Returns one row per lag: the size of the gradient, its directions, and the valence of the words that it reads."""
    last_log10_norm_N = gradients[0].log10_norm_N[1::2]
    rows = []
    previous_S = None
    for lag, gradient in enumerate(gradients):
        fitted_NS = gradient.direction_NS[::2]
        measured_NS = gradient.direction_NS[1::2]
        common_S = first_axis(fitted_NS.T @ fitted_NS)
        log10_relative_N = gradient.log10_norm_N[1::2] - last_log10_norm_N
        row = {
            "lag_tokens": lag,
            **_sizes(log10_relative_N, measured_NS @ slow_S),
            "common_share": np.mean((measured_NS @ common_S) ** 2),
            "steady": np.nan if previous_S is None else abs(common_S @ previous_S),
            "valence": correlation(effect_VS @ measured_NS.mean(axis=0), weight_V),
            "reviews": len(measured_NS),
        }
        rows.append(row)
        previous_S = common_S

    return pd.DataFrame(rows)


def _sizes(log10_relative_N, cosine_N) -> dict[str, float]:
    """The size of the gradient, relative to lag 0, along the slow direction and across it: medians over reviews."""
    share_N = np.minimum(cosine_N**2, 1)
    with np.errstate(divide="ignore"):
        log10_along_N = np.log10(share_N) / 2
        log10_across_N = np.log10(1 - share_N) / 2

    return {
        "log10_relative_norm": np.median(log10_relative_N),
        "log10_slow": np.median(log10_relative_N + log10_along_N),
        "log10_rest": np.median(log10_relative_N + log10_across_N),
        "slow_share": np.median(share_N),
    }


def correlation(first_V, second_V) -> float:
    """Pearson's correlation; nan if one side does not vary."""
    first_V = first_V - first_V.mean()
    second_V = second_V - second_V.mean()
    norm = np.linalg.norm(first_V) * np.linalg.norm(second_V)
    return float(first_V @ second_V / norm) if norm else np.nan


def _unit(vector_NS) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vectors with norm 1, and log10 of their norms. A vector of zeros stays, with -inf."""
    norm_N = np.linalg.norm(vector_NS, axis=1)
    divisor_N = np.where(norm_N > 0, norm_N, 1)
    with np.errstate(divide="ignore"):
        return vector_NS / divisor_N[:, None], np.log10(norm_N)
