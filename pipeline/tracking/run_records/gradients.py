"""How MLflow shows how gradients and memory fade at one sequence length: one child per curve, its step the lag.

A curve is the mean over seeds: ten curves per length are readable in one chart, thirty are not. The report shows the
scatter.
"""

from pathlib import Path

from pipeline.params import DEFAULT_INITIALISER
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily
from pipeline.tracking.run_records.tables import LagCurve, Metrics, Strings

NORM, SIGN_ACCURACY = "log10_relative_norm", "sign_accuracy"
GRADIENT_CURVE = ("architecture", "direction", "weights")  # columns that identify a curve
MEMORY_CURVE = ("architecture", "trained_length")
NORMS = {NORM: NORM, f"{NORM}.p10": "p10", f"{NORM}.p90": "p90"}  # metric -> its column
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
    files = tables.texts(folder, paths)

    params = tables.flat_params({key: value for key, value in stage.values.items() if not _sets_seeds(key)})
    labels = {"sequence_length": stage.item}
    family = RunFamily(stage, folder, params | labels, labels)

    gradients = _gradient_curves(family, files)
    memories = _memory_curves(family, files)
    seed_counts = sorted({curve.params["seeds"] for curve in gradients + memories}, key=int)
    parent = family.parent(
        [TITLE, "\n".join(_line(curve) for curve in gradients)],
        _ends(gradients, NORM) | _ends(memories, SIGN_ACCURACY),
        files,
        params={"seeds": " or ".join(seed_counts)},
    )
    return [parent, *gradients, *memories]


def _sets_seeds(key: str) -> bool:
    """Whether a parameter only sets the number of seeds. Each curve shows its own number in their place."""
    return key in ("train.seeds", "gradients.seeds") or key.startswith("train.runs.")


def _gradient_curves(family: RunFamily, files: Strings) -> list[Record]:
    fits = list(filter(_is_of_own_curve, tables.rows(files["decay.csv"])))
    gradients = []
    for curve in tables.lag_curves(tables.rows(files["gradients.csv"]), GRADIENT_CURVE, NORMS):
        fit = next((fit for fit in fits if curve.identity.items() <= fit.items()), {})
        fitted = tables.scalars({metric: fit.get(metric) for metric in FITTED})
        gradients.append(_child(family, curve.unit, "gradient", curve, curve.metrics | fitted))
    return gradients


def _is_of_own_curve(fit: dict[str, str]) -> bool:
    """Whether a fit belongs to a curve of reports/gradients: trained at this length, Keras' default initialiser."""
    is_own_length = fit["trained_length"] == fit["sequence_length"]
    return is_own_length and fit["initialiser"] == DEFAULT_INITIALISER and fit["quantity"] != "dz/dc"


def _memory_curves(family: RunFamily, files: Strings) -> list[Record]:
    curves = tables.lag_curves(tables.rows(files["memory.csv"]), MEMORY_CURVE, EFFECTS)
    return [_child(family, f"{curve.unit} memory", "memory", curve, curve.metrics) for curve in curves]


def _child(family: RunFamily, unit: str, quantity: str, curve: LagCurve, metrics: Metrics) -> Record:
    labels = {**curve.identity, "quantity": quantity}
    params = {**curve.identity, "seeds": str(curve.seeds)}
    return family.child(unit, labels, params, metrics)


def _ends(curves: list[Record], metric: str) -> Metrics:
    """The end of each curve, for the parent: so one section of the chart page holds them all, also when folded."""
    ends = {}
    for curve in curves:
        lag, value = _end(curve, metric)
        ends[f"{metric}/{curve.tags['unit'].replace(' ', '-')}", lag] = value
    return ends


def _end(curve: Record, metric: str) -> tuple[int, float]:
    """The longest lag of a curve, and the value at it."""
    return max((lag, value) for (name, lag), value in curve.metrics.items() if name == metric)


def _line(gradient: Record) -> str:
    """The norm at the farthest word, with the half-life, for the description of the parent."""
    _lag, norm = _end(gradient, NORM)
    half_life = gradient.metrics.get(("half_life_tokens", 0))
    suffix = "" if half_life is None else f", half-life {half_life:.1f} tokens"
    return f"- {gradient.tags['unit']}: 10^{norm:.1f}{suffix}"
