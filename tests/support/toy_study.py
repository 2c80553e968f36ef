"""A whole small study as files in a folder: a run on four seeds and one on two, three trials, one sequence length."""

import csv
import json
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
MODELS = len(RUNS)
SEEDED_RECORDS = (1 + 4) + (1 + 2) + (1 + 3)  # of the stages that read train.seeds: runs and seeds, a length's curves
RECORDS = 4 + SEEDED_RECORDS + 1  # study and trials, the ceiling
RECORDS += 2 + 1  # retention and its curve, the verdicts
CHOSEN = {"trial": 1, "starting_recipe": False, "reason": "fewest parameters among those ahead"}
RACE = [
    {"trial": 0, "starting_recipe": True, "mean": 0.75, "difference": None, "standard_error": None},
    {"trial": 1, "starting_recipe": False, "mean": 0.875, "difference": 0.125, "standard_error": 0.0625},
]
REGRET = {"difference": 0.25, "low": -0.125, "high": 0.5}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'


def write(folder: Path) -> Params:
    """Files, params.yaml and dvc.lock; the params."""
    params = params_of(folder)
    for run in RUNS:
        write_run(folder, run)
    (folder / "data/prepared").mkdir(parents=True, exist_ok=True)
    (folder / "data/prepared/vocabulary.txt").write_text("<pad>\n<unknown>\nfine\n")
    table(folder / "reports/tuning/vanilla.csv", [trial(0), trial(1), trial(2, "FAIL", value="")])
    histories = [
        {"trial": number, "epoch": epoch, **dict.fromkeys(HISTORY, 0.5)} for number in (0, 1) for epoch in (1, 2)
    ]
    table(folder / "artifacts/trials/vanilla.csv", histories)
    tuned = {**params.settings["textbook"].model_dump(), "hidden_size": 16}
    write_json(
        folder / "artifacts/tuned/vanilla.json",
        {"settings": {"tuned": tuned}, "chosen": CHOSEN},
    )
    write_json(folder / "reports/tuning/vanilla.json", {"chosen": CHOSEN, "race": RACE, "regret": REGRET})
    curves = [
        {"architecture": "vanilla", "direction": "forward", "weights": weights, "seed": seed, "lag_tokens": lag}
        | {"log10_relative_norm": -lag * (1 + int(seed)), "p10": -5, "p90": ""}
        for weights in ("initial", "trained")
        for seed in FEW_SEEDS
        for lag in range(LENGTH)
    ]
    table(folder / f"reports/gradients/{LENGTH}.csv", curves)
    effects = [
        {"architecture": "vanilla", "trained_length": LENGTH, "seed": seed, "lag_tokens": 0}
        | {"contrast": 2, "sign_accuracy": 0.9}
        for seed in FEW_SEEDS
    ]
    table(folder / f"reports/memory/{LENGTH}.csv", effects)
    fits = [
        {"architecture": "vanilla", "direction": "forward", "weights": weights, "initialiser": initialiser}
        | {"sequence_length": LENGTH, "trained_length": trained, "quantity": quantity, "r2": 0.95}
        | {"half_life_tokens": half_life, "horizon_1e-1": 2, "horizon_1e-2": "inf", "horizon_1e-3": "inf"}
        for weights in ("initial", "trained")
        for initialiser, trained, quantity, half_life in (
            *(("orthogonal", LENGTH, "dz/dh", 3.5), ("orthogonal", LENGTH, "dz/dc", 9)),
            *(("identity", LENGTH, "dz/dh", 9), ("orthogonal", 100, "dz/dh", 9)),
        )
    ]
    table(folder / f"reports/decay/{LENGTH}.csv", fits)
    table(folder / f"reports/probes/{LENGTH}.csv", [{"architecture": "vanilla", "probe": "plain", "accuracy": 0.5}])
    retained = [
        {"architecture": "vanilla", "signal": "first", "lag_tokens": lag, "seed": seed, "updates": 100}
        | {"accuracy": 1 if lag < 4 else 0.5 + int(seed) / 4, "solved": lag < 4}
        for lag in (1, 2, 4)
        for seed in FEW_SEEDS
    ]
    table(folder / "reports/retention.csv", retained)
    table(folder / "artifacts/retention.csv", retained)
    verdicts = {"a state word by word": "holds", "gradients vanish": "partly"}
    write_json(folder / "reports/claims.json", [{"name": k, "sentence": k, "verdict": v} for k, v in verdicts.items()])
    for name in ("accuracy", "tuning-by-trial", "gradients-by-lag", "retention"):
        (folder / "reports/figures").mkdir(exist_ok=True)
        (folder / f"reports/figures/{name}.svg").write_text(SVG)
    scores = {run: {"parameters": 326273, "test/accuracy": score(0.5, 0.75, 0.625, 0.625)} for run in RUNS}
    scores["vanilla-textbook"]["validation/accuracy"] = score(0.625, 0.625, 0.5, 0.5)
    scores["vanilla-tuned"]["test/accuracy"] = score(0.5, 0.75)
    scores["vanilla-tuned"]["validation/accuracy"] = score(0.625, 0.875)
    scores["tfidf"] = {"parameters": 100, "test/accuracy": {**score(0.875), "sd": None, "low": None, "high": None}}
    write_json(folder / "reports/metrics.json", scores)
    write_lock(folder, params)
    return params


