"""A sequence length: how gradients and memory fade. One child per curve; its step is the lag in tokens.

A curve is the mean over seeds: ten curves per length are readable in one chart, thirty are not. The report shows the
scatter.
"""

from pathlib import Path

from pipeline.params import DEFAULT_INITIALISER
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import Stage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Point, Record, RunFamily

NORM, SIGN_ACCURACY = "log10_relative_norm", "sign_accuracy"
GRADIENT_CURVE = ("architecture", "direction", "weights")  # columns that identify a curve
MEMORY_CURVE = ("architecture", "trained_length")
NORMS = {NORM: NORM, f"{NORM}.p10": "p10", f"{NORM}.p90": "p90"}
EFFECTS = {"contrast": "contrast", SIGN_ACCURACY: SIGN_ACCURACY}
FITTED = ("half_life_tokens", "r2", "horizon_1e-1", "horizon_1e-2", "horizon_1e-3")


def records(stage: Stage, folder: Path) -> list[Record]:
    length = int(stage.item)
    paths = {
        "gradients.csv": artifacts.gradients(length),
        "memory.csv": artifacts.memory(length),
        "decay.csv": artifacts.decay(length),
        "probes.csv": artifacts.probes(length),
    }
    texts = {name: artifacts.read_text(folder / path) for name, path in paths.items()}
    norms = tables.grouped(tables.rows(texts["gradients.csv"]), *GRADIENT_CURVE)
    effects = tables.grouped(tables.rows(texts["memory.csv"]), *MEMORY_CURVE)
    fits = tables.grouped(_fits_of_own_curves(texts["decay.csv"]), *GRADIENT_CURVE)

    params = tables.flat_params({key: value for key, value in stage.values.items() if not _counts_seeds(key)})
    params["sequence_length"] = stage.item
    family = RunFamily(stage, folder, params, {"sequence_length": length})

    children = []
    for curve, rows in norms.items():
        fit = fits[curve][0] if curve in fits else {}
        fitted = tables.finite({(metric, 0): fit.get(metric) for metric in FITTED})
        metrics = tables.curves(rows, "lag_tokens", NORMS) | fitted
        identity = dict(zip(GRADIENT_CURVE, curve, strict=True))
        children.append(_curve(family, " ".join(curve), "gradient", identity, rows, metrics))
    for curve, rows in effects.items():
        metrics = tables.curves(rows, "lag_tokens", EFFECTS)
        identity = dict(zip(MEMORY_CURVE, curve, strict=True))
        children.append(_curve(family, " ".join([*curve, "memory"]), "memory", identity, rows, metrics))

    seed_counts = sorted({child.params["seeds"] for child in children}, key=int)
    parent = family.parent(
        _paragraphs(children),
        params={"seeds": " or ".join(seed_counts)},
        metrics=_ends(children),
        files=texts,
    )
    return [parent, *children]


def _counts_seeds(key: str) -> bool:
    """Whether a parameter only sets the number of seeds. Each curve shows its own number in their place."""
    return key in ("train.seeds", "gradients.seeds") or key.startswith("train.runs.")


def _fits_of_own_curves(decay: str) -> list[dict[str, str]]:
    """The fits to the curves of reports/gradients: trained at this length, Keras' default initialiser."""
    return [
        row
        for row in tables.rows(decay)
        if row["trained_length"] == row["sequence_length"]
        and row["initialiser"] == DEFAULT_INITIALISER
        and row["quantity"] != "dz/dc"
    ]


def _curve(family: RunFamily, unit: str, quantity: str, identity: dict, rows: list[dict], metrics) -> Record:
    seeds = {row["seed"] for row in rows}
    params = {**identity, "seeds": str(len(seeds))}
    return family.child(unit, {**identity, "quantity": quantity}, params, metrics)


def _end(curve: Record, metric: str) -> tuple[int, float] | None:
    """The longest lag of a curve and the value at it; None where the curve has no point."""
    points = {lag: value for (name, lag), value in curve.metrics.items() if name == metric}
    return max(points.items(), default=None)


def _ends(curves: list[Record]) -> dict[Point, float]:
    """The end of each curve, for the parent: so one section of the chart page holds them all, also when folded."""
    ends = {}
    for curve in curves:
        metric = NORM if curve.tags["quantity"] == "gradient" else SIGN_ACCURACY
        end = _end(curve, metric)
        if end:
            lag, value = end
            ends[f"{metric}/{curve.tags['unit'].replace(' ', '-')}", lag] = value
    return ends


def _paragraphs(curves: list[Record]) -> list[str]:
    """The norm of each mean gradient at the farthest word, with its half-life."""
    lines = []
    for curve in curves:
        end = _end(curve, NORM)
        if end:
            half_life = curve.metrics.get(("half_life_tokens", 0))
            suffix = "" if half_life is None else f", half-life {half_life:.1f} tokens"
            lines.append(f"- {curve.tags['unit']}: 10^{end[1]:.1f}{suffix}")

    title = "**The gradient at the farthest word, as a share of that at the last one** (mean over seeds)"
    return [title, "\n".join(lines)]
