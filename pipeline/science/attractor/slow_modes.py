"""The slowest modes of a network, linearised at the states that it visits.

One step has the Jacobian J_t = ds_t/ds_{t-1}. An eigenvalue lambda of J_t is a mode with the time constant
1 / |log |lambda||; it is infinite for a mode that does not fade. A complex pair is one mode, which rotates. The left
eigenvector of the slowest mode says which change of a state the mode carries on.

Axes: N states, S numbers of a whole state, M modes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

MODES = 3


@dataclass(frozen=True)
class Modes:
    """The slowest modes at visited states. Its eigenvectors belong to the slowest mode and have norm 1."""

    log_size_NM: np.ndarray  # log |lambda|, the slowest first
    rotates_N: np.ndarray  # whether the slowest mode is a complex pair
    left_NS: np.ndarray
    right_NS: np.ndarray


def slowest_modes(jacobian_NSS) -> Modes:
    """Returns the MODES slowest modes of each Jacobian, or fewer if it has fewer."""
    sizes, rotations, lefts, rights = [], [], [], []
    for jacobian_SS in jacobian_NSS:
        decomposition: Any = linalg.eig(jacobian_SS, left=True, right=True)
        eigenvalue_S, left_SS, right_SS = decomposition
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
    return first_axis(projector_SS)


def agreement(vector_NS) -> float:
    """Returns the mean |cosine| between the vectors of different states. It is nan for one state."""
    cosine_NN = np.abs(vector_NS.conj() @ vector_NS.T)
    first, second = np.triu_indices(len(vector_NS), 1)
    return float(cosine_NN[first, second].mean()) if len(first) else np.nan


def participation_ratio(variance_S) -> float:
    """Returns the number of dimensions over which the variance is spread: 1 for a line, S for a ball."""
    squares = float(variance_S @ variance_S)
    return float(variance_S.sum() ** 2 / squares) if squares else np.nan


def first_axis(matrix_SS) -> np.ndarray:
    """Returns the eigenvector of a symmetric matrix with the largest eigenvalue."""
    _, axis_SS = np.linalg.eigh(matrix_SS)
    return axis_SS[:, -1]
