"""An invented study: every file that `report` reads, with exact columns and plausible numbers. They are not results.

`study` returns its parameters, `write` writes its files, and `record` writes a dvc.lock that fits the files. An Outline
says which runs, lengths and tuned architectures the study has.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.params import DEFAULT_INITIALISER, STATELESS, Params, subjects
from pipeline.reporting.sections.attractor import MODES
from pipeline.science import claim_measures, claims, hard_texts, remedy_tables
from pipeline.science.attractor import properties
from pipeline.science.gradients import decay
from pipeline.science.statistics import baselines, calibration, comparisons, intervals
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from tests.support import claim_tables

PROJECT = Path(__file__).parents[2]
LEVEL = {
    "feedforward": 0.845,
    "flattened": 0.835,
    "vanilla": 0.805,
    "bidirectional": 0.812,
    "lstm": 0.842,
}
PARAMETERS = {
    "feedforward": 322_177,
    "flattened": 524_929,
    "vanilla": 326_273,
    "bidirectional": 332_545,
    "lstm": 344_897,
}
DIRECTIONS = {
    "feedforward": ["none"],
    "flattened": ["none"],
    "vanilla": ["forward"],
    "bidirectional": ["forward", "backward"],
    "lstm": ["forward"],
}
RATE = {  # log10 a token
    "initial": -0.0055,
    "vanilla": -0.014,
    "bidirectional": -0.02,
    "lstm": -0.001,
}
RATE_BY_INITIALISER = {"glorot_uniform": -0.05, "0.9 orthogonal": -0.047, "identity": -0.004}
TANH = ("vanilla", "bidirectional")
EXPONENTS = 4
REVIEWS = 60
NETWORK = ["architecture", "sequence_length", "trained_length", "seed"]
MEMORY_MEASURES = ("share", "sign_accuracy", "stored", "used")
MOST_THOROUGH = 3  # seeds that are trained at every length
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
TEXTBOOK_LENGTH = 100
DULL = ["so", "very", "<unknown>", "so", "dull"]
FINE = ["it's", "fine"]


@dataclass(frozen=True)
class Outline:
    """The lists of a study. Without `lags` the table of the retention task is empty."""

    runs: list[str] = field(
        default_factory=lambda: [
            "feedforward-textbook",
            "vanilla-textbook",
            "bidirectional-textbook",
            "lstm-textbook",
            "vanilla-tuned",
            "bidirectional-tuned",
        ]
    )
    comparisons: list[tuple[str, str]] = field(
        default_factory=lambda: [
            ("vanilla-textbook", "bidirectional-textbook"),
            ("vanilla-textbook", "lstm-textbook"),
            ("vanilla-textbook", "feedforward-textbook"),
            ("vanilla-textbook", "vanilla-tuned"),
            ("bidirectional-textbook", "bidirectional-tuned"),
        ]
    )
    tuned: list[str] = field(default_factory=lambda: ["vanilla", "bidirectional"])
    lengths: list[int] = field(default_factory=lambda: [10, 50, 100, 200])
    architectures: list[str] = field(
        default_factory=lambda: [name for name in LEVEL if name != "flattened"]
    )
    seeds: int = 3
    seed_factors: dict[str, int] = field(
        default_factory=lambda: {"vanilla-textbook": 2, "bidirectional-textbook": 2}
    )
    trained_up_to: int = 100
    lags: list[int] = field(default_factory=lambda: [5, 10, 20])

    def seeds_of_run(self, run: str) -> int:
        return self.seeds * self.seed_factors.get(run, 1)

    @property
    def baseline(self) -> str:
        return "vanilla-textbook" if "vanilla-textbook" in self.runs else self.runs[0]

    @property
    def remedies(self) -> list[str]:
        remedies = {"vanilla-tuned", "lstm-textbook"} - {self.baseline}
        return [run for run in self.runs if run in remedies]

    @property
    def thorough_seeds(self) -> int:
        """The number of seeds that are trained at every length."""
        return min(self.seeds, MOST_THOROUGH)

    def trained_lengths(self, length: int) -> list[int]:
        """The lengths at which the networks that are measured at this length were trained."""
        own = {length} if length <= self.trained_up_to else set()
        return sorted({TEXTBOOK_LENGTH} | own)

    def fits(self, architecture: str, trained_length: int, length: int) -> bool:
        """Whether a network can be measured at this length: `flattened` only where it was trained."""
        is_trained = length == TEXTBOOK_LENGTH or length <= self.trained_up_to
        return architecture != "flattened" or (is_trained and trained_length == length)

    def seeds_at(self, architecture: str, trained_length: int, length: int) -> range:
        """All seeds of the textbook's networks at their own length; elsewhere those of the study of lengths."""
        if trained_length == length == TEXTBOOK_LENGTH:
            return range(self.seeds_of_run(f"{architecture}-textbook"))
        return range(self.thorough_seeds)

    def networks(self, length: int) -> Iterator[dict]:
        """The axes of every trained network that is measured at this length."""
        for architecture in self.architectures:
            for trained_length in self.trained_lengths(length):
                if not self.fits(architecture, trained_length, length):
                    continue
                for seed in self.seeds_at(architecture, trained_length, length):
                    yield {
                        "architecture": architecture,
                        "sequence_length": length,
                        "trained_length": trained_length,
                        "seed": seed,
                    }


