"""One step of a network's recurrence as a function of its whole state, and the exact Jacobian of this step.

The whole state is all that a network carries from word to word: h in a SimpleRNN, h and c, joined, in an LSTM.

Axes: N states, S numbers of a whole state, T tokens, H hidden units, V words.
"""

from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np
from scipy.special import expit

from pipeline.science.gradients import adjoint


class Recurrence(Protocol):
    """A network that reads words one by one. Its logit is readout_S times the last whole state, plus a bias."""

    @property
    def readout_S(self) -> np.ndarray: ...

    def next_states(self, state_NS, token_N) -> np.ndarray:
        """Returns the whole states after one more word each."""
        ...

    def jacobians(self, state_NS, token_N) -> np.ndarray:
        """Returns jacobian_NSS, the derivative of each number of the next state (rows) by each of this state."""
        ...


@dataclass(frozen=True)
class TanhRecurrence:
    """A SimpleRNN: h_t = tanh(a_t), a_t = drive of the word + h_{t-1} U."""

    cell: adjoint.TanhCell

    @property
    def readout_S(self) -> np.ndarray:
        return self.cell.readout_H

    def next_states(self, state_NS, token_N) -> np.ndarray:
        return np.tanh(state_NS @ self.cell.recurrent_HH + self.cell.drive_VH[token_N])

    def jacobians(self, state_NS, token_N) -> np.ndarray:
        slope_NH = 1 - self.next_states(state_NS, token_N) ** 2
        return slope_NH[:, :, None] * self.cell.recurrent_HH.T


@dataclass(frozen=True)
class LSTMRecurrence:
    """An LSTM: c_t = f c_{t-1} + i g and h_t = o tanh(c_t). The gates depend on h_{t-1} and on the word."""

    cell: adjoint.LSTMCell

    @property
    def readout_S(self) -> np.ndarray:
        return np.concatenate([self.cell.readout_H, np.zeros_like(self.cell.readout_H)])

    def next_states(self, state_NS, token_N) -> np.ndarray:
        o_NH, i_NH, f_NH, g_NH = self._gates(state_NS, token_N)
        _, c_NH = np.split(state_NS, 2, axis=1)
        next_c_NH = f_NH * c_NH + i_NH * g_NH
        return np.concatenate([o_NH * np.tanh(next_c_NH), next_c_NH], axis=1)

    def jacobians(self, state_NS, token_N) -> np.ndarray:
        o_NH, i_NH, f_NH, g_NH = self._gates(state_NS, token_N)
        _, c_NH = np.split(state_NS, 2, axis=1)
        tanh_NH = np.tanh(f_NH * c_NH + i_NH * g_NH)
        o_HH, i_HH, f_HH, g_HH = self.cell.recurrent_4HH.transpose(0, 2, 1)

        c_by_h_NHH = _scaled_rows(c_NH * f_NH * (1 - f_NH), f_HH)
        c_by_h_NHH += _scaled_rows(g_NH * i_NH * (1 - i_NH), i_HH)
        c_by_h_NHH += _scaled_rows(i_NH * (1 - g_NH**2), g_HH)
        c_by_c_NHH = _scaled_rows(f_NH, np.eye(f_NH.shape[1]))

        # h depends on the earlier state through c, and h also on its own gate
        through_c_NH = o_NH * (1 - tanh_NH**2)
        h_by_h_NHH = _scaled_rows(through_c_NH, c_by_h_NHH)
        h_by_h_NHH += _scaled_rows(tanh_NH * o_NH * (1 - o_NH), o_HH)
        h_by_c_NHH = _scaled_rows(through_c_NH, c_by_c_NHH)

        of_h_NHS = np.concatenate([h_by_h_NHH, h_by_c_NHH], axis=2)
        of_c_NHS = np.concatenate([c_by_h_NHH, c_by_c_NHH], axis=2)
        return np.concatenate([of_h_NHS, of_c_NHS], axis=1)

    def _gates(self, state_NS, token_N) -> np.ndarray:
        """Returns gates_4NH in the order o, i, f, g."""
        h_NH, _ = np.split(state_NS, 2, axis=1)
        drive_4NH = self.cell.drive_V4H[token_N].transpose(1, 0, 2)
        gates_4NH = drive_4NH + h_NH @ self.cell.recurrent_4HH
        gates_4NH[:3] = expit(gates_4NH[:3])
        gates_4NH[3] = np.tanh(gates_4NH[3])
        return gates_4NH


def _scaled_rows(factor_NH, matrix) -> np.ndarray:
    """Multiplies each row of a matrix, or of one matrix per state, by its factor."""
    return factor_NH[:, :, None] * matrix


def recurrence(model: keras.Model) -> Recurrence:
    """Returns the recurrence of a vanilla or lstm model. Raises ValueError for another architecture."""
    match model.name:
        case "vanilla":
            (cell,) = adjoint.tanh_cells(model)
            return TanhRecurrence(cell)
        case "lstm":
            return LSTMRecurrence(adjoint.lstm_cell(model))
    raise ValueError(f"{model.name!r} does not read its words from the first to the last alone")


def visited_states(network: Recurrence, tokens_NT) -> np.ndarray:
    """Returns state_TNS: the whole state before each word, and after the last one. The first is zero."""
    states = [np.zeros((len(tokens_NT), len(network.readout_S)))]
    for token_N in tokens_NT.T:
        states.append(network.next_states(states[-1], token_N))
    return np.stack(states)
