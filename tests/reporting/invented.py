"""An invented study: every file that `report` reads, with exact columns and plausible numbers. Results of nothing.

`study` gives parameters, `write` the files, both for any subset of runs, lengths and tuned architectures.
"""

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.record import artifacts
from pipeline.reporting import tables

LEVEL = {"feedforward": 0.845, "vanilla": 0.805, "bidirectional": 0.812, "lstm": 0.842}
PARAMETERS = {"feedforward": 322_177, "vanilla": 326_273, "bidirectional": 332_545, "lstm": 344_897}
RATE = {"initial": -0.0055, "vanilla": -0.014, "bidirectional": -0.02, "lstm": -0.001}
TEXTBOOK = {
    "sequence_length": 100,
    "embedding_dimension": 32,
    "hidden_size": 64,
    "learning_rate": 0.001,
    "learning_rate_schedule": "constant",
    "batch_size": 32,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "clip_norm": None,
    "epochs": 12,
    "patience": 2,
    "mask": False,
    "weight_averaging": None,
}
DEFAULT = {
    "runs": [*(f"{name}-textbook" for name in LEVEL), "vanilla-tuned", "bidirectional-tuned"],
    "comparisons": [
        ("vanilla-textbook", "bidirectional-textbook"),
        ("vanilla-textbook", "lstm-textbook"),
        ("vanilla-textbook", "feedforward-textbook"),
        ("vanilla-textbook", "vanilla-tuned"),
        ("bidirectional-textbook", "bidirectional-tuned"),
    ],
    "tuned": ["vanilla", "bidirectional"],
    "lengths": [10, 50, 100, 200],
    "architectures": list(LEVEL),
    "seeds": 3,
}


def study(runs, comparisons, tuned, lengths, architectures, seeds) -> params.Params:
    """params.yaml of the project with these lists in it."""
    found = params.document(params.PARAMS)
    found["train"]["runs"] = {
        run: {
            "architecture": run.split("-")[0],
            "settings": run.split("-")[1],
            "from": "params.yaml" if run.endswith("textbook") else f"artifacts/tuned/{run.split('-')[0]}.json",
        }
        for run in runs
    }
    found["train"]["seeds"] = seeds
    found["evaluate"]["comparisons"] = [list(pair) for pair in comparisons]
    found["tune"]["architectures"] = tuned
    found["gradients"] |= {"sequence_lengths": lengths, "architectures": architectures, "seeds": min(seeds, 3)}
    return params.explained(params.Params, found, "invented")


def write(runs, comparisons, tuned, lengths, architectures, seeds) -> None:
    """The files, below the working directory."""
    random = np.random.default_rng(0)
    metrics = {run: _scores(random, run, seeds) for run in runs}
    artifacts.write_json(artifacts.DATA_CARD, card())
    artifacts.write_json(artifacts.MODELS_CARD, {run: _model(run, seeds) for run in runs})
    artifacts.write_json(artifacts.METRICS, {**metrics, "tfidf": _ceiling()})
    artifacts.write_json(artifacts.COMPARISONS, [_comparison(metrics, *pair) for pair in comparisons])
    for architecture in tuned:
        found = trials(random)
        artifacts.write_csv(artifacts.trials(architecture), found)
        artifacts.write_json(artifacts.tuning_summary(architecture), searched(found))
    for length in lengths:
        artifacts.write_csv(artifacts.gradients(length), gradients(random, length, architectures, seeds))
        artifacts.write_csv(artifacts.memory(length), memory(random, length, architectures, seeds))


def card() -> dict:
    def split(reviews):
        length = {"p5": 64, "p25": 127, "p50": 174, "p75": 283, "p95": 598, "p99": 911, "max": 2473, "mean": 233.4}
        shares = {"positive_share": 0.5, "truncated_share": 0.87, "padded_share": 0.12, "out_of_vocabulary_rate": 0.03}
        return {"reviews": reviews, "length_tokens": length, **shares}

    return {
        "source": "imdb",
        "reviews": 25_000,
        "positive_share": 0.5,
        "sequence_length": 100,
        "split_rule": "An invented rule: contiguous blocks of each label.",
        "vocabulary": {"size": 10_000, "words_in_train": 70_000},
        "cleaning": {"kept": 24_998, "dropped_empty": 2},
        "duplicates": {"exact": 96, "normalised": 99, "moved": 3, "kept_in": {"train": 70, "test": 29}},
        "groups": None,
        "splits": {"train": split(17_500), "validation": split(2_500), "test": split(5_000)},
    }


