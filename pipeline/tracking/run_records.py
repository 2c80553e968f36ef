"""What MLflow is to show of a study, read from its files: a record for each run, the same whenever it is read.

A parent for each `train@`, `tune@` and `gradients@` stage and for `retention`, below it a child for each seed, trial,
decay curve or retention curve; one run for the verdicts of `claims`. A decay curve is the mean over seeds: ten curves a
sequence length can be told apart in one chart, thirty cannot (the scatter is in the report). The note of a parent has
its result and a figure of the report.

Names of metrics: a mean carries the plain name; `.sd`, `.low`, `.high` tell its scatter over seeds (95 % interval);
`validation/accuracy.kept` is of the epoch whose weights were kept, of a trial that at the rung, or its last one before
it diverged. The parent of a search has the race and the regret: `race/start`, `race/trial-5`, `race.difference/...`.
"""

import csv
import io
import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5
from pathlib import Path
from statistics import fmean

from pipeline.params import DEFAULT_INITIALISER
from pipeline.science.statistics.lags import longest_lag_learned
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import Stage, digest
from pipeline.storage.stages import STAGES

EXPERIMENTS = {stage.name: stage.experiment for stage in STAGES if stage.experiment}
FIGURES = {  # of the report, that the parents of a stage show
    "train": ("accuracy", "Test accuracy of every run"),
    "evaluate": ("accuracy", "Test accuracy of every run"),
    "tune": ("tuning-by-trial", "Every trial of every study"),
    "gradients": ("gradients-by-lag", "Gradients by lag"),
    "retention": ("retention", "How far back networks learn to look"),
}
NOTE, RUN_ID = "mlflow.note.content", "{run_id}"  # what MLflow shows as a run's description; who it is, known later
CURVES = {name: name for name in ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")}
CURVE = ("architecture", "direction", "weights")
DECAY = {
    "log10_relative_norm": "log10_relative_norm",
    "log10_relative_norm.p10": "p10",
    "log10_relative_norm.p90": "p90",
}
FITTED = ("half_life_tokens", "r2", "horizon_1e-1", "horizon_1e-2", "horizon_1e-3")
RETAINED = {name: name for name in ("accuracy", "solved")}
EFFECT = {name: name for name in ("contrast", "sign_accuracy")}
CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}
ALL = "all"  # the seed or the architecture of a run that covers all of them

Point = tuple[str, int]  # a metric's name and step


@dataclass(frozen=True)
class Record:
    """One run of MLflow. `datasets`: context, path, hash; `artifacts`: name in MLflow -> its text."""

    stage: str
    name: str
    key: str
    parent: str | None  # its key
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[Point, float]
    datasets: list[tuple[str, str, str]] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        return EXPERIMENTS[self.stage.partition("@")[0]]

    @cached_property
    def fingerprint(self) -> str:
        """A hash over everything this run shows: the tag `record`."""
        hashes = {name: md5(text.encode(), usedforsecurity=False).hexdigest() for name, text in self.artifacts.items()}
        metrics = [[*point, value] for point, value in sorted(self.metrics.items())]
        return digest([self.name, self.parent, self.tags, self.params, metrics, self.datasets, hashes])


def name(stage: str, unit: str = "") -> str:
    """What a run is called: `vanilla-textbook`, `vanilla-textbook seed 0`, `vanilla study`, `vanilla trial 3`, ..."""
    kind, _, item = stage.partition("@")
    match kind:
        case "train":
            return f"{item} seed {unit}" if unit else item
        case "tune":
            return f"{item} trial {unit}" if unit else f"{item} study"
        case "gradients":
            return f"{unit} {item}" if unit else f"gradients {item}"
        case "retention" | "claims":
            return f"{unit} {kind}" if unit else kind
        case _:
            return unit


def experiments(stages) -> dict[str, str]:
    """{name of a parent run: its experiment} of these names of stages, where MLflow shows them."""
    return {name(stage): EXPERIMENTS[kind] for stage in stages if (kind := stage.partition("@")[0]) in EXPERIMENTS}


