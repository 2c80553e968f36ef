"""Repeated searches: their differences, their rows, and rows that are not computed again."""

import pytest

from benchmarks import searches
from tests.reporting import invented

SETTINGS = {"hidden_size": 64, "embedding_dimension": 32, "learning_rate": 0.001, "dropout": 0.2}
OTHER = {**SETTINGS, "hidden_size": 32}
NO_REGRET = {"difference": 0.0, "low": None, "high": None}


def result(is_start=True, race=(), regret=NO_REGRET) -> dict:
    chosen = {"trial": 0, "settings": SETTINGS} if is_start else {"trial": 5, "settings": OTHER}
    chosen |= {"starting_recipe": is_start, "reason": "because"}
    summary = {"chosen": chosen, "race": list(race), "regret": regret}
    return {"summary": summary, "parameters": {"0": 70, "5": 50}}


def contestant(settings, mean, difference=None, standard_error=None) -> dict:
    scores = {"1001": mean - 0.01, "1002": mean + 0.01}
    row = {
        "starting_recipe": settings is SETTINGS,
        "settings": settings,
        "parameters": 60,
        "scores": scores,
    }
    return row | {"difference": difference, "standard_error": standard_error}


REPLACED = result(
    False,
    [contestant(SETTINGS, 0.8), contestant(OTHER, 0.82, 0.02, 0.015)],
    {"difference": 0.01, "low": -0.01, "high": 0.03},
)


def test_searches_differ_in_rounding_then_in_training_seeds():
    variants = searches.variants(1000, 4)
    assert [variant.first_seed for variant in variants] == [1000, 1000, 2000, 3000]
    assert [bool(variant.flags) for variant in variants] == [False, True, False, False]
    assert len({variant.name for variant in variants}) == 4
    assert [len(searches.variants(1000, repeats)) for repeats in (1, 2, 3)] == [1, 2, 3]


def test_a_row_has_the_choice_its_race_and_its_regret():
    row = searches.row("vanilla", searches.Variant("v", 1), "d", REPLACED, 12.34)
    assert tuple(row) == searches.COLUMNS
    assert (row["chosen"], row["hidden_size"], row["parameters"]) == ("trial 5", 32, 60)
    assert [row[name] for name in searches.RACE] == ["0.8", "0.82", "0.02", "0.015"]
    assert [row[name] for name in searches.REGRET] == ["0.01", "-0.01", "0.03"]
    assert row["cpu_seconds"] == "12.3"


def test_a_search_without_a_race_has_no_means_and_a_regret_of_0():
    row = searches.row("vanilla", searches.Variant("v", 1), "d", result(), 1.0)
    assert (row["chosen"], row["parameters"], row["regret"]) == ("start", 70, "0")
    assert {row[name] for name in (*searches.RACE, "regret_low", "regret_high")} == {""}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The searches that ran. Only the second one replaces the starting recipe."""
    ran = []

    def in_a_process(architecture, variant):
        ran.append(variant.name)
        return (REPLACED if variant.flags else result()), 1.0

    monkeypatch.setattr(searches, "in_a_process", in_a_process)
    monkeypatch.setattr(searches.params, "read", lambda: invented.study(invented.WHOLE))
    return ran


def test_a_search_that_has_its_row_is_not_run_again(tmp_path, study, capsys):
    table = tmp_path / "searches.csv"
    for repeats in (2, 3, 3):
        searches.main(
            ["--architecture", "vanilla", "--repeats", str(repeats), "--table", str(table)]
        )
    assert len(study) == len(set(study)) == len(searches.rows(table)) == 3
    assert capsys.readouterr().out.splitlines()[-1] == (
        "vanilla: 2 of 3 searches chose the same settings; 2 kept the starting recipe; "
        "in 1 the interval of the regret includes 0"
    )


def test_rows_of_other_parameters_are_not_compared(tmp_path, study, monkeypatch, capsys):
    table = tmp_path / "searches.csv"
    searches.main(["--architecture", "vanilla", "--repeats", "1", "--table", str(table)])
    read = searches.params.read()
    changed = read.model_copy(update={"tune": read.tune.model_copy(update={"finalists": 3})})
    monkeypatch.setattr(searches.params, "read", lambda: changed)
    searches.main(["--architecture", "vanilla", "--repeats", "1", "--table", str(table)])
    assert len(study) == 2
    assert "vanilla: 1 of 1 searches" in capsys.readouterr().out.splitlines()[-1]
