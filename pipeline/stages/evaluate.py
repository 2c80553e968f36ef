"""evaluate: scores every run on the validation and test splits, and compares the pairs of runs in params.yaml.

Axes: N reviews, T tokens.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline import machine
from pipeline.params import SPLITS, Params, Settings
from pipeline.science import hard_texts
from pipeline.science.networks import architectures, inference, sequences
from pipeline.science.statistics import (
    baselines,
    calibration,
    comparisons,
    linear_ceiling,
    scoring,
)
from pipeline.science.statistics.linear_names import BASELINES, PAIRS, WORDS
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context


def main(context: "Context") -> None:
    """Writes predictions and metrics of every run and of the linear baselines, their comparisons and other tables.

    Raises Mistake if a network returns a probability that is not a finite number.
    """
    params = context.params
    splits = {name: artifacts.read_parquet(artifacts.split(name)) for name in SPLITS}

    cards: dict[str, dict[str, Any]] = {}
    metrics: dict[str, dict[str, Any]] = {}
    predictions: dict[str, pd.DataFrame] = {}
    for run in params.train.runs:
        card = artifacts.read_json(artifacts.model(run))
        settings = Settings.model_validate(card["values"])
        network = architectures.build(card["architecture"], settings, card["vocabulary_size"])
        parameters = network.count_params()

        predictions[run] = _predictions_of_run(
            run, card, settings, params.train.seeds_of(run), splits
        )
        artifacts.write_parquet(artifacts.predictions(run), predictions[run])
        cards[run] = {
            **card,
            "parameters": parameters,
            "layers": architectures.layer_table(network),
        }
        metrics[run] = {"parameters": parameters, **scoring.by_metric(predictions[run])}

    for baseline, (baseline_predictions, parameters) in _baselines(params, splits).items():
        predictions[baseline] = baseline_predictions
        artifacts.write_parquet(artifacts.predictions(baseline), baseline_predictions)
        metrics[baseline] = {"parameters": parameters, **scoring.by_metric(baseline_predictions)}

    files = [artifacts.predictions(run) for run in predictions]
    artifacts.remove_others(artifacts.PREDICTIONS, files)

    family = comparisons.family(
        params.evaluate.comparisons,
        cards,
        metrics,
        predictions,
        params.evaluate.alpha,
        params.evaluate.power,
    )
    artifacts.write_json(machine.MACHINE, machine.described())
    artifacts.write_json(artifacts.MODELS_CARD, cards)
    artifacts.write_json(artifacts.METRICS, metrics)
    artifacts.write_json(artifacts.COMPARISONS, family)
    artifacts.write_json(artifacts.ENSEMBLES, baselines.ensembles(predictions))

    bins = params.evaluate.calibration_bins
    runs = calibration.runs(
        predictions,
        metrics,
        WORDS,
        params.evaluate.learned_share,
        bins,
    )
    tokens_N = splits["test"]["tokens"].str.len().to_numpy()
    buckets = calibration.by_length(predictions, tokens_N, params.evaluate.length_buckets)
    hard = hard_texts.hard_texts(predictions, list(params.train.runs), tokens_N)
    artifacts.write_csv(artifacts.RUNS, runs)
    artifacts.write_csv(artifacts.CALIBRATION, calibration.calibration(predictions, bins))
    artifacts.write_csv(artifacts.LENGTH_BUCKETS, buckets)
    artifacts.write_csv(artifacts.HARD_TEXTS, hard)
    artifacts.write_csv(artifacts.LINEAR_BASELINES, baselines.against_baselines(predictions))


def _predictions_of_run(
    run: str,
    card: dict[str, Any],
    settings: Settings,
    seeds: range,
    splits: dict[str, pd.DataFrame],
) -> pd.DataFrame:
    """One row per split, seed and review. Raises Mistake if a network returns a probability that is not finite."""
    networks: dict[int, inference.Network] = {}
    for seed in seeds:
        weights = artifacts.read_weights(artifacts.weights(run, seed))
        model = architectures.from_bytes(
            card["architecture"], settings, card["vocabulary_size"], weights
        )
        networks[seed] = inference.Network(model, settings)

    tables: list[pd.DataFrame] = []
    for split in scoring.METRICS:
        tokens_NT = sequences.rectangle(splits[split]["tokens"], settings.sequence_length)
        for seed, network in networks.items():
            tables.append(_table(split, seed, splits[split], network.probabilities(tokens_NT)))

    return calibration.all_finite(run, pd.concat(tables))


def _baselines(
    params: Params, splits: dict[str, pd.DataFrame]
) -> dict[str, tuple[pd.DataFrame, int]]:
    """(predictions, number of parameters) of each baseline, fitted on the same tokens as the textbook's networks."""
    length = params.settings["textbook"].sequence_length
    examples = {name: sequences.examples(split, length) for name, split in splits.items()}
    train = examples["train"]
    size = params.data.vocabulary_size
    words = linear_ceiling.tfidf(train.tokens_NT, train.labels_N, size)
    pairs = linear_ceiling.tfidf_bigrams(train.tokens_NT, train.labels_N, size)

    tables: dict[str, list[pd.DataFrame]] = {baseline: [] for baseline in BASELINES}
    for split in scoring.METRICS:
        tokens_NT = examples[split].tokens_NT
        probability = {
            WORDS: linear_ceiling.tfidf_probabilities(words, tokens_NT),
            PAIRS: pairs.probabilities(tokens_NT),
        }
        for baseline, probability_N in probability.items():
            tables[baseline].append(_table(split, 0, splits[split], probability_N))

    parameters = {
        WORDS: linear_ceiling.tfidf_parameters(words),
        PAIRS: linear_ceiling.tfidf_parameters(pairs.pipeline),
    }
    return {name: (pd.concat(tables[name]), parameters[name]) for name in BASELINES}


def _table(split: str, seed: int, reviews: pd.DataFrame, probability_N: np.ndarray) -> pd.DataFrame:
    columns = {
        "split": split,
        "seed": seed,
        "review": reviews["review"],
        "label": reviews["label"],
        "probability": probability_N,
    }
    return pd.DataFrame(columns)