def tags(stage: str, unit: str, key: str, *, architecture, settings, seed, sequence_length, **more) -> dict[str, str]:
    """The tags that every run carries, known before it starts."""
    known = {"architecture": architecture, "settings": settings, "seed": seed, "sequence_length": sequence_length}
    said = {**known, **more, "dvc.stage": stage, "unit": unit, "key": key}
    return {kind: str(value) for kind, value in said.items() if value != ""}


def read(stages: list[Stage], evaluated: Stage | None, folder: Path) -> list[Record]:
    """The records of these finished stages, each parent before its children.

    `evaluated` is the stage `evaluate`, None where its scores are not of these stages. Raises Mistake where a file of a
    stage is not here.
    """
    scores = json.loads(_text(folder, artifacts.METRICS)) if evaluated else {}
    projections = {"tune": tuning, "gradients": gradients, "retention": retention, "claims": claims}
    found = []
    for stage in stages:
        kind = stage.name.partition("@")[0]
        found += training(stage, scores, evaluated, folder) if kind == "train" else projections[kind](stage, folder)
    return found + (ceiling(evaluated, scores["tfidf"], folder) if "tfidf" in scores else [])


def training(stage: Stage, metrics: dict, evaluated: Stage | None, folder: Path) -> list[Record]:
    """A network: its summary over seeds, and each seed with its curves and its scores."""
    run = stage.item
    described = stage.values[f"train.runs.{run}"]
    settings = stage.values[f"settings.{described['settings']}"]
    known = {**_pick(described, "architecture", "settings"), "sequence_length": settings["sequence_length"]}
    datasets = _datasets(stage) + [each for each in (_datasets(evaluated) if evaluated else []) if each[0] == "test"]
    history = _text(folder, artifacts.history(run))
    rows = _grouped(_rows(history), "seed")
    params = {**_flat(stage.values), "seeds": str(len(rows))}
    params.pop("seed_factor", None)  # `seeds` is the number that it led to
    model = _text(folder, artifacts.model(run))
    best = json.loads(model)["best_epochs"]
    summary, figure = metrics.get(run, {}), _figure(stage, folder)
    parent = Record(
        stage=stage.name,
        name=name(stage.name),
        key=stage.key(),
        parent=None,
        tags=tags(stage.name, "", stage.key(), seed=ALL, **known, **_note(_card(stage, summary, best), figure)),
        params=params,
        metrics=_summary(summary),
        datasets=datasets,
        artifacts={"history.csv": history, "model.json": model, **figure},
    )
    children = [
        Record(
            stage=stage.name,
            name=name(stage.name, seed),
            key=stage.key(seed),
            parent=parent.key,
            tags=tags(stage.name, seed, stage.key(seed), seed=seed, **known),
            params={**params, "seed": seed},
            metrics={
                **_points(rows[seed], "epoch", CURVES),
                **_scores(summary, seed),
                ("best_epoch", 0): float(best[seed]),
            },
            datasets=datasets,
        )
        for seed in rows
    ]
    return [parent, *children]


def ceiling(stage: Stage, summary: dict, folder: Path) -> list[Record]:
    """The linear model of `evaluate`: one deterministic fit, so no children."""
    length = stage.values["settings.textbook.sequence_length"]
    key = stage.key("tfidf")
    known = {"architecture": "tfidf", "settings": "none", "seed": ALL, "sequence_length": length}
    figure = _figure(stage, folder)
    note = _note(_card(stage, summary, {}), figure)
    return [
        Record(
            stage=stage.name,
            name="tfidf",
            key=key,
            parent=None,
            tags=tags(stage.name, "tfidf", key, **known, **note),
            params={"architecture": "tfidf"},
            metrics=_summary(summary),
            datasets=_datasets(stage),
            artifacts=figure,
        )
    ]


