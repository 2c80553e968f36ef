"""Random parameters of a small study, within the bounds of the schema or nearly so, and the verdict on its outcome."""

import random
import re
from typing import Any

RUNNING = re.compile(r"^Running stage '(.+)':", re.MULTILINE)
REFUSAL = re.compile(r"^error: .+", re.MULTILINE)
KEY = re.compile(r"^error: params\.yaml: [\w.]+: ")
SETTINGS: dict[str, Any] = {  # a pair is a range, a list holds choices; log: even in the logarithm
    "sequence_length": (1, 12),
    "embedding_dimension": (1, 6),
    "hidden_size": (1, 8),
    "learning_rate": ("log", 1e-8, 1.0),
    "learning_rate_schedule": ["constant", "cosine"],
    "batch_size": (8, 300),
    "dropout": (0.0, 0.99),
    "word_dropout": (0.0, 0.99),
    "clip_norm": [None, 1e-6, 1.0, 1e6],
    "mask": [True, False],
    "weight_averaging": [None, 1e-6, 0.9, 0.99999],
    "epochs": (1, 3),
    "patience": (1, 3),
}
RANGES: dict[str, Any] = {
    "data.limit": (100, 400),
    "data.validation_share": (0.02, 0.4),
    "data.test_share": (0.02, 0.4),
    "data.vocabulary_size": (4, 400),
    **{f"settings.textbook.{key}": values for key, values in SETTINGS.items()},
    **{f"settings.steady.{key}": values for key, values in SETTINGS.items()},
    "train.seeds": (2, 3),
    "train.runs.vanilla-textbook.seed_factor": (1, 2),
    "tune.trials": (1, 4),
    "tune.wave": (1, 4),
    "tune.startup_trials": (1, 4),
    "tune.rung_epochs": (1, 3),
    "tune.finalists": (1, 3),
    "tune.race_seeds": (2, 3),
    "tune.regret_seeds": (2, 3),
    "tune.seed": ("log", 10, 1_000_000_000),
    "tune.space.hidden_size.low": (1, 8),
    "tune.space.hidden_size.high": (9, 16),
    "tune.space.hidden_size.step": (1, 3),
    "tune.space.embedding_dimension.low": (1, 4),
    "tune.space.embedding_dimension.high": (5, 8),
    "tune.space.embedding_dimension.step": (1, 3),
    "tune.space.learning_rate.low": ("log", 1e-8, 1e-3),
    "tune.space.learning_rate.high": ("log", 1e-2, 1.0),
    "tune.space.dropout.high": (0.2, 0.99),
    "evaluate.alpha": ("log", 1e-4, 0.49),
    "evaluate.power": (0.51, 0.999),
    "evaluate.meaningful": (0.51, 0.999),
    "evaluate.almost": (0.01, 0.5),
    "evaluate.calibration_bins": (2, 30),
    "evaluate.learned_share": (0.001, 0.999),
    "gradients.sequence_lengths": [1, 2],  # how many of LISTS
    "gradients.trained_up_to": (2, 20),
    "gradients.seeds": (2, 3),
    "gradients.reviews": (2, 30),
    "gradients.memory_reviews": (2, 10),
    "gradients.probe_reviews": (1, 10),
    "gradients.jacobian_reviews": (1, 5),
    "gradients.words": (1, 40),
    "gradients.spectra": [True, False],
    "retention.lags": [1, 2],
    "retention.seeds": (2, 3),
    "retention.updates": [100, 200],
    "retention.solved": (0.51, 0.999),
    "attractor.reviews": (2, 20),
    "attractor.linearised_reviews": (1, 5),
    "attractor.states_per_review": (1, 5),
    "attractor.words": (2, 100),
    "attractor.far_lag": (1, 40),
    "attractor.slow_ratio": (1.0, 10.0),
    "attractor.straight": (0.01, 0.999),
    "attractor.agreement": (0.01, 0.999),
    "attractor.valence": (0.01, 0.999),
    "attractor.gradient_share": (0.01, 0.999),
    "claims.same_logit": ("log", 1e-9, 100.0),
    "claims.same_state": ("log", 1e-6, 0.01),
    "claims.changed_state": (0.02, 0.999),
    "claims.vanished": ("log", 1e-6, 0.01),
    "claims.faded": (0.02, 0.999),
    "claims.distances.sentence": (1, 40),
    "claims.forgotten_share": (0.001, 0.4),
    "claims.remembered_share": (0.5, 0.999),
    "claims.usable_sign_accuracy": (0.51, 0.999),
    "claims.margin": (0.001, 0.999),
}
LISTS = {"gradients.sequence_lengths": (2, 30), "retention.lags": (1, 12)}


def drawn(chance: random.Random) -> dict[str, Any]:
    """One value per key."""
    return {key: _value(key, values, chance) for key, values in RANGES.items()}


def _value(key: str, values: Any, chance: random.Random) -> Any:
    if key in LISTS:
        return chance.sample(range(*LISTS[key]), chance.choice(values))

    match values:
        case list():
            return chance.choice(values)
        case ("log", low, high):
            value = low * (high / low) ** chance.random()
            return int(value) if isinstance(low, int) else value
        case (int(), int()):
            return chance.randint(*values)
        case _:
            return round(chance.uniform(*values), 3)


def wrong(code: int, output: str) -> str:
    """The fault in the outcome of a study, or an empty text.

    It may succeed. Or its first stage refuses it with one line: one per key where several keys are refused.
    """
    if "Traceback" in output:
        return "a traceback"
    if code == 0:
        return ""

    begun = RUNNING.findall(output)
    refusals = REFUSAL.findall(output)
    if len(begun) > 1:
        return f"{begun[-1]} failed after {begun[0]} had run: {' '.join(refusals)}"
    keys = {match[0] for match in map(KEY.match, refusals) if match}
    if len(refusals) != max(len(keys), 1):
        return f"{len(refusals)} lines of errors about {len(keys)} keys"
    return ""
