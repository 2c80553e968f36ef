"""The search for settings."""

import optuna
import pytest
from optuna.trial import TrialState

from pipeline.params import Space
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


def peak(chosen):
    """Best at 96 hidden units, whatever else."""
    return 0.9 - abs(chosen["hidden_size"] - 96) / 200


def evaluate(wave):
    """Answers in the opposite order of asking, as a race of workers might."""
    return {
        number: tuning.Outcome(TrialState.COMPLETE, {1: peak(chosen)}, peak(chosen), 1)
        for number, (chosen, _) in sorted(wave.items(), reverse=True)
    }


def searched(evaluate, trials=12, wave=3):
    return tuning.search(SPACE, trials, wave, 4, 0, evaluate)


def test_the_same_study_comes_out_each_time_in_whatever_order_a_wave_is_answered():
    straight = searched(lambda wave: dict(reversed(evaluate(wave).items())))
    assert tuning.table(searched(evaluate)).equals(tuning.table(straight))


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

    def listening(wave):
        seen.update({number: len(earlier) for number, (_, earlier) in wave.items()})
        return evaluate(wave)

    searched(listening, trials=7, wave=3)
    assert seen == {0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 5: 3, 6: 6}


def test_pruned_and_failed_trials_stand_in_the_table_and_never_win():
    outcomes = {
        0: tuning.Outcome(TrialState.FAIL, {}, None, 1, "epoch 1: the loss is not a finite number (nan)"),
        1: tuning.Outcome(TrialState.PRUNED, {1: 0.99}, 0.99, 1, "below the median of earlier trials at epoch 1"),
        2: tuning.Outcome(TrialState.COMPLETE, {1: 0.7, 2: 0.8}, 0.8, 1),
    }
    study = searched(lambda wave: {number: outcomes[number] for number in wave}, trials=3)
    table = tuning.table(study)
    assert table["state"].tolist() == ["FAIL", "PRUNED", "COMPLETE"]
    assert table["value"].fillna(-1).tolist() == [-1, 0.99, 0.8]
    assert table["epochs"].tolist() == [0, 1, 2]
    assert "not a finite number" in table["reason"][0]
    assert tuning.best(study).number == 2


def test_a_study_without_a_completed_trial_has_no_winner():
    failed = tuning.Outcome(TrialState.FAIL, {}, None, 1, "diverged")
    with pytest.raises(ValueError, match="no trial was completed"):
        tuning.best(searched(lambda wave: dict.fromkeys(wave, failed), trials=2))


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
    return tuning.evaluate_trial("vanilla", VOCABULARY, seeds, examples, 3, 3, 1, settings, earlier_trials, report)


def test_a_trial_below_the_median_of_earlier_ones_is_pruned_with_its_reason_and_a_better_one_is_not(settings):
    outcome = tried(settings, earlier(1.1))
    assert outcome.state == TrialState.PRUNED
    assert outcome.reason == "below the median of earlier trials at epoch 2"
    outcome = tried(settings, earlier(0.0))
    assert outcome.state == TrialState.COMPLETE
    assert len(outcome.accuracy_by_epoch) == 3
    assert outcome.value in outcome.accuracy_by_epoch.values()


def test_the_value_of_a_trial_is_the_mean_over_its_seeds_and_its_epochs_are_those_of_the_first(settings):
    alone = [tried(settings, [], (seed,)) for seed in (1000, 1001)]
    rows = []
    both = tried(settings, [], (1000, 1001), rows.append)
    assert alone[0].value != alone[1].value
    assert both.value == pytest.approx((alone[0].value + alone[1].value) / 2)
    assert both.accuracy_by_epoch == alone[0].accuracy_by_epoch
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_what_is_pruned_on_the_first_seed_is_not_trained_on_the_others(settings, monkeypatch):
    seeds = []
    train = training.train
    monkeypatch.setattr(training, "train", lambda *args, **kwargs: (seeds.append(args[3]), train(*args, **kwargs))[1])
    assert tried(settings, earlier(1.1), (1000, 1001)).state == TrialState.PRUNED
    assert seeds == [1000]
