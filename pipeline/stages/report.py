"""report: what people read, from files only."""

from pathlib import Path

import pandas as pd

from pipeline.params import Params
from pipeline.reporting import document, origins
from pipeline.storage import artifacts, recorded_files
from pipeline.tracking import run_records


def main(params: Params) -> None:
    """Writes reports/README.md, reports/index.html and reports/figures; stale tables are named, not read.

    Raises Mistake where a file that this comes from, also one that is not read here, is not what dvc.lock records.
    """
    stages = recorded_files.demand("report", params, Path())
    lengths = sorted(params.gradients.sequence_lengths)
    tuned = params.tune.architectures
    _name_stale(artifacts.GRADIENTS, lengths)
    _name_stale(artifacts.MEMORY, lengths)
    _name_stale(artifacts.PROBES, lengths)
    _name_stale(artifacts.DECAY, lengths)
    _name_stale(artifacts.TUNING, tuned)

    def of_all(read, table) -> pd.DataFrame:
        return pd.concat([read(table(length)) for length in lengths], ignore_index=True)

    told = document.story(
        claims=artifacts.read_json(artifacts.CLAIMS),
        card=artifacts.read_json(artifacts.DATA_CARD),
        metrics=artifacts.read_json(artifacts.METRICS),
        compared=artifacts.read_json(artifacts.COMPARISONS),
        runs=artifacts.read_csv(artifacts.RUNS),
        calibration=artifacts.read_csv(artifacts.CALIBRATION),
        buckets=artifacts.read_csv(artifacts.LENGTH_BUCKETS),
        models=artifacts.read_json(artifacts.MODELS_CARD),
        examples=artifacts.read_json(artifacts.EXAMPLES),
        trials={architecture: artifacts.read_csv(artifacts.trials(architecture)) for architecture in tuned},
        studies={architecture: artifacts.read_json(artifacts.tuning_summary(architecture)) for architecture in tuned},
        gradients=of_all(artifacts.read_csv, artifacts.gradients),
        everything=of_all(artifacts.read_parquet, artifacts.gradients_everything),
        dynamics=of_all(artifacts.read_parquet, artifacts.dynamics),
        decay=of_all(artifacts.read_csv, artifacts.decay),
        memory=of_all(artifacts.read_csv, artifacts.memory),
        probes=of_all(artifacts.read_csv, artifacts.probes),
        retention=artifacts.read_csv(artifacts.RETENTION),
        settings={
            "runs": list(params.train.runs),
            "seeds": {run: len(params.train.seeds_of(run)) for run in params.train.runs},
            "trials": params.tune.trials,
            "rung_epochs": params.tune.rung_epochs,
            "finalists": params.tune.finalists,
            "race_seeds": params.tune.race_seeds,
            "space": params.tune.space.model_dump(),
            "lengths": lengths,
            "vanished": params.claims.vanished,
            "usable": params.claims.usable_sign_accuracy,
            "solved": params.retention.solved,
            "updates": params.retention.updates,
            "alpha": params.evaluate.alpha,
            "power": params.evaluate.power,
            "almost": params.evaluate.almost,
            "meaningful": params.evaluate.meaningful,
            "learned_share": params.evaluate.learned_share,
        },
    )
    read = {
        "claims": [artifacts.CLAIMS],
        "card": [artifacts.DATA_CARD],
        "metrics": [artifacts.METRICS],
        "compared": [artifacts.COMPARISONS],
        "runs": [artifacts.RUNS],
        "calibration": [artifacts.CALIBRATION],
        "buckets": [artifacts.LENGTH_BUCKETS],
        "models": [artifacts.MODELS_CARD],
        "examples": [artifacts.EXAMPLES],
        "trials": [artifacts.trials(architecture) for architecture in tuned],
        "studies": [artifacts.tuning_summary(architecture) for architecture in tuned],
        "gradients": [artifacts.gradients(length) for length in lengths],
        "everything": [artifacts.gradients_everything(length) for length in lengths],
        "dynamics": [artifacts.dynamics(length) for length in lengths],
        "decay": [artifacts.decay(length) for length in lengths],
        "memory": [artifacts.memory(length) for length in lengths],
        "probes": [artifacts.probes(length) for length in lengths],
        "retention": [artifacts.RETENTION],
    }
    traced = {name: [_traced(path.as_posix(), stages) for path in paths] for name, paths in read.items()}
    told = origins.marked(told, traced, run_records.experiments(stages))
    for name, picture in document.pictures(told).items():
        artifacts.write_text(artifacts.figure(name), picture)
    artifacts.write_text(artifacts.REPORT, document.markdown(told))
    artifacts.write_text(artifacts.REPORT_PAGE, document.html(told))


def _traced(path: str, stages: dict) -> origins.File:
    maker, runs = recorded_files.maker(path, stages), recorded_files.runs_behind(path, stages)
    return origins.File(
        path, maker.name, maker.outs[path], {run_records.name(name): stage.key() for name, stage in runs.items()}
    )


def _name_stale(folder, listed: list) -> None:
    stale = sorted(set(artifacts.tables_in(folder)) - {str(name) for name in listed})
    if stale:
        print(f"{folder}: stale, not in params.yaml and not in the report: {', '.join(stale)}")
