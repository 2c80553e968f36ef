"""The search for settings."""

import optuna
import pytest
from optuna.trial import TrialState

from pipeline.params import Dimension, Mistake, Settings, Space
from pipeline.science import training, tuning

from .conftest import VOCABULARY, learnable

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
        tuning.search(study, SPACE, START.model_copy(update=changed), 3, 3, 4, 0, evaluate)
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
    return tuning.Outcome("COMPLETE", [{"epoch": 1, "validation/accuracy": accuracy}], accuracy, 1)


def evaluate(wave, keep):
    """Answers in the opposite order of asking, as a race of workers might."""
    return {number: completed(peak(chosen)) for number, (chosen, _) in sorted(wave.items(), reverse=True)}


def searched(evaluate, trials=12, wave=3, study=None, space=SPACE):
    study = study or optuna.create_study(direction="maximize")
    tuning.search(study, space, START, trials, wave, 4, 0, evaluate)
    return study


def test_the_same_study_comes_out_each_time_in_whatever_order_a_wave_is_answered():
    straight = searched(lambda wave, keep: dict(reversed(evaluate(wave, keep).items())))
    assert tuning.table(searched(evaluate)).equals(tuning.table(straight))


class Killed(BaseException):
    """As kill -9 does: at once."""


SURVIVED_WRITES = [
    pytest.param(writes, marks=() if writes in (1, 7, 15) else pytest.mark.exhaustive) for writes in range(1, 30, 2)
]


@pytest.mark.parametrize("survives", SURVIVED_WRITES)
def test_a_study_killed_again_and_again_ends_as_an_undisturbed_one_and_trains_nothing_twice(survives, tmp_path):
    """Killed at every `survives`-th write to its storage, wherever that falls, until it is done."""
    straight, trained, writes = tuning.table(searched(evaluate, trials=8)), [], 0
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
    assert tuning.table(optuna.load_study(study_name="s", storage=url)).equals(straight)
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
        trained.extend(tuple(sorted(chosen.items())) for chosen, _ in wave.values())
        return evaluate(wave, keep)

    table = tuning.table(searched(train, trials=20, space=space))
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

    with pytest.raises(Mistake, match="another process"):
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
    table = tuning.table(searched(evaluate, trials=40))
    assert table["hidden_size"].tail(20).sub(96).abs().mean() < table["hidden_size"].head(4).sub(96).abs().mean()


def test_a_trial_sees_earlier_waves_alone():
    seen = {}

    def listening(wave, keep):
        seen.update({number: len(earlier) for number, (_, earlier) in wave.items()})
        return evaluate(wave, keep)

    searched(listening, trials=7, wave=3)
    assert seen == {0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 5: 3, 6: 6}


def test_pruned_and_failed_trials_stand_in_the_table_and_never_win():
    failed = [{"epoch": 1, "validation/accuracy": 0.95}]  # counts as the worst of all, whatever it had
    rows = [{"epoch": epoch, "validation/accuracy": accuracy} for epoch, accuracy in ((1, 0.7), (2, 0.8))]
    outcomes = {
        0: tuning.Outcome("FAIL", failed, None, 1, "epoch 2: the loss is not a finite number (nan)"),
        1: tuning.Outcome("PRUNED", [{"epoch": 1, "validation/accuracy": 0.99}], None, 1, "below the median"),
        2: tuning.Outcome("COMPLETE", rows, 0.8, 1),
    }
    study = searched(lambda wave, keep: {number: outcomes[number] for number in wave}, trials=3)
    table = tuning.table(study)
    assert table["state"].tolist() == ["FAIL", "PRUNED", "COMPLETE"]
    assert table["value"].fillna(-1).tolist() == [0.95, 0.99, 0.8]
    assert table["epochs"].tolist() == [1, 1, 2]
    assert "not a finite number" in table["reason"][0]
    assert tuning.best(study).number == 2
    histories = tuning.histories(study)
    assert histories[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [1, 1], [2, 1], [2, 2]]
    assert tuning.summary(study)["expected_best"][0] == pytest.approx((0.8 + 0.8 + 0.99) / 3)
    assert tuning.summary(study)["importances"] == {"evaluator": "PED-ANOVA", "values": None}


def test_a_study_without_a_completed_trial_has_no_winner():
    failed = tuning.Outcome("FAIL", [], None, 1, "diverged")
    with pytest.raises(ValueError, match="no trial was completed"):
        tuning.best(searched(lambda wave, keep: dict.fromkeys(wave, failed), trials=2))


def test_importances_name_what_matters():
    summary = tuning.summary(searched(evaluate, trials=40))
    shares = summary["importances"]["values"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "hidden_size"


def test_the_expected_best_of_one_trial_is_the_mean_and_of_many_it_rises_to_the_best():
    expected = tuning.expected_best([0.5, 0.7, 0.9])
    assert expected[0] == pytest.approx(0.7)
    assert expected[1] == pytest.approx((0.5 + 3 * 0.7 + 5 * 0.9) / 9)  # the best of each of nine pairs
    assert expected == sorted(expected)
    assert tuning.expected_best([float("nan"), 0.7])[0] == pytest.approx(0.7)


def earlier(accuracy, count=3):
    study = optuna.create_study(direction="maximize")
    for _ in range(count):
        trial = study.ask()
        for epoch in (1, 2, 3):
            trial.report(accuracy, epoch)
        study.tell(trial, accuracy)
    return study.trials


def tried(settings, earlier_trials, seeds=(1000,), report=lambda row: None):
    examples = learnable(64), learnable(31, seed=1)
    return tuning.evaluate_trial("vanilla", VOCABULARY, seeds, examples, 1, settings, earlier_trials, report)


def test_the_value_of_a_trial_is_the_mean_over_its_seeds_and_its_epochs_are_those_of_the_first(settings):
    alone = [tried(settings, [], (seed,)) for seed in (1000, 1001)]
    rows = []
    both = tried(settings, [], (1000, 1001), rows.append)
    assert alone[0].value != alone[1].value
    assert both.value == pytest.approx((alone[0].value + alone[1].value) / 2)
    assert both.history == alone[0].history
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_a_trial_below_the_median_of_earlier_ones_is_pruned_with_its_reason_and_a_better_one_is_not(settings):
    outcome = tried(settings, earlier(0.0))
    assert outcome.state == "COMPLETE"
    assert len(outcome.history) == 3
    assert outcome.value in [row["validation/accuracy"] for row in outcome.history]
    outcome = tried(settings, earlier(1.1))
    assert outcome.state == "PRUNED"
    assert outcome.reason == "below the median of earlier trials at epoch 2"


def test_what_is_pruned_on_the_first_seed_is_not_trained_on_the_others(settings, monkeypatch):
    seeds = []
    train = training.train
    monkeypatch.setattr(training, "train", lambda *args, **kwargs: (seeds.append(args[3]), train(*args, **kwargs))[1])
    assert tried(settings, earlier(1.1), (1000, 1001)).state == "PRUNED"
    assert seeds == [1000]
