"""A few reviews, chosen by a rule, as each network reads them word by word.

Axes: N reviews, T tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import Settings
from pipeline.science.gradients import reading
from pipeline.science.networks import architectures, inference, sequences

SHORT = (30, 60)  # tokens: a review that fits a figure
RULE = (
    "For each label we show the first text that {}, seed {}, classifies correctly and the first that it does not. "
    f"The candidates are the validation texts with {SHORT[0]} to {SHORT[1]} tokens, or those nearest to that, in the "
    "order of the split."
)


def chosen_reviews(split: pd.DataFrame, probability_N) -> pd.DataFrame:
    """Returns the rows of a prepared split that RULE selects, at most four, with the column `right`.

    `probability_N` has the prediction for every review of the split.
    """
    length_N = split["tokens"].map(len).to_numpy()
    distance_N = abs(length_N - np.clip(length_N, *SHORT))
    order_N = np.argsort(distance_N, kind="stable")
    judged = split.assign(right=(probability_N > 0.5) == (split["label"] == 1))
    chosen = judged.iloc[order_N].drop_duplicates(["label", "right"])
    return chosen.sort_values(["label", "right"], ascending=[True, False])


def sample(
    split: pd.DataFrame,
    words: Sequence[str],
    networks: dict[str, tuple[str, Settings, int, bytes]],
    seed: int,
) -> dict[str, Any]:
    """Returns a few reviews of the split as each network reads them: `rule`, `seed` and `reviews`.

    Each review has the `columns` of one reading per run. `words` is the vocabulary. `networks` maps each run to the
    arguments of `architectures.from_bytes`; each is trained on this seed, and the first one chooses the reviews.
    """
    if not networks:
        return {"rule": "", "seed": seed, "reviews": []}

    first_run = next(iter(networks))
    _, settings, *_ = networks[first_run]
    tokens_NT = sequences.rectangle(split["tokens"], settings.sequence_length)
    models = {run: architectures.from_bytes(*network) for run, network in networks.items()}
    probability_N = inference.Network(models[first_run], settings).probabilities(tokens_NT)

    reviews = []
    for row in chosen_reviews(split, probability_N).itertuples():
        text = [words[int(token)] for token in row.tokens]
        readings = {}
        for run, (_, settings, *_) in networks.items():
            readings[run] = reading.read(models[run], settings, row.tokens).columns(text)

        reviews.append(
            {
                "review": int(row.review),
                "label": int(row.label),
                "right": bool(row.right),
                "words": len(row.tokens),
                "readings": readings,
            }
        )
    return {
        "rule": RULE.format(first_run, seed),
        "seed": seed,
        "reviews": reviews,
    }


def shortened(value: Any) -> Any:
    """Returns the result of `sample` without the states and with numbers of six significant digits."""
    match value:
        case dict():
            return {
                name: shortened(item)
                for name, item in value.items()
                if not name.startswith("state")
            }
        case list():
            return [shortened(item) for item in value]
        case float():
            return float(f"{value:.6g}")
    return value
