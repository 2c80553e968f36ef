"""The search for settings."""

import optuna
import pytest
from optuna.trial import TrialState
from scipy import stats

from pipeline.params import Dimension, Mistake, Settings, Space
from pipeline.science import search
from pipeline.science.networks import training
from tests.science.conftest import VOCABULARY, learnable

SPACE = Space.model_validate(
    {
        "hidden_size": {"role": "scientific", "low": 16, "high": 128, "step": 16},
        "embedding_dimension": {"role": "scientific", "low": 16, "high": 128, "step": 16},
        "learning_rate": {"role": "nuisance", "low": 0.0001, "high": 0.003, "log": True},
        "dropout": {"role": "nuisance", "low": 0.0, "high": 0.5, "step": 0.1},
    }
)

START = Settings.model_validate(
    {"sequence_length": 7, "embedding_dimension": 32, "hidden_size": 48, "learning_rate": 0.001}
    | {"learning_rate_schedule": "constant", "batch_size": 4, "dropout": 0.2, "word_dropout": 0.0, "clip_norm": None}
    | {"mask": False, "weight_averaging": None, "epochs": 3, "patience": 3}
)


def test_the_search_starts_from_the_given_settings_where_they_lie_in_the_space():
    def first(**changed):
        study = optuna.create_study(direction="maximize")
        search.search(study, SPACE, START.model_copy(update=changed), 3, 3, 4, 0, evaluate)
        return study.trials[0].params, study.trials[2].params

    axes = {name: getattr(START, name) for name in SPACE.model_dump()}
    given, third = first()
    assert given == axes
    assert third != axes
    assert first(hidden_size=40)[0]["hidden_size"] in range(16, 129, 16)
    assert first(learning_rate=0.1)[0]["learning_rate"] <= 0.003


def peak(chosen):
    """Best at 96 hidden units, whatever else."""
    return 0.9 - abs(chosen["hidden_size"] - 96) / 200


def completed(accuracy):
    return search.Outcome("COMPLETE", [{"epoch": 1, "validation/accuracy": accuracy}], accuracy, 1)


def evaluate(wave, keep):
    """Answers in the opposite order of asking, as a race of workers might."""
    return {number: completed(peak(chosen)) for number, chosen in sorted(wave.items(), reverse=True)}


def searched(evaluate, trials=12, wave=3, study=None, space=SPACE):
    study = study or optuna.create_study(direction="maximize")
    search.search(study, space, START, trials, wave, 4, 0, evaluate)
    return study


def test_the_same_study_comes_out_each_time_in_whatever_order_a_wave_is_answered():
    straight = searched(lambda wave, keep: dict(reversed(evaluate(wave, keep).items())))
    assert search.table(searched(evaluate)).equals(search.table(straight))


class Killed(BaseException):
    """As kill -9 does: at once."""


@pytest.mark.parametrize("survives", [1, 4, 15])
def test_a_study_killed_again_and_again_ends_as_an_undisturbed_one_and_trains_nothing_twice(survives, tmp_path):
    """Killed at every `survives`-th write to its storage, wherever that falls, until it is done."""
    straight, trained, writes = search.table(searched(evaluate, trials=8)), [], 0
    url = f"sqlite:///{tmp_path}/studies.db"

    class Storage(optuna.storages.RDBStorage):
        def set_study_user_attr(self, *args):
            self.written()
            super().set_study_user_attr(*args)

        def create_new_trial(self, *args, **kwargs):
            self.written()
            return super().create_new_trial(*args, **kwargs)

        def written(self):
            nonlocal writes
            writes += 1
            if writes % (survives + 1) == 0:
                raise Killed

    def train(wave, keep):
        found = {}
        for number, outcome in evaluate(wave, keep).items():
            trained.append(number)
            found[number] = outcome
            keep(number, outcome)
        return found

    for _ in range(100):
        study = optuna.create_study(study_name="s", storage=Storage(url), direction="maximize", load_if_exists=True)
        try:
            searched(train, trials=8, study=study)
            break
        except Killed:
            continue
    assert search.table(optuna.load_study(study_name="s", storage=url)).equals(straight)
    # a kill between the end of a trial and its record costs that trial alone
    assert len(trained) - 8 <= writes // (survives + 1)


