"""Small tables of a study, as `claims` reads them: the lengths LENGTH (the textbook's) and LONGEST, ten seeds.

`study` returns them, and `write` writes them as files below the working directory.
"""

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.params.subjects import FILM_REVIEWS
from pipeline.science.claim_measures import Study
from pipeline.storage import artifacts

LENGTH, LONGEST = 8, 16
SEEDS = range(10)
BLOCKS = 20
DISTANCES = {"sentence": 2, "paragraph": 6, "page": 10, "two_pages": LONGEST}
PROJECT = Path(__file__).parents[2]
THRESHOLDS = params.read(PROJECT / params.PARAMS).claims.model_copy(update={"distances": DISTANCES})
ALPHA = 0.05
LAGS = {LENGTH: [0, 1, 2, 4, 6, 7], LONGEST: [0, 1, 2, 4, 6, 10, 14, 15]}


def network(architecture, length=LENGTH, trained_length=LENGTH):
    return {
        "architecture": architecture,
        "sequence_length": length,
        "trained_length": trained_length,
    }


def memory(architecture, half=5.0, wrong_at=12.0, length=LENGTH, seeds=SEEDS):
    """The effect of a word halves every `half` tokens, and its sign falls evenly to chance at `wrong_at`."""
    lags = np.array(LAGS[length])
    share = 0.5 ** (lags / half)
    sign_accuracy = np.maximum(1 - 0.5 * lags / wrong_at, 0.5)
    tables = []
    for seed in seeds:
        rows = pd.DataFrame(
            {
                "lag_tokens": lags,
                "share": share * (1 + 0.02 * np.sin(seed) * (lags > 0)),
                "sign_accuracy": sign_accuracy - 0.002 * (seed % 3) * (sign_accuracy < 1),
                "stored": 0.97,
                "used": np.maximum(sign_accuracy, 0.6),
            }
        )
        tables.append(rows.assign(**network(architecture, length), seed=seed))

    errors = {"share": 0.01, "sign_accuracy": 0.005, "stored": 0.01, "used": 0.01}
    columns = {f"{name}_review_error": error for name, error in errors.items()}
    table = pd.concat(tables).assign(**columns, blocks=BLOCKS)
    return table.assign(sign_accuracy_review_error=np.where(table["lag_tokens"] == 0, 0.0, 0.005))