WHOLE = Outline()
QUICK = replace(WHOLE, lengths=[10, 100, 200], seeds=2, lags=[5])  # like `make quick`


def study(outline: Outline) -> Params:
    """The params.yaml of the project with the lists of the outline."""
    document = params.document(params.PARAMS)
    document["train"]["seeds"] = outline.seeds
    document["train"]["runs"] = {run: _run(run, outline) for run in outline.runs}
    document["evaluate"]["comparisons"] = [list(pair) for pair in outline.comparisons]
    document["tune"]["architectures"] = outline.tuned
    document["gradients"] |= {
        "sequence_lengths": outline.lengths,
        "architectures": outline.architectures,
        "seeds": outline.thorough_seeds,
        "trained_up_to": outline.trained_up_to,
    }
    document["remedies"] = {"baseline": outline.baseline, "runs": outline.remedies}
    document["retention"]["seeds"] = 2
    if outline.lags:
        document["retention"]["lags"] = outline.lags
    return params.validated(Params, document, "invented")


def _run(run: str, outline: Outline) -> dict:
    architecture, settings = run.split("-")
    return {
        "architecture": architecture,
        "settings": settings,
        "from": "params.yaml" if settings == "textbook" else f"artifacts/tuned/{architecture}.json",
        "seed_factor": outline.seed_factors.get(run, 1),
    }


def write(outline: Outline) -> None:
    """Writes the files below the working directory."""
    random = np.random.default_rng(0)
    metrics = {run: _scores(random, run, outline.seeds_of_run(run)) for run in outline.runs}
    artifacts.write_json(artifacts.DATA_CARD, card())
    artifacts.write_json(
        artifacts.MODELS_CARD, {run: _model(run, outline.seeds_of_run(run)) for run in outline.runs}
    )
    _write_scores(outline, metrics)

    for architecture in outline.tuned:
        table = trials(random)
        artifacts.write_csv(artifacts.trials(architecture), table)
        artifacts.write_json(artifacts.tuning_summary(architecture), search_summary(table))
    for length in outline.lengths:
        _write_length(random, length, outline)

    artifacts.write_csv(artifacts.RETENTION, retention(random, outline.lags))
    for name, table in attractor(random, outline).items():
        artifacts.write_csv(artifacts.attractor(name), table)
    _write_remedies(random, outline, metrics)
    artifacts.write_json(artifacts.EXAMPLES, examples(outline.runs))
    _write_playground(random, outline.runs)
    artifacts.write_json(artifacts.CLAIMS, claim_table(outline.lengths))


def _write_playground(random: np.random.Generator, runs: list[str]) -> None:
    """The networks that `examples` hands to the page with live networks: here, of three words and one unit."""
    words = ["<pad>", "<unknown>", *sorted({*DULL, *FINE} - {"<unknown>"})]
    artifacts.write_text(artifacts.VOCABULARY, "\n".join(words) + "\n")
    shapes = [[len(words), 2], [2, 1], [1, 1], [1], [1, 1], [1]]
    networks = {}
    tables = [pd.DataFrame({"run": [], "weight": [], "value": []})]

    for run in sorted({"vanilla-textbook", "vanilla-tuned"} & set(runs)):
        networks[run] = {
            "architecture": "vanilla",
            "seed": 1,
            "accuracy": 0.8,
            "sequence_length": TEXTBOOK_LENGTH,
            "skips_padding": False,
            "shapes": shapes,
            "rounding": {"reviews": 2, "probability": 1e-5, "gradient": 2e-4},
        }
        for number, shape in enumerate(shapes):
            values = random.normal(size=shape).ravel()
            tables.append(pd.DataFrame({"run": run, "weight": number, "value": values}))

    texts = [
        {"length": length, "review": label, "label": label, "words": [DULL, FINE][label]}
        for length in ("short", "long")
        for label in (0, 1)
    ]
    strong_words = {"positive": ["fine"], "negative": ["dull"]}
    card = {"networks": networks, "texts": texts, "strong_words": strong_words}
    artifacts.write_json(artifacts.PLAYGROUND_CARD, card)
    types = {"run": "str", "weight": "int8", "value": "float32"}
    artifacts.write_parquet(artifacts.PLAYGROUND_WEIGHTS, pd.concat(tables).astype(types))


def _write_scores(outline: Outline, metrics: dict[str, dict]) -> None:
    """The files of `evaluate`."""
    scores = {**metrics, "tfidf": _linear(0.848), "tfidf-bigrams": _linear(0.86)}
    artifacts.write_json(artifacts.METRICS, scores)
    predicted = {run: predictions(scores[run]) for run in scores}
    models = artifacts.read_json(artifacts.MODELS_CARD)
    pairs = [list(pair) for pair in outline.comparisons]
    artifacts.write_json(
        artifacts.COMPARISONS,
        comparisons.family(pairs, models, metrics, predicted, 0.05, 0.8),
    )
    artifacts.write_json(artifacts.ENSEMBLES, baselines.ensembles(predicted))
    artifacts.write_csv(artifacts.LINEAR_BASELINES, baselines.against_baselines(predicted))

    lengths_N = 1 + 6 * np.arange(REVIEWS)
    artifacts.write_csv(artifacts.RUNS, calibration.runs(predicted, scores, "tfidf", 0.8, 5))
    artifacts.write_csv(artifacts.CALIBRATION, calibration.calibration(predicted, 5))
    artifacts.write_csv(
        artifacts.LENGTH_BUCKETS, calibration.by_length(predicted, lengths_N, [100, 200])
    )
    numbered = {run: table.assign(review=table.index) for run, table in predicted.items()}
    hard = hard_texts.hard_texts(numbered, outline.runs, lengths_N)
    artifacts.write_csv(artifacts.HARD_TEXTS, hard)


