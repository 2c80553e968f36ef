"""The random-windows tables of docs/records/recipes.md follow from docs/records/recipes.csv."""

import re
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from pipeline import params

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs/records"
RUNS = pd.read_csv(DOCS / "recipes.csv")
SCREENING_SEEDS = range(100, 103)
DECISION_SEEDS = range(110, 120)
CONFIDENCE = {"windows50_average998": 0.95, "windows50": 0.975}


def runs(variant: str, seeds: range) -> pd.DataFrame:
    chosen = RUNS[(RUNS["variant"] == variant) & RUNS["seed"].isin(seeds)]
    assert chosen["seed"].tolist() == list(seeds)
    return chosen


def rows_of(variant: str) -> list[list[str]]:
    """The cells of the rows that begin with this variant: first of the decision table, then of the screening table."""
    text = (DOCS / "recipes.md").read_text(encoding="utf-8").replace("−", "-")
    lines = [line.strip("|") for line in text.splitlines() if line.startswith(f"| {variant} |")]

    return [re.split(r" *\| *", line.strip()) for line in lines]


def interval(test_result, confidence: float) -> str:
    bounds = test_result.confidence_interval(confidence)
    return f"{bounds.low:.2f} to {bounds.high:.2f} ({100 * confidence:g} %)"


@pytest.mark.parametrize("variant", ["steady", *CONFIDENCE])
def test_a_decision_row_follows_from_the_runs(variant):
    variant_runs = runs(variant, DECISION_SEEDS)
    baseline = 100 * runs("steady", DECISION_SEEDS)["accuracy"].to_numpy()
    accuracy = 100 * variant_runs["accuracy"].to_numpy()

    mean, sd, nll = accuracy.mean(), accuracy.std(ddof=1), variant_runs["nll"].mean()
    expected = [variant, f"{mean:.2f}", f"{sd:.2f}", f"{nll:.4f}"]

    if variant == "steady":
        expected += ["", "", ""]
    else:
        confidence = CONFIDENCE[variant]
        welch = stats.ttest_ind(accuracy, baseline, equal_var=False)
        paired = stats.ttest_1samp(accuracy - baseline, 0)
        expected.append(f"{mean - baseline.mean():+.2f}")
        expected += [interval(welch, confidence), interval(paired, confidence)]

    assert rows_of(variant)[0] == expected


SCREENED = sorted(set(RUNS.loc[RUNS["seed"].isin(SCREENING_SEEDS), "variant"]))


@pytest.mark.parametrize("variant", SCREENED)
def test_a_screening_row_follows_from_the_runs(variant):
    means = runs(variant, SCREENING_SEEDS)[["accuracy", "nll", "best_epoch", "epochs"]].mean()
    accuracy = 100 * runs(variant, SCREENING_SEEDS)["accuracy"]

    expected = [f"{accuracy.mean():.2f}", f"{accuracy.std():.2f}", f"{accuracy.min():.2f}"]
    expected.append(f"{means['nll']:.4f}")
    expected.append(f"{means['best_epoch']:.1f} of {means['epochs']:.1f}")

    assert rows_of(variant)[-1][2:] == expected


def test_no_experiment_uses_a_seed_of_the_study():
    study = params.read(ROOT / "params.yaml")
    seeds_of_runs = set().union(*map(study.train.seeds_of, study.train.runs))

    assert not seeds_of_runs & set(RUNS["seed"])
    assert RUNS["seed"].max() < study.tune.seed
