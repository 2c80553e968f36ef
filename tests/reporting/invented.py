"""An invented study: every file that `report` reads, with exact columns and plausible numbers. Results of nothing.

`study` gives parameters, `write` the files, both for any subset of runs, lengths and tuned architectures; `record`
makes them what dvc.lock records.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.params import DEFAULT_INITIALISER, Params
from pipeline.reporting import tables
from pipeline.science import claims
from pipeline.science.gradients import decay
from pipeline.science.statistics import calibration
from pipeline.science.statistics import comparisons as statistics
from pipeline.storage import artifacts, dvc_lock, lock_comparison

PROJECT = Path(__file__).parents[2]
LEVEL = {"feedforward": 0.845, "vanilla": 0.805, "bidirectional": 0.812, "lstm": 0.842}
PARAMETERS = {"feedforward": 322_177, "vanilla": 326_273, "bidirectional": 332_545, "lstm": 344_897}
RATE = {"initial": -0.0055, "vanilla": -0.014, "bidirectional": -0.02, "lstm": -0.001}  # log10 a token
STARTS = {"glorot_uniform": -0.05, "0.9 orthogonal": -0.047, "identity": -0.004}
TANH = ("vanilla", "bidirectional")
EXPONENTS = 4
REVIEWS = 60
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
    "seed_factors": {"vanilla-textbook": 2, "bidirectional-textbook": 2},
    "trained_up_to": 100,
    "lags": [5, 10, 20],
}
QUICK = {**DEFAULT, "lengths": [10, 100, 200], "seeds": 2, "lags": [5]}  # what `make quick` asks for


class Seeds(NamedTuple):
    every: dict[str, int]  # by architecture: the number of seeds of its textbook run
    few: int  # trained at every length, as many for each architecture


def study(runs, comparisons, tuned, lengths, architectures, seeds, seed_factors, trained_up_to, lags) -> Params:
    """params.yaml of the project with these lists in it."""
    found = params.document(params.PARAMS)
    found["train"]["runs"] = {
        run: {
            "architecture": run.split("-")[0],
            "settings": run.split("-")[1],
            "from": "params.yaml" if run.endswith("textbook") else f"artifacts/tuned/{run.split('-')[0]}.json",
            "seed_factor": seed_factors.get(run, 1),
        }
        for run in runs
    }
    found["train"]["seeds"] = seeds
    found["evaluate"]["comparisons"] = [list(pair) for pair in comparisons]
    found["tune"]["architectures"] = tuned
    found["gradients"] |= {"sequence_lengths": lengths, "architectures": architectures}
    found["gradients"]["seeds"] = min(seeds, MOST_THOROUGH)
    found["gradients"]["trained_up_to"] = trained_up_to
    found["retention"] |= {"lags": lags or found["retention"]["lags"], "seeds": 2}
    return params.validated(params.Params, found, "invented")


def write(runs, comparisons, tuned, lengths, architectures, seeds, seed_factors, trained_up_to, lags) -> None:
    """The files, below the working directory; without `lags` nothing is in the table of the synthetic task."""
    random = np.random.default_rng(0)
    seeds_of_runs = {run: seeds * seed_factors.get(run, 1) for run in runs}
    every = {name: seeds * seed_factors.get(f"{name}-textbook", 1) for name in architectures}
    seeds = Seeds(every, few=min(seeds, MOST_THOROUGH))
    metrics = {run: _scores(random, run, seeds_of_runs[run]) for run in runs}
    artifacts.write_json(artifacts.DATA_CARD, card())
    artifacts.write_json(artifacts.MODELS_CARD, {run: _model(run, seeds_of_runs[run]) for run in runs})
    artifacts.write_json(artifacts.METRICS, {**metrics, "tfidf": _ceiling()})
    everything_of = {**metrics, "tfidf": _ceiling()}
    predicted = {run: predictions(everything_of[run]) for run in everything_of}
    right = {run: statistics.right_SN(found) for run, found in predicted.items()}
    compared = [_comparison(metrics, *pair) for pair in comparisons]
    artifacts.write_json(artifacts.COMPARISONS, statistics.family(compared, metrics, right, 0.05, 0.8))
    artifacts.write_csv(artifacts.RUNS, calibration.runs(predicted, everything_of, "tfidf", 0.8, 5))
    artifacts.write_csv(artifacts.CALIBRATION, calibration.calibration(predicted, 5))
    lengths_N = 1 + 6 * np.arange(REVIEWS)
    artifacts.write_csv(artifacts.LENGTH_BUCKETS, calibration.by_length(predicted, lengths_N, [100, 200]))
    for architecture in tuned:
        found = trials(random)
        artifacts.write_csv(artifacts.trials(architecture), found)
        artifacts.write_json(artifacts.tuning_summary(architecture), searched(found))
    for length in lengths:
        curves = everything(random, length, architectures, seeds, trained_up_to)
        artifacts.write_parquet(artifacts.gradients_everything(length), curves)
        artifacts.write_csv(artifacts.gradients(length), decay.headline(curves))
        artifacts.write_csv(artifacts.decay(length), fitted(random, curves))
        artifacts.write_parquet(
            artifacts.dynamics(length), dynamics(random, length, architectures, seeds, trained_up_to)
        )
        artifacts.write_csv(artifacts.memory(length), memory(random, length, architectures, seeds, trained_up_to))
        artifacts.write_csv(artifacts.probes(length), probes(random, length, architectures, seeds, trained_up_to))
    artifacts.write_csv(artifacts.RETENTION, retention(random, lags))
    artifacts.write_json(artifacts.EXAMPLES, examples(runs))
    artifacts.write_json(artifacts.CLAIMS, claimed(lengths))


def record(study: Params) -> None:
    """dvc.yaml of the project, params.yaml, and a dvc.lock that records the files as they lie there."""
    made = {
        "prepare": [artifacts.DATA_CARD],
        "evaluate": [
            *(artifacts.METRICS, artifacts.COMPARISONS, artifacts.MODELS_CARD),
            *(artifacts.RUNS, artifacts.CALIBRATION, artifacts.LENGTH_BUCKETS),
        ],
        "retention": [artifacts.RETENTION],
        "claims": [artifacts.CLAIMS],
        "examples": [artifacts.EXAMPLES],
    }
    for name in study.tune.architectures:
        made[f"tune@{name}"] = [artifacts.trials(name), artifacts.tuning_summary(name), artifacts.tuned(name)]
    for run in study.train.runs:
        made[f"train@{run}"] = [artifacts.model(run).parent, artifacts.history(run)]
    for length in study.gradients.sequence_lengths:
        tables = (artifacts.gradients, artifacts.decay, artifacts.memory, artifacts.probes)
        arrays = (artifacts.gradients_everything, artifacts.dynamics)
        made[f"gradients@{length}"] = [path(length) for path in (*tables, *arrays)]
    trained = [{"path": f"artifacts/models/{run}", "md5": "of its weights"} for run in study.train.runs]
    stages = {
        name: {
            "deps": trained if name.partition("@")[0] in ("evaluate", "examples") else [],
            "outs": [
                {"path": path.as_posix(), "md5": lock_comparison.hash_of(path) if path.exists() else "not made"}
                for path in paths
            ],
        }
        for name, paths in made.items()
    }
    artifacts.write_json(dvc_lock.LOCK, {"stages": stages})
    artifacts.write_json(params.PARAMS, study.model_dump(by_alias=True, mode="json"))
    shutil.copy(PROJECT / "dvc.yaml", "dvc.yaml")


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


def predictions(found: dict) -> pd.DataFrame:
    """Probabilities that are right about as often as these scores say."""
    random = np.random.default_rng(0)
    label = np.arange(REVIEWS) % 2
    parts = []
    for split in ("validation", "test"):
        for seed, accuracy in found[f"{split}/accuracy"]["scores"].items():
            sure = np.where(random.random(REVIEWS) < accuracy, 1, -1) * random.uniform(0.05, 0.45, REVIEWS)
            probability = 0.5 + np.where(label == 1, sure, -sure)
            parts.append(pd.DataFrame({"split": split, "seed": int(seed), "label": label, "probability": probability}))
    return pd.concat(parts)


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
    state = np.array(["COMPLETE"] * 7 + ["FAIL"])
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
            "epochs": np.where(state == "FAIL", np.nan, 3),
            "reason": [
                None,
                None,
                "as trial 1",
                *[None] * 3,
                "as trial 5",
                "loss is | not <finite>",
            ],
        }
    )


def contestant(trials: pd.DataFrame, number: int) -> dict:
    """A row of the race, as `tune` writes it; trial 0 is the starting recipe."""
    trial = trials.iloc[number]
    settings = {name: int(trial[name]) for name in ("hidden_size", "embedding_dimension")}
    settings |= {name: float(trial[name]) for name in ("learning_rate", "dropout")}
    row = {"trial": number, "starting_recipe": number == 0, "settings": settings}
    row |= {"parameters": int(trial.parameters), "scores": {"1001": 0.80, "1002": 0.82}, "mean": 0.81}
    return {**row, "dropped": False, "difference": None, "standard_error": None}


def searched(trials: pd.DataFrame) -> dict:
    """What `tune` says of these trials; the expected best of so many is invented."""
    done = trials[trials.state == "COMPLETE"]
    shares = {"hidden_size": 0.4, "embedding_dimension": 0.2, "learning_rate": 0.3, "dropout": 0.1}
    winner = int(done.value.iloc[1:].idxmax())
    loser = next(number for number in (1, 2) if number != winner)
    race = [contestant(trials, number) for number in (0, winner, loser)]
    race[1] |= {"difference": 0.012, "standard_error": 0.004}
    race[2] |= {"dropped": True, "difference": -0.003, "standard_error": 0.005}
    described = {name: race[1][name] for name in ("trial", "starting_recipe", "settings")}
    fresh = {"start": {"1005": 0.81, "1006": 0.82}, "chosen": {"1005": 0.82, "1006": 0.83}}
    return {
        "chosen": {**described, "reason": "fewest parameters among those ahead"},
        "race": race,
        "regret": {"difference": 0.01, "low": -0.02, "high": 0.04, **fresh},
        "importances": {"evaluator": "PED-ANOVA", "values": shares},
        "expected_best": [float(value) for value in np.linspace(done.value.mean(), done.value.max(), len(done))],
    }


def designs(length: int, trained_up_to: int) -> list[int]:
    """The lengths at which networks that are measured at this one were trained."""
    return sorted({TEXTBOOK["sequence_length"], *([length] if length <= trained_up_to else [])})


def seeds_of(architecture: str, trained_length: int, length: int, seeds: Seeds) -> range:
    """All of an architecture for the study's own networks at their own length, else those of the study of lengths."""
    own = trained_length == length == TEXTBOOK["sequence_length"]
    return range(seeds.every[architecture] if own else seeds.few)