def _write_remedies(
    random: np.random.Generator, outline: Outline, metrics: dict[str, dict]
) -> None:
    """The files of `remedies`."""
    rows = remedies(random, outline)
    models = artifacts.read_json(artifacts.MODELS_CARD)
    values = {run: model["values"] for run, model in models.items()}
    summary = remedy_tables.by_run(rows, outline.baseline, metrics, values)
    for entry in summary:
        entry["recipe"] = entry["run"].split("-")[1]
    artifacts.write_csv(artifacts.REMEDIES, remedy_tables.by_seed(rows))
    artifacts.write_json(artifacts.REMEDIES_SUMMARY, summary)


def remedies(random: np.random.Generator, outline: Outline) -> pd.DataFrame:
    """The rows of `remedies.measure` for every seed of the runs."""
    rows = []
    for number, run in enumerate([outline.baseline, *outline.remedies]):
        for seed in range(outline.seeds_of_run(run)):
            row = {
                "run": run,
                "architecture": run.split("-")[0],
                "seed": seed,
                "lag_tokens": 90,
                "last_lag_tokens": 99,
                "reviews": REVIEWS,
                "blocks": 20,
                "state_blocks": 20,
                "parameters": PARAMETERS[run.split("-")[0]],
                "multiply_adds": 600_000 * (1 + number),
                "best_epoch": 2 + seed % 2,
            }
            for measure in remedy_tables.MEASURES:
                is_gradient = measure in remedy_tables.GRADIENTS
                value = (number - 1.5 if is_gradient else 0.6 + 0.1 * number) + random.normal() / 50
                resampled_R = value + random.normal(size=100) / 50
                row |= {measure: value, f"{measure}_resampled": resampled_R}
            rows.append(row)
    return pd.DataFrame(rows)


def _write_length(random: np.random.Generator, length: int, outline: Outline) -> None:
    """The files of `gradients` at one length."""
    curves = all_curves(random, length, outline)
    artifacts.write_parquet(artifacts.gradients_everything(length), curves)
    artifacts.write_csv(artifacts.gradients(length), decay.headline(curves))
    measures = fitted(random, curves)
    artifacts.write_csv(artifacts.decay(length), decay.table(measures))
    artifacts.write_csv(artifacts.decay_by_seed(length), decay.by_seed(measures))
    artifacts.write_csv(artifacts.distances(length), distances(random, curves))
    artifacts.write_parquet(artifacts.dynamics(length), dynamics(random, length, outline))
    artifacts.write_csv(artifacts.memory(length), memory(random, length, outline))
    artifacts.write_csv(artifacts.probes(length), probes(random, length, outline))
    artifacts.write_csv(artifacts.states(length), states(length, outline))


def record(study: Params) -> None:
    """Writes dvc.yaml of the project, params.yaml, and a dvc.lock that records the files in the working directory."""
    outs = {
        "prepare": [artifacts.DATA_CARD, artifacts.VOCABULARY],
        "evaluate": [
            artifacts.METRICS,
            artifacts.COMPARISONS,
            artifacts.MODELS_CARD,
            artifacts.RUNS,
            artifacts.CALIBRATION,
            artifacts.LENGTH_BUCKETS,
            artifacts.HARD_TEXTS,
            artifacts.ENSEMBLES,
            artifacts.LINEAR_BASELINES,
        ],
        "retention": [artifacts.RETENTION],
        "attractor": [artifacts.attractor(name) for name in ("properties", "lags", "modes")],
        "remedies": [artifacts.REMEDIES, artifacts.REMEDIES_SUMMARY],
        "claims": [artifacts.CLAIMS],
        "examples": [
            artifacts.EXAMPLES,
            artifacts.PLAYGROUND_CARD,
            artifacts.PLAYGROUND_WEIGHTS,
        ],
    }
    for name in study.tune.architectures:
        outs[f"tune@{name}"] = [
            artifacts.trials(name),
            artifacts.tuning_summary(name),
            artifacts.tuned(name),
        ]
    for run in study.train.runs:
        outs[f"train@{run}"] = [artifacts.model(run).parent, artifacts.history(run)]
    for length in study.gradients.sequence_lengths:
        outs[f"gradients@{length}"] = [
            artifacts.gradients(length),
            artifacts.decay(length),
            artifacts.decay_by_seed(length),
            artifacts.distances(length),
            artifacts.memory(length),
            artifacts.probes(length),
            artifacts.states(length),
            artifacts.gradients_everything(length),
            artifacts.dynamics(length),
        ]

    weights = [
        {"path": f"artifacts/models/{run}", "md5": "of its weights"} for run in study.train.runs
    ]
    stages = {}
    for name, paths in outs.items():
        reads_weights = name in ("evaluate", "examples")
        stages[name] = {
            "deps": weights if reads_weights else [],
            "outs": [_out(path) for path in paths],
        }
    artifacts.write_json(dvc_lock.LOCK, {"stages": stages})
    artifacts.write_json(params.PARAMS, study.model_dump(by_alias=True, mode="json"))
    for name in ("dvc.yaml", "environment.json"):
        shutil.copy(PROJECT / name, name)


