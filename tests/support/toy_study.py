"""A whole small study as files in a folder: a run on four seeds and one on two, three trials, one sequence length."""

import json
from pathlib import Path

import yaml

from pipeline.params import Params, read
from pipeline.storage import lock_comparison

PARAMS = Path(__file__).parents[2] / "params.yaml"
RUNS = ("vanilla-textbook", "vanilla-tuned")
SEEDS = {"vanilla-textbook": ("0", "1", "2", "3"), "vanilla-tuned": ("0", "1")}
LENGTH = 4
HISTORY = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
STAGES = (
    "tune@vanilla",
    *(f"train@{run}" for run in RUNS),
    f"gradients@{LENGTH}",
    "retention",
    "attractor",
    "remedies",
    "claims",
)
WITHOUT_REVIEWS = ("prepare", "retention", "claims", "report")
ATTRACTOR = ("modes", "lags", "words", "properties")
KINDS = ("gradients", "memory", "decay", "decay_by_seed", "distances", "probes", "states")
MODELS = len(RUNS)
# of the stages that read train.seeds: runs and seeds, a length's curves, remedies
SEEDED_RECORDS = (1 + 4) + (1 + 2) + (1 + 3) + (1 + 2)
RECORDS = 4 + SEEDED_RECORDS + 2  # study and trials, the linear baselines
RECORDS += 2 + 1  # retention and its curve, the verdicts
RECORDS += 1 + 2  # the test for a line attractor, before and after training
CHOSEN = {"trial": 1, "starting_recipe": False, "reason": "fewest parameters among those ahead"}
RACE = [
    {"trial": 0, "starting_recipe": True, "mean": 0.75, "difference": None, "standard_error": None},
    {
        "trial": 1,
        "starting_recipe": False,
        "mean": 0.875,
        "difference": 0.125,
        "standard_error": 0.0625,
    },
]
REGRET = {"difference": 0.25, "low": -0.125, "high": 0.5}
TRIALS = """\
trial,state,value,hidden_size,embedding_dimension,learning_rate,dropout,parameters,epochs,reason
0,COMPLETE,0.75,16,32,0.001,0.5,1000,3,
1,COMPLETE,0.75,16,32,0.001,0.5,1000,3,
2,FAIL,,16,32,0.001,0.5,1000,3,
"""
TRIAL_HISTORIES = """\
trial,epoch,train/loss,train/accuracy,validation/loss,validation/accuracy
0,1,0.5,0.5,0.5,0.5
0,2,0.5,0.5,0.5,0.5
1,1,0.5,0.5,0.5,0.5
1,2,0.5,0.5,0.5,0.5
"""
NORMS = """\
architecture,direction,weights,seed,lag_tokens,log10_relative_norm,p10,p90
vanilla,forward,initial,0,0,0,-5,
vanilla,forward,initial,0,1,-1,-5,
vanilla,forward,initial,0,2,-2,-5,
vanilla,forward,initial,0,3,-3,-5,
vanilla,forward,initial,1,0,0,-5,
vanilla,forward,initial,1,1,-2,-5,
vanilla,forward,initial,1,2,-4,-5,
vanilla,forward,initial,1,3,-6,-5,
vanilla,forward,trained,0,0,0,-5,
vanilla,forward,trained,0,1,-1,-5,
vanilla,forward,trained,0,2,-2,-5,
vanilla,forward,trained,0,3,-3,-5,
vanilla,forward,trained,1,0,0,-5,
vanilla,forward,trained,1,1,-2,-5,
vanilla,forward,trained,1,2,-4,-5,
vanilla,forward,trained,1,3,-6,-5,
"""
EFFECTS = """\
architecture,trained_length,seed,lag_tokens,contrast,sign_accuracy
vanilla,4,0,0,2,0.9
vanilla,4,1,0,2,0.9
"""
FITS = """\
architecture,direction,weights,initialiser,sequence_length,trained_length,quantity,r2,half_life_tokens,horizon_1e-1,\
horizon_1e-2,horizon_1e-3
vanilla,forward,initial,orthogonal,4,4,dz/dh,0.95,3.5,2,inf,inf
vanilla,forward,initial,orthogonal,4,4,dz/dc,0.95,9,2,inf,inf
vanilla,forward,initial,identity,4,4,dz/dh,0.95,9,2,inf,inf
vanilla,forward,initial,orthogonal,4,100,dz/dh,0.95,9,2,inf,inf
vanilla,forward,trained,orthogonal,4,4,dz/dh,0.95,3.5,2,inf,inf
vanilla,forward,trained,orthogonal,4,4,dz/dc,0.95,9,2,inf,inf
vanilla,forward,trained,identity,4,4,dz/dh,0.95,9,2,inf,inf
vanilla,forward,trained,orthogonal,4,100,dz/dh,0.95,9,2,inf,inf
vanilla,forward,trained,orthogonal,4,4,dz/dx,0.95,9,2,inf,inf
"""
# MLflow shows these two as files alone
FITS_BY_SEED = """\
architecture,direction,weights,initialiser,sequence_length,trained_length,quantity,seed,r2,half_life_tokens
vanilla,forward,trained,orthogonal,4,4,dz/dh,0,0.95,3.5
"""
DISTANCES = """\
architecture,direction,weights,initialiser,sequence_length,trained_length,quantity,seed,lag_tokens,log10_relative_norm
vanilla,forward,trained,orthogonal,4,4,dz/dh,0,3,-3
"""
PROBES = """\
architecture,probe,accuracy
vanilla,plain,0.5
"""
STATES = """\
architecture,sequence_length,trained_length,seed,direction,measure,value,reviews
vanilla,4,4,0,forward,streaming_difference,0.000001,16
"""
RETAINED = """\
architecture,signal,lag_tokens,seed,updates,accuracy,solved
vanilla,first,1,0,100,1,True
vanilla,first,1,1,100,1,True
vanilla,first,2,0,100,1,True
vanilla,first,2,1,100,1,True
vanilla,first,4,0,100,0.5,False
vanilla,first,4,1,100,0.75,False
"""
BY_LAG = """\
architecture,weights,seed,lag_tokens,slow_share,common_share,steady,valence
vanilla,initial,0,0,0.1,0.1,,0
vanilla,initial,1,0,0.1,0.1,,0
vanilla,trained,0,0,0.5,0.75,,0.5
vanilla,trained,0,3,0.25,0.5,0.9,0.5
vanilla,trained,1,0,0.5,0.75,,0.75
vanilla,trained,1,3,0.75,0.5,0.9,0.75
"""
PROPERTIES = """\
architecture,property,value,low,high,threshold,verdict,at_initialisation,chance,seeds,lag_tokens
vanilla,line_attractor,,,,,does not hold,,,2,
vanilla,slow_ratio,1.25,1,1.5,2,does not hold,1,,2,
vanilla,valence,0.75,0.5,1,0.7,not shown,0,0.1,2,
"""
MODES = """\
architecture,weights,seed,measure,value,chance,sequence_length
vanilla,trained,0,slow_ratio,1.25,,4
"""
PROJECTIONS = """\
architecture,token,projection,tfidf_weight
vanilla,2,1,0.5
"""
INTERVAL = {"value": -1.5, "low": -2.0, "high": None}
REMEDIES_BY_SEED = """\
run,seed,word_gradient
vanilla-textbook,0,-1.5
vanilla-tuned,0,-1.5
"""
VERDICTS = {"a state word by word": "holds", "gradients vanish": "partly"}
FIGURES = ("accuracy", "tuning-race", "gradients-by-lag", "retention", "attractor", "remedies")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'