def tuning(stage: Stage, folder: Path) -> list[Record]:
    """A study: its choice with race and regret, and each trial."""
    architecture = stage.item
    table, tuned = _text(folder, artifacts.trials(architecture)), _text(folder, artifacts.tuned(architecture))
    summary = _text(folder, artifacts.tuning_summary(architecture))
    chosen, found = json.loads(tuned), json.loads(summary)
    fixed = stage.values[f"settings.{stage.values['tune.settings']}"]
    known = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": stage.values["tune.seed"],
        "sequence_length": fixed["sequence_length"],
    }
    space = {f"space.{key}": json.dumps(value) for key, value in stage.values["tune.space"].items()}
    params = _flat({key: value for key, value in stage.values.items() if key != "tune.space"})
    rows = _rows(table)
    curves = _grouped(_rows(_text(folder, artifacts.trial_histories(architecture))), "trial")
    figure = _figure(stage, folder)
    parent = Record(
        stage=stage.name,
        name=name(stage.name),
        key=stage.key(),
        parent=None,
        tags=tags(stage.name, "", stage.key(), **known, **_note(_study(stage, found, rows), figure)),
        params={**params, **space, **_flat(chosen["settings"]), "chosen": _contestant(found["chosen"])},
        metrics={
            **_race(found),
            **{(f"trials.{state.lower()}", 0): float(number) for state, number in _states(rows).items()},
        },
        datasets=_datasets(stage),
        artifacts={f"{architecture}.csv": table, f"{architecture}.json": tuned, "summary.json": summary, **figure},
    )
    children = [
        Record(
            stage=stage.name,
            name=name(stage.name, row["trial"]),
            key=stage.key(row["trial"]),
            parent=parent.key,
            tags=tags(
                stage.name, row["trial"], stage.key(row["trial"]), **known, state=row["state"], reason=row["reason"]
            ),
            params={**params, **_pick(row, *stage.values["tune.space"]), "trial": row["trial"]},
            metrics={
                **_points(curves.get(row["trial"], []), "epoch", CURVES),
                **_finite(
                    {
                        ("validation/accuracy.kept", 0): row["value"],
                        ("parameters", 0): row["parameters"],
                        ("epochs", 0): row["epochs"],
                    }
                ),
            },
            datasets=_datasets(stage),
        )
        for row in rows
    ]
    return [parent, *children]


def gradients(stage: Stage, folder: Path) -> list[Record]:
    """A sequence length: how gradients and memory fade, a child for each decay curve, step = lag in tokens."""
    length = int(stage.item)
    tables = {"gradients": artifacts.gradients, "memory": artifacts.memory}
    tables |= {"decay": artifacts.decay, "probes": artifacts.probes}
    texts = {f"{name}.csv": _text(folder, path(length)) for name, path in tables.items()}
    fitted = {words: rows[0] for words, rows in _grouped(_own_curves(texts["decay.csv"]), *CURVE).items()}
    params = _flat({key: value for key, value in stage.values.items() if not _counts_seeds(key)})
    params["sequence_length"] = str(length)
    known = {"settings": "textbook", "seed": ALL, "sequence_length": length}
    datasets = _datasets(stage)
    children = []
    for quantity, text, by, values in (
        ("gradient", texts["gradients.csv"], CURVE, DECAY),
        ("memory", texts["memory.csv"], ("architecture", "trained_length"), EFFECT),
    ):
        for words, rows in _grouped(_rows(text), *by).items():
            what = dict(zip(by, words, strict=True))
            unit = " ".join([*what.values(), *([quantity] if quantity == "memory" else [])])
            children.append(
                Record(
                    stage=stage.name,
                    name=name(stage.name, unit),
                    key=stage.key(unit),
                    parent=stage.key(),
                    tags=tags(stage.name, unit, stage.key(unit), **known, **what, quantity=quantity),
                    params={**params, **what, "seeds": str(len({row["seed"] for row in rows}))},
                    metrics=_mean_points(rows, "lag_tokens", values)
                    | _finite({(number, 0): fitted.get(words, {}).get(number) for number in FITTED}),
                    datasets=datasets,
                )
            )
    figure = _figure(stage, folder)
    seed_counts = sorted({child.params["seeds"] for child in children}, key=int)
    parent = Record(
        stage=stage.name,
        name=name(stage.name),
        key=stage.key(),
        parent=None,
        tags=tags(stage.name, "", stage.key(), architecture=ALL, **known, **_note(_faded(stage, children), figure)),
        params={**params, "seeds": " or ".join(seed_counts)},
        metrics=_at_the_farthest_lag(children),
        datasets=datasets,
        artifacts={**texts, **figure},
    )
    return [parent, *children]