def _out(path: Path) -> dict[str, str]:
    return {
        "path": path.as_posix(),
        "md5": lock_comparison.hash_of(path) if path.exists() else "not made",
    }


def card() -> dict:
    length = {
        "p5": 64,
        "p25": 127,
        "p50": 174,
        "p75": 283,
        "p95": 598,
        "p99": 911,
        "max": 2473,
        "mean": 233.4,
    }
    split = {
        "length_tokens": length,
        "positive_share": 0.5,
        "truncated_share": 0.87,
        "padded_share": 0.12,
        "out_of_vocabulary_rate": 0.03,
    }
    return {
        "source": "imdb",
        "reviews": 25_000,
        "positive_share": 0.5,
        "sequence_length": 100,
        "split_rule": "An invented rule: contiguous blocks of each label.",
        "vocabulary": {"size": 10_000, "words_in_train": 70_000},
        "cleaning": {"kept": 24_998, "dropped_empty": 2},
        "duplicates": {
            "exact": 96,
            "normalised": 99,
            "moved": 3,
            "kept_in": {"train": 70, "test": 29},
        },
        "groups": None,
        "splits": {
            name: {"reviews": reviews, **split}
            for name, reviews in (("train", 17_500), ("validation", 2_500), ("test", 5_000))
        },
    }


def summary(scores: list[float]) -> dict:
    """Mean, standard deviation and 95 % interval of the scores of the seeds 0, 1, ...; null where not finite."""
    values = np.array(scores, float)
    mean = values.mean()
    sd = values.std(ddof=1)
    reach = float(intervals.half_width(sd, len(values)))
    numbers = {"mean": mean, "sd": sd, "low": mean - reach, "high": mean + reach}
    return {
        **{name: _finite(number) for name, number in numbers.items()},
        "scores": {str(seed): _finite(value) for seed, value in enumerate(values)},
    }


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def predictions(scores: dict) -> pd.DataFrame:
    """Probabilities that are right about as often as these scores say."""
    random = np.random.default_rng(0)
    label = np.arange(REVIEWS) % 2
    parts = []
    for split in ("validation", "test"):
        for seed, accuracy in scores[f"{split}/accuracy"]["scores"].items():
            sign = np.where(random.random(REVIEWS) < accuracy, 1, -1)
            margin = sign * random.uniform(0.05, 0.45, REVIEWS)
            probability = 0.5 + np.where(label == 1, margin, -margin)
            parts.append(
                pd.DataFrame(
                    {"split": split, "seed": int(seed), "label": label, "probability": probability}
                )
            )
    return pd.concat(parts)


def _scores(random: np.random.Generator, run: str, seeds: int) -> dict:
    architecture, settings = run.split("-")
    spread = 0.02 if architecture in TANH else 0.004
    scores = (
        LEVEL[architecture] + 0.01 * (settings == "tuned") + spread * random.standard_normal(seeds)
    )
    others = {
        "test/nll": 0.45,
        "test/brier": 0.14,
        "test/ece": 0.05,
        "test/auc": 0.88,
        "validation/nll": 0.44,
    }
    return {
        "parameters": PARAMETERS[architecture],
        "validation/accuracy": summary(scores + 0.005),
        "test/accuracy": summary(scores),
        **{
            name: summary(level + 0.01 * random.standard_normal(seeds))
            for name, level in others.items()
        },
    }


def _linear(test_accuracy: float) -> dict:
    """The scores of a linear baseline, which has one fit."""
    scores = {
        "validation/accuracy": 0.85,
        "test/accuracy": test_accuracy,
        "test/nll": 0.36,
        "test/brier": 0.11,
        "test/ece": 0.04,
        "test/auc": 0.92,
        "validation/nll": 0.36,
    }
    return {"parameters": 9_999, **{name: one_fit(score) for name, score in scores.items()}}


def one_fit(score: float) -> dict:
    """The summary of a single score."""
    return {
        "mean": score,
        "sd": None,
        "low": None,
        "high": None,
        "scores": {"0": score},
    }


def _model(run: str, seeds: int) -> dict:
    architecture, settings = run.split("-")
    parameters = PARAMETERS[architecture]
    changes = (
        {"hidden_size": 96, "dropout": 0.2, "learning_rate": 0.00043} if settings == "tuned" else {}
    )
    return {
        "architecture": architecture,
        "settings": settings,
        "values": {**TEXTBOOK, **changes},
        "parameters": parameters,
        "layers": [
            {"name": "embedding", "kind": "Embedding", "output": [100, 32], "parameters": 320_000},
            {
                "name": architecture,
                "kind": "Encoder",
                "output": [64],
                "parameters": parameters - 320_065,
            },
            {"name": "answer", "kind": "Dense", "output": [1], "parameters": 65},
        ],
        "best_epochs": {str(seed): 4 for seed in range(seeds)},
    }