def write(folder: Path) -> Params:
    """Writes the files, params.yaml and dvc.lock, and gives the parameters."""
    params = params_of(folder)
    for run in RUNS:
        write_run(folder, run)
    write_text(folder / "data/prepared/vocabulary.txt", "<pad>\n<unknown>\nfine\n")
    write_json(folder / "reports/data.json", {"source": "imdb"})
    write_search(folder, params)
    write_tables(folder)

    claims = [
        {"name": name, "sentence": name, "verdict": verdict} for name, verdict in VERDICTS.items()
    ]
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
    values["remedies"] = {"baseline": RUNS[0], "runs": [RUNS[1]]}
    values["gradients"] |= {"seeds": 2, "sequence_lengths": [LENGTH], "architectures": ["vanilla"]}
    write_json(folder / "params.yaml", values)
    return read(folder / "params.yaml")


def write_run(folder: Path, run: str, losses=(0.5, 0.25)) -> None:
    """Each seed's history, with the same loss for everything, the model's card, and a stand-in for its weights."""
    history = [f"seed,epoch,{','.join(HISTORY)},best"]
    for seed in seeds_of(run):
        for epoch, loss in enumerate(losses, 1):
            history.append(f"{seed},{epoch},{loss},{loss},{loss},{loss},0")
        write_text(
            folder / f"artifacts/models/{run}/seed-{seed}.weights.h5",
            f"weights of {run}, seed {seed}",
        )
    write_text(folder / f"artifacts/history/{run}.csv", "\n".join([*history, ""]))

    best_epochs = {seed: 1 if seed == "1" else 2 for seed in seeds_of(run)}
    write_json(folder / f"artifacts/models/{run}/model.json", {"best_epochs": best_epochs})