def test_a_configuration_that_was_tried_is_answered_from_the_record(tmp_path):
    space = SPACE.model_copy(
        update={
            "hidden_size": Dimension(role="scientific", low=16, high=32, step=16),
            "embedding_dimension": Dimension(role="scientific", low=16, high=32, step=16),
            "learning_rate": Dimension(role="nuisance", low=0.001, high=0.002, step=0.001),
            "dropout": Dimension(role="nuisance", low=0.0, high=0.5, step=0.5),
        }
    )
    trained = []

    def train(wave, keep):
        trained.extend(tuple(sorted(chosen.items())) for chosen in wave.values())
        return evaluate(wave, keep)

    table = search.table(searched(train, trials=20, space=space))
    axes = list(SPACE.model_dump())
    assert len(table) == 20
    assert len(trained) == len(set(trained)) == len(table.drop_duplicates(axes)) < 20
    repeated = table[table["reason"].str.startswith("as trial ")]
    assert len(repeated) == 20 - len(trained)
    first = table.loc[repeated["reason"].str.removeprefix("as trial ").astype(int)]
    assert (first[[*axes, "value"]].to_numpy() == repeated[[*axes, "value"]].to_numpy()).all()
    assert (first["reason"] == "").all()


def test_two_drivers_of_one_study_are_noticed():
    study = optuna.create_study(direction="maximize")

    def meddled(wave, keep):
        study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        return evaluate(wave, keep)

    with pytest.raises(Mistake, match="another process is writing to this study"):
        searched(meddled, study=study)


def test_every_trial_lies_in_the_declared_space_and_the_budget_is_exact():
    study = searched(evaluate, trials=8, wave=3)
    assert len(study.trials) == 8
    for trial in study.trials:
        assert trial.params["hidden_size"] in range(16, 129, 16)
        assert 0.0001 <= trial.params["learning_rate"] <= 0.003
        assert trial.params["dropout"] in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5) or trial.params["dropout"] == pytest.approx(
            0.3
        )


def test_the_sampler_learns_where_the_peak_is():
    table = search.table(searched(evaluate, trials=40))
    assert table["hidden_size"].tail(20).sub(96).abs().mean() < table["hidden_size"].head(4).sub(96).abs().mean()


def test_a_failed_trial_is_listed_with_its_reason_and_never_races():
    failed = [{"epoch": 1, "validation/accuracy": 0.95}]
    rows = [{"epoch": epoch, "validation/accuracy": accuracy} for epoch, accuracy in ((1, 0.7), (2, 0.8))]
    outcomes = {
        0: search.Outcome("COMPLETE", rows, 0.8, 1),
        1: search.Outcome("FAIL", failed, None, 1, "epoch 2: the loss is not a finite number (nan)"),
        2: search.Outcome("COMPLETE", rows, 0.9, 1),
    }
    study = searched(lambda wave, keep: {number: outcomes[number] for number in wave}, trials=3)
    table = search.table(study)
    assert table["state"].tolist() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert table["value"].tolist() == [0.8, 0.95, 0.9]
    assert table["epochs"].tolist() == [2, 1, 2]
    assert "not a finite number" in table["reason"][1]
    assert [trial.number for trial in search.finalists(study, SPACE, START, 9)] == [2]

    histories = search.histories(study)
    assert histories[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [2, 1], [2, 2]]
    summary = search.summary(study, SPACE, START, [], {})
    assert summary["expected_best"][0] == pytest.approx((0.8 + 0.8 + 0.9) / 3)  # the failed trial as the worst
    assert summary["importances"] == {"evaluator": "PED-ANOVA", "values": None}


def test_a_study_without_a_completed_trial_has_no_finalists():
    failed = search.Outcome("FAIL", [], None, 1, "diverged")
    with pytest.raises(ValueError, match="no trial was completed"):
        search.finalists(searched(lambda wave, keep: dict.fromkeys(wave, failed), trials=2), SPACE, START, 2)