def probes(architecture, shuffled_change=1.0, length=LENGTH, seeds=SEEDS):
    rows = [
        ("plain", 0, 0.0, 0.0),
        ("bag_of_words", 0, -0.04, np.nan),
        ("shuffled", length, 0.01, shuffled_change),
        ("prefix", length // 4, 0.02, 0.1),
        ("suffix", length // 4, 0.2, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["probe", "tokens", "lost", "logit_change"])
    table = table.assign(lost_review_error=0.004, logit_change_review_error=0.01, blocks=BLOCKS)
    tables = []
    for seed in seeds:
        scatter = 1 + 0.01 * seed
        changed = {
            "lost": table["lost"] * scatter,
            "logit_change": table["logit_change"] * scatter,
        }
        tables.append(table.assign(**network(architecture, length, length), seed=seed, **changed))
    return pd.concat(tables)


STATES = {  # architecture, direction: streaming, change, by later words, by earlier words, parameters per position
    ("feedforward", "none"): (None, None, None, None, 0),
    ("flattened", "none"): (None, None, None, None, 2048),
    ("vanilla", "forward"): (1e-6, 0.7, 0.0, 0.9, None),
    ("bidirectional", "forward"): (1e-6, 0.7, 0.0, 0.9, None),
    ("bidirectional", "backward"): (1e-6, 0.7, 0.8, 0.9, None),
    ("lstm", "forward"): (1e-6, 0.3, 0.0, 0.9, None),
}
STATE_MEASURES = (
    "streaming_difference",
    "state_change",
    "sensitivity_to_later_words",
    "sensitivity_to_earlier_words",
    "parameters_per_position",
)


def states(length=LENGTH, seeds=SEEDS, architectures=None):
    rows = []
    for (architecture, direction), values in STATES.items():
        if architectures is not None and architecture not in architectures:
            continue
        for seed, (measure, value) in product(seeds, zip(STATE_MEASURES, values, strict=True)):
            if value is not None:
                axes = network(architecture, length, length)
                cells = {"direction": direction, "seed": seed, "measure": measure}
                rows.append({**axes, **cells, "value": value, "reviews": 16})
    return pd.DataFrame(rows)


def distances(architecture, per_token, weights="trained", quantity="dz/dh", length=LENGTH, **more):
    """The gradient falls by `per_token` decades a token."""
    lags = np.array(LAGS[length])
    tables = []
    for seed in more.pop("seeds", SEEDS):
        norms = per_token * lags * (1 + 0.02 * np.sin(seed))
        tables.append(
            pd.DataFrame({"lag_tokens": lags, "log10_relative_norm": norms, "seed": seed})
        )

    trained_length = LENGTH if weights == "trained" else length
    axes = {
        **network(architecture, length, trained_length),
        "direction": "forward",
        "weights": weights,
        "initialiser": "orthogonal",
        "quantity": quantity,
    }
    return pd.concat(tables).assign(**axes, review_error=0.02, blocks=BLOCKS, reviews=500, **more)


def all_distances(trained=-0.25, initial=-0.1, lstm=-0.05, lstm_initial=-0.8):
    tables = []
    for length, quantity in product(LAGS, ("dz/dh", "dz/dx")):
        tables += [
            distances("vanilla", trained, "trained", quantity, length),
            distances("vanilla", initial, "initial", quantity, length),
            distances("lstm", lstm, "trained", quantity, length),
            distances("lstm", lstm_initial, "initial", quantity, length),
        ]
    return pd.concat(tables, ignore_index=True)


def decay(architecture="vanilla", length=LENGTH, weights="trained", **changed):
    """A row of the decay tables."""
    row = {
        **network(architecture, length, LENGTH if weights == "trained" else length),
        "direction": "forward",
        "weights": weights,
        "initialiser": "orthogonal",
        "quantity": "dz/dh",
        "seeds": len(SEEDS),
        "exponential_seeds": 9,
        "r2": 0.95,
        "rate": 0.9,
        "rate_low": 0.88,
        "rate_high": 0.92,
        "half_life_tokens": 3.0,
        "horizon_1e-3": np.inf,
    }
    return {**row, **changed}


def comparison(baseline, run, gain, answers="architecture"):
    """A row of reports/comparisons.json and the scores of its run, if those of the baseline are `scores(0.8)`."""
    return {
        "baseline": baseline,
        "run": run,
        "difference": gain,
        "review_error": 0.002,
        "blocks": BLOCKS,
        "answers": answers,
    }


def scores(mean):
    return [mean + 0.002 * np.sin(seed) for seed in SEEDS]


def retention():
    """Vanilla networks learn lag 20 on every seed, LSTMs lag 5."""
    rows = []
    for (architecture, longest), lag, seed in product(
        (("vanilla", 20), ("lstm", 5)), (5, 10, 20, 50), range(3)
    ):
        rows.append((architecture, "first", lag, seed, lag <= longest))
    rows.append(("vanilla", "middle", 10, 0, True))
    return pd.DataFrame(rows, columns=["architecture", "signal", "lag_tokens", "seed", "solved"])


def study(**changed):
    """The usual study, with other tables in the place of some."""
    return replace(_usual(), **changed)


@cache
def _usual():
    gains = {"feedforward": 0.03, "bidirectional": 0.0, "lstm": 0.02}
    return Study(
        length=LENGTH,
        half_life_at_initialisation=42.3,
        subject=FILM_REVIEWS,
        updates=400,
        scores={
            "vanilla-textbook": scores(0.8),
            "vanilla-tuned": scores(0.84),
            "lstm-steady": scores(0.841),
            **{f"{name}-textbook": scores(0.8 + gain) for name, gain in gains.items()},
        },
        comparisons=[
            *(
                comparison("vanilla-textbook", f"{name}-textbook", gain)
                for name, gain in gains.items()
            ),
            comparison("vanilla-tuned", "lstm-steady", 0.001),
        ],
        decay=pd.DataFrame(
            [decay(), decay(weights="initial"), decay(length=LONGEST, weights="initial")]
        ),
        distances=all_distances(),
        memory=pd.concat(
            [
                memory("vanilla"),
                memory("vanilla", length=LONGEST),
                memory("bidirectional", half=20),
                memory("lstm", half=20),
            ],
            ignore_index=True,
        ),
        probes=pd.concat(
            [
                probes("feedforward", 1e-7),
                probes("flattened", 1.0),
                probes("vanilla", 1.0),
                probes("vanilla", 1.0, LONGEST),
            ],
            ignore_index=True,
        ),
        states=pd.concat([states(), states(LONGEST)], ignore_index=True),
        retention=retention(),
    )


def write():
    """Writes the usual study as files, and a params.yaml that fits them."""
    usual = study()
    for length in LAGS:
        for name in ("decay", "distances", "memory", "probes", "states"):
            rows = getattr(usual, name)
            path = getattr(artifacts, name)(length)
            artifacts.write_csv(path, rows[rows["sequence_length"] == length])

    metrics = {}
    for run, values in usual.scores.items():
        score_by_seed = {str(seed): value for seed, value in enumerate(values)}
        metrics[run] = {"parameters": 1, "test/accuracy": {"scores": score_by_seed}}
    artifacts.write_json(artifacts.METRICS, metrics)
    artifacts.write_json(artifacts.COMPARISONS, usual.comparisons)
    artifacts.write_csv(artifacts.RETENTION, usual.retention)

    document = params.document(PROJECT / params.PARAMS)
    document["settings"]["textbook"]["sequence_length"] = LENGTH
    document["gradients"]["sequence_lengths"] = list(LAGS)
    document["claims"]["distances"] = DISTANCES
    artifacts.write_json(params.PARAMS, document)