def seeds_of(run: str) -> tuple[str, ...]:
    # a run that a test adds has the textbook's seeds
    return SEEDS.get(run, SEEDS["vanilla-textbook"])


def write_search(folder: Path, params: Params) -> None:
    write_text(folder / "reports/tuning/vanilla.csv", TRIALS)
    write_text(folder / "artifacts/trials/vanilla.csv", TRIAL_HISTORIES)
    tuned = {**params.settings["textbook"].model_dump(), "hidden_size": 16}
    write_json(
        folder / "artifacts/tuned/vanilla.json", {"settings": {"tuned": tuned}, "chosen": CHOSEN}
    )
    write_json(
        folder / "reports/tuning/vanilla.json", {"chosen": CHOSEN, "race": RACE, "regret": REGRET}
    )


def write_tables(folder: Path) -> None:
    """Writes the tables of the one sequence length, of retention and of the test for a line attractor."""
    write_text(folder / f"reports/gradients/{LENGTH}.csv", NORMS)
    write_text(folder / f"reports/memory/{LENGTH}.csv", EFFECTS)
    write_text(folder / f"reports/decay/{LENGTH}.csv", FITS)
    write_text(folder / f"reports/decay_by_seed/{LENGTH}.csv", FITS_BY_SEED)
    write_text(folder / f"reports/distances/{LENGTH}.csv", DISTANCES)
    write_text(folder / f"reports/probes/{LENGTH}.csv", PROBES)
    write_text(folder / f"reports/states/{LENGTH}.csv", STATES)
    write_text(folder / "reports/retention.csv", RETAINED)
    write_text(folder / "artifacts/retention.csv", RETAINED)
    for name, table in zip(ATTRACTOR, (MODES, BY_LAG, PROJECTIONS, PROPERTIES), strict=True):
        write_text(folder / f"reports/attractor/{name}.csv", table)
    write_text(folder / "reports/remedies.csv", REMEDIES_BY_SEED)
    write_json(folder / "reports/remedies.json", [remedy(run) for run in RUNS])


def remedy(run: str) -> dict:
    measures = {"word_gradient": INTERVAL, "used": {"value": 0.75, "low": 0.5, "high": 1.0}}
    return {
        "run": run,
        "architecture": "vanilla",
        "seeds": len(seeds_of(run)),
        "lag_tokens": 2,
        "parameters": 326273,
        "cost": 1.0,
        "measures": measures,
        "accuracy": {"value": 0.75, "low": None, "high": None},
    }