def test_importances_name_what_matters():
    summary = search.summary(searched(evaluate, trials=40), SPACE, START, [], {})
    shares = summary["importances"]["values"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "hidden_size"


def test_the_expected_best_of_one_trial_is_the_mean_and_of_many_it_rises_to_the_best():
    expected = search.expected_best([0.5, 0.7, 0.9])
    assert expected[0] == pytest.approx(0.7)
    assert expected[1] == pytest.approx((0.5 + 3 * 0.7 + 5 * 0.9) / 9)  # the best of each of nine pairs
    assert expected == sorted(expected)
    assert search.expected_best([float("nan"), 0.7])[0] == pytest.approx(0.7)


def tried(settings, rung_epochs=2, report=lambda row: None, **changed):
    examples = learnable(64), learnable(31, seed=1)
    return search.trial("vanilla", VOCABULARY, examples, settings.model_copy(update=changed), 1000, rung_epochs, report)


def test_a_trial_stops_at_the_rung_with_the_epochs_of_a_full_training(settings):
    examples = learnable(64), learnable(31, seed=1)
    cosine = settings.model_copy(update={"learning_rate_schedule": "cosine"})
    whole, _ = training.train("vanilla", cosine, VOCABULARY, 1000, *examples, report=lambda row: None)
    rows = []
    outcome = tried(cosine, 2, rows.append)
    assert len(whole) == 3
    assert outcome.history == rows == [{key: row[key] for key in rows[0]} for row in whole[:2]]
    assert outcome.state == "COMPLETE"
    assert outcome.value == min(rows, key=lambda row: row["validation/loss"])["validation/accuracy"]


def test_a_training_of_fewer_epochs_than_the_rung_is_a_trial_too(settings):
    assert len(tried(settings, 9).history) == 3


def test_a_trial_that_diverges_fails_with_the_reason(monkeypatch, settings):
    def diverging(*args, report):
        report({"epoch": 1, "validation/accuracy": 0.5, "validation/loss": 1.0})
        raise training.Diverged("epoch 2: the loss is not a finite number (nan)")

    monkeypatch.setattr(training, "train", diverging)
    outcome = tried(settings, 3)
    assert (outcome.state, outcome.value, len(outcome.history)) == ("FAIL", None, 1)
    assert outcome.reason == "epoch 2: the loss is not a finite number (nan)"


def test_a_full_training_scores_each_seed_and_a_diverged_one_as_none(monkeypatch, settings):
    def train(architecture, settings, vocabulary_size, seed, *examples, report):
        if seed == 2:
            raise training.Diverged("nan")
        return [{"best": 0, "validation/accuracy": 0.1}, {"best": 1, "validation/accuracy": seed / 10}], b""

    monkeypatch.setattr(training, "train", train)
    found = search.train_in_full("vanilla", VOCABULARY, (), settings, [1, 2, 3], None)
    assert found == {"parameters": 23 * 3 + 5 * (3 + 5 + 1) + 6, "scores": {"1": 0.1, "2": None, "3": 0.3}}


def values(*accuracies):
    """A search whose trials have these values at the rung, and different settings."""
    outcomes = {number: completed(accuracy) for number, accuracy in enumerate(accuracies)}
    return searched(lambda wave, keep: {number: outcomes[number] for number in wave}, trials=len(accuracies))


def numbers(study, start=START, count=9):
    return [trial.number for trial in search.finalists(study, SPACE, start, count)]


def test_finalists_are_the_best_trials_ahead_of_the_starting_recipe():
    study = values(0.80, 0.79, 0.83, 0.81, 0.83, 0.80)
    assert numbers(study) == [2, 4, 3]
    assert numbers(study, count=2) == [2, 4]
    assert numbers(values(0.80, 0.79, 0.80)) == []


def test_a_starting_recipe_outside_the_space_races_against_the_best_trials():
    outside = START.model_copy(update={"hidden_size": 40})
    assert numbers(values(0.80, 0.79, 0.83), outside) == [2, 0, 1]


def test_settings_that_were_tried_twice_race_once():
    study = values(0.80, 0.85)
    study.add_trial(study.trials[1])
    assert numbers(study) == [1]


SEEDS = [1, 2, 3, 4]


def raced(scores, parameters=None, seeds=SEEDS, study=None):
    """(rows, what was trained) of a race in which each contestant has these scores by seed."""
    trained = []

    def train(tasks, keep):
        found = {}
        for task, (contestant, block) in tasks.items():
            trained.append((contestant, block))
            found[task] = {
                "parameters": (parameters or {}).get(contestant, 1),
                "scores": {str(seed): scores[contestant][seeds.index(seed)] for seed in block},
            }
            keep(task, found[task])
        return found

    study = study or optuna.create_study(direction="maximize")
    return search.race(study, {name: name for name in scores}, seeds, train), trained


STEADY = [0.80, 0.82, 0.80, 0.82]  # variance 1/7500, so the standard error against such another is 0.00816


def test_the_starting_recipe_stays_unless_it_is_beaten_by_a_standard_error():
    for lead, chosen in ((0.0, "start"), (0.008, "start"), (0.0083, "trial 3")):
        rows, _ = raced({"start": STEADY, "trial 3": [score + lead for score in STEADY]})
        assert search.choose(rows)[0] == chosen, lead


def test_a_row_of_the_race_has_the_difference_and_its_standard_error():
    rows, _ = raced({"start": [0.80, 0.82, 0.80, 0.82], "trial 3": [0.85, 0.85, 0.85, 0.89]})
    assert (rows[0]["mean"], rows[0]["difference"], rows[0]["standard_error"]) == (pytest.approx(0.81), None, None)
    assert rows[1]["mean"] == pytest.approx(0.86)
    assert rows[1]["difference"] == pytest.approx(0.05)
    assert rows[1]["standard_error"] == pytest.approx((0.0004 / 3 / 4 + 0.0012 / 3 / 4) ** 0.5)


def test_of_several_ahead_the_one_with_the_fewest_parameters_is_chosen():
    scores = {"start": STEADY} | {f"trial {n}": [0.9 - n / 100] * 4 for n in (1, 2, 3, 5)}
    parameters = {"start": 1, "trial 1": 70, "trial 2": 60, "trial 3": 60, "trial 5": 90}
    rows, _ = raced(scores, parameters)
    assert search.choose(rows) == ("trial 2", search.REPLACED)


def test_the_reason_says_whether_there_was_a_rival_at_all():
    assert search.choose([]) == ("start", search.NO_RIVAL)
    rows, _ = raced({"start": STEADY, "trial 3": STEADY})
    assert search.choose(rows) == ("start", search.KEPT)


def test_a_finalist_that_is_not_ahead_after_half_of_the_seeds_is_dropped():
    rows, trained = raced({"start": STEADY, "trial 1": [0.8, 0.81, 0.99, 0.99], "trial 2": [0.8, 0.83, 0.8, 0.8]})
    assert trained == [
        *((name, [1, 2]) for name in ("start", "trial 1", "trial 2")),
        ("start", [3, 4]),
        ("trial 2", [3, 4]),
    ]
    assert [row["dropped"] for row in rows] == [False, True, False]
    assert [len(row["scores"]) for row in rows] == [4, 2, 4]
    assert rows[1]["difference"] == pytest.approx(-0.005)
    assert search.choose(rows)[0] == "start"


def test_a_finalist_that_is_dropped_after_one_seed_has_no_standard_error():
    rows, trained = raced({"start": [0.8, 0.8], "trial 1": [0.7, 0.9]}, seeds=[1, 2])
    assert trained == [("start", [1]), ("trial 1", [1])]
    assert (rows[1]["difference"], rows[1]["standard_error"]) == (pytest.approx(-0.1), None)
    assert search.choose(rows) == ("start", search.KEPT)


def test_without_a_finalist_ahead_the_second_half_is_not_trained():
    rows, trained = raced({"start": STEADY, "trial 1": [0.8, 0.81, 0.99, 0.99]})
    assert trained == [("start", [1, 2]), ("trial 1", [1, 2])]
    assert len(rows[0]["scores"]) == 2


def test_a_finalist_that_diverges_is_dropped_and_a_start_that_does_is_named():
    for scores in ([None, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, None]):
        rows, _ = raced({"start": STEADY, "trial 1": scores})
        assert (rows[1]["dropped"], rows[1]["mean"]) == (True, None)
        assert search.choose(rows)[0] == "start"
    for scores in ([0.8, None, 0.8, 0.8], [0.8, 0.8, 0.8, None]):
        with pytest.raises(ValueError, match=r"the starting recipe diverged on seed [24]; a smaller learning_rate"):
            raced({"start": scores, "trial 1": [0.9] * 4})


def test_a_race_that_was_killed_trains_only_what_is_missing():
    scores = {"start": STEADY, "trial 1": [0.83] * 4, "trial 2": [0.84] * 4}
    undisturbed, everything = raced(scores)
    study, attempts = optuna.create_study(direction="maximize"), []

    def killed_after_one(tasks, keep):
        task, (contestant, block) = next(iter(tasks.items()))
        attempts.append((contestant, block))
        keep(task, {"parameters": 1, "scores": {str(seed): scores[contestant][SEEDS.index(seed)] for seed in block}})
        raise Killed

    for _ in range(len(everything)):
        with pytest.raises(Killed):
            search.race(study, {name: name for name in scores}, SEEDS, killed_after_one)
    rows, trained = raced(scores, study=study)
    assert rows == undisturbed
    assert trained == []
    assert sorted(attempts) == sorted(everything)


def regret(chosen, scores, seeds):
    def train(tasks, keep):
        return {
            task: {"parameters": 1, "scores": {str(seed): scores[contestant][seeds.index(seed)] for seed in block}}
            for task, (contestant, block) in tasks.items()
        }

    study = optuna.create_study(direction="maximize")
    return search.regret(study, chosen, {name: name for name in scores}, seeds, train)


def test_the_regret_is_chosen_minus_start_with_welch_s_interval():
    start, chosen = [0.80, 0.82, 0.81, 0.83, 0.80, 0.82], [0.83, 0.84, 0.84, 0.85, 0.82, 0.84]
    found = regret("trial 1", {"start": start, "trial 1": chosen, "trial 2": [9] * 6}, [5, 6, 7, 8, 9, 10])
    interval = stats.ttest_ind(chosen, start, equal_var=False).confidence_interval(0.95)
    assert found["difference"] == pytest.approx(0.14 / 6)
    assert (found["low"], found["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found["start"] == dict(zip(["5", "6", "7", "8", "9", "10"], start, strict=True))
    assert list(found["chosen"].values()) == chosen


def test_where_the_starting_recipe_is_kept_the_regret_is_0_and_nothing_is_trained():
    found = search.regret(None, "start", {}, [5, 6], None)
    assert found == {"difference": 0.0, "low": None, "high": None, "start": {}, "chosen": {}}


def test_a_choice_that_diverges_on_a_fresh_seed_is_named():
    with pytest.raises(ValueError, match="trial 1 diverged on seed 6"):
        regret("trial 1", {"start": [0.8, 0.8], "trial 1": [0.9, None]}, [5, 6])


def test_a_task_trains_one_contestant_on_at_most_five_seeds():
    _, trained = raced({"start": [0.8] * 12, "trial 1": [0.9] * 12}, seeds=list(range(12)))
    assert trained[:4] == [
        *((name, [0, 1, 2]) for name in ("start", "trial 1")),
        *((name, [3, 4, 5]) for name in ("start", "trial 1")),
    ]


def test_the_summary_names_the_choice_its_settings_and_every_contestant():
    study = values(0.80, 0.82, 0.83)
    rows, _ = raced({"start": STEADY, "trial 2": [0.9] * 4, "trial 1": [0.7] * 4})
    summary = search.summary(study, SPACE, START, rows, {"difference": 0.1})
    described = {"trial": 2, "starting_recipe": False, "settings": study.trials[2].params}
    assert summary["chosen"] == {**described, "reason": search.REPLACED}
    assert [row["trial"] for row in summary["race"]] == [0, 2, 1]
    assert summary["race"][0]["settings"] == {name: getattr(START, name) for name in SPACE.model_dump()}
    assert summary["race"][1]["settings"] == study.trials[2].params
    assert summary["regret"] == {"difference": 0.1}

    outside = START.model_copy(update={"hidden_size": 40})
    rows, _ = raced({"start": STEADY, "trial 1": [0.7] * 4})
    chosen = search.summary(study, SPACE, outside, rows, {})["chosen"]
    axes = {name: getattr(outside, name) for name in SPACE.model_dump()}
    assert chosen == {"trial": None, "starting_recipe": True, "settings": axes, "reason": search.KEPT}
