"""Files of reports/replications/ are written and read back, and damaged ones are refused."""

import json
from typing import get_args

import pytest

from pipeline.params import Mistake
from pipeline.science import claims
from pipeline.storage import dvc_lock, replications
from pipeline.storage.replications import Claim, Mean, Measure, Replication
from tests.support import toy_study

MEASURE = Measure(
    what="a number",
    value=0.161,
    low=0.071,
    high=0.251,
    unit="points",
    source="reports/memory/100.csv",
    side="above",
    threshold=0.0,
    verdict="holds",
)
REPLICATION = Replication(
    name="amd",
    commit="0" * 40,
    params="digest",
    machine={"processor": "AuthenticAMD 25 1"},
    flags="",
    tuned="kept",
    chosen={"vanilla": {"hidden_size": 64, "clip_norm": None, "mask": True}},
    means={"vanilla-textbook": {"test/accuracy": Mean(mean=0.8, low=0.7, high=0.9, seeds=10)}},
    claims=[Claim(name="LSTMs remember", verdict="holds", measures=[MEASURE])],
)


def test_replications_are_read_back_and_the_readme_is_not(tmp_path):
    other = REPLICATION.model_copy(update={"name": "0-first"})
    for replication in (REPLICATION, other):
        replications.write(replication, tmp_path)
    (tmp_path / replications.FOLDER / "README.md").write_text("About this folder")
    assert replications.read_all(tmp_path) == [other, REPLICATION]


def test_no_folder_is_no_replication(tmp_path):
    assert replications.read_all(tmp_path) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "[]", "must be a mapping"),
        (lambda text: json.dumps({"vega": 5}), "commit: missing|name: missing"),
        (lambda text: text.replace('"amd"', '"intel"'), "its name is 'intel', not 'amd'"),
        (lambda text: text.replace('"holds"', '"mostly"'), "verdict: 'mostly': must be"),
        (lambda text: text.replace("0.161", "NaN"), "value: "),
    ],
    ids=["truncated", "a list", "another JSON", "renamed", "an unknown verdict", "not finite"],
)
def test_a_damaged_or_foreign_file_is_named_in_one_line(damage, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replications.write(REPLICATION)
    file = replications.path("amd")
    file.write_text(damage(file.read_text()))
    pattern = f"{file}: not a file of .*{problem}.*`git checkout HEAD -- {file}`"
    with pytest.raises(Mistake, match=f"^{pattern}[^\\n]*$"):
        replications.read_all()


def digest_of(study, stages, **changed):
    sections = {
        "claims": study.claims,
        "tune": study.tune,
        "start": study.settings["steady"],
        **changed,
    }
    return replications.parameters(stages, **sections)


def test_every_parameter_that_matters_changes_the_digest(tmp_path):
    study = toy_study.write(tmp_path)
    stages = dvc_lock.recorded(["retention", "evaluate"], tmp_path)
    digest = digest_of(study, stages)
    in_another_order = dict(reversed(stages.items()))
    assert digest_of(study, in_another_order) == digest

    other_claims = study.claims.model_copy(update={"vanished": 0.01})
    other_tune = study.tune.model_copy(update={"trials": 99})
    others = {
        digest_of(study, {"evaluate": stages["evaluate"]}),
        digest_of(study, stages, claims=other_claims),
        digest_of(study, stages, tune=other_tune),
        digest_of(study, stages, start=study.settings["textbook"]),
    }
    assert len(others - {digest}) == 4


def test_settings_that_tuning_chose_do_not_change_the_digest(tmp_path):
    study = toy_study.write(tmp_path)
    stages = dvc_lock.recorded(["train@vanilla-tuned"], tmp_path)
    digest = digest_of(study, stages)

    params = stages["train@vanilla-tuned"].params
    assert "artifacts/tuned/vanilla.json" in params
    params["artifacts/tuned/vanilla.json"] = {"settings.tuned": {"hidden_size": 1}}
    assert digest_of(study, stages) == digest


def test_the_verdicts_of_a_file_are_those_of_the_claims():
    verdicts = {claims.HOLDS, claims.PARTLY, claims.FAILS, claims.NOT_SHOWN}
    assert set(get_args(replications.Verdict)) == verdicts