def write_scores(folder: Path) -> None:
    scores = {
        run: {"parameters": 326273, "test/accuracy": score(0.5, 0.75, 0.625, 0.625)} for run in RUNS
    }
    scores["vanilla-textbook"]["validation/accuracy"] = score(0.625, 0.625, 0.5, 0.5)
    scores["vanilla-tuned"]["test/accuracy"] = score(0.5, 0.75)
    scores["vanilla-tuned"]["validation/accuracy"] = score(0.625, 0.875)
    scores["tfidf"] = {
        "parameters": 100,
        "test/accuracy": {**score(0.875), "sd": None, "low": None, "high": None},
    }
    scores["tfidf-bigrams"] = scores["tfidf"]
    write_json(folder / "reports/metrics.json", scores)

    split = {"accuracy": 0.75, "low": 0.5, "high": 1.0, "mean_of_seeds": 0.625}
    ensembles = {run: {"seeds": 2, "validation": split, "test": split} for run in RUNS}
    write_json(folder / "reports/ensembles.json", ensembles)


def score(*values: float) -> dict:
    scores = {str(seed): value for seed, value in enumerate(values)}
    return {
        "mean": sum(values) / len(values),
        "sd": 0.125,
        "low": 0.25,
        "high": 0.9,
        "scores": scores,
    }


def write_lock(folder: Path) -> None:
    """Writes dvc.lock for the params.yaml and the files of this folder, with invented hashes of inputs."""
    values = json.loads((folder / "params.yaml").read_text())
    stages = {}
    for name, keys_by_file in {
        **_params_of_studies(values),
        **_params_of_runs(folder, values),
    }.items():
        splits = () if name in WITHOUT_REVIEWS else ("train", "validation")
        splits = (*splits, "test") if name == "evaluate" else splits
        deps = [
            {"path": f"data/prepared/{split}.parquet", "md5": f"md5 of {split}"} for split in splits
        ]
        outs = []
        for path in outputs(name):
            outs.append({"path": path, "md5": lock_comparison.hash_of(folder / path)})
        stages[name] = {"cmd": "", "params": keys_by_file, "deps": deps, "outs": outs}
    write_json(folder / "dvc.lock", {"schema": "2.0", "stages": stages})


def outputs(dvc_name: str) -> list[str]:
    """The paths of the outputs of a stage that the toy study has."""
    stage, _, item = dvc_name.partition("@")
    by_stage = {
        "prepare": ["data/prepared/vocabulary.txt", "reports/data.json"],
        "tune": [
            f"reports/tuning/{item}.csv",
            f"reports/tuning/{item}.json",
            f"artifacts/trials/{item}.csv",
            f"artifacts/tuned/{item}.json",
        ],
        "train": [f"artifacts/history/{item}.csv", f"artifacts/models/{item}"],
        "evaluate": ["reports/metrics.json", "reports/ensembles.json"],
        "gradients": [f"reports/{kind}/{item}.csv" for kind in KINDS],
        "retention": ["reports/retention.csv", "artifacts/retention.csv"],
        "attractor": [f"reports/attractor/{name}.csv" for name in ATTRACTOR],
        "remedies": ["reports/remedies.csv", "reports/remedies.json"],
        "claims": ["reports/claims.json"],
        "report": ["reports/figures"],
    }
    return by_stage[stage]


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
        "attractor": {"settings.textbook": textbook, "attractor": values["attractor"]},
        "remedies": {"remedies": values["remedies"], "train.seeds": values["train"]["seeds"]},
        "claims": {"claims": values["claims"]},
        "evaluate": {"settings.textbook.sequence_length": 100},
        "prepare": {},
        "report": {},
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


def write_json(path: Path, value) -> None:
    write_text(path, json.dumps(value) + "\n")


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
