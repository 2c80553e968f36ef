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
      |state|, so it is a rounding error if the network is a recursion.
    - `state_change`: the median over words and reviews of |h_t - h_{t-1}| / |h_t|.
    - `sensitivity_to_later_words`, `sensitivity_to_earlier_words`: how far another word moves the state at the middle t
      of a text: the largest norm of the derivative of u . h_t with respect to x_s over the reviews `few_tokens_NT` and
      all s > t or all s < t. Each review has its own random unit vector u. TensorFlow differentiates Keras' layer.
    """
    vocabulary_size = model.get_layer("embedding").input_dim
    added = parameters_per_position(model.name, settings, vocabulary_size)
    rows = [_row("none", "parameters_per_position", added, None)]
    if model.name in STATELESS:
        return rows

    states_by_direction = _states_word_by_word(model, tokens_NT)
    at_once_NH = np.split(encode(tokens_NT), len(states_by_direction), axis=1)
    gradients_by_direction = _gradients_of_middle_states(model, few_tokens_NT)

    for (direction, states_TNH), last_NH in zip(
        states_by_direction.items(), at_once_NH, strict=True
    ):
        numbers = {
            "streaming_difference": _relative_difference(last_NH, states_TNH),
            "state_change": _state_change(states_TNH),
        }
        rows += [_row(direction, name, value, len(tokens_NT)) for name, value in numbers.items()]

        sensitivities = _sensitivities(gradients_by_direction[direction])
        reviews = len(few_tokens_NT)
        rows += [_row(direction, name, value, reviews) for name, value in sensitivities.items()]

    return rows


def _row(direction: str, measure: str, value: float, reviews: int | None) -> dict[str, Any]:
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


def _relative_difference(last_NH, states_TNH) -> float:
    difference = np.abs(last_NH - states_TNH[-1]).max()
    return difference / np.abs(states_TNH[-1]).max()


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
    units = model.get_layer("probability").input.shape[1]
    directions = ("forward", "backward") if model.name == "bidirectional" else ("forward",)

    u_NK = np.random.default_rng(0).normal(size=(len(tokens_NT), units))
    unit_vectors = []
    for u_NH in np.split(u_NK, len(directions), axis=1):
        unit_NH = u_NH / np.linalg.norm(u_NH, axis=1, keepdims=True)
        unit_vectors.append(unit_NH.astype(embedding_VD.dtype))

    dimension = embedding_VD.shape[1]
    differentiate = _compiled_gradients(model.name, units // len(directions), dimension)
    gradients = differentiate(weights, embedding_VD[tokens_NT], unit_vectors)
    arrays = [gradient_NTD.numpy() for gradient_NTD in gradients]
    return dict(zip(directions, arrays, strict=True))


@lru_cache(maxsize=4)
def _compiled_gradients(architecture: str, units: int, dimension: int):
    """Returns a function of weights, x_NTD and unit vectors that gives one gradient_NTD per direction."""
    layer = _layer_of_all_states(architecture, units)
    layer.build((None, None, dimension))

    @tf.function  # XLA would take longer to compile than it saves
    def gradients(weights, x_NTD, unit_vectors):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x_NTD)
            fixed_variables = layer.non_trainable_variables
            states_NTK, _ = layer.stateless_call(weights, fixed_variables, x_NTD)
            middle_NK = states_NTK[:, _middle(x_NTD.shape[1])]
            states_by_direction = tf.split(middle_NK, len(unit_vectors), axis=1)
            products = [
                tf.reduce_sum(h_NH * u_NH)
                for h_NH, u_NH in zip(states_by_direction, unit_vectors, strict=True)
            ]
        return [tape.gradient(product, x_NTD) for product in products]

    return gradients


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
