"""Whether a network carries a sum of word valences along one slow direction of its state: a line attractor.

Maheswaranathan et al. 2019 (arXiv 1906.10720) find one in recurrent networks that classify reviews. We linearise a
network at states that it visits, with the word that it reads next. We compare its slow direction with the words, and
with the gradient on other reviews.

Axes: N states or reviews, S numbers of a whole state, T tokens, V words.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.science.attractor import slow_modes
from pipeline.science.attractor.gradient_directions import by_lag, correlation, gradients_by_lag
from pipeline.science.attractor.properties import Design, Words
from pipeline.science.attractor.recurrences import Recurrence, visited_states
from pipeline.science.attractor.slow_modes import Modes

# of each review: early states still depend on the empty state before the first word
SKIPPED_SHARE = 0.2
PERMUTATIONS = 100
CHANCE_QUANTILE = 0.95
STATES_OF_A_WORD = 24  # at most: visited states over which we average the effect of a word

# of the rows of `modes`: the measure, its value, and the value that chance exceeds in 5 % of permutations
Row = tuple[str, float, float]


def measure(
    network: Recurrence, tokens_NT: np.ndarray, words: Words, design: Design
) -> dict[str, pd.DataFrame]:
    """Returns the tables `modes`, `lags` and `words` of one network. `tokens_NT` are reviews without padding."""
    state_TNS = visited_states(network, tokens_NT)
    fitted_state_NS, next_token_N = _fitted_states(state_TNS, tokens_NT, design)
    modes = slow_modes.slowest_modes(network.jacobians(fitted_state_NS, next_token_N))
    slow_S = slow_modes.slow_direction(modes.left_NS)
    effect_VS = word_effects(network, fitted_state_NS, words.token_V)

    gradients = list(gradients_by_lag(network, state_TNS, tokens_NT))
    far_lag = min(design.far_lag, len(gradients) - 1)
    slow_S = _oriented(slow_S, gradients[far_lag].direction_NS[::2])
    far_direction_NS = gradients[far_lag].direction_NS[1::2]
    projection_V = effect_VS @ slow_S

    skipped = _skipped(tokens_NT.shape[1])
    late_NS = state_TNS[skipped + 1 :].reshape(-1, len(slow_S))
    rows = [
        *_shape_rows(late_NS, network.readout_S, modes),
        *_mode_rows(modes),
        *_direction_rows(slow_S, modes, far_direction_NS),
        *_valence_rows(projection_V, words.weight_V),
    ]
    return {
        "modes": pd.DataFrame(rows, columns=["measure", "value", "chance"]),
        "lags": by_lag(gradients, slow_S, effect_VS, words.weight_V),
        "words": pd.DataFrame({"token": words.token_V, "projection": projection_V}),
    }


def word_effects(network: Recurrence, state_NS, token_V) -> np.ndarray:
    """Returns effect_VS: how each word moves the state, relative to the mean word, over some of these states."""
    step = -(-len(state_NS) // STATES_OF_A_WORD)
    some_NS = state_NS[::step]
    effect_VS = np.zeros((len(token_V), state_NS.shape[1]))
    for state_S in some_NS:
        same_state_VS = np.tile(state_S, (len(token_V), 1))
        effect_VS += network.next_states(same_state_VS, token_V) / len(some_NS)
    return effect_VS - effect_VS.mean(axis=0)


def _oriented(slow_S, direction_NS) -> np.ndarray:
    """Returns the slow direction with the sign of the gradient, so that moving along it raises the logit."""
    return -slow_S if direction_NS.mean(axis=0) @ slow_S < 0 else slow_S


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

    yield "participation_ratio", slow_modes.participation_ratio(variance_S), np.nan
    yield "first_component", variance_S[-1] / total if total else np.nan, np.nan
    yield _cosine_row("slow_with_first_component", modes.right_NS, first_S)
    yield _cosine_row("slow_with_readout", modes.left_NS, readout_S)


def _mode_rows(modes: Modes) -> Iterator[Row]:
    for number, tokens_N in enumerate(slow_modes.time_constants(modes.log_size_NM).T, 1):
        yield f"time_constant_{number}", np.median(tokens_N), np.nan
    yield "slow_ratio", np.median(slow_modes.slow_ratio(modes.log_size_NM)), np.nan
    yield "growing", float(np.mean(modes.log_size_NM[:, 0] >= 0)), np.nan
    yield "straight", 1 - float(np.mean(modes.rotates_N)), np.nan


def _direction_rows(slow_S, modes: Modes, direction_NS) -> Iterator[Row]:
    """How far the slow directions of different states agree, and how far the gradient lies along the common one."""

    def share(direction_NS) -> float:
        return float(np.median((direction_NS @ slow_S) ** 2))

    statistics = {
        "agreement": (slow_modes.agreement, modes.left_NS),
        "agreement_right": (slow_modes.agreement, modes.right_NS),
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
        shuffled = [correlation(first_V, random.permutation(second_V)) for _ in range(PERMUTATIONS)]
        yield name, correlation(first_V, second_V), _chance(shuffled)


def _permuted_units(vector_NS) -> Iterator[np.ndarray]:
    """Yields the vectors with their numbers in another order, a different one for each vector."""
    random = np.random.default_rng(0)
    for _ in range(PERMUTATIONS):
        yield random.permuted(vector_NS, axis=1)


def _chance(values: Sequence[float]) -> float:
    return float(np.quantile(values, CHANCE_QUANTILE))
