"""A few reviews, chosen by a rule and not by hand, as networks read them word by word.

Axes: N reviews, T tokens.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.science.gradients import reading
from pipeline.science.networks import architectures, inference, sequences

SHORT = (30, 60)  # tokens: a review that fits a figure
RULE = (
    f"Of the validation reviews with {SHORT[0]} to {SHORT[1]} tokens (where there are none, of those nearest to that), "
    "in the order of the split: for each label the first that {}, seed {}, judges rightly and the first that it "
    "judges wrongly."
)


def chosen_reviews(split: pd.DataFrame, probability_N: np.ndarray) -> pd.DataFrame:
    """The rows of a prepared split that RULE names, four at most, with the column `right`; `probability_N` of all."""
    length_N = split["tokens"].map(len).to_numpy()
    off_N = abs(length_N - np.clip(length_N, *SHORT))
    judged = split.assign(right=(probability_N > 0.5) == (split["label"] == 1))
    nearest_first = judged.iloc[np.argsort(off_N, kind="stable")]
    first = nearest_first.drop_duplicates(["label", "right"])
    return first.sort_values(["label", "right"], ascending=[True, False])


def told(split: pd.DataFrame, words: Sequence[str], networks: dict[str, tuple], seed: int) -> dict:
    """A few reviews of the split as each network reads them: `rule`, and in `reviews` the `columns` of each reading.

    `networks`: {run: what `models.restored` is called with}, each trained on this seed; the first one chooses.
    """
    if not networks:
        return {"rule": "", "seed": seed, "reviews": []}
    judge, network = next(iter(networks.items()))
    tokens_NT = sequences.rectangle(split["tokens"], network[1].sequence_length)
    chosen = chosen_reviews(split, inference.Network(*network).probabilities(tokens_NT))
    trained = {run: (architectures.restored(*network), network[1]) for run, network in networks.items()}
    found = [
        {
            "review": int(row.review),
            "label": int(row.label),
            "right": bool(row.right),
            "words": len(row.tokens),
            "readings": {
                run: reading.read(*network, row.tokens).columns(words[number] for number in row.tokens)
                for run, network in trained.items()
            },
        }
        for row in chosen.itertuples()
    ]
    return {"rule": RULE.format(judge, seed), "seed": seed, "reviews": found}


def brief(given):
    """`told` without the states and with numbers to six significant digits."""
    match given:
        case dict():
            return {name: brief(value) for name, value in given.items() if not name.startswith("state")}
        case list():
            return [brief(value) for value in given]
        case float():
            return float(f"{given:.6g}")
    return given
