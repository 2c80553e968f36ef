"""A sequence length: how gradients and memory fade. One child per curve; its step is the lag in tokens.

A curve is the mean over seeds: ten curves per length are readable in one chart, thirty are not. The report shows the
scatter.
"""

from pathlib import Path

from pipeline.params import DEFAULT_INITIALISER
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Metrics, Record, RunFamily

NORM, SIGN_ACCURACY = "log10_relative_norm", "sign_accuracy"
GRADIENT_CURVE = ("architecture", "direction", "weights")  # columns that identify a curve
MEMORY_CURVE = ("architecture", "trained_length")
# metric -> its column
NORMS = {NORM: NORM, f"{NORM}.p10": "p10", f"{NORM}.p90": "p90"}
EFFECTS = {"contrast": "contrast", SIGN_ACCURACY: SIGN_ACCURACY}
FITTED = ("half_life_tokens", "r2", "horizon_1e-1", "horizon_1e-2", "horizon_1e-3")
TITLE = "**The gradient at the farthest word, as a share of that at the last one** (mean over seeds)"


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    length = int(stage.item)
    paths = {
        "gradients.csv": artifacts.gradients(length),
        "memory.csv": artifacts.memory(length),
        "decay.csv": artifacts.decay(length),
        "probes.csv": artifacts.probes(length),
    }
    texts = {name: artifacts.read_text(folder / path) for name, path in paths.items()}

    params = tables.flat_params(stage.values, without=_counts_seeds)
    params["sequence_length"] = stage.item
    family = RunFamily(stage, folder, params, {"sequence_length": length})

    gradients = _gradient_curves(family, texts)
    curves = gradients + _memory_curves(family, texts)
    seed_counts = sorted({curve.params["seeds"] for curve in curves}, key=int)
    parent = family.parent(
        [TITLE, "\n".join(_described(curve) for curve in gradients)],
        _ends(curves),
        files=texts,
        params={"seeds": " or ".join(seed_counts)},
    )
    return [parent, *curves]


def _counts_seeds(key: str) -> bool:
    """Whether a parameter only sets the number of seeds. Each curve shows its own number in their place."""
    return key in ("train.seeds", "gradients.seeds") or key.startswith("train.runs.")


def _gradient_curves(family: RunFamily, texts: dict[str, str]) -> list[Record]:
    own_fits = filter(_is_of_own_curve, tables.rows(texts["decay.csv"]))
    fits = tables.grouped(own_fits, *GRADIENT_CURVE)

    norms = tables.rows(texts["gradients.csv"])
    curves = []
    for words, rows in tables.grouped(norms, *GRADIENT_CURVE).items():
        fit = fits.get(words, [{}])[0]
        fitted = tables.scalars({metric: fit.get(metric) for metric in FITTED})
        metrics = tables.curves(rows, "lag_tokens", NORMS) | fitted
        identity = dict(zip(GRADIENT_CURVE, words, strict=True))
        unit = " ".join(words)
        curves.append(_curve(family, unit, "gradient", identity, rows, metrics))
    return curves


def _is_of_own_curve(fit: dict[str, str]) -> bool:
    """Whether a fit belongs to a curve of reports/gradients: trained at this length, Keras' default initialiser."""
    is_own_length = fit["trained_length"] == fit["sequence_length"]
    return is_own_length and fit["initialiser"] == DEFAULT_INITIALISER and fit["quantity"] != "dz/dc"


def _memory_curves(family: RunFamily, texts: dict[str, str]) -> list[Record]:
    effects = tables.rows(texts["memory.csv"])
    curves = []
    for words, rows in tables.grouped(effects, *MEMORY_CURVE).items():
        metrics = tables.curves(rows, "lag_tokens", EFFECTS)
        identity = dict(zip(MEMORY_CURVE, words, strict=True))
        unit = " ".join([*words, "memory"])
        curves.append(_curve(family, unit, "memory", identity, rows, metrics))
    return curves


def _curve(
    family: RunFamily,
    unit: str,
    quantity: str,
    identity: dict,
    rows: list[dict],
    metrics: Metrics,
) -> Record:
    seeds = {row["seed"] for row in rows}
    labels = {**identity, "quantity": quantity}
    return family.child(unit, labels, {**identity, "seeds": str(len(seeds))}, metrics)


def _end(curve: Record, metric: str) -> tuple[int, float]:
    """The longest lag of a curve, and the value at it."""
    return max((lag, value) for (name, lag), value in curve.metrics.items() if name == metric)


def _ends(curves: list[Record]) -> Metrics:
    """The end of each curve, for the parent: so one section of the chart page holds them all, also when folded."""
    ends = {}
    for curve in curves:
        metric = NORM if curve.tags["quantity"] == "gradient" else SIGN_ACCURACY
        lag, value = _end(curve, metric)
        name = curve.tags["unit"].replace(" ", "-")
        ends[f"{metric}/{name}", lag] = value
    return ends


def _described(gradient: Record) -> str:
    """The norm at the farthest word, with the half-life."""
    _lag, norm = _end(gradient, NORM)
    half_life = gradient.metrics.get(("half_life_tokens", 0))
    suffix = "" if half_life is None else f", half-life {half_life:.1f} tokens"
    return f"- {gradient.tags['unit']}: 10^{norm:.1f}{suffix}"
