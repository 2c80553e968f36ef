"""How MLflow shows the fading of gradients and memory at one sequence length.

Each curve is a child run, and its step is the lag. A gradient's curve is the median over seeds, which collapsed seeds
do not move. A curve of memory is the mean over seeds. One chart can show ten curves but not thirty; the report shows
how much the seeds differ.
"""

from pathlib import Path
from statistics import median

from pipeline.params import DEFAULT_INITIALISER
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily
from pipeline.tracking.run_records.tables import LagCurve, Metrics, Strings

NORM, SIGN_ACCURACY = "log10_relative_norm", "sign_accuracy"
GRADIENT_CURVE = ("architecture", "direction", "weights")  # columns that identify a curve
MEMORY_CURVE = ("architecture", "trained_length")
NORMS = {NORM: NORM, f"p10/{NORM}": "p10", f"p90/{NORM}": "p90"}  # metric -> its column
EFFECTS = {"contrast": "contrast", SIGN_ACCURACY: SIGN_ACCURACY}
FITTED = (
    "half_life_tokens",
    "r2",
    "exponential_seeds",
    "horizon_1e-1",
    "horizon_1e-2",
    "horizon_1e-3",
)
TITLE = "**The gradient at the farthest word, as a share of that at the last one** (median seed)"


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    length = int(stage.item)
    paths = {
        "gradients.csv": artifacts.gradients(length),
        "memory.csv": artifacts.memory(length),
        "decay.csv": artifacts.decay(length),
        "decay_by_seed.csv": artifacts.decay_by_seed(length),
        "distances.csv": artifacts.distances(length),
        "probes.csv": artifacts.probes(length),
        "states.csv": artifacts.states(length),
    }
    files = tables.texts(folder, paths)
    gradients = tables.lag_curves(files["gradients.csv"], GRADIENT_CURVE, NORMS, median)
    memories = tables.lag_curves(files["memory.csv"], MEMORY_CURVE, EFFECTS)
    fits = [fit for fit in tables.rows(files["decay.csv"]) if _is_of_own_curve(fit)]

    params = {key: value for key, value in stage.values.items() if not _sets_seeds(key)}
    labels = {"sequence_length": stage.item}
    family = RunFamily(
        stage,
        folder,
        tables.flat_params(params) | labels,
        labels,
    )

    children, lines, ends = [], [], {}
    for curve in gradients:
        fit = next((fit for fit in fits if curve.identity.items() <= fit.items()), {})
        fitted = tables.scalars({metric: fit.get(metric) for metric in FITTED})
        children.append(_child(family, curve.unit, "gradient", curve, fitted))
        lines.append(_line(curve, fitted))
        ends |= _end(_gradient_end(curve.identity), curve, NORM)
    for curve in memories:
        unit = f"{curve.unit} memory"
        children.append(_child(family, unit, "memory", curve, {}))
        ends |= _end(_memory_end(curve.identity), curve, SIGN_ACCURACY)

    seed_counts = sorted({curve.seeds for curve in gradients + memories})
    parent = family.parent(
        [TITLE, "\n".join(lines)],
        ends,
        files,
        params={"seeds": " or ".join(map(str, seed_counts))},
    )
    return [parent, *children]


def _sets_seeds(key: str) -> bool:
    """Whether a parameter only sets the number of seeds. Each curve shows its own number of seeds instead."""
    return key in ("train.seeds", "gradients.seeds") or key.startswith("train.runs.")


def _is_of_own_curve(fit: dict[str, str]) -> bool:
    """Whether a fit belongs to a curve of reports/gradients: trained at this length, Keras' default initialiser.

    It is dz/dh, or dz/dx of a network without states.
    """
    is_own_length = fit["trained_length"] == fit["sequence_length"]
    is_of_states = fit["quantity"] == "dz/dh" or fit["direction"] == "none"
    return is_own_length and is_of_states and fit["initialiser"] == DEFAULT_INITIALISER


def _child(
    family: RunFamily,
    unit: str,
    quantity: str,
    curve: LagCurve,
    fitted: Metrics,
) -> Record:
    return family.child(
        unit,
        labels={**curve.identity, "quantity": quantity},
        params={**curve.identity, "seeds": str(curve.seeds)},
        metrics=curve.metrics | fitted,
    )


def _line(gradient: LagCurve, fitted: Metrics) -> str:
    """A line of the parent's description: the gradient's norm at the farthest word, and its half-life."""
    _lag, norm = gradient.end(NORM)
    half_life = fitted.get(("half_life_tokens", 0))
    suffix = "" if half_life is None else f", half-life {half_life:.1f} tokens"
    return f"- {gradient.unit}: 10^{norm:.1f}{suffix}"


def _gradient_end(identity: Strings) -> str:
    """`trained/vanilla`, or `trained/backward-bidirectional`."""
    direction = "backward-" if identity["direction"] == "backward" else ""
    return f"{identity['weights']}/{direction}{identity['architecture']}"


def _memory_end(identity: Strings) -> str:
    """`memory-100/vanilla` for networks trained at 100 tokens."""
    return f"memory-{identity['trained_length']}/{identity['architecture']}"


def _end(name: str, curve: LagCurve, metric: str) -> Metrics:
    """The last point of a curve as a metric of the parent, so that one chart section shows the ends of all curves."""
    lag, value = curve.end(metric)
    return {(f"{name}.{metric}", lag): value}
