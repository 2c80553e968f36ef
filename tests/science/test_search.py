"""The search for settings."""

from dataclasses import asdict

import optuna
import pytest
from optuna.trial import TrialState
from scipy import stats

from pipeline.params import Dimension, Mistake, Space
from pipeline.science import search
from pipeline.science.networks import training
from tests.science.conftest import SETTINGS, VOCABULARY, learnable, silent

SPACE = Space.model_validate(
    {
        "hidden_size": {"role": "scientific", "low": 16, "high": 128, "step": 16},
        "embedding_dimension": {"role": "scientific", "low": 16, "high": 128, "step": 16},
        "learning_rate": {"role": "nuisance", "low": 0.0001, "high": 0.003, "log": True},
        "dropout": {"role": "nuisance", "low": 0.0, "high": 0.5, "step": 0.1},
    }
)
DIMENSIONS = list(SPACE.model_dump())

START = SETTINGS.model_copy(
    update={
        "embedding_dimension": 32,
        "hidden_size": 48,
        "learning_rate": 0.001,
        "dropout": 0.2,
    }
)
OUTSIDE = START.model_copy(update={"hidden_size": 40})  # not a multiple of the step


def new_study():
    return optuna.create_study(direction="maximize")


def peak(values):
    """An accuracy that depends on the hidden units only and is highest at 96."""
    return 0.9 - abs(values["hidden_size"] - 96) / 200


def completed(accuracy):
    return search.Outcome("COMPLETE", [{"epoch": 1, "validation/accuracy": accuracy}], accuracy, 1)


def evaluate(wave, keep):
    """Returns outcomes in the reverse order of the proposals, as workers may."""
    return {
        number: completed(peak(values)) for number, values in sorted(wave.items(), reverse=True)
    }


def searched(evaluate, trials=12, wave=3, study=None, space=SPACE, start=START):
    study = study or new_study()
    search.search(study, space, start, trials, wave, 4, 0, evaluate)
    return study


def with_outcomes(outcomes):
    """Returns a study whose trials have different settings and these outcomes."""
    return searched(
        lambda wave, keep: {number: outcomes[number] for number in wave}, trials=len(outcomes)
    )


def with_accuracies(*accuracies):
    return with_outcomes([completed(accuracy) for accuracy in accuracies])


def searched_settings(settings):
    return {name: getattr(settings, name) for name in DIMENSIONS}


# the search


def first_trial(**changes):
    return searched(evaluate, trials=1, start=START.model_copy(update=changes)).trials[0].params


def test_the_first_trial_is_the_starting_recipe_if_it_lies_in_the_space():
    study = searched(evaluate, trials=3)
    assert study.trials[0].params == searched_settings(START)
    assert study.trials[2].params != searched_settings(START)

    assert first_trial(hidden_size=40)["hidden_size"] in range(16, 129, 16)
    assert first_trial(learning_rate=0.1)["learning_rate"] <= 0.003


def test_the_order_of_outcomes_in_a_wave_does_not_change_the_study():
    in_order = searched(lambda wave, keep: dict(reversed(evaluate(wave, keep).items())))
    assert search.table(searched(evaluate)).equals(search.table(in_order))


class Killed(BaseException):
    """Ends the process at once, as kill -9 does."""


class KillingStorage(optuna.storages.RDBStorage):
    """Raises Killed instead of every write after `survived` writes. Counts all writes of all instances."""

    writes = 0
    survived = 0

    def set_study_user_attr(self, *args):
        self._count_write()
        super().set_study_user_attr(*args)

    def create_new_trial(self, *args, **kwargs):
        self._count_write()
        return super().create_new_trial(*args, **kwargs)

    @classmethod
    def _count_write(cls):
        cls.writes += 1
        if cls.writes % (cls.survived + 1) == 0:
            raise Killed