def _counts_seeds(key: str) -> bool:
    """Whether a parameter of `gradients` only says how many seeds are measured: each curve has its own number."""
    return key in ("train.seeds", "gradients.seeds") or key.startswith("train.runs.")


def retention(stage: Stage, folder: Path) -> list[Record]:
    """How far back networks learn to look, a child for each architecture and place of the signal, step = lag."""
    table, checks = _text(folder, artifacts.RETENTION), _text(folder, artifacts.RETENTION_CHECKS)
    rows = [{**row, "solved": float(row["solved"] == "True")} for row in _rows(table)]
    params = _flat(stage.values)
    known = {"settings": "textbook", "seed": ALL, "sequence_length": ALL}
    children = []
    for words, found in _grouped(rows, "architecture", "signal").items():
        unit, what = " ".join(words), dict(zip(("architecture", "signal"), words, strict=True))
        children.append(
            Record(
                stage=stage.name,
                name=name(stage.name, unit),
                key=stage.key(unit),
                parent=stage.key(),
                tags=tags(stage.name, unit, stage.key(unit), **known, **what, quantity="retention"),
                params={**params, **what},
                metrics=_mean_points(found, "lag_tokens", RETAINED),
            )
        )
    farthest = {child.tags["unit"]: _farthest_retained(child) for child in children}
    figure = _figure(stage, folder)
    said = "\n".join(f"- {unit}: {lag or 'no lag that was tried'}" for unit, lag in farthest.items())
    note = f"**The longest lag, in tokens, that at least half of the seeds learned**\n\n{said}\n\n{_reproduce(stage)}"
    parent = Record(
        stage=stage.name,
        name=name(stage.name),
        key=stage.key(),
        parent=None,
        tags=tags(stage.name, "", stage.key(), architecture=ALL, **known, **_note(note, figure)),
        params=params,
        metrics={(f"retained_tokens/{unit.replace(' ', '-')}", 0): float(lag) for unit, lag in farthest.items()},
        artifacts={"retention.csv": table, "checks.csv": checks, **figure},
    )
    return [parent, *children]


def claims(stage: Stage, folder: Path) -> list[Record]:
    """The verdict on each sentence of the tutorial: a tag, and a row of the note."""
    text = _text(folder, artifacts.CLAIMS)
    found = json.loads(text)
    rows = "\n".join(f"| {claim['sentence']} | {_verdict(claim)} |" for claim in found)
    note = f"| The tutorial says | Measured |\n|---|---|\n{rows}\n\n{_reproduce(stage)}"
    known = {"architecture": ALL, "settings": "textbook", "seed": ALL, "sequence_length": ALL}
    verdicts = {f"claim {claim['name']}": claim["verdict"] for claim in found}
    return [
        Record(
            stage=stage.name,
            name=name(stage.name),
            key=stage.key(),
            parent=None,
            tags=tags(stage.name, "", stage.key(), **known, **verdicts, **_note(note)),
            params=_flat(stage.values),
            metrics={(f"claims.{word.replace(' ', '_')}", 0): float(n) for word, n in _counted(found).items()},
            artifacts={"claims.json": text},
        )
    ]


def _verdict(claim: dict) -> str:
    """With those behind an unstable one: ours and that of every replication that counts."""
    if claim["verdict"] != "unstable":
        return f"**{claim['verdict']}**"

    counting = [item for item in claim["replications"] if not item["obstacle"]]
    others = "".join(f"; {item['name']}: {item['verdict']}" for item in counting)
    return f"**unstable** (here: {claim['verdict_here']}{others})"