def trials(random: np.random.Generator) -> pd.DataFrame:
    """Eight trials: two repeat an earlier one, and the last diverged."""
    rows = 8
    state = np.array(["COMPLETE"] * 7 + ["FAIL"])
    return pd.DataFrame(
        {
            "trial": range(rows),
            "state": state,
            "value": np.where(state == "FAIL", np.nan, 0.78 + 0.05 * random.random(rows)),
            "hidden_size": 16 * random.integers(1, 9, rows),
            "embedding_dimension": 8 * random.integers(1, 9, rows),
            "learning_rate": 10 ** random.uniform(-3.5, -2.6, rows),
            "dropout": random.integers(0, 6, rows) / 10,
            "parameters": 300_000 + 1_000 * random.integers(0, 9, rows),
            "epochs": np.where(state == "FAIL", np.nan, 3),
            "reason": [
                None,
                None,
                "as trial 1",
                None,
                None,
                None,
                "as trial 5",
                "loss is | not <finite>",
            ],
        }
    )


def contestant(trials: pd.DataFrame, number: int) -> dict:
    """A row of the race, as `tune` writes it; trial 0 is the starting recipe."""
    trial = trials.iloc[number]
    settings = {
        "hidden_size": int(trial["hidden_size"]),
        "embedding_dimension": int(trial["embedding_dimension"]),
        "learning_rate": float(trial["learning_rate"]),
        "dropout": float(trial["dropout"]),
    }
    return {
        "trial": number,
        "starting_recipe": number == 0,
        "settings": settings,
        "parameters": int(trial["parameters"]),
        "scores": {"1001": 0.80, "1002": 0.82},
        "mean": 0.81,
        "dropped": False,
        "difference": None,
        "standard_error": None,
    }


def search_summary(trials: pd.DataFrame) -> dict:
    """The summary that `tune` writes about these trials, with invented scores in race and regret."""
    completed = trials[trials["state"] == "COMPLETE"]["value"]
    winner = int(completed.iloc[1:].idxmax())
    loser = 2 if winner == 1 else 1
    race = [contestant(trials, number) for number in (0, winner, loser)]
    race[1] |= {"difference": 0.012, "standard_error": 0.004}
    race[2] |= {"dropped": True, "difference": -0.003, "standard_error": 0.005}

    chosen = {name: race[1][name] for name in ("trial", "starting_recipe", "settings")}
    shares = {"hidden_size": 0.4, "embedding_dimension": 0.2, "learning_rate": 0.3, "dropout": 0.1}
    return {
        "chosen": {**chosen, "reason": "fewest parameters among those ahead"},
        "race": race,
        "regret": {
            "difference": 0.01,
            "low": -0.02,
            "high": 0.04,
            "start": {"1005": 0.81, "1006": 0.82},
            "chosen": {"1005": 0.82, "1006": 0.83},
        },
        "importances": {"evaluator": "PED-ANOVA", "values": shares},
        "expected_best": np.linspace(completed.mean(), completed.max(), len(completed)).tolist(),
    }


def all_curves(random: np.random.Generator, length: int, outline: Outline) -> pd.DataFrame:
    """Every curve. Networks that are measured at another length are 10 % steeper, so that the curves differ."""
    parts = []
    for axes, rate in _kinds(length, outline):
        for seed in outline.seeds_at(axes["architecture"], axes["trained_length"], length):
            parts.append(_curve(random, {**axes, "sequence_length": length, "seed": seed}, rate))
    columns = [*decay.CURVE_KIND, "epoch", "seed", "lag_tokens"]
    return pd.concat(parts)[
        [*columns, "log10_relative_norm", "p10", "p90", "growing", "dead", "reviews"]
    ]


def _trainings(length: int, outline: Outline) -> list[tuple[str, int, float]]:
    """(weights, trained length, epoch) of the networks that are measured at this length."""
    trained = [
        ("trained", trained_length, np.nan) for trained_length in outline.trained_lengths(length)
    ]
    return [("initial", length, 0.0), *trained]


def _kinds(length: int, outline: Outline) -> Iterator[tuple[dict, float]]:
    """(axes without seed and length, log10 a token) of every curve."""
    for architecture in outline.architectures:
        for weights, trained_length, epoch in _trainings(length, outline):
            if not outline.fits(architecture, trained_length, length):
                continue
            axes = {
                "architecture": architecture,
                "weights": weights,
                "trained_length": trained_length,
                "epoch": epoch,
                "initialiser": DEFAULT_INITIALISER,
            }
            rate = RATE["initial"] if weights == "initial" else RATE.get(architecture, 0)
            if trained_length != length:
                rate *= 1.1

            for direction in DIRECTIONS[architecture]:
                for quantity, rate_of_quantity, initialiser in _quantities(
                    architecture, weights, rate
                ):
                    kind = {
                        "direction": direction,
                        "quantity": quantity,
                        "initialiser": initialiser,
                    }
                    yield {**axes, **kind}, rate_of_quantity
            if architecture == "bidirectional":
                yield {**axes, "direction": "both", "quantity": "dz/dx"}, rate