@pytest.mark.parametrize("survived", [1, 4, 15])
def test_a_killed_search_continues_and_trains_almost_nothing_twice(survived, tmp_path, monkeypatch):
    monkeypatch.setattr(KillingStorage, "writes", 0)
    monkeypatch.setattr(KillingStorage, "survived", survived)
    url = f"sqlite:///{tmp_path}/studies.db"
    trained = []

    def train(wave, keep):
        outcomes = {}
        for number, outcome in evaluate(wave, keep).items():
            trained.append(number)
            outcomes[number] = outcome
            keep(number, outcome)
        return outcomes

    for _ in range(100):
        storage = KillingStorage(url)
        study = optuna.create_study(
            study_name="s", storage=storage, direction="maximize", load_if_exists=True
        )
        try:
            searched(train, trials=8, study=study)
            break
        except Killed:
            continue

    undisturbed = search.table(searched(evaluate, trials=8))
    assert search.table(optuna.load_study(study_name="s", storage=url)).equals(undisturbed)

    # A kill after the end of a trial and before its record costs one trial.
    kills = KillingStorage.writes // (survived + 1)
    assert len(trained) - 8 <= kills


def test_a_stored_outcome_belongs_to_settings_not_to_a_number():
    study = new_study()
    waves = []

    def killed(wave, keep):
        waves.append(wave)
        keep(2, completed(peak(wave[2])))
        raise Killed

    with pytest.raises(Killed):
        searched(killed, trials=3, study=study)
    ((name, outcome),) = study.user_attrs[search.WAVE_OUTCOMES].items()
    others = {"0": completed(0.1), "1": completed(0.2), "2": completed(0.3)}  # an earlier form
    others = {number: asdict(earlier) for number, earlier in others.items()}
    study.set_user_attr(search.WAVE_OUTCOMES, {**others, name: outcome})

    def rest(wave, keep):
        waves.append(wave)
        return evaluate(wave, keep)

    searched(rest, trials=3, study=study)
    assert [list(wave) for wave in waves] == [[0, 1, 2], [0, 1]]
    assert [trial.value for trial in study.trials] == [peak(trial.params) for trial in study.trials]


def test_settings_of_an_earlier_trial_are_not_trained_again():
    small_space = SPACE.model_copy(
        update={
            "hidden_size": Dimension(role="scientific", low=16, high=32, step=16),
            "embedding_dimension": Dimension(role="scientific", low=16, high=32, step=16),
            "learning_rate": Dimension(role="nuisance", low=0.001, high=0.002, step=0.001),
            "dropout": Dimension(role="nuisance", low=0.0, high=0.5, step=0.5),
        }
    )
    trained = []

    def train(wave, keep):
        trained.extend(tuple(sorted(values.items())) for values in wave.values())
        return evaluate(wave, keep)

    table = search.table(searched(train, trials=20, space=small_space))
    assert len(table) == 20
    assert len(trained) == len(set(trained)) == len(table.drop_duplicates(DIMENSIONS)) < 20

    repeated = table[table["reason"].str.startswith("as trial ")]
    originals = table.loc[repeated["reason"].str.removeprefix("as trial ").astype(int)]
    compared_columns = [*DIMENSIONS, "value"]
    assert len(repeated) == 20 - len(trained)
    assert (originals[compared_columns].to_numpy() == repeated[compared_columns].to_numpy()).all()
    assert (originals["reason"] == "").all()


def test_a_second_process_that_writes_to_the_study_is_a_mistake():
    study = new_study()

    def evaluate_next_to_a_writer(wave, keep):
        study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        return evaluate(wave, keep)

    with pytest.raises(Mistake, match="another process is writing to this study"):
        searched(evaluate_next_to_a_writer, study=study)


def test_trials_that_two_processes_added_at_the_same_moment_are_a_mistake():
    wave = searched(evaluate, trials=2, wave=2).trials
    study = new_study()
    study.add_trials([*wave, *wave])
    with pytest.raises(Mistake, match="another process has added trials to this study; `dvc repro"):
        searched(evaluate, study=study, trials=6, wave=2)


