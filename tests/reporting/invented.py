"""An invented study: every file that `report` reads, with exact columns and plausible numbers. Results of nothing.

`study` gives parameters, `write` the files, both for any subset of runs, lengths and tuned architectures.
"""

import itertools

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.record import artifacts
from pipeline.reporting import distance, tables

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
    artifacts.write_json(artifacts.CLAIMS, claims())
    artifacts.write_json(artifacts.EXAMPLES, examples(runs))
    artifacts.write_csv(artifacts.RETENTION, retention(architectures, seeds))
    for length in lengths:
        found = curves(random, length, architectures, seeds)
        artifacts.write_parquet(artifacts.gradients_everything(length), found)
        artifacts.write_csv(artifacts.gradients(length), headline(found))
        artifacts.write_csv(artifacts.decay(length), decay(found))
        artifacts.write_csv(artifacts.memory(length), memory(random, length, architectures, seeds))
        artifacts.write_csv(artifacts.probes(length), probes(random, length, architectures, seeds))
        artifacts.write_parquet(artifacts.dynamics(length), dynamics(random, length, architectures, seeds))


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


def measure(what: str, value, low=None, high=None, unit="share", side=None, threshold=None, verdict=None) -> dict:
    numbers = {"what": what, "value": value, "low": low, "high": high, "unit": unit}
    return {**numbers, "source": "reports/decay/100.csv", "side": side, "threshold": threshold, "verdict": verdict}


def claims() -> list[dict]:
    """Three sentences: one that holds, one that is not shown, and one of which nothing was measured."""
    factor = measure("an invented factor", 0.97, 0.96, 0.99, "share", "below", 1.0, "holds")
    end = measure("an invented gradient", -2.0, -4.0, -1.0, "log10", "below", -3.0, "not shown")
    horizon = measure("an invented horizon", None, unit="tokens")
    said = (("first", "holds", [factor]), ("second", "not shown", [end, horizon]), ("third", "not shown", []))
    return [
        {
            "name": name,
            "sentence": f"The {name} invented sentence.",
            "test": f"The {name} invented test?",
            "verdict": verdict,
            "caveat": f"The {name} invented caveat.",
            "measures": measures,
        }
        for name, verdict, measures in said
    ]


def examples(runs) -> dict:
    """Two reviews of three words."""
    words = ["a", "<unknown>", "film"]
    found = {"token": words, "probability": [0.5, 0.7, 0.9], "gradient": [0.0, 0.1, 1.0]}
    readings = dict.fromkeys([run for run in runs if run.endswith("textbook")][:2], found)
    reviews = [{"review": 7 + label, "label": label, "right": label == 1, "readings": readings} for label in (0, 1)]
    return {"rule": "An invented rule.", "seed": 0, "reviews": reviews if readings else []}


def _directions(architecture: str) -> list[str]:
    return {"feedforward": ["none"], "bidirectional": ["forward", "backward"]}.get(architecture, ["forward"])


