"""One cell of the sequence-length study: one architecture on one seed at one length.

Two designs are kept apart. A network trained at this length is measured at this length; and one trained at the
textbook's length is measured at this one, which is another question, as its rows say (`trained_length`). Where a length
is too long to train at, the second is all there is. Beside both stands the network as it starts.

Axes: N reviews, T tokens, W words, L lags, R resamples of reviews.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, Settings
from pipeline.science.behaviour import probes, word_effect
from pipeline.science.gradients import adjoint, decay, jacobians, saliency
from pipeline.science.networks import architectures, inference, training
from pipeline.science.networks.sequences import Examples

CURVE_AXES = [*decay.GROUP, "epoch", "seed"]
CURVE_COLUMNS = ["log10_relative_norm", "p10", "p90", "growing", "dead", "reviews"]
DYNAMICS_COLUMNS = [
    *("architecture", "direction", "weights", "sequence_length", "trained_length", "epoch", "seed"),
    *("measure", "index", "value", "reviews"),
]
OWN_COLUMNS = ["architecture", "sequence_length", "trained_length", "seed"]
EFFECT_COLUMNS = ["lag_tokens", "contrast", "mean_absolute_contrast", "sign_accuracy", "coherence", "reviews"]
PROBE_COLUMNS = ["probe", "tokens", "accuracy", "logit_change", "reviews"]
PER_TRAINING = ("median", "p99.9", "largest")  # of the gradients of the batches since the last look
LARGE_NORM = 10
LEADING_DIRECTIONS = 8  # Lyapunov exponents at lengths where nothing is trained; elsewhere there are as many as units


@dataclass(frozen=True)
class Length:
    """What the cells of one length share. The reviews hold no padding; all are of the validation split."""

    settings: Settings  # the textbook's, with this sequence length
    vocabulary_size: int
    textbook_length: int
    sets: tuple[Examples, Examples] | None  # to train on and to validate with; None: nothing is trained here
    reviews: tuple[Examples, Examples, Examples]  # for gradients and probes; for the word effect; for Jacobians
    strong_words: tuple[np.ndarray, np.ndarray]
    bag_of_words_accuracy: float
    spectra: bool


def cell(
    length: Length,
    architecture: str,
    seed: int,
    textbook_weights: bytes,
    thorough: bool,
    report: Callable[[dict], None],
) -> dict[str, pd.DataFrame]:
    """Raises training.Diverged. `thorough`: also train here, look at training, other initialisers and the Jacobians."""
    measured = _Measured(length, architecture, seed)
    here = length.settings.sequence_length
    build = (architecture, length.settings, length.vocabulary_size)
    start = architectures.initial(*build, seed)
    network = inference.Network(*build, architectures.packed(start))
    measured.gradients(start, network, thorough, weights="initial", trained_length=here, epoch=0.0)
    if thorough:
        measured.initialisers(start, here)
    networks = {length.textbook_length: textbook_weights}
    if thorough and length.sets and here != length.textbook_length:
        watch = measured.during_training
        _, networks[here] = training.train(
            architecture, length.settings, length.vocabulary_size, seed, *length.sets, report, watch
        )
    for trained_length, weights in networks.items():
        model, network = architectures.restored(*build, weights), inference.Network(*build, weights)
        measured.gradients(model, network, thorough, weights="trained", trained_length=trained_length)
        measured.behaviour(network, trained_length)
    return measured.tables()


class _Measured:
    """Collects the rows of a cell."""

    def __init__(self, length: Length, architecture: str, seed: int):
        self._length, self._architecture = length, architecture
        self._own = {
            "architecture": architecture,
            "sequence_length": length.settings.sequence_length,
            "seed": seed,
        }
        self._curves: list[pd.DataFrame] = []
        self._numbers: list[dict] = []
        self._effects: list[pd.DataFrame] = []
        self._probes: list[pd.DataFrame] = []
        self._medians: list[pd.DataFrame] = []

    def tables(self) -> dict[str, pd.DataFrame]:
        curves, effects, changed, medians = map(pd.concat, (self._curves, self._effects, self._probes, self._medians))
        return {
            "curves": curves[[*CURVE_AXES, "lag_tokens", *CURVE_COLUMNS]],
            "dynamics": pd.DataFrame(self._numbers)[DYNAMICS_COLUMNS],
            "effects": effects[[*OWN_COLUMNS, *EFFECT_COLUMNS]],
            "probes": changed[[*OWN_COLUMNS, *PROBE_COLUMNS]],
            "medians": medians,
        }

    def gradients(self, model: keras.Model, network: inference.Network, thorough: bool, **axes) -> None:
        """Every curve of a network, and the numbers that explain it."""
        axes = {"initialiser": DEFAULT_INITIALISER, "epoch": np.nan, **axes}
        reviews, fewer = self._length.reviews[:2]
        for curve in adjoint.curves(model, reviews.tokens_NT):
            self._curve(curve, axes, with_medians=True)
        for curve in saliency.curves(model, fewer.tokens_NT) if model.name != "feedforward" else []:
            self._curve(curve, axes)
        residual_N = network.probabilities(fewer.tokens_NT) - fewer.labels_N
        self._number("residual", np.median(np.abs(residual_N)), len(residual_N), {**axes, "direction": "none"})
        if model.name in adjoint.TANH_ARCHITECTURES:
            self._directions(model, residual_N, axes)
            if thorough:
                for tanh_cell in adjoint.tanh_cells(model):
                    self._jacobians(tanh_cell, {**axes, "direction": tanh_cell.direction})

    def initialisers(self, start: keras.Model, here: int) -> None:
        """The decay of the network as it starts, had its recurrent weights been drawn in another way."""
        if start.name not in adjoint.TANH_ARCHITECTURES:
            return
        for tanh_cell in adjoint.tanh_cells(start):
            for name, recurrent_HH in other_initialisers(tanh_cell.recurrent_HH, self._own["seed"]).items():
                curve = adjoint.curve_of(
                    replace(tanh_cell, recurrent_HH=recurrent_HH), self._length.reviews[0].tokens_NT
                )
                axes = {"weights": "initial", "trained_length": here, "initialiser": name, "epoch": 0.0}
                self._curve(curve, axes, with_medians=True)

    def during_training(self, epoch: float, model: keras.Model, norms: np.ndarray) -> None:
        axes = {"trained_length": self._length.settings.sequence_length, "initialiser": DEFAULT_INITIALISER}
        axes |= {"weights": "training", "epoch": round(epoch, 3)}
        for curve in adjoint.curves(model, self._length.reviews[1].tokens_NT):
            self._curve(curve, axes)
        for name, value in zip(PER_TRAINING, np.quantile(norms, [0.5, 0.999, 1]), strict=True):
            self._number(f"gradient_norm_{name}", value, None, {**axes, "direction": "none"})
        large = np.mean(norms > LARGE_NORM)
        self._number(f"gradient_norm_share_above_{LARGE_NORM}", large, None, {**axes, "direction": "none"})

    def behaviour(self, network: inference.Network, trained_length: int) -> None:
        """What the network makes of reviews that were changed."""
        own = {**self._own, "trained_length": trained_length}
        reviews, fewer = self._length.reviews[:2]
        effect = word_effect.word_effect(network.replacement_logits, fewer.tokens_NT, *self._length.strong_words)
        self._effects.append(pd.DataFrame(effect).assign(**own))
        found = probes.probes(network.logits, reviews.tokens_NT, reviews.labels_N, seed=0)
        bag = {"probe": "bag_of_words", "tokens": 0, "accuracy": self._length.bag_of_words_accuracy}
        bag |= {"reviews": len(reviews.labels_N)}
        self._probes.append(pd.concat([found, pd.DataFrame([bag])], ignore_index=True).assign(**own))

    def _directions(self, model: keras.Model, residual_N: np.ndarray, axes: dict) -> None:
        """What each word counts, and how the two directions of its gradient, and what it adds to dL/dU, agree."""
        tokens_NT = self._length.reviews[1].tokens_NT
        passes = [saliency.back_through(each, tokens_NT) for each in adjoint.tanh_cells(model)]
        inputs = [each.input_gradient() for each in passes]
        if len(inputs) > 1:
            inputs.append(saliency.sum_of_directions(*inputs))
        x_LND = model.get_layer("embedding").embeddings.numpy().astype(np.float64)[tokens_NT.T[::-1]]
        by_lag = {("weight_cosine", each.cell.direction): each.weight_cosine(residual_N) for each in passes}
        for each in inputs:
            counts_LN = each.times_input(x_LND[::-1] if each.direction == "backward" else x_LND)
            by_lag["size_of_gradient_times_input", each.direction] = np.abs(counts_LN)
        if len(passes) > 1:
            by_lag["direction_cosine", "both"] = saliency.cosine_of_directions(*inputs[:2])
        for (measure, direction), value_LN in by_lag.items():
            for lag in word_effect.lags(len(value_LN)):
                known_N = value_LN[lag][np.isfinite(value_LN[lag])]
                value = np.median(known_N) if len(known_N) else np.nan
                self._number(measure, value, len(known_N), {**axes, "direction": direction}, lag)

    def _jacobians(self, tanh_cell: adjoint.TanhCell, axes: dict) -> None:
        """What the recurrence does to every direction of its state, where the gradient is one."""
        states_TNH = tanh_cell.states(self._length.reviews[2].tokens_NT)
        slope_TNH, recurrent_HH = adjoint.slopes(states_TNH), tanh_cell.recurrent_HH
        count, direction = len(states_TNH[0]), axes["direction"]
        lags = word_effect.lags(len(slope_TNH))
        norm_NL = jacobians.log10_spectral_norm(slope_TNH, recurrent_HH, lags)
        self._curve(adjoint.Curve(direction, "|P|", norm_NL), axes, lags)
        bound_NL = jacobians.log10_bound(slope_TNH, recurrent_HH, tanh_cell.readout_H)
        self._curve(adjoint.Curve(direction, "bound", bound_NL), axes)
        curve_NL = adjoint.adjoint_scan(slope_TNH, recurrent_HH, tanh_cell.readout_H)
        numbers = jacobians.mechanism(slope_TNH, recurrent_HH)
        numbers["rms_state"] = np.sqrt(np.mean(states_TNH**2))
        numbers["bound_slack"] = np.median((bound_NL - curve_NL)[:, -1]) * np.log(10)
        numbers["bound_violations"] = np.sum(curve_NL > bound_NL + np.log10(1 + 1e-12))
        for measure, value in numbers.items():
            self._number(measure, value, count, axes)
        warm_up = min(50, len(slope_TNH) // 4)
        directions = LEADING_DIRECTIONS if self._length.sets is None else None
        log_stretch_SNH = jacobians.log_stretches(slope_TNH, recurrent_HH, directions)
        for measure, skipped in {"lyapunov": 0, "lyapunov_after_warm_up": warm_up}.items():
            exponent_NH = jacobians.exponents(log_stretch_SNH, skipped)
            for number, value in enumerate(exponent_NH.mean(axis=0), 1):
                self._number(measure, value, count, axes, number)
        if self._length.spectra:
            self._spectra(slope_TNH, recurrent_HH, lags, axes)

    def _spectra(self, slope_TNH, recurrent_HH, lags, axes: dict) -> None:
        log10_value_NLC, rank_NL = jacobians.singular_values(slope_TNH, recurrent_HH, lags)
        for number, value_NL in enumerate(np.moveaxis(log10_value_NLC, 2, 0), 1):
            curve = adjoint.Curve(axes["direction"], f"singular value {number}", value_NL)
            self._curve(curve, axes, lags)
        for lag, rank_N in zip(lags, rank_NL.T, strict=True):
            self._number("effective_rank", np.median(rank_N), len(rank_N), axes, lag)
        slope_H = slope_TNH.mean(axis=(0, 1))
        for number, tokens in enumerate(jacobians.time_constants(slope_H, recurrent_HH), 1):
            self._number("time_constant_tokens", tokens, len(slope_TNH[0]), axes, number)

    def _curve(self, curve: adjoint.Curve, axes: dict, lags=None, with_medians: bool = False) -> None:
        axes = {**axes, "direction": curve.direction, "quantity": curve.quantity}
        rows = adjoint.summary(curve)
        if lags is not None:
            rows["lag_tokens"] = np.array(lags)
        self._curves.append(pd.DataFrame(rows).assign(**self._own, **axes))
        relative_NL = curve.log10_relative_NL
        relative_NL = relative_NL[~np.isnan(relative_NL[:, 0])]
        if with_medians and len(relative_NL):
            resampled_RL = decay.resampled_medians(relative_NL, self._own["seed"]).astype(np.float32)
            axes = {**self._own, **axes, "reviews": len(relative_NL)}
            self._medians.append(decay.medians(rows["log10_relative_norm"], resampled_RL).assign(**axes))

    def _number(self, measure: str, value: float, reviews: int | None, axes: dict, index: int | None = None) -> None:
        row = {"measure": measure, "index": index, "value": float(value), "reviews": reviews}
        self._numbers.append({**self._own, **axes, **row})


def other_initialisers(recurrent_HH: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Recurrent weights in place of these orthogonal ones, of the same size."""
    glorot = keras.initializers.GlorotUniform(seed=seed)(recurrent_HH.shape)
    return {
        "glorot_uniform": keras.ops.convert_to_numpy(glorot).astype(np.float64),
        "0.9 orthogonal": 0.9 * recurrent_HH,
        "identity": np.eye(len(recurrent_HH)),
    }