def test_the_search_keeps_to_the_space_and_to_the_number_of_trials():
    study = searched(evaluate, trials=8, wave=3)
    assert len(study.trials) == 8
    for trial in study.trials:
        assert trial.params["hidden_size"] in range(16, 129, 16)
        assert 0.0001 <= trial.params["learning_rate"] <= 0.003
        assert round(trial.params["dropout"], 6) in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def test_the_sampler_approaches_the_peak():
    distances = search.table(searched(evaluate, trials=40))["hidden_size"].sub(96).abs()
    assert distances.tail(20).mean() < distances.head(4).mean()


# the tables of a search


@pytest.fixture(scope="module")
def with_a_failure():
    """A study of three trials, the second of which diverged after an epoch."""
    rows = [{"epoch": 1, "validation/accuracy": 0.7}, {"epoch": 2, "validation/accuracy": 0.8}]
    failed_rows = [{"epoch": 1, "validation/accuracy": 0.95}]
    return with_outcomes(
        [
            search.Outcome("COMPLETE", rows, 0.8, 1),
            search.Outcome(
                "FAIL", failed_rows, None, 1, "epoch 2: the loss is not a finite number (nan)"
            ),
            search.Outcome("COMPLETE", rows, 0.9, 1),
        ]
    )


def test_the_table_lists_a_failed_trial_with_its_reason(with_a_failure):
    table = search.table(with_a_failure)
    assert table["state"].tolist() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert table["value"].tolist() == [0.8, 0.95, 0.9]
    assert table["epochs"].tolist() == [2, 1, 2]
    assert "not a finite number" in table["reason"][1]


def test_histories_have_a_row_for_each_trial_and_epoch(with_a_failure):
    histories = search.histories(with_a_failure)
    assert histories["trial"].tolist() == [0, 0, 1, 2, 2]
    assert histories["epoch"].tolist() == [1, 2, 1, 1, 2]


def test_a_failed_trial_is_not_a_finalist_and_the_worst_of_the_summary(with_a_failure):
    summary = search.summary(with_a_failure, SPACE, START, [], {})
    assert finalist_numbers(with_a_failure) == [2]
    assert summary["expected_best"][0] == pytest.approx((0.8 + 0.8 + 0.9) / 3)
    assert summary["importances"] == {"evaluator": "PED-ANOVA", "values": None}