def curves(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    """Every curve: of states and of words, bounds, initialisers, and a few while training."""
    parts = []

    def curve(
        architecture, direction, weights, trained_length, seed, quantity, rate, initialiser="orthogonal", epoch=0
    ):
        lags = np.arange(length)
        value = rate * (1 + 0.2 * random.standard_normal()) * lags
        keys = {"architecture": architecture, "direction": direction, "weights": weights, "sequence_length": length}
        keys |= {"trained_length": trained_length, "initialiser": initialiser, "quantity": quantity}
        keys |= {"epoch": np.nan if weights == "trained" else epoch, "seed": seed}
        numbers = {"lag_tokens": lags, "log10_relative_norm": value, "p10": value - 0.3, "p90": value + 0.3}
        parts.append(pd.DataFrame({**keys, **numbers, "growing": 0.0, "dead": 0.0, "reviews": 500}))

    networks = [(name, weights, at) for name in architectures for weights, at in _networks(length)]
    for (architecture, weights, trained_length), seed in itertools.product(networks, range(seeds)):
        rate = RATE["initial"] if weights == "initial" else RATE.get(architecture, 0.0)
        for direction in _directions(architecture):
            own = (architecture, direction, weights, trained_length, seed)
            if architecture == "feedforward":
                curve(*own, "dz/dx", 0.0)
                continue
            for quantity in ["dz/dh", "dz/dx", *(["dz/dc"] if architecture == "lstm" else [])]:
                curve(*own, quantity, rate)
            if architecture != "lstm":
                curve(*own, "|P|", rate / 2)
                curve(*own, "bound", -rate)
            if architecture != "lstm" and weights == "initial":
                curve(*own, "dz/dh", 5 * rate, "0.9 orthogonal")
        if architecture == "bidirectional":
            curve(architecture, "both", weights, trained_length, seed, "dz/dx", rate)
        if weights == "initial":
            curve(architecture, _directions(architecture)[0], "training", length, seed, "dz/dh", rate, epoch=0.5)
    return pd.concat(parts, ignore_index=True)


def _networks(length: int) -> list[tuple[str, int]]:
    """(weights, length that was trained at): both designs."""
    return [("initial", length), *(("trained", each) for each in sorted({length, 100}))]


def headline(found: pd.DataFrame) -> pd.DataFrame:
    states = found["quantity"].eq("dz/dh") | found["architecture"].eq("feedforward")
    own = states & found["initialiser"].eq("orthogonal") & found["weights"].isin(tables.WEIGHTS)
    columns = ["architecture", "direction", "weights", "sequence_length", "seed", "lag_tokens"]
    here = found[own & (found["trained_length"] == found["sequence_length"])]
    return here[[*columns, "log10_relative_norm", "p10", "p90", "reviews"]]


def decay(found: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of curve: what fits such a straight line; the curves of bidirectional are said to be none."""
    kinds = found[found["quantity"].isin(["dz/dh", "dz/dc"]) & found["weights"].isin(tables.WEIGHTS)]
    rows = []
    for keys, curve in kinds.groupby(distance.KIND, sort=False):
        last = curve["lag_tokens"].max()
        end = curve[curve["lag_tokens"] == last]["log10_relative_norm"].mean()
        own = dict(zip(distance.KIND, keys, strict=True))
        exponential = own["architecture"] != "bidirectional" and last > 5
        numbers = {"log10_at_last_lag": end, "half_life_tokens": last * np.log10(0.5) / end if exponential else np.nan}
        for name, exponent in distance.HORIZONS.items():
            lag = np.ceil(exponent * last / end)
            numbers[f"horizon_{name}"] = lag if lag <= last else np.inf
        for name, value in list(numbers.items()):
            numbers |= {f"{name}_low": 0.9 * value, f"{name}_high": 1.1 * value}
        counts = {"seeds": curve["seed"].nunique(), "reviews": 500, "last_lag_tokens": last}
        rows.append({**own, **counts, "r2": 0.99 if exponential else 0.37, **numbers})
    names = ["log10_at_last_lag", "half_life_tokens", *(f"horizon_{name}" for name in distance.HORIZONS)]
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*distance.KIND, "seeds", "reviews", "last_lag_tokens", "r2", *ends])


def probes(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    counts = sorted({max(length // part, 1) for part in (8, 4, 2)})
    changes = [("plain", 0), ("shuffled", length), ("splice", length // 2), ("bag_of_words", 0)]
    changes += [(probe, count) for probe in ("prefix", "suffix") for count in counts]
    changes += [("truncation", count) for count in (1, 2, 5, 10, 20, 50, 100) if count < length]
    rows = [
        (name, length, trained_length, seed, probe, tokens, _accuracy(random, name, probe), 0.3, 500)
        for name in architectures
        for weights, trained_length in _networks(length)
        if weights == "trained"
        for seed in range(seeds)
        for probe, tokens in changes
    ]
    columns = ["architecture", "sequence_length", "trained_length", "seed", "probe", "tokens", "accuracy"]
    return pd.DataFrame(rows, columns=[*columns, "logit_change", "reviews"])


def _accuracy(random, architecture: str, probe: str) -> float:
    lost = {"plain": 0, "bag_of_words": 0, "suffix": 0.2}.get(probe, 0.05)
    return 0.85 if probe == "bag_of_words" else LEVEL[architecture] - lost + 0.01 * random.standard_normal()


def retention(architectures, seeds: int) -> pd.DataFrame:
    rows = [
        (name, "middle" if name == "bidirectional" else "first", lag, seed, 0.5 if lag > 50 else 1.0, lag <= 50, 100)
        for name in architectures
        if name != "feedforward"
        for lag in (5, 50, 200)
        for seed in range(seeds)
    ]
    columns = ["architecture", "signal", "lag_tokens", "seed", "accuracy", "solved", "updates"]
    return pd.DataFrame(rows, columns=columns)


MECHANISM = {"mean_slope": 0.93, "largest_singular_value": 1.3, "spectral_radius": 1.1, "rms_state": 0.2}
MECHANISM |= {"bound_slack": 20.0, "bound_violations": 0.0}


def dynamics(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    rows = []
    for name, (weights, at), seed in itertools.product(architectures, _networks(length), range(seeds)):
        for direction in _directions(name) if name in ("vanilla", "bidirectional") else []:
            own = (name, direction, weights, length, at, np.nan, seed)
            rows += [(*own, measure, np.nan, value, 32) for measure, value in MECHANISM.items()]
            rows += [(*own, "lyapunov", number, -0.01 * number, 32) for number in range(1, 5)]
        if weights == "initial":
            own = (name, "none", "training", length, length, 0.5, seed)
            rows.append((*own, "gradient_norm_median", np.nan, 1.0 + random.random(), np.nan))
            rows.append((*own, "gradient_norm_largest", np.nan, 9.0 + random.random(), np.nan))
    columns = ["architecture", "direction", "weights", "sequence_length", "trained_length", "epoch", "seed"]
    return pd.DataFrame(rows, columns=[*columns, "measure", "index", "value", "reviews"])


def memory(random, length: int, architectures, seeds: int) -> pd.DataFrame:
    lags = np.array(sorted({lag for lag in (0, 1, 2, 5, 10, 20, 50, 100, 200) if lag < length} | {length - 1}))
    parts = []
    cells = itertools.product(architectures, sorted({length, 100}), range(seeds))
    for architecture, trained_length, seed in cells:
        tokens = {"vanilla": 25, "bidirectional": 30}.get(architecture, 400) * (1 + 0.2 * random.standard_normal())
        left = np.exp(-lags / tokens)
        left = np.maximum(left, np.exp(-(length - 1 - lags) / tokens)) if architecture == "bidirectional" else left
        keys = {"architecture": architecture, "sequence_length": length, "trained_length": trained_length, "seed": seed}
        contrast = 3 * left + 0.05 * random.standard_normal(len(lags))
        numbers = {"lag_tokens": lags, "contrast": contrast, "mean_absolute_contrast": np.abs(contrast)}
        numbers |= {"sign_accuracy": 0.5 + 0.5 * left, "coherence": 1.0, "reviews": 500}
        parts.append(pd.DataFrame({**keys, **numbers}))
    return pd.concat(parts)
