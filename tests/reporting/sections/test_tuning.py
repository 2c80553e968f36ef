"""The section about the search, on invented searches."""

import copy

import numpy as np
import pandas as pd
import pytest

from pipeline import params
from pipeline.params import Mistake
from pipeline.reporting import charts
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.parts import Bullets, Details, Figure, Table, made
from pipeline.reporting.sections import tuning
from tests.reporting import invented

SPACE = {
    "hidden_size": {"role": "scientific", "low": 16, "high": 128, "step": 16, "log": False},
    "embedding_dimension": {"role": "scientific", "low": 8, "high": 64, "step": 8, "log": False},
    "learning_rate": {"role": "nuisance", "low": 0.001, "high": 0.1, "step": None, "log": True},
    "dropout": {"role": "nuisance", "low": 0.0, "high": 0.5, "step": 0.1, "log": False},
}
SETTINGS = {
    "recipe": "steady",
    "trials": 8,
    "rung_epochs": 3,
    "finalists": 2,
    "race_seeds": 4,
    "space": SPACE,
}
TRIALS = invented.trials(np.random.default_rng(0))
WON = invented.search_summary(TRIALS)


def summary(regret: tuple = (0.01, -0.02, 0.04), **changes) -> dict:
    """The search in which a finalist won, with this regret and these changes."""
    numbers = dict(zip(("difference", "low", "high"), regret, strict=True))
    study = copy.deepcopy(WON) | changes
    study["regret"] |= numbers
    return study


def kept(**changes) -> dict:
    """A search that kept the starting recipe."""
    start = WON["race"][0]
    chosen = {name: start[name] for name in ("trial", "starting_recipe", "settings")}
    return summary((0.0, None, None), chosen=chosen, **changes)


def section(*, trials: pd.DataFrame = TRIALS, **studies: dict):
    """The parts of the section about these searches."""
    inputs = Inputs({"trials": dict.fromkeys(studies, trials), "studies": studies}, SETTINGS)
    return [part.part for part in made(tuning.SECTION, inputs).parts]


def answers(**studies: dict) -> list[str]:
    (bullets,) = [part for part in section(**studies) if isinstance(part, Bullets)]
    return list(bullets.texts)


def folded(summary: str, parts: list) -> tuple:
    """The parts below the summary of a Details."""
    (details,) = [part for part in parts if isinstance(part, Details) and part.summary == summary]
    return tuple(details.parts)


def table(summary: str, parts: list) -> pd.DataFrame:
    (table,) = [part for part in folded(summary, parts) if isinstance(part, Table)]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    return pd.DataFrame(table.rows, columns=table.columns)


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (summary((0.01, 0.002, 0.018)), "it is better than the recipe (+1.0 points)"),
        (summary((-0.02, -0.03, -0.01)), "it is worse than the recipe (−2.0 points)"),
        (summary((0.01, -0.01, 0.03)), "the data do not show that it is better than the recipe"),
        (summary((0.01, None, None)), "so we have no interval"),
        (kept(), "no finalist beat the starting recipe by more than one standard error"),
        (kept(race=[]), "no trial was ahead of the starting recipe, so we kept the recipe"),
    ],
    ids=["better", "worse", "not shown", "no interval", "no finalist", "no trial"],
)
def test_the_answer_says_whether_the_search_beat_the_recipe(study, words):
    (answer,) = answers(vanilla=study)
    assert answer.startswith("Vanilla RNN: ")
    assert words in answer
    assert ("On 2 fresh seeds" in answer) == (not study["chosen"]["starting_recipe"])


@pytest.mark.parametrize("study", [summary(), kept(), kept(race=[])], ids=["won", "kept", "alone"])
def test_the_section_names_the_starting_recipe(study):
    (text,) = [part for part in section(vanilla=study) if isinstance(part, str)]
    assert text.startswith("The starting recipe is settings.steady in params.yaml.")


def test_a_study_without_tuning_has_no_section():
    assert section() == []


def test_architectures_with_the_same_answer_share_a_sentence():
    same, other = answers(vanilla=kept(), lstm=WON, bidirectional=kept())
    assert same.startswith("Vanilla RNN and bidirectional RNN: no finalist beat")
    assert other.startswith("LSTM: trial")


def test_the_race_draws_every_seed_and_its_alternative_text_has_the_means():
    (figure,) = [part for part in section(vanilla=WON) if isinstance(part, Figure)]
    assert figure.alternative.count("81.0 %") == 3
    datasets = charts.specified(list(figure.panels))[0]["datasets"].values()
    (circles,) = [rows for rows in datasets if "seed" in rows[0]]
    assert sorted(row["value"] for row in circles) == [80.0] * 3 + [82.0] * 3


def test_a_race_in_which_everything_diverged_has_no_figure():
    race = [{**row, "mean": None, "scores": {"1001": None}} for row in WON["race"]]
    parts = section(vanilla=kept(race=race))
    assert not [part for part in parts if isinstance(part, Figure)]
    assert list(table("The race in numbers", parts)["mean"]) == [""] * 3