def everything(random, length: int, architectures, seeds: Seeds, trained_up_to: int) -> pd.DataFrame:
    """Every curve; those of a network that is measured out of its length are 10 % steeper, so that they differ."""
    parts = []
    for axes, rate in _kinds(length, architectures, trained_up_to):
        for seed in seeds_of(axes["architecture"], axes["trained_length"], length, seeds):
            parts.append(_curve(random, {**axes, "sequence_length": length, "seed": seed}, rate))
    columns = [*decay.CURVE_KIND, "epoch", "seed", "lag_tokens"]
    return pd.concat(parts)[[*columns, "log10_relative_norm", "p10", "p90", "growing", "dead", "reviews"]]


def _kinds(length: int, architectures, trained_up_to: int):
    """(axes, log10 a token) of every curve, for any seed."""
    trainings = [("initial", length, 0.0), *(("trained", each, np.nan) for each in designs(length, trained_up_to))]
    for architecture in architectures:
        directions = {"feedforward": ["none"], "bidirectional": ["forward", "backward"]}.get(architecture, ["forward"])
        for weights, trained_length, epoch in trainings:
            axes = {"architecture": architecture, "weights": weights, "trained_length": trained_length, "epoch": epoch}
            axes["initialiser"] = DEFAULT_INITIALISER
            rate = RATE["initial"] if weights == "initial" else RATE.get(architecture, 0)
            rate *= 1.1 if weights == "trained" and trained_length != length else 1
            for direction in directions:
                own = {**axes, "direction": direction}
                if direction == "none":
                    yield {**own, "quantity": "dz/dx"}, 0.0
                    continue
                yield {**own, "quantity": "dz/dh"}, rate
                yield {**own, "quantity": "dz/dx"}, rate
                if architecture == "lstm":
                    yield {**own, "quantity": "dz/dc"}, rate / 2
                if architecture in TANH:
                    yield {**own, "quantity": "|P|"}, rate / 3
                    yield {**own, "quantity": "bound"}, 0.0 if weights == "initial" else 0.1
                if architecture in TANH and weights == "initial":
                    for start, steep in STARTS.items():
                        yield {**own, "quantity": "dz/dh", "initialiser": start}, steep
            if architecture == "bidirectional":
                yield {**axes, "direction": "both", "quantity": "dz/dx"}, rate