def test_the_dimension_that_decides_has_the_largest_importance():
    summary = search.summary(searched(evaluate, trials=40), SPACE, START, [], {})
    shares = summary["importances"]["values"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "hidden_size"
    # equal shares by name
    assert list(shares) == sorted(shares, key=lambda name: (-shares[name], name))


def test_the_expected_best_rises_from_the_mean():
    expected = search.expected_best([0.5, 0.7, 0.9])
    assert expected[0] == pytest.approx(0.7)
    # the best of each of nine pairs
    assert expected[1] == pytest.approx((0.5 + 3 * 0.7 + 5 * 0.9) / 9)
    assert expected == sorted(expected)
    assert search.expected_best([float("nan"), 0.7])[0] == pytest.approx(0.7)


# trainings


def tried(settings, rung_epochs, report=silent):
    examples = learnable(64), learnable(31, seed=1)
    return search.trial("vanilla", VOCABULARY, examples, settings, 1000, rung_epochs, report)


def test_a_trial_has_the_first_epochs_of_a_full_training(settings):
    cosine = settings.model_copy(update={"learning_rate_schedule": "cosine"})
    rows = []
    outcome = tried(cosine, 2, rows.append)

    examples = learnable(64), learnable(31, seed=1)
    history, _ = training.train("vanilla", cosine, VOCABULARY, 1000, *examples, report=silent)
    for row in history:
        del row["best"]
    assert len(history) == 3
    assert outcome.history == rows == history[:2]

    best_row = min(rows, key=lambda row: row["validation/loss"])
    assert outcome.state == "COMPLETE"
    assert outcome.value == best_row["validation/accuracy"]


def test_a_training_of_fewer_epochs_than_the_rung_is_a_trial(settings):
    assert len(tried(settings, 9).history) == 3


def test_a_trial_that_diverges_fails_with_the_reason(monkeypatch, settings):
    def diverging(*args, report):
        report({"epoch": 1, "validation/accuracy": 0.5, "validation/loss": 1.0})
        raise training.Diverged("epoch 2: the loss is not a finite number (nan)")

    monkeypatch.setattr(training, "train", diverging)
    outcome = tried(settings, 3)
    assert outcome.state == "FAIL"
    assert outcome.value is None
    assert len(outcome.history) == 1
    assert outcome.reason == "epoch 2: the loss is not a finite number (nan)"


def test_a_full_training_scores_a_seed_that_diverges_as_none(monkeypatch, settings):
    def train(architecture, settings, vocabulary_size, seed, *examples, report):
        if seed == 2:
            raise training.Diverged("nan")
        return [
            {"best": 0, "validation/accuracy": 0.1},
            {"best": 1, "validation/accuracy": seed / 10},
        ], b""

    monkeypatch.setattr(training, "train", train)
    result = search.train_in_full("vanilla", VOCABULARY, (), settings, [1, 2, 3], None)
    assert result["scores"] == {"1": 0.1, "2": None, "3": 0.3}
    assert result["parameters"] == 23 * 3 + 5 * (3 + 5 + 1) + 6


# finalists


def finalist_numbers(study, start=START, count=9):
    return [trial.number for trial in search.finalists(study, SPACE, start, count)]


def test_finalists_are_the_best_trials_ahead_of_the_starting_recipe():
    study = with_accuracies(0.80, 0.79, 0.83, 0.81, 0.83, 0.80)
    assert finalist_numbers(study) == [2, 4, 3]
    assert finalist_numbers(study, count=2) == [2, 4]
    assert finalist_numbers(with_accuracies(0.80, 0.79, 0.80)) == []


def test_if_the_starting_recipe_is_outside_the_best_trials_are_finalists():
    assert finalist_numbers(with_accuracies(0.80, 0.79, 0.83), OUTSIDE) == [2, 0, 1]


def test_settings_that_were_tried_twice_are_one_finalist():
    study = with_accuracies(0.80, 0.85)
    study.add_trial(study.trials[1])
    assert finalist_numbers(study) == [1]


def test_a_study_without_a_completed_trial_has_no_finalists():
    failed = search.Outcome("FAIL", [], None, 1, "diverged")
    with pytest.raises(ValueError, match="no trial was completed"):
        finalist_numbers(with_outcomes([failed, failed]))


# the race

SEEDS = [1, 2, 3, 4]
# variance 1/7500, so the standard error against scores like these is 0.00816
STEADY = [
    0.80,
    0.82,
    0.80,
    0.82,
]


def trainer(scores, parameters=None, seeds=SEEDS):
    """Returns a `train` that gives contestants these scores by seed, and the list of its trainings."""
    trained = []

    def train(tasks, keep):
        results = {}
        for task, (contestant, block) in tasks.items():
            trained.append((contestant, block))
            score_of_seed = {str(seed): scores[contestant][seeds.index(seed)] for seed in block}
            results[task] = {
                "parameters": (parameters or {}).get(contestant, 1),
                "scores": score_of_seed,
            }
            keep(task, results[task])
        return results

    return train, trained


def names(scores):
    """Returns contestants whose settings are their names, which `trainer` needs."""
    return {name: name for name in scores}


def raced(scores, parameters=None, seeds=SEEDS, study=None):
    """Returns the rows of a race with these scores by seed, and the list of its trainings."""
    train, trained = trainer(scores, parameters, seeds)
    return search.race(study or new_study(), names(scores), seeds, train), trained


@pytest.mark.parametrize(
    ("lead", "chosen"), [(0.0, "start"), (0.008, "start"), (0.0083, "trial 3")]
)
def test_the_starting_recipe_stays_unless_beaten_by_a_standard_error(lead, chosen):
    rows, _ = raced({"start": STEADY, "trial 3": [score + lead for score in STEADY]})
    assert search.choose(rows)[0] == chosen


def test_a_row_of_the_race_has_the_difference_and_its_standard_error():
    rows, _ = raced({"start": STEADY, "trial 3": [0.85, 0.85, 0.85, 0.89]})
    start, rival = rows
    assert start["mean"] == pytest.approx(0.81)
    assert start["difference"] is start["standard_error"] is None
    assert rival["mean"] == pytest.approx(0.86)
    assert rival["difference"] == pytest.approx(0.05)
    assert rival["standard_error"] == pytest.approx((0.0004 / 3 / 4 + 0.0012 / 3 / 4) ** 0.5)


def test_of_several_ahead_the_one_with_the_fewest_parameters_is_chosen():
    scores = {"start": STEADY} | {
        f"trial {number}": [0.9 - number / 100] * 4 for number in (1, 2, 3, 5)
    }
    parameters = {"start": 1, "trial 1": 70, "trial 2": 60, "trial 3": 60, "trial 5": 90}
    rows, _ = raced(scores, parameters)
    assert search.choose(rows) == ("trial 2", search.REPLACED)


def test_the_reason_distinguishes_no_rival_from_no_better_rival():
    rows, _ = raced({"start": STEADY, "trial 3": STEADY})
    assert search.choose(rows) == ("start", search.KEPT)
    assert search.choose([]) == ("start", search.NO_RIVAL)


def test_a_lead_over_seeds_that_do_not_vary_is_not_beyond_noise():
    rows, _ = raced({"start": [0.8] * 4, "trial 1": [0.81] * 4})
    assert (rows[1]["dropped"], rows[1]["standard_error"]) == (False, None)
    assert search.choose(rows) == ("start", search.KEPT)


def test_a_finalist_not_ahead_after_half_of_the_seeds_is_dropped():
    rows, trained = raced(
        {"start": STEADY, "trial 1": [0.8, 0.81, 0.99, 0.99], "trial 2": [0.8, 0.83, 0.8, 0.8]}
    )
    first_half = [("start", [1, 2]), ("trial 1", [1, 2]), ("trial 2", [1, 2])]
    assert trained == [*first_half, ("start", [3, 4]), ("trial 2", [3, 4])]
    assert [row["dropped"] for row in rows] == [False, True, False]
    assert [len(row["scores"]) for row in rows] == [4, 2, 4]
    assert rows[1]["difference"] == pytest.approx(-0.005)
    assert search.choose(rows)[0] == "start"


def test_a_finalist_dropped_after_one_seed_has_no_standard_error():
    rows, trained = raced({"start": [0.8, 0.8], "trial 1": [0.7, 0.9]}, seeds=[1, 2])
    assert trained == [("start", [1]), ("trial 1", [1])]
    assert rows[1]["difference"] == pytest.approx(-0.1)
    assert rows[1]["standard_error"] is None
    assert search.choose(rows) == ("start", search.KEPT)


def test_without_a_finalist_ahead_the_second_half_is_not_trained():
    rows, trained = raced({"start": STEADY, "trial 1": [0.8, 0.81, 0.99, 0.99]})
    assert trained == [("start", [1, 2]), ("trial 1", [1, 2])]
    assert len(rows[0]["scores"]) == 2


@pytest.mark.parametrize("scores", [[None, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, None]])
def test_a_finalist_that_diverges_is_dropped(scores):
    rows, _ = raced({"start": STEADY, "trial 1": scores})
    assert rows[1]["dropped"]
    assert rows[1]["mean"] is None
    assert search.choose(rows)[0] == "start"


@pytest.mark.parametrize("scores", [[0.8, None, 0.8, 0.8], [0.8, 0.8, 0.8, None]])
def test_a_starting_recipe_that_diverges_is_an_error(scores):
    with pytest.raises(
        ValueError, match=r"the starting recipe diverged on seed [24]; a smaller learning_rate"
    ):
        raced({"start": scores, "trial 1": [0.9] * 4})


def test_a_killed_race_trains_only_the_missing_tasks():
    scores = {"start": STEADY, "trial 1": [0.83] * 4, "trial 2": [0.84] * 4}
    undisturbed_rows, all_tasks = raced(scores)
    study = new_study()
    train, trained = trainer(scores)

    def killed_after_a_task(tasks, keep):
        train(dict([next(iter(tasks.items()))]), keep)
        raise Killed

    for _ in all_tasks:
        with pytest.raises(Killed):
            search.race(study, names(scores), SEEDS, killed_after_a_task)

    rows, trained_at_last = raced(scores, study=study)
    assert rows == undisturbed_rows
    assert trained_at_last == []
    assert sorted(trained) == sorted(all_tasks)


def test_a_task_trains_one_contestant_on_at_most_five_seeds():
    _, trained = raced({"start": [0.8] * 12, "trial 1": [0.9] * 12}, seeds=list(range(12)))
    first_block = [("start", [0, 1, 2]), ("trial 1", [0, 1, 2])]
    second_block = [("start", [3, 4, 5]), ("trial 1", [3, 4, 5])]
    assert trained[:4] == first_block + second_block


# the regret


def regret(chosen, scores, seeds):
    train, _ = trainer(scores, seeds=seeds)
    return search.regret(new_study(), chosen, names(scores), seeds, train)


def test_the_regret_is_chosen_minus_start_with_welchs_interval():
    start = [0.80, 0.82, 0.81, 0.83, 0.80, 0.82]
    chosen = [0.83, 0.84, 0.84, 0.85, 0.82, 0.84]
    seeds = [5, 6, 7, 8, 9, 10]
    result = regret("trial 1", {"start": start, "trial 1": chosen, "trial 2": [9] * 6}, seeds)

    interval = stats.ttest_ind(chosen, start, equal_var=False).confidence_interval(0.95)
    assert result["difference"] == pytest.approx(0.14 / 6)
    assert result["low"] == pytest.approx(interval.low)
    assert result["high"] == pytest.approx(interval.high)
    assert result["start"] == dict(zip(map(str, seeds), start, strict=True))
    assert list(result["chosen"].values()) == chosen


def test_if_the_starting_recipe_is_chosen_the_regret_is_0_without_training():
    result = search.regret(None, "start", {}, [5, 6], None)
    assert result == {"difference": 0.0, "low": None, "high": None, "start": {}, "chosen": {}}


def test_a_choice_that_diverges_on_a_fresh_seed_is_an_error():
    with pytest.raises(ValueError, match="trial 1 diverged on seed 6"):
        regret("trial 1", {"start": [0.8, 0.8], "trial 1": [0.9, None]}, [5, 6])


# the summary


def test_the_summary_names_the_choice_and_the_settings_of_contestants():
    study = with_accuracies(0.80, 0.82, 0.83)
    rows, _ = raced({"start": STEADY, "trial 2": [0.9] * 4, "trial 1": [0.7] * 4})
    summary = search.summary(study, SPACE, START, rows, {"difference": 0.1})
    assert summary["chosen"] == {
        "trial": 2,
        "starting_recipe": False,
        "settings": study.trials[2].params,
        "reason": search.REPLACED,
    }
    assert [row["trial"] for row in summary["race"]] == [0, 2, 1]
    assert summary["race"][0]["settings"] == searched_settings(START)
    assert summary["race"][1]["settings"] == study.trials[2].params
    assert summary["regret"] == {"difference": 0.1}


def test_a_chosen_starting_recipe_outside_the_space_has_no_trial():
    rows, _ = raced({"start": STEADY, "trial 1": [0.7] * 4})
    summary = search.summary(with_accuracies(0.80, 0.82, 0.83), SPACE, OUTSIDE, rows, {})
    assert summary["chosen"] == {
        "trial": None,
        "starting_recipe": True,
        "settings": searched_settings(OUTSIDE),
        "reason": search.KEPT,
    }