def _quantities(architecture: str, weights: str, rate: float) -> Iterator[tuple[str, float, str]]:
    """(quantity, log10 a token, initialiser) of every curve of one direction."""
    if architecture in STATELESS:
        yield "dz/dx", 0.0, DEFAULT_INITIALISER
        return

    yield "dz/dh", rate, DEFAULT_INITIALISER
    yield "dz/dx", rate, DEFAULT_INITIALISER
    if architecture == "lstm":
        yield "dz/dc", rate / 2, DEFAULT_INITIALISER
    if architecture in TANH:
        yield "|P|", rate / 3, DEFAULT_INITIALISER
        yield "bound", 0.0 if weights == "initial" else 0.1, DEFAULT_INITIALISER
    if architecture in TANH and weights == "initial":
        for initialiser, rate_of_initialiser in RATE_BY_INITIALISER.items():
            yield "dz/dh", rate_of_initialiser, initialiser


def _curve(random: np.random.Generator, axes: dict, rate: float) -> pd.DataFrame:
    lags = np.arange(axes["sequence_length"])
    distances = np.minimum(lags, lags[::-1]) if axes["direction"] == "both" else lags
    log10_norms = rate * (1 + 0.1 * random.standard_normal()) * distances
    if rate:
        log10_norms += 0.05 * np.sin(distances / 7)

    curve = pd.DataFrame(
        {
            **axes,
            "lag_tokens": lags,
            "log10_relative_norm": log10_norms,
            "p10": log10_norms - 0.3,
            "p90": log10_norms + 0.3,
            "growing": 0.0,
            "dead": 0.0,
            "reviews": 500,
        }
    )
    return (
        curve[curve["lag_tokens"].isin(some_lags(len(lags)))]
        if axes["quantity"] == "|P|"
        else curve
    )


def some_lags(length: int) -> list[int]:
    return sorted(
        {lag for lag in (0, 1, 2, 5, 10, 20, 50, 100, 200) if lag < length} | {length - 1}
    )


def fitted(random: np.random.Generator, curves: pd.DataFrame) -> pd.DataFrame:
    """The input of `decay.table` for these curves; resamples of reviews differ by about 1 %."""
    parts = []
    for axes, curve_L in _with_decay(curves):
        factor_R1 = 1 + 0.01 * random.standard_normal((4, 1))
        rows = decay.of_seed(curve_L, curve_L * factor_R1)
        parts.append(rows.assign(**axes, last_lag_tokens=len(curve_L) - 1))
    return pd.concat(parts)


def distances(random: np.random.Generator, curves: pd.DataFrame) -> pd.DataFrame:
    """The table `distances` of these curves, at the lags of `memory`."""
    parts = []
    for axes, curve_L in _with_decay(curves):
        factor_R1 = 1 + 0.01 * random.standard_normal((4, 1))
        rows = decay.by_lag(curve_L, curve_L * factor_R1, some_lags(len(curve_L)))
        parts.append(rows.assign(**axes))
    return decay.distances(pd.concat(parts))


def _with_decay(curves: pd.DataFrame) -> Iterator[tuple[dict, np.ndarray]]:
    """(axes, log10 norms by lag) of every curve whose decay is fitted."""
    names = [*decay.CURVE_KIND, "seed"]
    is_gradient = curves["quantity"].isin(["dz/dh", "dz/dc", "dz/dx"])
    for keys, curve in curves[is_gradient].groupby(names, sort=False):
        axes = dict(zip(names, keys, strict=True))
        yield {**axes, "reviews": 500, "blocks": 40}, curve["log10_relative_norm"].to_numpy()


def dynamics(random: np.random.Generator, length: int, outline: Outline) -> pd.DataFrame:
    """The numbers that explain a gradient: of tanh cells, and the gradient norms of batches in training."""
    columns = [
        "architecture",
        "direction",
        "weights",
        "sequence_length",
        "trained_length",
        "epoch",
        "seed",
    ]
    rows = []
    for architecture in outline.architectures:
        for seed in range(outline.thorough_seeds):
            for weights, trained_length, epoch in _trainings(length, outline):
                gain = 1.0 if weights == "initial" else 1.3 + 0.05 * random.standard_normal()
                for direction in DIRECTIONS[architecture] if architecture in TANH else []:
                    axes = (architecture, direction, weights, length, trained_length, epoch, seed)
                    rows += [
                        (*axes, name, index, value, 32)
                        for name, index, value in _cell_numbers(gain)
                    ]

            for epoch in (0.3, 1.0) if length <= outline.trained_up_to else ():
                axes = (architecture, "none", "training", length, length, epoch, seed)
                largest = 5 + random.random()
                rows.append((*axes, "gradient_norm_median", np.nan, 0.4 * epoch, np.nan))
                rows.append((*axes, "gradient_norm_largest", np.nan, largest, np.nan))

    if not rows:
        rows = [
            ("feedforward", "none", "initial", length, length, 0.0, 0, "residual", np.nan, 0.5, 200)
        ]
    return pd.DataFrame(rows, columns=[*columns, "measure", "index", "value", "reviews"])