def summary(values: list[float]) -> dict:
    values = np.array(values, float)
    mean, sd = values.mean(), values.std(ddof=1)
    reach = tables.reach_in_sd(len(values)) * sd
    numbers = {"mean": mean, "sd": sd, "low": mean - reach, "high": mean + reach}
    found = {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
    scores = {str(seed): float(value) if np.isfinite(value) else None for seed, value in enumerate(values)}
    return {**found, "scores": scores}


def _scores(random, run: str, seeds: int) -> dict:
    architecture, settings = run.split("-")
    spread = 0.02 if architecture in ("vanilla", "bidirectional") else 0.004
    scores = LEVEL[architecture] + 0.01 * (settings == "tuned") + spread * random.standard_normal(seeds)
    others = {"test/nll": 0.45, "test/brier": 0.14, "test/ece": 0.05, "test/auc": 0.88, "validation/nll": 0.44}
    return {
        "parameters": PARAMETERS[architecture],
        "validation/accuracy": summary(scores + 0.005),
        "test/accuracy": summary(scores),
        **{name: summary(value + 0.01 * random.standard_normal(seeds)) for name, value in others.items()},
    }


def _ceiling() -> dict:
    values = {"validation/accuracy": 0.85, "test/accuracy": 0.848, "test/nll": 0.36, "test/brier": 0.11}
    values |= {"test/ece": 0.04, "test/auc": 0.92, "validation/nll": 0.36}
    one = {name: {"mean": v, "sd": None, "low": None, "high": None, "scores": {"0": v}} for name, v in values.items()}
    return {"parameters": 9_999, **one}


def _comparison(metrics: dict, baseline: str, run: str) -> dict:
    a, b = (list(metrics[name]["test/accuracy"]["scores"].values()) for name in (baseline, run))
    difference, low, high = tables.welch(a, b)
    numbers = {"difference": difference, "low": low, "high": high, "baseline_seeds": len(a), "run_seeds": len(b)}
    better = float(np.greater.outer(b, a).mean())
    numbers |= {"p_better": better, "p_better_low": 0.5 * better, "p_better_high": 0.5 + 0.5 * better}
    return {"baseline": baseline, "run": run, "metric": "test/accuracy", **numbers}


def _model(run: str, seeds: int) -> dict:
    architecture, settings = run.split("-")
    layers = [
        {"name": "embedding", "kind": "Embedding", "output": [100, 32], "parameters": 320_000},
        {"name": architecture, "kind": "Encoder", "output": [64], "parameters": PARAMETERS[architecture] - 320_065},
        {"name": "answer", "kind": "Dense", "output": [1], "parameters": 65},
    ]
    changed = {"hidden_size": 96, "dropout": 0.2, "learning_rate": 0.00043} if settings == "tuned" else {}
    return {
        "architecture": architecture,
        "settings": settings,
        "values": {**TEXTBOOK, **changed},
        "parameters": PARAMETERS[architecture],
        "layers": layers,
        "best_epochs": {str(seed): 4 for seed in range(seeds)},
    }


def trials(random) -> pd.DataFrame:
    rows = 8
    state = np.array(["COMPLETE"] * 5 + ["PRUNED"] * 2 + ["FAIL"])
    value = np.where(state == "FAIL", np.nan, 0.78 + 0.05 * random.random(rows))
    return pd.DataFrame(
        {
            "trial": range(rows),
            "state": state,
            "value": value,
            "hidden_size": 16 * random.integers(1, 9, rows),
            "embedding_dimension": 8 * random.integers(1, 9, rows),
            "learning_rate": 10 ** random.uniform(-3.5, -2.6, rows),
            "dropout": random.integers(0, 6, rows) / 10,
            "parameters": 300_000 + 1_000 * random.integers(0, 9, rows),
            "epochs": np.where(state == "FAIL", np.nan, 6),
            "reason": [
                None,
                None,
                "as trial 1",
                *[None] * 2,
                "below the median",
                "as trial 5",
                "loss is | not <finite>",
            ],
        }
    )


def searched(trials: pd.DataFrame) -> dict:
    """What `tune` says of these trials; the expected best of so many is invented."""
    done = trials[trials.state == "COMPLETE"]
    shares = {"hidden_size": 0.4, "embedding_dimension": 0.2, "learning_rate": 0.3, "dropout": 0.1}
    return {
        "chosen": {"trial": int(done.value.idxmax()), "validation/accuracy": float(done.value.max())},
        "importances": {"evaluator": "PED-ANOVA", "values": shares},
        "expected_best": [float(value) for value in np.linspace(done.value.mean(), done.value.max(), len(done))],
    }


def gradients(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    lags = np.arange(length)
    parts = []
    for architecture in architectures:
        directions = {"feedforward": ["none"], "bidirectional": ["forward", "backward"]}.get(architecture, ["forward"])
        for direction in directions:
            for weights in tables.WEIGHTS:
                for seed in range(seeds):
                    rate = RATE["initial"] if weights == "initial" else RATE.get(architecture, 0)
                    slope = 0 if direction == "none" else rate * (1 + 0.25 * random.standard_normal())
                    value = slope * lags + (0 if direction == "none" else 0.05 * np.sin(lags / 7))
                    keys = {"architecture": architecture, "direction": direction, "weights": weights, "seed": seed}
                    numbers = {"lag_tokens": lags, "log10_relative_norm": value, "p10": value - 0.3, "p90": value + 0.3}
                    parts.append(pd.DataFrame({**keys, "sequence_length": length, **numbers, "reviews": 500}))
    columns = ["architecture", "direction", "weights", "sequence_length", "seed", "lag_tokens"]
    return pd.concat(parts)[[*columns, "log10_relative_norm", "p10", "p90", "reviews"]]


def memory(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    lags = np.array(sorted({lag for lag in (0, 1, 2, 5, 10, 20, 50, 100, 200) if lag < length} | {length - 1}))
    parts = []
    for architecture in architectures:
        for seed in range(seeds):
            decay = {"vanilla": 25, "bidirectional": 30}.get(architecture, 400) * (1 + 0.2 * random.standard_normal())
            left = np.exp(-lags / decay)
            left = np.maximum(left, np.exp(-(length - 1 - lags) / decay)) if architecture == "bidirectional" else left
            keys = {"architecture": architecture, "sequence_length": length, "trained_length": length, "seed": seed}
            keys["lag_tokens"] = lags
            numbers = {
                "contrast": 3 * left + 0.05 * random.standard_normal(len(lags)),
                "sign_accuracy": 0.5 + 0.5 * left,
            }
            parts.append(pd.DataFrame({**keys, **numbers, "reviews": 500}))
    return pd.concat(parts)