def _own_curves(decay: str) -> list[dict[str, str]]:
    """What was fitted to the curves of reports/gradients: trained at this length, Keras' own initialiser."""
    return [
        row
        for row in _rows(decay)
        if row["trained_length"] == row["sequence_length"]
        and row["initialiser"] == DEFAULT_INITIALISER
        and row["quantity"] != "dz/dc"
    ]


def _text(folder: Path, path: Path) -> str:
    return artifacts.read_text(folder / path)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _grouped(rows: list[dict], *columns: str) -> dict:
    groups = defaultdict(list)
    for row in rows:
        words = tuple(row[column] for column in columns)
        groups[words if len(words) > 1 else words[0]].append(row)
    return dict(groups)


def _pick(values: dict, *keys: str) -> dict:
    return {key: values[key] for key in keys}


def _flat(values: dict) -> dict[str, str]:
    """Parameters by the last part of their names, mappings opened: `settings.textbook` gives `hidden_size`, ..."""
    flat = {}
    for key, value in values.items():
        flat |= value if isinstance(value, dict) else {key.rpartition(".")[2]: value}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items() if key != "from"}


def _finite(metrics: dict[Point, str | float | None]) -> dict[Point, float]:
    """Without what was not measured: an empty field, null, NaN or an infinity."""
    numbers = {point: float(value) for point, value in metrics.items() if value not in ("", None)}
    return {point: value for point, value in numbers.items() if math.isfinite(value)}


def _points(rows: list[dict], step: str, columns: dict[str, str]) -> dict[Point, float]:
    """`columns`: what a metric is called -> its column."""
    return _finite({(name, int(row[step])): row[column] for row in rows for name, column in columns.items()})


def _mean_points(rows: list[dict], step: str, columns: dict[str, str]) -> dict[Point, float]:
    """At each step the mean over rows (seeds)."""
    values = defaultdict(list)
    for row in rows:
        for point, value in _points([row], step, columns).items():
            values[point].append(value)
    return {point: fmean(numbers) for point, numbers in values.items()}


def _at_the_farthest_lag(curves: list[Record]) -> dict[Point, float]:
    """What a folded parent can show of its curves: the end of each. One section of the chart page holds them all."""
    ends = {}
    for curve in curves:
        metric = "log10_relative_norm" if curve.tags["quantity"] == "gradient" else "sign_accuracy"
        steps = [step for found, step in curve.metrics if found == metric]
        if steps:
            ends[f"{metric}/{curve.tags['unit'].replace(' ', '-')}", max(steps)] = curve.metrics[metric, max(steps)]
    return ends


def _summary(summary: dict) -> dict[Point, float]:
    """Mean and scatter over seeds of each metric of a run in metrics.json."""
    found = {("parameters", 0): summary.get("parameters")}
    for metric, values in summary.items():
        if metric != "parameters":
            found[metric, 0] = values["mean"]
            found |= {(f"{metric}.{part}", 0): values[part] for part in ("sd", "low", "high")}
    return _finite(found)


def _scores(summary: dict, seed: str) -> dict[Point, float]:
    """A seed's own scores; what is also a curve gets `.kept` behind its name."""
    metrics = {metric: values for metric, values in summary.items() if metric != "parameters"}
    return _finite(
        {
            (f"{metric}.kept" if metric in CURVES else metric, 0): values["scores"].get(seed)
            for metric, values in metrics.items()
        }
        | {("parameters", 0): summary.get("parameters")}
    )


def _states(rows: list[dict]) -> dict[str, int]:
    return {state: len(found) for state, found in sorted(_grouped(rows, "state").items())} if rows else {}


def _datasets(stage: Stage) -> list[tuple[str, str, str]]:
    paths = {context: artifacts.split(split).as_posix() for split, context in CONTEXTS.items()}
    return [(context, path, stage.deps[path]) for context, path in paths.items() if path in stage.deps]