def _cell_numbers(gain: float) -> list[tuple[str, float, float]]:
    """(measure, index, value) of a tanh cell with this largest singular value."""
    exponents = [("lyapunov", number, -0.01 * number * gain) for number in range(1, EXPONENTS + 1)]
    return [
        ("largest_singular_value", np.nan, gain),
        ("spectral_radius", np.nan, 0.9 * gain),
        ("mean_slope", np.nan, 0.95 / gain),
        ("rms_state", np.nan, 0.2),
        ("bound_slack", np.nan, 9.0),
        ("bound_violations", np.nan, 0.0),
        *exponents,
    ]


def memory(random: np.random.Generator, length: int, outline: Outline) -> pd.DataFrame:
    lags = np.array(some_lags(length))
    parts = []
    for network in outline.networks(length):
        decay_tokens = {"vanilla": 25, "bidirectional": 30}.get(network["architecture"], 400)
        decay_tokens *= 1 + 0.2 * random.standard_normal()
        left = np.exp(-lags / decay_tokens)
        if network["architecture"] == "bidirectional":
            left = np.maximum(left, np.exp(-(length - 1 - lags) / decay_tokens))

        contrast = 3 * left + 0.05 * random.standard_normal(len(lags))
        numbers = {
            "lag_tokens": lags,
            "contrast": contrast,
            "share": contrast / contrast[0],
            "mean_absolute_contrast": 3 * left + 0.1,
            "sign_accuracy": 0.5 + 0.48 * left,
            "coherence": 0.9 * left,
            "reviews": 500,
            "stored": 0.9 + 0.08 * left,
            "used": 0.6 + 0.38 * left,
            **{f"{name}_review_error": 0.01 for name in MEMORY_MEASURES},
            "blocks": 20,
        }
        parts.append(pd.DataFrame({**network, **numbers}))
    return pd.concat(parts)