def test_the_table_of_the_race_gives_outcomes_and_the_regret_of_the_winner():
    rows = table("The race in numbers", section(vanilla=summary())).set_index("outcome")
    assert list(rows.index) == ["replaced", "chosen", "dropped: not ahead after half of the seeds"]
    chosen = rows.loc["chosen"]
    assert chosen["contestant"] == f"vanilla RNN, trial {WON['chosen']['trial']}"
    assert chosen[["difference", "standard error"]].tolist() == ["+1.2", "0.4"]
    regret = ["regret difference", "regret low", "regret high"]
    assert chosen[regret].tolist() == ["+1.0", "−2.0", "+4.0"]
    assert rows.loc["replaced", regret].tolist() == [""] * 3


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"mean": None}, "diverged"),
        ({"standard_error": None}, "no standard error: equal scores on all seeds"),
        ({"difference": 0.002}, "within one standard error"),
        ({"difference": 0.006}, "ahead, more parameters"),
    ],
)
def test_a_finalist_that_was_not_chosen_has_a_reason(changes, outcome):
    loser = {**WON["race"][2], "dropped": False, "standard_error": 0.005, **changes}
    rows = table("The race in numbers", section(vanilla=summary(race=[*WON["race"][:2], loser])))
    assert rows["outcome"].iloc[2] == outcome


def test_every_trial_is_in_the_table_with_the_reason_why_it_ended():
    rows = table("Every trial", section(vanilla=WON, lstm=WON))
    assert len(rows) == 2 * len(TRIALS)
    assert rows["state"].tolist()[:8] == ["completed"] * 7 + ["diverged"]
    reasons = rows["reason"].tolist()[:8]
    assert reasons == ["", "", "as trial 1", *[""] * 3, "as trial 5", "loss is | not <finite>"]
    assert rows.loc[7, ["value", "epochs"]].tolist() == ["", ""]


def test_a_search_in_which_one_trial_completed_has_no_importances():
    trials = TRIALS.assign(state=["COMPLETE"] + ["FAIL"] * 7, value=[0.8] + [np.nan] * 7)
    study = kept(race=[], importances={"evaluator": "PED-ANOVA", "values": None})
    parts = section(trials=trials, vanilla=study)
    assert table("Every trial", parts)["value"].tolist() == ["80.0 %"] + [""] * 7
    assert table("How the search works", parts)["importance (%), vanilla"].tolist() == [""] * 4


def test_a_starting_recipe_outside_the_space_is_not_a_trial():
    chosen = {**kept()["chosen"], "trial": None}
    parts = section(vanilla=summary((0.0, None, None), chosen=chosen))
    assert len(table("Every trial", parts)) == len(TRIALS)


def test_a_study_that_chose_a_trial_of_another_table_is_a_mistake():
    chosen = {**WON["chosen"], "trial": 70}
    message = "reports/tuning/vanilla: trial 70 of the .json is not in the .csv"
    with pytest.raises(Mistake, match=message):
        section(vanilla=summary(chosen=chosen))


def test_the_space_has_the_choice_and_the_importance_of_each_dimension():
    settings = {"hidden_size": 16, "embedding_dimension": 32, "learning_rate": 0.2, "dropout": 0.0}
    study = summary(chosen={**WON["chosen"], "settings": settings})
    rows = table("How the search works", section(vanilla=study)).set_index("dimension")
    assert rows["chosen, vanilla"].tolist() == ["16 (at the end)", "32", "0.2 (outside)", "0"]
    assert rows["importance (%), vanilla"].tolist() == ["40", "20", "30", "10"]
    assert rows.loc["learning rate", ["low", "high", "step", "log"]].tolist() == [
        "0.001",
        "0.1",
        "",
        "yes",
    ]


@pytest.mark.parametrize(
    ("name", "value", "remark"),
    [
        ("hidden_size", 64, ""),
        ("hidden_size", 16, " (at the end)"),
        ("hidden_size", 128, " (at the end)"),
        ("hidden_size", 112, ""),
        ("hidden_size", 6, " (outside)"),
        ("hidden_size", 256, " (outside)"),
        ("embedding_dimension", 16, ""),
        ("dropout", 0.0, ""),
        ("dropout", 0.4, ""),
        ("dropout", 0.5, " (at the end)"),
        ("dropout", 0.9, " (outside)"),
        ("learning_rate", 0.2, " (outside)"),
        ("learning_rate", 0.00125, " (at the end)"),
        ("learning_rate", 0.0013, ""),
        ("learning_rate", 0.09, " (at the end)"),
    ],
)
def test_the_ends_of_a_dimension_are_its_outer_steps_or_twentieths(name, value, remark):
    assert tuning._end(value, SPACE[name]) == remark


def test_the_last_step_is_the_end_if_no_step_meets_the_bound():
    dimension = {"low": 10, "high": 125, "step": 40, "log": False}
    assert [tuning._end(size, dimension) for size in (90, 50)] == [" (at the end)", ""]


@pytest.mark.parametrize(
    ("finalists", "words"),
    [(1, "1 trial that beat"), (1, "There, it and the recipe"), (2, "There, they and the recipe")],
)
def test_the_race_is_described_for_one_finalist_and_for_several(finalists, words):
    files = {"trials": {"vanilla": TRIALS}, "studies": {"vanilla": WON}}
    rules = Inputs(files, {**SETTINGS, "finalists": finalists}).call(tuning.rules)
    assert words in rules.parts[0]


def test_the_section_fits_the_space_of_the_project():
    space = params.read(invented.PROJECT / "params.yaml").tune.space.model_dump()
    inputs = Inputs(
        {"trials": {"vanilla": TRIALS}, "studies": {"vanilla": WON}}, {**SETTINGS, "space": space}
    )
    assert len(made(tuning.SECTION, inputs).parts) == 6
