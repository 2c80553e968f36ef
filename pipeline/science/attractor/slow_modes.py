"""Whether a network carries a sum of word valences along one slow direction of its state: a line attractor.

Maheswaranathan et al. 2019 (arXiv 1906.10720) find one in recurrent networks that classify reviews. We linearise a
network at states that it visits, with the word that it reads next: ds_t/ds_{t-1} = J_t. An eigenvalue lambda of J_t is
a mode with the time constant 1 / |log |lambda||; it is infinite for a mode that does not fade. A complex pair is one
mode, which rotates. The left eigenvector of the slowest mode says which change of a state the mode carries on.

The gradient dz/ds_{t-1} = dz/ds_t J_t shows which direction carries a word to the logit. We measure how much of it lies
along the slow direction, by lag. A direction that is fitted on some reviews is measured on others: rows 0, 2, 4, ... of
a sample are for fits, and rows 1, 3, 5, ... for measurements.

Axes: N states or reviews, S numbers of a whole state, T tokens, M modes, V words, P permutations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, stats

from pipeline.science.attractor.properties import Design, Words
from pipeline.science.attractor.recurrences import Recurrence, visited_states

# of each review: early states still depend on the empty state before the first word
SKIPPED_SHARE = 0.2
MODES = 3
PERMUTATIONS = 100
CHANCE_QUANTILE = 0.95
STATES_OF_A_WORD = 24  # at most: visited states over which we average the effect of a word

# of the rows of `modes`: the measure, its value, and the value that chance exceeds in 5 % of permutations
Row = tuple[str, float, float]


@dataclass(frozen=True)
class Modes:
    """The slowest modes at visited states. Its eigenvectors belong to the slowest mode and have norm 1."""

    log_size_NM: np.ndarray  # log |lambda|, the slowest first
    rotates_N: np.ndarray  # whether the slowest mode is a complex pair
    left_NS: np.ndarray
    right_NS: np.ndarray


def measure(
    network: Recurrence, tokens_NT, words: Words, design: Design
) -> dict[str, pd.DataFrame]:
    """Returns the tables `modes`, `lags` and `words` of one network. `tokens_NT` are reviews without padding."""
    state_TNS = visited_states(network, tokens_NT)
    fitted_state_NS, next_token_N = _fitted_states(state_TNS, tokens_NT, design)
    modes = slowest_modes(network.jacobians(fitted_state_NS, next_token_N))
    slow_S = slow_direction(modes.left_NS)
    effect_VS = word_effects(network, fitted_state_NS, words.token_V)

    gradients = list(gradients_by_lag(network, state_TNS, tokens_NT))
    far_lag = min(design.far_lag, len(gradients) - 1)
    slow_S = _oriented(slow_S, gradients[far_lag].direction_NS[::2])
    skipped = _skipped(tokens_NT.shape[1])
    late_NS = state_TNS[skipped + 1 :].reshape(-1, len(slow_S))
    far_direction_NS = gradients[far_lag].direction_NS[1::2]
    projection_V = effect_VS @ slow_S
    rows = [
        *_shape_rows(late_NS, network.readout_S, modes),
        *_mode_rows(modes),
        *_direction_rows(slow_S, modes, far_direction_NS),
        *_valence_rows(projection_V, words.weight_V),
    ]
    return {
        "modes": pd.DataFrame(rows, columns=["measure", "value", "chance"]),
        "lags": _by_lag(gradients, slow_S, effect_VS, words.weight_V),
        "words": pd.DataFrame({"token": words.token_V, "projection": projection_V}),
    }


def slowest_modes(jacobian_NSS) -> Modes:
    """Returns the MODES slowest modes of each Jacobian, or fewer if it has fewer."""
    sizes, rotations, lefts, rights = [], [], [], []
    for jacobian_SS in jacobian_NSS:
        eigenvalue_S, left_SS, right_SS = linalg.eig(jacobian_SS, left=True, right=True)
        of_pair_once = np.flatnonzero(eigenvalue_S.imag >= 0)
        size_M = np.abs(eigenvalue_S[of_pair_once])
        order_M = of_pair_once[np.argsort(-size_M, kind="stable")]
        slowest = order_M[0]

        sizes.append(np.abs(eigenvalue_S[order_M]))
        rotations.append(eigenvalue_S[slowest].imag > 0)
        lefts.append(left_SS[:, slowest] / np.linalg.norm(left_SS[:, slowest]))
        rights.append(right_SS[:, slowest] / np.linalg.norm(right_SS[:, slowest]))

    modes = min(MODES, *map(len, sizes))
    size_NM = np.stack([size_M[:modes] for size_M in sizes])
    with np.errstate(divide="ignore"):
        log_size_NM = np.log(size_NM)
    return Modes(log_size_NM, np.array(rotations), np.stack(lefts), np.stack(rights))


def time_constants(log_size):
    """Returns the tokens in which modes fade to 1/e. They are inf for a mode that does not fade."""
    with np.errstate(divide="ignore"):
        return np.where(log_size < 0, -1 / np.minimum(log_size, 0), np.inf)


def slow_ratio(log_size_NM) -> np.ndarray:
    """Returns how many times as long as the second mode the slowest one lasts. It is inf if only the slowest lasts.

    It is 1 if both do not fade, and nan without a second mode.
    """
    if log_size_NM.shape[1] < 2:
        return np.full(len(log_size_NM), np.nan)

    first_N, second_N = time_constants(log_size_NM[:, :2]).T
    both_last_N = np.isinf(first_N) & np.isinf(second_N)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both_last_N, 1, first_N / second_N)


def slow_direction(left_NS) -> np.ndarray:
    """Returns the real direction that shares most with the left eigenvectors: the first axis of their mean projector.

    A projector does not depend on the sign or the phase of an eigenvector, which are arbitrary.
    """
    projector_SS = (left_NS.T @ left_NS.conj()).real / len(left_NS)
    return _first_axis(projector_SS)


def agreement(vector_NS) -> float:
    """Returns the mean |cosine| between the vectors of different states. It is nan for one state."""
    cosine_NN = np.abs(vector_NS.conj() @ vector_NS.T)
    first, second = np.triu_indices(len(vector_NS), 1)
    return float(cosine_NN[first, second].mean()) if len(first) else np.nan


def participation_ratio(variance_S) -> float:
    """Returns the number of dimensions over which the variance is spread: 1 for a line, S for a ball."""
    squares = float(variance_S @ variance_S)
    return float(variance_S.sum() ** 2 / squares) if squares else np.nan


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


def word_effects(network: Recurrence, state_NS, token_V) -> np.ndarray:
    """Returns effect_VS: how each word moves the state, relative to the mean word, over some of these states."""
    step = -(-len(state_NS) // STATES_OF_A_WORD)
    some_NS = state_NS[::step]
    effect_VS = np.zeros((len(token_V), state_NS.shape[1]))
    for state_S in some_NS:
        same_state_VS = np.tile(state_S, (len(token_V), 1))
        effect_VS += network.next_states(same_state_VS, token_V) / len(some_NS)
    return effect_VS - effect_VS.mean(axis=0)


def _by_lag(gradients: list[Gradient], slow_S, effect_VS, weight_V) -> pd.DataFrame:
    """Returns one row per lag: the size of the gradient, its directions, and the valence of the words that it reads."""
    last_log10_norm_N = gradients[0].log10_norm_N[1::2]
    rows = []
    previous_S = None
    for lag, gradient in enumerate(gradients):
        fitted_NS = gradient.direction_NS[::2]
        measured_NS = gradient.direction_NS[1::2]
        common_S = _first_axis(fitted_NS.T @ fitted_NS)
        log10_relative_N = gradient.log10_norm_N[1::2] - last_log10_norm_N
        row = {
            "lag_tokens": lag,
            **_sizes(log10_relative_N, measured_NS @ slow_S),
            "common_share": np.mean((measured_NS @ common_S) ** 2),
            "steady": np.nan if previous_S is None else abs(common_S @ previous_S),
            "valence": _correlation(effect_VS @ measured_NS.mean(axis=0), weight_V),
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


def _fitted_states(state_TNS, tokens_NT, design: Design):
    """Returns visited states of the reviews for fits, and the word that each network reads next there."""
    length = tokens_NT.shape[1]
    rows = np.arange(0, len(tokens_NT), 2)
    few = min(design.linearised_reviews, len(rows))
    some_rows = rows[np.arange(few) * len(rows) // few]
    places = np.unique(
        np.linspace(_skipped(length), length - 1, design.states_per_review).astype(int)
    )
    states = [state_TNS[place, some_rows] for place in places]
    tokens = [tokens_NT[some_rows, place] for place in places]
    return np.concatenate(states), np.concatenate(tokens)


def _skipped(length: int) -> int:
    return int(SKIPPED_SHARE * length)


def _shape_rows(state_NS, readout_S, modes: Modes) -> Iterator[Row]:
    """How the visited states spread, and how their first component lies to the slow mode and the readout."""
    centred_NS = state_NS - state_NS.mean(axis=0)
    variance_S, axis_SS = np.linalg.eigh(centred_NS.T @ centred_NS / len(centred_NS))
    variance_S = np.clip(variance_S, 0, None)
    first_S = axis_SS[:, -1]
    total = variance_S.sum()

    yield "participation_ratio", participation_ratio(variance_S), np.nan
    yield "first_component", variance_S[-1] / total if total else np.nan, np.nan
    yield _cosine_row("slow_with_first_component", modes.right_NS, first_S)
    yield _cosine_row("slow_with_readout", modes.left_NS, readout_S)


def _mode_rows(modes: Modes) -> Iterator[Row]:
    for number, tokens_N in enumerate(time_constants(modes.log_size_NM).T, 1):
        yield f"time_constant_{number}", np.median(tokens_N), np.nan
    yield "slow_ratio", np.median(slow_ratio(modes.log_size_NM)), np.nan
    yield "growing", np.mean(modes.log_size_NM[:, 0] >= 0), np.nan
    yield "straight", 1 - np.mean(modes.rotates_N), np.nan


def _direction_rows(slow_S, modes: Modes, direction_NS) -> Iterator[Row]:
    """How far the slow directions of different states agree, and how far the gradient lies along the common one."""

    def share(direction_NS) -> float:
        return float(np.median((direction_NS @ slow_S) ** 2))

    statistics = {
        "agreement": (agreement, modes.left_NS),
        "agreement_right": (agreement, modes.right_NS),
        "gradient_share": (share, direction_NS),
    }
    for name, (statistic, vector_NS) in statistics.items():
        shuffled = [statistic(permuted_NS) for permuted_NS in _permuted_units(vector_NS)]
        yield name, statistic(vector_NS), _chance(shuffled)


def _cosine_row(name: str, vector_NS, axis_S) -> Row:
    """The mean |cosine| between the vectors and one axis."""

    def mean_cosine(vector_NS) -> float:
        size = np.linalg.norm(axis_S)
        return float(np.abs(vector_NS @ axis_S).mean() / size) if size else np.nan

    shuffled = [mean_cosine(permuted_NS) for permuted_NS in _permuted_units(vector_NS)]
    return name, mean_cosine(vector_NS), _chance(shuffled)


def _valence_rows(projection_V, weight_V) -> Iterator[Row]:
    """How far the projections of the words follow their weights: Pearson's correlation, and Spearman's."""
    ranks = stats.rankdata(projection_V), stats.rankdata(weight_V)
    pairs = {"valence": (projection_V, weight_V), "valence_rank": ranks}
    for name, (first_V, second_V) in pairs.items():
        random = np.random.default_rng(0)
        shuffled = [
            _correlation(first_V, random.permutation(second_V)) for _ in range(PERMUTATIONS)
        ]
        yield name, _correlation(first_V, second_V), _chance(shuffled)


def _permuted_units(vector_NS) -> Iterator[np.ndarray]:
    """Yields the vectors with their numbers in another order, a different one for each vector."""
    random = np.random.default_rng(0)
    for _ in range(PERMUTATIONS):
        yield random.permuted(vector_NS, axis=1)


def _chance(values: Sequence[float]) -> float:
    return float(np.quantile(values, CHANCE_QUANTILE))


def _correlation(first_V, second_V) -> float:
    """Pearson's correlation; nan if one side does not vary."""
    first_V = first_V - first_V.mean()
    second_V = second_V - second_V.mean()
    norm = np.linalg.norm(first_V) * np.linalg.norm(second_V)
    return float(first_V @ second_V / norm) if norm else np.nan


def _first_axis(matrix_SS) -> np.ndarray:
    """Returns the eigenvector of a symmetric matrix with the largest eigenvalue."""
    _, axis_SS = np.linalg.eigh(matrix_SS)
    return axis_SS[:, -1]


def _oriented(slow_S, direction_NS) -> np.ndarray:
    """Returns the slow direction with the sign of the gradient, so that moving along it raises the logit."""
    return -slow_S if direction_NS.mean(axis=0) @ slow_S < 0 else slow_S


def _unit(vector_NS) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vectors with norm 1, and log10 of their norms. A vector of zeros stays, with -inf."""
    norm_N = np.linalg.norm(vector_NS, axis=1)
    divisor_N = np.where(norm_N > 0, norm_N, 1)
    with np.errstate(divide="ignore"):
        return vector_NS / divisor_N[:, None], np.log10(norm_N)