def probes(random: np.random.Generator, length: int, outline: Outline) -> pd.DataFrame:
    changes = [("plain", 0, 0.0)]  # (probe, tokens, loss of accuracy)
    for probe in ("prefix", "suffix"):
        for part in (8, 4, 2):
            tokens = max(length // part, 1)
            changes.append((probe, tokens, 0.0005 * tokens))
    changes.append(("splice", length // 2, 0.2))
    changes += [("truncation", lag, 0.1) for lag in some_lags(length)[1:-1]]
    changes += [("shuffled", length, 0.02), ("bag_of_words", 0, -0.01)]

    rows = []
    for network in outline.networks(length):
        for probe, tokens, loss in dict.fromkeys(changes):
            accuracy = LEVEL[network["architecture"]] - loss
            if probe != "bag_of_words":
                accuracy += 0.005 * random.standard_normal()
            is_order_free = network["architecture"] == "feedforward" and probe == "shuffled"
            change = 0.0 if is_order_free else 10 * abs(loss)
            answers = {
                "probe": probe,
                "tokens": tokens,
                "accuracy": accuracy,
                "logit_change": change,
                "reviews": 500,
                "lost_review_error": 0.005,
                "logit_change_review_error": 0.01,
                "blocks": 20,
            }
            rows.append({**network, **answers})
    table = pd.DataFrame(rows)
    plain = table[table["probe"] == "plain"].set_index(NETWORK)["accuracy"].rename("plain")
    lost = table.join(plain, on=NETWORK)["plain"] - table["accuracy"]
    return table.assign(lost=lost.where(table["probe"] != "splice"))


def states(length: int, outline: Outline) -> pd.DataFrame:
    """How each trained network updates its state."""
    rows = []
    for network in outline.networks(length):
        architecture = network["architecture"]
        added = 2048 if architecture == "flattened" else 0
        rows.append((*network.values(), "none", "parameters_per_position", added, 0))
        if architecture in STATELESS:
            continue

        for direction in DIRECTIONS[architecture]:
            numbers = {
                "streaming_difference": 1e-6,
                "state_change": 0.9,
                "sensitivity_to_later_words": float(direction == "backward"),
                "sensitivity_to_earlier_words": float(direction == "forward"),
            }
            for measure, value in numbers.items():
                rows.append((*network.values(), direction, measure, value, 16))
    columns = ["architecture", "sequence_length", "trained_length", "seed"]
    return pd.DataFrame(rows, columns=[*columns, "direction", "measure", "value", "reviews"])


def retention(random: np.random.Generator, lags: list[int]) -> pd.DataFrame:
    """The synthetic task: every network learns short lags, and only an LSTM learns long ones."""
    tasks = [
        ("vanilla", "first"),
        ("vanilla", "middle"),
        ("bidirectional", "middle"),
        ("lstm", "first"),
    ]
    rows = []
    for (architecture, signal), lag, seed in product(tasks, lags, range(2)):
        solved = architecture == "lstm" or lag < 15
        accuracy = 1.0 if solved else 0.5 + 0.02 * random.standard_normal()
        rows.append((architecture, signal, lag, seed, accuracy, solved, 100 if solved else 400))
    return pd.DataFrame(
        rows,
        columns=["architecture", "signal", "lag_tokens", "seed", "accuracy", "solved", "updates"],
    )


def attractor(random: np.random.Generator, outline: Outline) -> dict[str, pd.DataFrame]:
    """The test for a line attractor: an LSTM has one, and a vanilla RNN has none."""
    modes, lags = [], []
    for architecture in ("lstm", "vanilla"):
        if architecture not in outline.architectures:
            continue
        seeds = range(outline.seeds_of_run(f"{architecture}-textbook"))
        for seed, weights in product(seeds, ("initial", "trained")):
            axes = {"architecture": architecture, "weights": weights, "seed": seed}
            level = 0.9 if architecture == "lstm" and weights == "trained" else 0.2
            level += 0.01 * random.standard_normal()
            measures = dict.fromkeys(properties.PARTS, level) | {"slow_ratio": 5 * level}
            measures |= dict.fromkeys(MODES, 10 * level)  # in tokens, but for the last
            for measure, value in measures.items():
                modes.append({**axes, "measure": measure, "value": value, "chance": 0.1})
            for lag in (0, 5, 20, 90, 99):
                shares = dict.fromkeys(("slow_share", "common_share", "steady"), level)
                lags.append({**axes, "lag_tokens": lag, **shares, "valence": 0.9 * level + 0.1})

    columns = ["architecture", "weights", "seed", "measure", "value", "chance"]
    of_lags = ["architecture", "weights", "seed", "lag_tokens", "slow_share", "common_share"]
    tables = {
        "modes": pd.DataFrame(modes, columns=columns),
        "lags": pd.DataFrame(lags, columns=[*of_lags, "steady", "valence"]),
    }
    limits = params.read(PROJECT / params.PARAMS).attractor
    norms = -0.01 * tables["lags"]["lag_tokens"].astype(float)
    return {
        "properties": properties.properties(tables["modes"], tables["lags"], limits),
        "lags": tables["lags"].assign(log10_relative_norm=norms),
        "modes": tables["modes"],
    }


def claim_table(lengths: list[int]) -> list[dict]:
    """The content of reports/claims.json that `claims` computes from these files."""

    def of_all_lengths(path_of) -> pd.DataFrame:
        return pd.concat(
            [artifacts.read_csv(path_of(length)) for length in lengths], ignore_index=True
        )

    curves = pd.concat(
        [artifacts.read_parquet(artifacts.gradients_everything(length)) for length in lengths]
    )
    curves = curves[curves["lag_tokens"].isin(some_lags(max(lengths)))]
    errors_of_comparisons = {"review_error": 0.004, "blocks": 20, "answers": "architecture"}
    compared = artifacts.read_json(artifacts.COMPARISONS)
    metrics = artifacts.read_json(artifacts.METRICS)

    measurements = claim_measures.Study(
        length=min(lengths, key=lambda length: (abs(length - TEXTBOOK_LENGTH), length)),
        half_life_at_initialisation=150.0,
        subject=subjects.of_card(artifacts.read_json(artifacts.DATA_CARD)),
        updates=400,
        scores={
            run: list(scores["test/accuracy"]["scores"].values()) for run, scores in metrics.items()
        },
        comparisons=[{**errors_of_comparisons, **row} for row in compared],
        decay=of_all_lengths(artifacts.decay).assign(exponential_seeds=2),
        distances=curves.assign(review_error=0.02, blocks=20),
        memory=of_all_lengths(artifacts.memory),
        probes=of_all_lengths(artifacts.probes),
        states=pd.concat([claim_tables.states(length, range(3)) for length in lengths]),
        retention=artifacts.read_csv(artifacts.RETENTION),
    )
    return claims.table(measurements, claim_tables.THRESHOLDS, alpha=0.05)


def measure(
    value,
    low=None,
    high=None,
    unit="share",
    side=None,
    threshold=None,
    verdict=None,
    what="a number",
    **more,
) -> dict:
    """A number of the claims table."""
    more = {"fails_beyond": None, "exact": False, "confidence": None, **more}
    return {
        **more,
        "decided_low": low,
        "decided_high": high,
        "what": what,
        "value": value,
        "low": low,
        "high": high,
        "unit": unit,
        "source": "reports/a.csv",
        "side": side,
        "threshold": threshold,
        "verdict": verdict,
    }


def examples(runs: list[str]) -> dict:
    """Two reviews, read by the runs that the stage would choose."""
    readers = [
        run
        for run in ("vanilla-textbook", "bidirectional-textbook", "lstm-textbook")
        if run in runs
    ]
    random = np.random.default_rng(1)

    def reading(words: list[str]) -> dict:
        numbers = {
            name: random.random(len(words)).round(6).tolist()
            for name in ("probability", "gradient")
        }
        return {"token": words, **numbers}

    dull = {
        "review": 17,
        "label": 0,
        "right": True,
        "readings": {run: reading(DULL) for run in readers},
    }
    fine = {
        "review": 4,
        "label": 1,
        "right": False,
        "readings": {run: reading(FINE) for run in readers},
    }
    return {"rule": "An invented rule.", "seed": 0, "reviews": [dull, fine] if readers else []}
