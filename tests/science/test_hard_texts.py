import numpy as np
import pandas as pd
import pytest

from pipeline.science import hard_texts

LABELS = [0, 1, 0, 1]
TOKENS = np.array([7, 8, 9, 10])
REVIEWS = [40, 41, 42, 43]


def predictions(*probabilities_of_seed) -> pd.DataFrame:
    """Predictions of one run, one list of probabilities per seed, for the test split and for another one."""
    tables = [
        pd.DataFrame(
            {
                "split": split,
                "seed": seed,
                "review": REVIEWS,
                "label": LABELS,
                "probability": probabilities,
            }
        )
        for split in ("validation", "test")
        for seed, probabilities in enumerate(probabilities_of_seed)
    ]
    return pd.concat(tables)


VANILLA = predictions([0.9, 0.2, 0.1, 0.9], [0.8, 0.4, 0.1, 0.1])
LSTM = predictions([0.7, 0.1, 0.1, 0.9], [0.7, 0.1, 0.1, 0.9])
BASELINE = predictions([0.1, 0.9, 0.1, 0.9])


def rows(networks=("vanilla", "lstm")) -> pd.DataFrame:
    tables = {"vanilla": VANILLA, "lstm": LSTM, "tfidf": BASELINE}
    return hard_texts.hard_texts(tables, list(networks), TOKENS)


def reviews(reason: str, **options) -> list[int]:
    table = rows(**options)
    of_run = table[(table["reason"] == reason) & (table["run"] == "lstm")]
    assert of_run["rank"].tolist() == list(range(1, len(of_run) + 1))
    return of_run["review"].tolist()


@pytest.mark.parametrize(
    ("reason", "texts"),
    [
        # all seeds are wrong about 40 and 41; 41 has the lower mean probability of its label
        ("hardest", [41, 40]),
        ("confident mistake", [41, 40]),
        ("networks disagree", [43]),
        ("seeds disagree", [43, 41, 40]),
    ],
)
def test_texts_are_hard_for_a_reason(reason, texts):
    assert reviews(reason) == texts


def test_one_network_disagrees_with_no_other():
    assert reviews("networks disagree", networks=["lstm"]) == []
    assert reviews("seeds disagree", networks=["lstm"]) == []


def test_a_hard_text_has_the_answers_of_every_run_and_no_words():
    table = rows()
    (row,) = table[
        (table["reason"] == "networks disagree") & (table["run"] == "vanilla")
    ].itertuples()
    assert (row.review, row.label, row.tokens) == (43, 1, 10)
    assert (row.probability, row.lowest, row.highest) == (0.5, 0.1, 0.9)
    assert (row.seeds_right, row.seeds) == (1, 2)
    assert set(table["run"]) == {"vanilla", "lstm", "tfidf"}
    assert list(table) == hard_texts.COLUMNS


def test_a_study_without_mistakes_has_a_table_without_rows():
    right = predictions([0.1, 0.9, 0.1, 0.9])
    table = hard_texts.hard_texts({"lstm": right}, ["lstm"], TOKENS)
    assert table.empty
    assert list(table) == hard_texts.COLUMNS


def test_at_most_ten_texts_have_the_same_reason():
    labels = [0, 1] * 10
    wrong = pd.DataFrame(
        {
            "split": "test",
            "seed": 0,
            "review": range(20),
            "label": labels,
            "probability": np.linspace(0.51, 0.6, 20),
        }
    )
    wrong["probability"] = wrong["probability"].where(wrong["label"] == 0, 0.1)
    table = hard_texts.hard_texts({"lstm": wrong}, ["lstm"], np.arange(20))
    assert table.groupby("reason").size().to_dict() == {"hardest": 10, "confident mistake": 10}