def _curve(random, axes: dict, rate: float) -> pd.DataFrame:
    length = axes["sequence_length"]
    lags = np.arange(length)
    if axes["direction"] == "both":
        lags = np.minimum(lags, lags[::-1])
    value = rate * (1 + 0.1 * random.standard_normal()) * lags + (0.05 * np.sin(lags / 7) if rate else 0)
    numbers = {"lag_tokens": np.arange(length), "log10_relative_norm": value, "p10": value - 0.3, "p90": value + 0.3}
    found = pd.DataFrame({**axes, **numbers, "growing": 0.0, "dead": 0.0, "reviews": 500})
    return found[found["lag_tokens"].isin(some_lags(length))] if axes["quantity"] == "|P|" else found


def some_lags(length: int) -> list[int]:
    return sorted({lag for lag in (0, 1, 2, 5, 10, 20, 50, 100, 200) if lag < length} | {length - 1})


def fitted(random, everything: pd.DataFrame) -> pd.DataFrame:
    """The table of `decay`, of the curves that it is made of, with reviews that differ by a little."""
    states = everything["quantity"].isin(["dz/dh", "dz/dc"]) | everything["architecture"].eq("feedforward")
    medians = []
    for keys, curve in everything[states].groupby([*decay.CURVE_KIND, "seed"], sort=False):
        axes = {**dict(zip([*decay.CURVE_KIND, "seed"], keys, strict=True)), "reviews": 500}
        median = curve["log10_relative_norm"].to_numpy()
        apart = 1 + 0.01 * random.standard_normal((4, 1))
        medians.append(decay.medians(median, median * apart).assign(**axes))
    return decay.table(pd.concat(medians))


