"""evaluate: scores every run on the validation and the test split, once, and compares what was declared."""

import pandas as pd

from pipeline import machine
from pipeline.params import SPLITS, Params, Settings
from pipeline.science.networks import architectures, inference, sequences
from pipeline.science.statistics import calibration, comparisons, scoring
from pipeline.storage import artifacts


def main(params: Params) -> None:
    splits = {name: artifacts.read_parquet(artifacts.split(name)) for name in SPLITS}
    cards, metrics, predicted = {}, {}, {}
    for run in params.train.runs:
        card = artifacts.read_json(artifacts.model(run))
        settings = Settings.model_validate(card["values"])
        network = architectures.build(card["architecture"], settings, card["vocabulary_size"])
        found = pd.concat(
            _predicted(split, seed, splits[split], card, settings, artifacts.read_weights(artifacts.weights(run, seed)))
            for split in scoring.METRICS
            for seed in params.train.seeds_of(run)
        )
        predicted[run] = calibration.all_finite(run, found)
        artifacts.write_parquet(artifacts.predictions(run), predicted[run])
        cards[run] = {**card, "parameters": network.count_params(), "layers": architectures.layer_table(network)}
        metrics[run] = {"parameters": network.count_params(), **scoring.by_metric(predicted[run])}

    length, vocabulary_size = params.settings["textbook"].sequence_length, params.data.vocabulary_size
    examples = {name: sequences.examples(split, length) for name, split in splits.items()}
    ceiling = scoring.tfidf(examples["train"].tokens_NT, examples["train"].labels_N, vocabulary_size)
    predicted["tfidf"] = pd.concat(
        _table(split, 0, splits[split], scoring.tfidf_probabilities(ceiling, examples[split].tokens_NT))
        for split in scoring.METRICS
    )
    artifacts.write_parquet(artifacts.predictions("tfidf"), predicted["tfidf"])
    metrics["tfidf"] = {"parameters": scoring.tfidf_parameters(ceiling), **scoring.by_metric(predicted["tfidf"])}

    artifacts.write_json(machine.MACHINE, machine.described())
    artifacts.write_json(artifacts.MODELS_CARD, cards)
    artifacts.write_json(artifacts.METRICS, metrics)
    compared = scoring.comparisons(metrics, params.evaluate.comparisons)
    right = {run: comparisons.right_SN(found) for run, found in predicted.items()}
    family = comparisons.family(compared, metrics, right, params.evaluate.alpha, params.evaluate.power)
    artifacts.write_json(artifacts.COMPARISONS, family)

    tokens_N, bins = splits["test"]["tokens"].str.len().to_numpy(), params.evaluate.calibration_bins
    runs = calibration.runs(predicted, metrics, "tfidf", params.evaluate.learned_share, bins)
    artifacts.write_csv(artifacts.RUNS, runs)
    artifacts.write_csv(artifacts.CALIBRATION, calibration.calibration(predicted, bins))
    buckets = calibration.by_length(predicted, tokens_N, params.evaluate.length_buckets)
    artifacts.write_csv(artifacts.LENGTH_BUCKETS, buckets)


def _predicted(split, seed, reviews, card, settings, weights) -> pd.DataFrame:
    tokens_NT = sequences.rectangle(reviews["tokens"], settings.sequence_length)
    network = inference.Network(card["architecture"], settings, card["vocabulary_size"], weights)
    return _table(split, seed, reviews, network.probabilities(tokens_NT))


def _table(split, seed, reviews, probability_N) -> pd.DataFrame:
    return pd.DataFrame({"split": split, "seed": seed}, index=reviews.index).assign(
        review=reviews["review"], label=reviews["label"], probability=probability_N
    )
