"""The texts of the test split that are hard: all networks err, one errs with confidence, or networks or seeds disagree.

Axes: N texts, M runs, S seeds.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from pipeline.science.statistics import scoring

SPLIT = "test"
MOST = 10  # texts of each reason
HARDEST = "hardest"
CONFIDENT = "confident mistake"
NETWORKS = "networks disagree"
SEEDS = "seeds disagree"
COLUMNS = [
    "reason",
    "rank",
    "review",
    "label",
    "tokens",
    "run",
    "probability",
    "lowest",
    "highest",
    "seeds_right",
    "seeds",
]


def hard_texts(
    predictions: Mapping[str, pd.DataFrame], networks: list[str], tokens_N: np.ndarray
) -> pd.DataFrame:
    """Returns up to MOST texts of each reason, one row per text and run. It holds no words of the texts.

    `predictions` has the table of every run and baseline. The runs in `networks` choose the texts. `tokens_N` has the
    lengths of the test texts. `probability` is the mean over the seeds of a run, between their `lowest` and `highest`.
    A text has a new `rank` in each of its reasons, from 1. Equal texts stand in the order of the split.
    """
    by_run = {run: scoring.labels_and_probabilities(predictions[run], SPLIT) for run in predictions}
    label_N, _ = by_run[networks[0]]
    review_N = _reviews(predictions[networks[0]])
    probabilities = {run: probability_SN for run, (_, probability_SN) in by_run.items()}
    chosen = {run: probabilities[run] for run in networks}

    tables = [pd.DataFrame(columns=COLUMNS)]
    for reason, order in _orders(chosen, label_N):
        for rank, text in enumerate(order[:MOST], start=1):
            axes = {
                "reason": reason,
                "rank": rank,
                "review": review_N[text],
                "label": label_N[text],
                "tokens": tokens_N[text],
            }
            rows = [
                {**axes, "run": run, **_answers(probability_SN[:, text], label_N[text])}
                for run, probability_SN in probabilities.items()
            ]
            tables.append(pd.DataFrame(rows, columns=COLUMNS))

    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _reviews(predictions: pd.DataFrame) -> np.ndarray:
    of_split = predictions[predictions["split"] == SPLIT]
    return of_split[of_split["seed"] == of_split["seed"].min()]["review"].to_numpy()


def _orders(
    probabilities: dict[str, np.ndarray], label_N: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each reason with the places of its texts in the split, the clearest case first."""
    mean_MN = np.stack([probability_SN.mean(axis=0) for probability_SN in probabilities.values()])
    right_MN = np.stack(
        [_right(probability_SN, label_N).mean(axis=0) for probability_SN in probabilities.values()]
    )
    spread_MN = np.stack([probability_SN.std(axis=0) for probability_SN in probabilities.values()])
    of_label_MN = np.where(label_N == 1, mean_MN, 1 - mean_MN)

    share_right_N = right_MN.mean(axis=0)
    hardest = np.lexsort([of_label_MN.mean(axis=0), share_right_N])
    yield HARDEST, hardest[share_right_N[hardest] < 0.5]

    least_N: np.ndarray = of_label_MN.min(axis=0)
    confident = np.argsort(least_N, kind="stable")
    yield CONFIDENT, confident[least_N[confident] < 0.5]

    is_disputed_N = (mean_MN.min(axis=0) <= 0.5) & (mean_MN.max(axis=0) > 0.5)
    apart = np.argsort(-np.ptp(mean_MN, axis=0), kind="stable")
    yield NETWORKS, apart[is_disputed_N[apart]]

    spread_N = spread_MN.max(axis=0)
    unsure = np.argsort(-spread_N, kind="stable")
    yield SEEDS, unsure[spread_N[unsure] > 0]


def _answers(probability_S: np.ndarray, label) -> dict[str, float | int]:
    return {
        "probability": probability_S.mean(),
        "lowest": probability_S.min(),
        "highest": probability_S.max(),
        "seeds_right": int(_right(probability_S, label).sum()),
        "seeds": len(probability_S),
    }


def _right(probability: np.ndarray, label) -> np.ndarray:
    return (probability > 0.5) == (label == 1)