def dynamics(random, length: int, architectures, seeds: Seeds, trained_up_to: int) -> pd.DataFrame:
    """What explains a gradient: of tanh cells, and of all networks the norms of their batches while training."""
    columns = ["architecture", "direction", "weights", "sequence_length", "trained_length", "epoch", "seed"]
    rows = []
    for architecture in architectures:
        trainings = [("initial", length, 0.0), *(("trained", each, np.nan) for each in designs(length, trained_up_to))]
        cells = {"vanilla": ["forward"], "bidirectional": ["forward", "backward"]}.get(architecture, [])
        for seed in range(seeds.few):
            for weights, trained_length, epoch in trainings:
                gain = 1.0 if weights == "initial" else 1.3 + 0.05 * random.standard_normal()
                numbers = {"largest_singular_value": gain, "spectral_radius": 0.9 * gain, "mean_slope": 0.95 / gain}
                numbers |= {"rms_state": 0.2, "bound_slack": 9.0, "bound_violations": 0.0}
                for direction in cells:
                    own = (architecture, direction, weights, length, trained_length, epoch, seed)
                    rows += [(*own, name, np.nan, value, 32) for name, value in numbers.items()]
                    rows += [(*own, "lyapunov", n, -0.01 * n * gain, 32) for n in range(1, EXPONENTS + 1)]
            if length <= trained_up_to:
                for epoch in (0.3, 1.0):
                    own = (architecture, "none", "training", length, length, epoch, seed)
                    numbers = {"gradient_norm_median": 0.4 * epoch, "gradient_norm_largest": 5 + random.random()}
                    rows += [(*own, name, np.nan, value, np.nan) for name, value in numbers.items()]
    if not rows:
        rows = [("feedforward", "none", "initial", length, length, 0.0, 0, "residual", np.nan, 0.5, 200)]
    return pd.DataFrame(rows, columns=[*columns, "measure", "index", "value", "reviews"])


def memory(random, length: int, architectures, seeds: Seeds, trained_up_to: int) -> pd.DataFrame:
    lags = np.array(some_lags(length))
    parts = []
    for architecture in architectures:
        for trained_length in designs(length, trained_up_to):
            for seed in seeds_of(architecture, trained_length, length, seeds):
                decay = {"vanilla": 25, "bidirectional": 30}.get(architecture, 400)
                decay *= 1 + 0.2 * random.standard_normal()
                left = np.exp(-lags / decay)
                backward = np.exp(-(length - 1 - lags) / decay)
                left = np.maximum(left, backward) if architecture == "bidirectional" else left
                keys = {"architecture": architecture, "sequence_length": length, "trained_length": trained_length}
                numbers = {"lag_tokens": lags, "contrast": 3 * left + 0.05 * random.standard_normal(len(lags))}
                numbers |= {"mean_absolute_contrast": 3 * left + 0.1, "sign_accuracy": 0.5 + 0.5 * left}
                numbers |= {"coherence": 0.9 * left}
                parts.append(pd.DataFrame({**keys, "seed": seed, **numbers, "reviews": 500}))
    return pd.concat(parts)


