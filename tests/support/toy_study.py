"""A whole small study as files in a folder: a run on four seeds and one on two, three trials, one sequence length."""

import csv
import json
from itertools import product
from pathlib import Path

import yaml

from pipeline.params import Params, read

PARAMS = Path(__file__).parents[2] / "params.yaml"
RUNS = ("vanilla-textbook", "vanilla-tuned")
SEEDS = {"vanilla-textbook": ("0", "1", "2", "3"), "vanilla-tuned": ("0", "1")}
FEW_SEEDS = ("0", "1")  # of the gradient study and of retention
LENGTH = 4
HISTORY = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
STAGES = ("tune@vanilla", *(f"train@{run}" for run in RUNS), f"gradients@{LENGTH}", "retention", "claims")
WITHOUT_REVIEWS = ("retention", "claims")
MODELS = len(RUNS)
SEEDED_RECORDS = (1 + 4) + (1 + 2) + (1 + 3)  # of the stages that read train.seeds: runs and seeds, a length's curves
RECORDS = 4 + SEEDED_RECORDS + 1  # study and trials, the baseline
RECORDS += 2 + 1  # retention and its curve, the verdicts
CHOSEN = {"trial": 1, "starting_recipe": False, "reason": "fewest parameters among those ahead"}
RACE = [
    {"trial": 0, "starting_recipe": True, "mean": 0.75, "difference": None, "standard_error": None},
    {"trial": 1, "starting_recipe": False, "mean": 0.875, "difference": 0.125, "standard_error": 0.0625},
]
REGRET = {"difference": 0.25, "low": -0.125, "high": 0.5}
FITS = (  # initialiser, trained length, quantity, half-life; the report shows the first of them
    ("orthogonal", LENGTH, "dz/dh", 3.5),
    ("orthogonal", LENGTH, "dz/dc", 9),
    ("identity", LENGTH, "dz/dh", 9),
    ("orthogonal", 100, "dz/dh", 9),
)
VERDICTS = {"a state word by word": "holds", "gradients vanish": "partly"}
FIGURES = ("accuracy", "tuning-by-trial", "gradients-by-lag", "retention")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'


def write(folder: Path) -> Params:
    """Writes the files, params.yaml and dvc.lock, and gives the parameters."""
    params = params_of(folder)
    for run in RUNS:
        write_run(folder, run)
    write_text(folder / "data/prepared/vocabulary.txt", "<pad>\n<unknown>\nfine\n")
    write_search(folder, params)
    write_length(folder)
    write_retention(folder)

    claims = [{"name": name, "sentence": name, "verdict": verdict} for name, verdict in VERDICTS.items()]
    write_json(folder / "reports/claims.json", claims)
    for name in FIGURES:
        write_text(folder / f"reports/figures/{name}.svg", SVG)
    write_scores(folder)
    write_lock(folder)
    return params


def params_of(folder: Path) -> Params:
    values = yaml.safe_load(PARAMS.read_text())
    values["train"] |= {"seeds": 2, "runs": {run: values["train"]["runs"][run] for run in RUNS}}
    values["tune"] |= {"architectures": ["vanilla"], "trials": 3}
    values["evaluate"]["comparisons"] = [list(RUNS[:2])]
    values["gradients"] |= {"seeds": 2, "sequence_lengths": [LENGTH], "architectures": ["vanilla"]}
    write_json(folder / "params.yaml", values)
    return read(folder / "params.yaml")


def write_run(folder: Path, run: str, losses=(0.5, 0.25)) -> None:
    """Each seed's history, with the same loss for everything, the model's card, and a stand-in for its weights."""
    rows = []
    for seed in seeds_of(run):
        for epoch, loss in enumerate(losses, 1):
            rows.append({"seed": seed, "epoch": epoch, **dict.fromkeys(HISTORY, loss), "best": 0})
        write_text(folder / f"artifacts/models/{run}/seed-{seed}.weights.h5", f"weights of {run}, seed {seed}")
    write_table(folder / f"artifacts/history/{run}.csv", rows)

    best_epochs = {seed: 1 if seed == "1" else 2 for seed in seeds_of(run)}
    write_json(folder / f"artifacts/models/{run}/model.json", {"best_epochs": best_epochs})


def seeds_of(run: str) -> tuple[str, ...]:
    return SEEDS.get(run, SEEDS["vanilla-textbook"])  # a run that a test adds has the textbook's seeds


def write_search(folder: Path, params: Params) -> None:
    write_table(folder / "reports/tuning/vanilla.csv", [trial(0), trial(1), trial(2, "FAIL", value="")])
    histories = [
        {"trial": number, "epoch": epoch, **dict.fromkeys(HISTORY, 0.5)} for number, epoch in product((0, 1), (1, 2))
    ]
    write_table(folder / "artifacts/trials/vanilla.csv", histories)

    tuned = {**params.settings["textbook"].model_dump(), "hidden_size": 16}
    write_json(folder / "artifacts/tuned/vanilla.json", {"settings": {"tuned": tuned}, "chosen": CHOSEN})
    write_json(folder / "reports/tuning/vanilla.json", {"chosen": CHOSEN, "race": RACE, "regret": REGRET})


def trial(number: int, state: str = "COMPLETE", value=0.75) -> dict:
    axes = {"hidden_size": 16, "embedding_dimension": 32, "learning_rate": 0.001, "dropout": 0.5}
    return {"trial": number, "state": state, "value": value, **axes, "parameters": 1000, "epochs": 3, "reason": ""}


