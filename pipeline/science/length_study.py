"""One cell of the sequence-length study: one architecture on one seed at one length.

We measure two designs, which the column `trained_length` distinguishes. The first trains and measures a network at this
length. The second takes the network that was trained at the textbook's length and measures it at this length. If a
length is too long for training, only the second design exists. We compare both with the network at initialisation. A
network of a fixed size has the first design alone.

Axes: N reviews, T tokens, V words, D embedding dimensions, H hidden units, L lags, S steps, C singular values,
R resamples of blocks of reviews.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, FIXED_SIZE, STATELESS
from pipeline.science.behaviour import probes, word_effect
from pipeline.science.gradients import adjoint, decay, jacobians, saliency, states
from pipeline.science.length_study_inputs import Length, Sample
from pipeline.science.networks import architectures, inference, training

OWN_COLUMNS = ["architecture", "sequence_length", "trained_length", "seed"]
CURVE_AXES = [*decay.CURVE_KIND, "epoch", "seed"]
CURVE_COLUMNS = [
    "log10_relative_norm",
    "p10",
    "p90",
    "growing",
    "dead",
    "reviews",
]
DYNAMICS_COLUMNS = [
    "architecture",
    "direction",
    "weights",
    "sequence_length",
    "trained_length",
    "epoch",
    "seed",
    "measure",
    "index",
    "value",
    "reviews",
]
EFFECT_COLUMNS = [
    "lag_tokens",
    "contrast",
    "mean_absolute_contrast",
    "sign_accuracy",
    "coherence",
    "reviews",
    "share",
    "stored",
    "used",
    "share_resampled",
    "sign_accuracy_resampled",
    "stored_resampled",
    "used_resampled",
    "blocks",
]
# Quantiles of the gradient norms of all batches since the last call of `add_training_state`.
NORM_QUANTILES = {
    "median": 0.5,
    "p99.9": 0.999,
    "largest": 1,
}
LARGE_NORM = 10  # we count the batches whose gradient has a larger norm
# Lyapunov exponents at lengths without training; at other lengths, one per unit
LEADING_DIRECTIONS = 8
WARM_UP = 50  # tokens, or a quarter of a shorter text


def cell(
    length: Length,
    architecture: str,
    seed: int,
    textbook_weights: bytes,
    thorough: bool,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, pd.DataFrame]:
    """Returns the tables `curves`, `dynamics`, `effects`, `probes`, `states`, `decay` and
    `distances` of one cell.

    If `thorough`, we also train at this length and measure the training, other initialisers and the Jacobians. `report`
    gets one row per epoch. Raises training.Diverged if the loss is not finite.
    """
    measurements = _Measurements(length, architecture, seed, thorough)
    sequence_length = length.settings.sequence_length
    build = (architecture, length.settings, length.vocabulary_size)

    model = architectures.initial_model(*build, seed)
    network = inference.Network(model, length.settings)
    measurements.add_gradients(model, network, _axes("initial", sequence_length, epoch=0.0))
    if thorough:
        measurements.add_other_initialisers(model)

    weights_by_length = {length.textbook_length: textbook_weights}
    if architecture in FIXED_SIZE and sequence_length != length.textbook_length:
        weights_by_length.clear()  # they fit no other length
    if thorough and length.sets and sequence_length != length.textbook_length:
        _, weights_by_length[sequence_length] = training.train(
            *build,
            seed,
            *length.sets,
            report,
            measurements.add_training_state,
        )

    for trained_length, weights in weights_by_length.items():
        model = architectures.from_bytes(*build, weights)
        network = inference.Network(model, length.settings)
        measurements.add_gradients(model, network, _axes("trained", trained_length))
        measurements.add_behaviour(network, trained_length)
        measurements.add_states(model, network, trained_length)

    return measurements.tables()


def _axes(weights: str, trained_length: int, epoch: float = np.nan) -> dict[str, Any]:
    """Returns the columns that identify a network of a cell. `epoch` is nan for a network whose training has ended."""
    return {
        "weights": weights,
        "trained_length": trained_length,
        "initialiser": DEFAULT_INITIALISER,
        "epoch": epoch,
        "direction": "none",  # each curve replaces it by its own
    }


class _Measurements:
    """Measures the networks of a cell and collects the rows of its tables.

    The argument `axes` of its methods comes from `_axes`.
    """

    def __init__(self, length: Length, architecture: str, seed: int, thorough: bool):
        self._length = length
        self._thorough = thorough
        self._own = {
            "architecture": architecture,
            "sequence_length": length.settings.sequence_length,
            "seed": seed,
        }
        self._curves: list[pd.DataFrame] = []
        self._dynamics: list[dict[str, Any]] = []
        self._effects: list[pd.DataFrame] = []
        self._probes: list[pd.DataFrame] = []
        self._states: list[pd.DataFrame] = []
        self._decay: list[pd.DataFrame] = []
        self._distances: list[pd.DataFrame] = []

    def tables(self) -> dict[str, pd.DataFrame]:
        """Returns all rows so far, by table."""
        return {
            "curves": pd.concat(self._curves)[[*CURVE_AXES, "lag_tokens", *CURVE_COLUMNS]],
            "dynamics": pd.DataFrame(self._dynamics)[DYNAMICS_COLUMNS],
            "effects": pd.concat(self._effects)[[*OWN_COLUMNS, *EFFECT_COLUMNS]],
            "states": pd.concat(self._states)[[*OWN_COLUMNS, *states.COLUMNS]],
            "decay": pd.concat(self._decay),
            "distances": pd.concat(self._distances),
            "probes": pd.concat(self._probes)[[*OWN_COLUMNS, *probes.COLUMNS, "blocks"]],
        }

    def add_gradients(
        self, model: keras.Model, network: inference.Network, axes: dict[str, Any]
    ) -> None:
        """Adds all curves of a network and the numbers that explain them. `network` has the weights of `model`."""
        for curve in adjoint.curves(model, self._length.reviews.examples.tokens_NT):
            self._add_curve(curve, axes, sample=self._length.reviews)

        tokens_NT = self._length.memory_reviews.examples.tokens_NT
        probability_N = network.probabilities(tokens_NT)
        residual_N = probability_N - self._length.memory_reviews.examples.labels_N
        median_residual = np.median(np.abs(residual_N))
        self._add_number("residual", median_residual, len(residual_N), axes)

        if model.name in adjoint.TANH_ARCHITECTURES:
            self._add_gradients_of_words(model, residual_N, axes)
            if self._thorough:
                for tanh_cell in adjoint.tanh_cells(model):
                    self._add_jacobians(tanh_cell, {**axes, "direction": tanh_cell.direction})
        elif model.name not in STATELESS:  # their curve of dz/dx is already there
            for curve in saliency.curves(model, tokens_NT):
                self._add_curve(curve, axes, sample=self._length.memory_reviews)

    def add_other_initialisers(self, model: keras.Model) -> None:
        """Adds the curves of this initial network with recurrent weights from other initialisers."""
        if model.name not in adjoint.TANH_ARCHITECTURES:
            return

        axes = _axes("initial", self._own["sequence_length"], epoch=0.0)
        for tanh_cell in adjoint.tanh_cells(model):
            weights_by_name = other_initialisers(tanh_cell.recurrent_HH, self._own["seed"])
            for name, recurrent_HH in weights_by_name.items():
                changed_cell = replace(tanh_cell, recurrent_HH=recurrent_HH)
                own_axes = {**axes, "initialiser": name}
                curve = adjoint.curve_of(changed_cell, self._length.reviews.examples.tokens_NT)
                self._add_curve(curve, own_axes, sample=self._length.reviews)

    def add_training_state(self, epoch: float, model: keras.Model, norms) -> None:
        """Adds the curves of a network in training and quantiles of its batch gradients' norms.

        This method is a `training.Watch`.
        """
        axes = _axes("training", self._own["sequence_length"], round(epoch, 3))
        for curve in adjoint.curves(model, self._length.memory_reviews.examples.tokens_NT):
            self._add_curve(curve, axes)

        values = np.quantile(norms, list(NORM_QUANTILES.values()))
        for name, value in zip(NORM_QUANTILES, values, strict=True):
            self._add_number(f"gradient_norm_{name}", value, None, axes)
        large_share = np.mean(norms > LARGE_NORM)
        self._add_number(f"gradient_norm_share_above_{LARGE_NORM}", large_share, None, axes)

    def add_behaviour(self, network: inference.Network, trained_length: int) -> None:
        """Adds the word effect and the probes of a network, with the accuracy of the bag of words as one more probe."""
        own = {**self._own, "trained_length": trained_length}
        memory_reviews = self._length.memory_reviews
        effect = word_effect.word_effect(
            network.replacement_states,
            network.readout_H,
            memory_reviews.examples.tokens_NT,
            memory_reviews.count_RN,
            self._length.probe_tokens_NT,
            *self._length.strong_words,
        )
        self._effects.append(effect.assign(**own, blocks=memory_reviews.blocks))

        reviews = self._length.reviews
        probe_rows = probes.probes(
            network.logits,
            reviews.examples.tokens_NT,
            reviews.examples.labels_N,
            reviews.count_RN,
            self._length.bag_of_words_N,
            seed=0,
        )
        self._probes.append(probe_rows.assign(**own, blocks=reviews.blocks))

    def add_states(
        self, model: keras.Model, network: inference.Network, trained_length: int
    ) -> None:
        """Adds how a trained network updates its state. `network` has the weights of `model`."""
        rows = states.states(
            model,
            self._length.settings,
            network.encoded,
            self._length.memory_reviews.examples.tokens_NT,
            self._length.jacobian_reviews.examples.tokens_NT,
        )
        own = {**self._own, "trained_length": trained_length}
        self._states.append(pd.DataFrame(rows).assign(**own))

    def _add_gradients_of_words(self, model: keras.Model, residual_N, axes: dict[str, Any]) -> None:
        """Adds the curves of dz/dx and dL/dU of a SimpleRNN, and medians at the lags of the word effect.

        The medians are each word's contribution, and the cosines between directions and between terms of dL/dU.
        """
        tokens_NT = self._length.memory_reviews.examples.tokens_NT
        passes = saliency.backward_passes(model, tokens_NT)
        gradients = saliency.input_gradients(passes)
        for curve in saliency.curves_of_passes(passes, gradients):
            of_words = curve.quantity == "dz/dx"
            self._add_curve(curve, axes, sample=self._length.memory_reviews if of_words else None)

        (embedding_VD,) = adjoint.float64_weights(model.get_layer("embedding"))
        x_LND = embedding_VD[tokens_NT.T[::-1]]
        lags = word_effect.measured_lags(tokens_NT.shape[1])

        for backward_pass in passes:
            cosine_LN = backward_pass.weight_cosine(residual_N, lags)
            self._add_medians(
                "weight_cosine",
                backward_pass.cell.direction,
                lags,
                cosine_LN,
                axes,
            )

        for gradient in gradients:
            own_x_LND = x_LND[::-1] if gradient.direction == "backward" else x_LND
            size_LN = np.abs(gradient.times_input(own_x_LND)[lags])
            self._add_medians(
                "size_of_gradient_times_input",
                gradient.direction,
                lags,
                size_LN,
                axes,
            )

        if len(passes) > 1:
            cosine_LN = saliency.cosine_of_directions(*gradients[:2])[lags]
            self._add_medians("direction_cosine", "both", lags, cosine_LN, axes)

    def _add_medians(
        self,
        measure: str,
        direction: str,
        lags: Sequence[int],
        value_LN,
        axes: dict[str, Any],
    ) -> None:
        """Adds the median over the reviews with a finite value, by lag."""
        axes = {**axes, "direction": direction}
        for lag, value_N in zip(lags, value_LN, strict=True):
            finite = value_N[np.isfinite(value_N)]
            median = np.median(finite) if len(finite) else np.nan
            self._add_number(measure, median, len(finite), axes, lag)

    def _add_jacobians(self, tanh_cell: adjoint.TanhCell, axes: dict[str, Any]) -> None:
        """Adds how the recurrence changes all directions of the state. The gradient is only one of them."""
        states_TNH = tanh_cell.states(self._length.jacobian_reviews.examples.tokens_NT)
        slope_TNH = adjoint.slopes(states_TNH)
        recurrent_HH = tanh_cell.recurrent_HH
        lags = word_effect.measured_lags(len(slope_TNH))

        norm_NL = jacobians.log10_spectral_norm(slope_TNH, recurrent_HH, lags)
        self._add_curve(adjoint.Curve(tanh_cell.direction, "|P|", norm_NL), axes, lags)
        bound_NL = jacobians.log10_bound(slope_TNH, recurrent_HH, tanh_cell.readout_H)
        self._add_curve(adjoint.Curve(tanh_cell.direction, "bound", bound_NL), axes)
        curve_NL = adjoint.adjoint_scan(slope_TNH, recurrent_HH, tanh_cell.readout_H)

        slack_NL = bound_NL - curve_NL
        rounding = np.log10(1 + 1e-12)
        numbers = {
            **jacobians.mechanism(slope_TNH, recurrent_HH),
            "rms_state": np.sqrt(np.mean(states_TNH**2)),
            "bound_slack": np.median(slack_NL[:, -1]) * np.log(10),
            "bound_violations": np.sum(curve_NL > bound_NL + rounding),
        }
        for measure, value in numbers.items():
            self._add_number(measure, value, len(norm_NL), axes)

        self._add_lyapunov_exponents(slope_TNH, recurrent_HH, axes)
        if self._length.spectra:
            self._add_spectra(slope_TNH, recurrent_HH, lags, axes)

    def _add_lyapunov_exponents(self, slope_TNH, recurrent_HH, axes: dict[str, Any]) -> None:
        tokens, reviews, _ = slope_TNH.shape
        directions = LEADING_DIRECTIONS if self._length.sets is None else None
        log_stretch_SNH = jacobians.log_stretches(slope_TNH, recurrent_HH, directions)
        warm_ups = {
            "lyapunov": 0,
            "lyapunov_after_warm_up": min(WARM_UP, tokens // 4),
        }
        for measure, warm_up in warm_ups.items():
            exponent_NH = jacobians.exponents(log_stretch_SNH, warm_up)
            for number, exponent in enumerate(exponent_NH.mean(axis=0), 1):
                self._add_number(measure, exponent, reviews, axes, number)

    def _add_spectra(
        self, slope_TNH, recurrent_HH, lags: Sequence[int], axes: dict[str, Any]
    ) -> None:
        log10_value_NLC, rank_NL = jacobians.singular_values(slope_TNH, recurrent_HH, lags)
        value_CNL = np.moveaxis(log10_value_NLC, 2, 0)
        for number, value_NL in enumerate(value_CNL, 1):
            curve = adjoint.Curve(axes["direction"], f"singular value {number}", value_NL)
            self._add_curve(curve, axes, lags)
        for lag, rank_N in zip(lags, rank_NL.T, strict=True):
            self._add_number("effective_rank", np.median(rank_N), len(rank_N), axes, lag)

        slope_H = slope_TNH.mean(axis=(0, 1))
        tokens_H = jacobians.time_constants(slope_H, recurrent_HH)
        for number, tokens in enumerate(tokens_H, 1):
            self._add_number("time_constant_tokens", tokens, len(rank_NL), axes, number)

    def _add_curve(
        self,
        curve: adjoint.Curve,
        axes: dict[str, Any],
        lags: Sequence[int] | None = None,
        sample: Sample | None = None,
    ) -> None:
        """Adds the summary of a curve, and the measures of its decay if `sample` has its reviews.

        `lags` are the lags of its columns, if it does not have all of them.
        """
        axes = {
            **self._own,
            **axes,
            "direction": curve.direction,
            "quantity": curve.quantity,
        }
        summary = adjoint.summary(curve)
        if lags is not None:
            summary["lag_tokens"] = np.array(lags)
        self._curves.append(pd.DataFrame(summary).assign(**axes))

        if sample is not None:
            self._add_decay(curve, summary["log10_relative_norm"], axes, sample)

    def _add_decay(
        self,
        curve: adjoint.Curve,
        median_L,
        axes: dict[str, Any],
        sample: Sample,
    ) -> None:
        """Adds the measures of the median over reviews, in every resample of blocks, and its values at a few lags."""
        relative_NL = curve.log10_relative_NL
        is_defined_N = ~np.isnan(relative_NL[:, 0])
        count_RN = sample.count_RN[:, is_defined_N]
        resampled_RL = decay.resampled_medians(relative_NL[is_defined_N], count_RN)
        lags = word_effect.measured_lags(len(median_L))

        counted_axes = {
            **axes,
            "reviews": is_defined_N.sum(),
            "blocks": sample.blocks,
            "last_lag_tokens": len(median_L) - 1,
        }
        self._decay.append(decay.of_seed(median_L, resampled_RL).assign(**counted_axes))
        if axes["initialiser"] == DEFAULT_INITIALISER:
            distances = decay.by_lag(median_L, resampled_RL, lags)
            self._distances.append(distances.assign(**counted_axes))

    def _add_number(
        self,
        measure: str,
        value: float,
        reviews: int | None,
        axes: dict[str, Any],
        index: int | None = None,
    ) -> None:
        """Adds a row of `dynamics`. `index` is a lag, or the number of a Lyapunov exponent or of a mode."""
        self._dynamics.append(
            {
                **self._own,
                **axes,
                "measure": measure,
                "index": index,
                "value": float(value),
                "reviews": reviews,
            }
        )


def other_initialisers(recurrent_HH, seed: int) -> dict[str, np.ndarray]:
    """Returns recurrent weights from other initialisers by name, in the shape of these orthogonal ones."""
    glorot = keras.initializers.GlorotUniform(seed=seed)(recurrent_HH.shape)
    return {
        "glorot_uniform": keras.ops.convert_to_numpy(glorot).astype(np.float64),
        "0.9 orthogonal": 0.9 * recurrent_HH,
        "identity": np.eye(len(recurrent_HH)),
    }