def _figure(stage: Stage, folder: Path) -> dict[str, str]:
    """The report's figure for this kind of stage as an artifact; none where there is no report yet."""
    path = artifacts.figure(FIGURES[stage.name.partition("@")[0]][0])
    return {path.name: _text(folder, path)} if (folder / path).exists() else {}


def _note(text: str, figure=()) -> dict[str, str]:
    """What MLflow's UI shows beside a run; it serves an artifact at this address."""
    titles = {artifacts.figure(name).name: title for name, title in FIGURES.values()}
    shown = (f"![{titles[name]}](get-artifact?path={name}&run_uuid={RUN_ID})" for name in figure)
    return {NOTE: "\n\n".join([text, *shown])}


def _reproduce(stage: Stage) -> str:
    return f"Reproduce: `dvc repro {stage.name}`"


def _card(stage: Stage, summary: dict, best_epochs: dict[str, int]) -> str:
    lines = []
    if accuracy := summary.get("test/accuracy"):
        interval = "" if accuracy["low"] is None else f", 95 % interval {accuracy['low']:.4f} to {accuracy['high']:.4f}"
        seeds = len(accuracy["scores"])
        lines += [
            f"**Test accuracy {accuracy['mean']:.4f}**{interval}, {seeds} seed{'s' if seeds > 1 else ''}, "
            f"{summary['parameters']:,} parameters"
        ]
    if best_epochs:
        lines += ["Kept epochs: " + ", ".join(f"{epoch} (seed {seed})" for seed, epoch in best_epochs.items())]
    return "\n\n".join([*lines, _reproduce(stage)])


def _faded(stage: Stage, curves: list[Record]) -> str:
    """Where the mean of each gradient ends, the farthest word, beside its half-life."""
    lines = []
    for curve in curves:
        lags = [lag for name, lag in curve.metrics if name == "log10_relative_norm"]
        if lags:
            half_life = curve.metrics.get(("half_life_tokens", 0))
            said = "" if half_life is None else f", half-life {half_life:.1f} tokens"
            end = curve.metrics["log10_relative_norm", max(lags)]
            lines.append(f"- {curve.tags['unit']}: 10^{end:.1f}{said}")
    title = "**The gradient at the farthest word, as a share of that at the last one** (mean over seeds)"
    return "\n\n".join([title, "\n".join(lines), _reproduce(stage)])


def _farthest_retained(curve: Record) -> int:
    """The longest lag that at least half of the seeds learned; 0 for none."""
    return longest_lag_learned({lag: share for (name, lag), share in curve.metrics.items() if name == "solved"})


def _counted(claims: list[dict]) -> dict[str, int]:
    return {verdict: len(found) for verdict, found in sorted(_grouped(claims, "verdict").items())}


def _contestant(row: dict) -> str:
    return "start" if row["starting_recipe"] else f"trial-{row['trial']}"


def _race(found: dict) -> dict[Point, float]:
    """Race and regret of a search; a kept starting recipe has a regret of 0 and no interval."""
    metrics = {("regret", 0): found["regret"]["difference"]}
    metrics |= {(f"regret.{end}", 0): found["regret"][end] for end in ("low", "high")}
    for row in found["race"]:
        name = _contestant(row)
        metrics[f"race/{name}", 0] = row["mean"]
        metrics[f"race.difference/{name}", 0] = row["difference"]
        metrics[f"race.standard_error/{name}", 0] = row["standard_error"]
    return _finite(metrics)


def _study(stage: Stage, found: dict, rows: list[dict]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in _states(rows).items())
    regret = found["regret"]
    interval = "" if regret["low"] is None else f", 95 % interval {regret['low']:.4f} to {regret['high']:.4f}"
    return "\n\n".join(
        [
            f"**{_contestant(found['chosen'])}**: {found['chosen']['reason']}; trials: {states}",
            f"Regret (chosen minus starting recipe on fresh seeds): {regret['difference']:.4f}{interval}",
            _reproduce(stage),
        ]
    )