def write_length(folder: Path) -> None:
    """The tables of the one sequence length."""
    norms = [
        {"architecture": "vanilla", "direction": "forward", "weights": weights, "seed": seed, "lag_tokens": lag}
        | {"log10_relative_norm": -lag * (1 + int(seed)), "p10": -5, "p90": ""}
        for weights, seed, lag in product(("initial", "trained"), FEW_SEEDS, range(LENGTH))
    ]
    write_table(folder / f"reports/gradients/{LENGTH}.csv", norms)

    effects = [
        {"architecture": "vanilla", "trained_length": LENGTH, "seed": seed, "lag_tokens": 0}
        | {"contrast": 2, "sign_accuracy": 0.9}
        for seed in FEW_SEEDS
    ]
    write_table(folder / f"reports/memory/{LENGTH}.csv", effects)

    fits = [
        {"architecture": "vanilla", "direction": "forward", "weights": weights, "initialiser": initialiser}
        | {"sequence_length": LENGTH, "trained_length": trained, "quantity": quantity, "r2": 0.95}
        | {"half_life_tokens": half_life, "horizon_1e-1": 2, "horizon_1e-2": "inf", "horizon_1e-3": "inf"}
        for weights, (initialiser, trained, quantity, half_life) in product(("initial", "trained"), FITS)
    ]
    write_table(folder / f"reports/decay/{LENGTH}.csv", fits)
    probes = [{"architecture": "vanilla", "probe": "plain", "accuracy": 0.5}]
    write_table(folder / f"reports/probes/{LENGTH}.csv", probes)


def write_retention(folder: Path) -> None:
    rows = [
        {"architecture": "vanilla", "signal": "first", "lag_tokens": lag, "seed": seed, "updates": 100}
        | {"accuracy": 1 if lag < 4 else 0.5 + int(seed) / 4, "solved": lag < 4}
        for lag, seed in product((1, 2, 4), FEW_SEEDS)
    ]
    write_table(folder / "reports/retention.csv", rows)
    write_table(folder / "artifacts/retention.csv", rows)


def write_scores(folder: Path) -> None:
    scores = {run: {"parameters": 326273, "test/accuracy": score(0.5, 0.75, 0.625, 0.625)} for run in RUNS}
    scores["vanilla-textbook"]["validation/accuracy"] = score(0.625, 0.625, 0.5, 0.5)
    scores["vanilla-tuned"]["test/accuracy"] = score(0.5, 0.75)
    scores["vanilla-tuned"]["validation/accuracy"] = score(0.625, 0.875)
    scores["tfidf"] = {"parameters": 100, "test/accuracy": {**score(0.875), "sd": None, "low": None, "high": None}}
    write_json(folder / "reports/metrics.json", scores)


def score(*values: float) -> dict:
    scores = {str(seed): value for seed, value in enumerate(values)}
    return {"mean": sum(values) / len(values), "sd": 0.125, "low": 0.25, "high": 0.9, "scores": scores}


def write_lock(folder: Path) -> None:
    """Writes dvc.lock for the params.yaml of this folder, with invented hashes."""
    values = json.loads((folder / "params.yaml").read_text())
    stages = {}
    for name, keys_by_file in {**_params_of_studies(values), **_params_of_runs(folder, values)}.items():
        splits = () if name in WITHOUT_REVIEWS else ("train", "validation")
        splits = (*splits, "test") if name == "evaluate" else splits
        deps = [{"path": f"data/prepared/{split}.parquet", "md5": f"md5 of {split}"} for split in splits]
        stages[name] = {"cmd": "", "params": keys_by_file, "deps": deps}
    write_json(folder / "dvc.lock", {"schema": "2.0", "stages": stages})


def _params_of_studies(values: dict) -> dict[str, dict]:
    """The parameters of every stage but `train`, by file."""
    textbook = values["settings"]["textbook"]
    tuning = {"settings.steady": values["settings"]["steady"], "tune.settings": "steady"}
    tuning |= {"tune.seed": 1000, "tune.space": values["tune"]["space"]}
    gradients = {
        "settings.textbook": textbook,
        "train.seeds": values["train"]["seeds"],
        "train.runs.vanilla-textbook": values["train"]["runs"]["vanilla-textbook"],
        "gradients.seeds": values["gradients"]["seeds"],
        "gradients.reviews": 500,
    }
    stages = {
        "tune@vanilla": tuning,
        f"gradients@{LENGTH}": gradients,
        "retention": {"settings.textbook": textbook, "retention": values["retention"]},
        "claims": {"claims": values["claims"]},
        "evaluate": {"settings.textbook.sequence_length": 100},
    }
    return {name: {"params.yaml": keys} for name, keys in stages.items()}


def _params_of_runs(folder: Path, values: dict) -> dict[str, dict]:
    """The parameters of every `train` stage, by file."""
    tuned = json.loads((folder / "artifacts/tuned/vanilla.json").read_text())["settings"]["tuned"]
    stages = {}
    for name, run in values["train"]["runs"].items():
        keys = {f"train.runs.{name}": run, "train.seeds": values["train"]["seeds"]}
        if run["settings"] == "textbook":
            keys["settings.textbook"] = values["settings"]["textbook"]
        stages[f"train@{name}"] = {"params.yaml": keys}
        if run["settings"] != "textbook":
            stages[f"train@{name}"][run["from"]] = {"settings.tuned": tuned}
    return stages


def write_table(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, value) -> None:
    write_text(path, json.dumps(value))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