def params_of(folder: Path) -> Params:
    given = yaml.safe_load(PARAMS.read_text())
    given["train"] |= {"seeds": 2, "runs": {run: given["train"]["runs"][run] for run in RUNS}}
    given["tune"] |= {"architectures": ["vanilla"], "trials": 3}
    given["evaluate"]["comparisons"] = [list(RUNS[:2])]
    given["gradients"] |= {"seeds": 2, "sequence_lengths": [LENGTH], "architectures": ["vanilla"]}
    (folder / "params.yaml").write_text(json.dumps(given))
    return read(folder / "params.yaml")


def write_run(folder: Path, run: str, losses=(0.5, 0.25)) -> None:
    """Each seed's history, here the same loss for everything, the model's card, and what stands for its weights."""
    rows = [
        {"seed": seed, "epoch": epoch, **dict.fromkeys(HISTORY, loss), "best": 0}
        for seed in seeds_of(run)
        for epoch, loss in enumerate(losses, 1)
    ]
    table(folder / f"artifacts/history/{run}.csv", rows)
    best_epochs = {seed: 1 if seed == "1" else 2 for seed in seeds_of(run)}
    write_json(folder / f"artifacts/models/{run}/model.json", {"best_epochs": best_epochs})
    for seed in seeds_of(run):
        (folder / f"artifacts/models/{run}/seed-{seed}.weights.h5").write_text(f"weights of {run}, seed {seed}")


def seeds_of(run: str) -> tuple[str, ...]:
    return SEEDS.get(run, SEEDS["vanilla-textbook"])  # a run that a test adds is of the textbook, too


def write_lock(folder: Path, params: Params) -> None:
    """dvc.lock of these params; the hashes are made up."""
    given = json.loads((folder / "params.yaml").read_text())
    textbook = {"settings.textbook": given["settings"]["textbook"]}
    deps = [{"path": f"data/prepared/{split}.parquet", "md5": f"md5 of {split}"} for split in ("train", "validation")]
    tuned = json.loads((folder / "artifacts/tuned/vanilla.json").read_text())["settings"]["tuned"]
    own_run = {"train.runs.vanilla-textbook": given["train"]["runs"]["vanilla-textbook"]}
    counts = {"train.seeds": given["train"]["seeds"], **own_run, "gradients.seeds": given["gradients"]["seeds"]}
    stages = {
        "tune@vanilla": {
            "params.yaml": {
                **{"settings.steady": given["settings"]["steady"], "tune.settings": "steady"},
                **{"tune.seed": 1000, "tune.space": given["tune"]["space"]},
            }
        },
        f"gradients@{LENGTH}": {"params.yaml": {**textbook, **counts, "gradients.reviews": 500}},
        "retention": {"params.yaml": {**textbook, "retention": given["retention"]}},
        "claims": {"params.yaml": {"claims": given["claims"]}},
        "evaluate": {"params.yaml": {"settings.textbook.sequence_length": 100}},
    }
    for name, run in given["train"]["runs"].items():
        common = {f"train.runs.{name}": run, "train.seeds": given["train"]["seeds"]}
        own = {"params.yaml": textbook} if run["settings"] == "textbook" else {run["from"]: {"settings.tuned": tuned}}
        stages[f"train@{name}"] = {"params.yaml": {**common, **own.pop("params.yaml", {})}, **own}
    test = {"path": "data/prepared/test.parquet", "md5": "md5 of test"}
    write_json(
        folder / "dvc.lock",
        {
            "schema": "2.0",
            "stages": {
                name: {"cmd": "", "params": values, "deps": [*deps, test] if name == "evaluate" else deps}
                for name, values in stages.items()
            },
        },
    )


def trial(number: int, state: str = "COMPLETE", value=0.75) -> dict:
    axes = {"hidden_size": 16, "embedding_dimension": 32, "learning_rate": 0.001, "dropout": 0.5}
    return {"trial": number, "state": state, "value": value, **axes, "parameters": 1000, "epochs": 3, "reason": ""}


def score(*values: float) -> dict:
    scores = {str(seed): value for seed, value in enumerate(values)}
    return {"mean": sum(values) / len(values), "sd": 0.125, "low": 0.25, "high": 0.9, "scores": scores}


def table(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
