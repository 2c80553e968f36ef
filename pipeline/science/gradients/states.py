"""The hidden state as the tutorial describes it: updated word by word, and ignorant of the words to come.

A recurrent network is defined as a recursion, so these facts should hold by construction. We verify them on trained
networks. We also measure how much of the state each word changes.

Axes: N reviews, T tokens, D embedding dimensions, H hidden units.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import STATELESS, Settings
from pipeline.science.gradients import adjoint
from pipeline.science.networks import architectures

COLUMNS = ["direction", "measure", "value", "reviews"]

Encode = Callable[[np.ndarray], np.ndarray]  # tokens_NT -> encoded_NH


def states(
    model: keras.Model,
    settings: Settings,
    encode: Encode,
    tokens_NT,
    few_tokens_NT,
) -> list[dict[str, Any]]:
    """Returns rows with COLUMNS for one trained network. `tokens_NT` are reviews without padding.

    - `parameters_per_position`: the number of parameters that one more token would add. This is the only measure of a
      network without states.
    - `streaming_difference`: the largest difference between the last state that `encode` returns, which reads reviews
      at once, and the state after the words one by one, where the state alone is carried. It is relative to the largest
      |state|, so it is a rounding error if the network is a recursion. A pooled readout has the pooled states in place
      of the last one.
    - `state_change`: the median over words and reviews of |h_t - h_{t-1}| / |h_t|.
    - `sensitivity_to_later_words`, `sensitivity_to_earlier_words`: how far another word moves the state at the middle t
      of a text: the largest norm of the derivative of u . h_t with respect to x_s over the reviews `few_tokens_NT` and
      all s > t or all s < t. Each review has its own random unit vector u. TensorFlow differentiates Keras' layer.
    """
    vocabulary_size = model.get_layer("embedding").input_dim
    added = parameters_per_position(
        model.name,
        settings,  # pyright: ignore[reportArgumentType] -- pydantic makes frozen models hashable
        vocabulary_size,
    )
    rows = [_row("none", "parameters_per_position", added, reviews=0)]
    if model.name in STATELESS:
        return rows

    readout = architectures.readout_of(model)
    states_by_direction = _states_word_by_word(model, tokens_NT)
    at_once_NH = np.split(encode(tokens_NT), len(states_by_direction), axis=1)
    gradients_by_direction = _gradients_of_middle_states(model, few_tokens_NT)

    for (direction, states_TNH), encoded_NH in zip(
        states_by_direction.items(), at_once_NH, strict=True
    ):
        numbers = {
            "streaming_difference": _relative_difference(
                encoded_NH, adjoint.pooled(readout, states_TNH)
            ),
            "state_change": _state_change(states_TNH),
        }
        rows += [_row(direction, name, value, len(tokens_NT)) for name, value in numbers.items()]

        sensitivities = _sensitivities(gradients_by_direction[direction])
        reviews = len(few_tokens_NT)
        rows += [_row(direction, name, value, reviews) for name, value in sensitivities.items()]

    return rows


def _row(direction: str, measure: str, value: float, reviews: int) -> dict[str, Any]:
    return dict(zip(COLUMNS, (direction, measure, float(value), reviews), strict=True))


@lru_cache(maxsize=8)
def parameters_per_position(architecture: str, settings: Settings, vocabulary_size: int) -> int:
    """Returns the number of parameters that a network gets for one more token."""
    longer = settings.model_copy(update={"sequence_length": settings.sequence_length + 1})
    parameters, more = (
        architectures.build(architecture, sizes, vocabulary_size).count_params()
        for sizes in (settings, longer)
    )
    return more - parameters


def _states_word_by_word(model: keras.Model, tokens_NT) -> dict[str, np.ndarray]:
    """Returns states_TNH by direction, in the order in which the direction reads the words."""
    if model.name == "lstm":
        return {"forward": adjoint.lstm_cell(model).states(tokens_NT)}
    return {cell.direction: cell.states(tokens_NT) for cell in adjoint.tanh_cells(model)}


def _relative_difference(encoded_NH, streamed_NH) -> float:
    difference = np.abs(encoded_NH - streamed_NH).max()
    return difference / np.abs(streamed_NH).max()


def _state_change(states_TNH) -> float:
    before_TNH = np.concatenate([np.zeros_like(states_TNH[:1]), states_TNH[:-1]])
    change_TN = np.linalg.norm(states_TNH - before_TNH, axis=-1)
    size_TN = np.linalg.norm(states_TNH, axis=-1)
    is_defined_TN = size_TN > 0
    return np.median(change_TN[is_defined_TN] / size_TN[is_defined_TN])


def _sensitivities(gradient_NTD) -> dict[str, float]:
    """Returns the largest norms after and before the middle. One is nan if a text is too short to have such words."""
    norm_NT = np.linalg.norm(gradient_NTD, axis=-1)
    middle = _middle(norm_NT.shape[1])
    norms = {
        "sensitivity_to_later_words": norm_NT[:, middle + 1 :],
        "sensitivity_to_earlier_words": norm_NT[:, :middle],
    }
    return {name: norm.max() if norm.size else np.nan for name, norm in norms.items()}


def _gradients_of_middle_states(model: keras.Model, tokens_NT) -> dict[str, np.ndarray]:
    """Returns gradient_NTD of u . h_t with respect to x by direction, for the middle t and a random u per review."""
    embedding_VD, *weights = model.get_weights()[:-2]
    directions = ["forward", "backward"] if model.name == "bidirectional" else ["forward"]
    units = model.get_layer("probability").input.shape[1] // len(directions)

    u_NH = np.random.default_rng(0).normal(size=(len(tokens_NT), units))
    u_NH /= np.linalg.norm(u_NH, axis=1, keepdims=True)
    # each direction reads the reviews once, with zeros in place of u for the units of the other one
    u_NK = np.kron(np.eye(len(directions)), u_NH).astype(embedding_VD.dtype)
    x_NTD = np.tile(embedding_VD[tokens_NT], (len(directions), 1, 1))

    differentiate = _compiled_gradient(model.name, units, embedding_VD.shape[1])
    gradients = np.split(differentiate(weights, x_NTD, u_NK).numpy(), len(directions))
    return dict(zip(directions, gradients, strict=True))


@lru_cache(maxsize=4)
def _compiled_gradient(architecture: str, units: int, dimension: int):
    """Returns a function of the encoder's weights, x_NTD and u_NK that gives gradient_NTD."""
    layer = _layer_of_all_states(architecture, units)
    layer.build((None, None, dimension))

    @tf.function  # XLA would take longer to compile than it saves
    def gradient(weights, x_NTD, u_NK):
        with tf.GradientTape() as tape:
            tape.watch(x_NTD)
            states_NTK, _ = layer.stateless_call(weights, layer.non_trainable_variables, x_NTD)
            middle_NK = states_NTK[:, _middle(x_NTD.shape[1])]
            product = tf.reduce_sum(middle_NK * u_NK)
        return tape.gradient(product, x_NTD)

    return gradient


def _layer_of_all_states(architecture: str, units: int) -> keras.layers.Layer:
    """Returns Keras' own layer with the weights of the encoder, which returns the state after every word."""
    match architecture:
        case "vanilla":
            return keras.layers.SimpleRNN(units, return_sequences=True)
        case "bidirectional":
            rnn = keras.layers.SimpleRNN(units, return_sequences=True)
            return keras.layers.Bidirectional(rnn)
        case "lstm":
            return keras.layers.LSTM(units, return_sequences=True)
    raise ValueError(f"{architecture!r} has no states")


def _middle(length: int) -> int:
    return length // 2