def probes(random, length: int, architectures, seeds: Seeds, trained_up_to: int) -> pd.DataFrame:
    parts = [max(length // part, 1) for part in (8, 4, 2)]
    changes = [("plain", 0, 0.0), *((name, each, 0.0005 * each) for name in ("prefix", "suffix") for each in parts)]
    changes += [("splice", length // 2, 0.2), *(("truncation", lag, 0.1) for lag in some_lags(length)[1:-1])]
    changes += [("shuffled", length, 0.02), ("bag_of_words", 0, -0.01)]
    rows = []
    for architecture in architectures:
        for trained_length in designs(length, trained_up_to):
            for seed in seeds_of(architecture, trained_length, length, seeds):
                for probe, tokens, lost in dict.fromkeys(changes):
                    accuracy = LEVEL[architecture] - lost
                    accuracy += 0 if probe == "bag_of_words" else 0.005 * random.standard_normal()
                    change = 0.0 if architecture == "feedforward" and probe == "shuffled" else 10 * abs(lost)
                    own = (architecture, length, trained_length, seed)
                    rows.append((*own, probe, tokens, accuracy, change, 500))
    columns = ["architecture", "sequence_length", "trained_length", "seed", "probe", "tokens"]
    return pd.DataFrame(rows, columns=[*columns, "accuracy", "logit_change", "reviews"])


def retention(random, lags: list[int]) -> pd.DataFrame:
    """The synthetic task: short lags are learned, and long ones by an LSTM alone."""
    rows = []
    for architecture, signal in (
        ("vanilla", "first"),
        ("vanilla", "middle"),
        ("bidirectional", "middle"),
        ("lstm", "first"),
    ):
        for lag in lags:
            for seed in range(2):
                solved = architecture == "lstm" or lag < 15
                accuracy = 1.0 if solved else 0.5 + 0.02 * random.standard_normal()
                rows.append((architecture, signal, lag, seed, accuracy, solved, 100 if solved else 400))
    return pd.DataFrame(rows, columns=["architecture", "signal", "lag_tokens", "seed", "accuracy", "solved", "updates"])


def claimed(lengths: list[int]) -> list[dict]:
    """What `claims` says of these files."""

    def of_all(table) -> pd.DataFrame:
        return pd.concat([artifacts.read_csv(table(length)) for length in lengths], ignore_index=True)

    tables_of = (of_all(table) for table in (artifacts.decay, artifacts.memory, artifacts.probes))
    length = min(lengths, key=lambda each: (abs(each - TEXTBOOK["sequence_length"]), each))
    compared, kept = artifacts.read_json(artifacts.COMPARISONS), artifacts.read_csv(artifacts.RETENTION)
    thresholds = {"same_logit": 0.001, "vanished": 0.001, "remembered_share": 0.5, "usable_sign_accuracy": 0.55}
    found = claims.Study(length, 150.0, compared, *tables_of, kept)
    return claims.table(found, params.Claims(**thresholds))


def measure(value, low=None, high=None, unit="share", side=None, threshold=None, verdict=None, what="a number") -> dict:
    """A number of the claims table."""
    return {
        **{"what": what, "value": value, "low": low, "high": high, "unit": unit, "source": "reports/a.csv"},
        **{"side": side, "threshold": threshold, "verdict": verdict},
    }


def examples(runs) -> dict:
    """Two reviews, as those of the runs read them that the stage would take."""
    taken = [run for run in ("vanilla-textbook", "bidirectional-textbook", "lstm-textbook") if run in runs]
    random = np.random.default_rng(1)
    texts = {17: (0, True, ["so", "very", "<unknown>", "so", "dull"]), 4: (1, False, ["it's", "fine"])}

    def read(words):
        numbers = {name: random.random(len(words)).round(6).tolist() for name in ("probability", "gradient")}
        return {"token": words, **numbers}

    reviews = [
        {"review": number, "label": label, "right": right, "readings": {run: read(words) for run in taken}}
        for number, (label, right, words) in texts.items()
    ]
    return {"rule": "An invented rule.", "seed": 0, "reviews": reviews if taken else []}
