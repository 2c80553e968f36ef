"""A damaged table is a mistake that names it, not a verdict without it."""

import shutil
from pathlib import Path

import pytest

from pipeline import params
from pipeline.params import Mistake
from pipeline.science import claims as claims_of_science
from pipeline.stages import claims
from pipeline.stages.context import Context
from pipeline.storage import artifacts, lock_comparison, replications
from tests.storage.test_replications import REPLICATION
from tests.support import claim_tables

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A small study, as if its files were what dvc.lock records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock_comparison, "demand", lambda *_: {})
    claim_tables.write()
    parameters = params.read()
    claims.main(Context(parameters))
    return parameters


def test_the_verdicts_of_files_are_those_of_their_tables(study):
    written = artifacts.read_json(artifacts.CLAIMS)
    usual = claim_tables.study()
    expected = claims_of_science.table(usual, study.claims, study.evaluate.alpha)
    assert [row["verdict"] for row in written] == [row["verdict"] for row in expected]
    for row, expected_row in zip(written, expected, strict=True):
        assert row["by_distance"] == expected_row["by_distance"]
        words = [measure["what"] for measure in row["measures"]]
        assert words == [measure["what"] for measure in expected_row["measures"]]


def test_the_committed_verdicts_are_those_of_the_committed_tables(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "reports", tmp_path / "reports")
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock_comparison, "demand", lock_comparison.sources)  # without large files
    before = artifacts.read_text(artifacts.CLAIMS)
    claims.main(Context(params.read()))
    assert artifacts.read_text(artifacts.CLAIMS) == before


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        (artifacts.memory(8), lambda text: text.replace("share,", "sharp,")),
        (artifacts.memory(16), lambda text: text.replace("stored", "sorted")),
        (artifacts.decay(8), lambda text: ""),
        (artifacts.decay(8), lambda text: text.splitlines()[0]),
        (artifacts.distances(16), lambda text: text.replace("review_error", "error")),
        (artifacts.distances(8), lambda text: text.replace(",20,", ",twenty,")),
        (artifacts.states(16), lambda text: text.replace("measure,", "measured,")),
        (artifacts.states(8), lambda text: text.replace(",0.7", ",abc")),
        (artifacts.probes(16), lambda text: text.replace(",0.2", ",abc")),
        (artifacts.RETENTION, lambda text: text.replace("solved", "unsolved")),
    ],
)
def test_a_damaged_table_is_named_and_nothing_is_written(study, path, damage):
    before = artifacts.read_text(artifacts.CLAIMS)
    assert damage(path.read_text()) != path.read_text()
    path.write_text(damage(path.read_text()))
    with pytest.raises(Mistake, match=f"^{path}: "):
        claims.main(Context(study))
    assert artifacts.read_text(artifacts.CLAIMS) == before


def test_a_cell_that_is_no_number_is_named_by_line_and_column(study):
    path = artifacts.memory(8)
    table = artifacts.read_csv(path).astype({"share": object})
    table.loc[3, "share"] = "abc"
    artifacts.write_csv(path, table)
    with pytest.raises(Mistake, match=f"^{path}: line 5, column share: 'abc' is not a number"):
        claims.main(Context(study))


def test_other_disclosures_are_no_other_study(study):
    other = study.claims.model_copy(update={"disclosures": []})
    start = study.settings[study.tune.settings]
    digests = {
        replications.parameters({}, thresholds, study.tune, start)
        for thresholds in (study.claims, other)
    }
    assert len(digests) == 1


def written_replication(study, **changed):
    """Writes a replication with the parameters of `study`, in which the data show no sentence."""
    rows = []
    for row in artifacts.read_json(artifacts.CLAIMS):
        measures = claims_of_science.deciding(row)
        rows.append(replications.Claim(name=row["name"], verdict="not shown", measures=measures))

    start = study.settings[study.tune.settings]
    parameters = replications.parameters({}, study.claims, study.tune, start)
    values = {"name": "amd", "params": parameters, "claims": rows, **changed}
    replications.write(REPLICATION.model_copy(update=values))


def verdicts() -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in artifacts.read_json(artifacts.CLAIMS)}


def test_verdicts_that_a_file_in_replications_contradicts_are_unstable(study):
    before = verdicts()
    written_replication(study)
    claims.main(Context(study))
    after = verdicts()
    assert "holds" in before.values()
    assert list(after) == list(before)
    for name, verdict in after.items():
        assert verdict == ("not shown" if before[name] == "not shown" else "unstable")


def test_a_replication_of_other_parameters_does_not_count(study):
    before = verdicts()
    written_replication(study, params="of another study")
    claims.main(Context(study))
    assert verdicts() == before
    for row in artifacts.read_json(artifacts.CLAIMS):
        (replication,) = row["replications"]
        assert replication["obstacle"] == "it has other parameters"


def test_a_damaged_replication_is_named_and_nothing_is_written(study):
    written_replication(study)
    replications.path("amd").write_text("{")
    before = artifacts.read_text(artifacts.CLAIMS)
    with pytest.raises(Mistake, match=f"^{replications.path('amd')}: "):
        claims.main(Context(study))
    assert artifacts.read_text(artifacts.CLAIMS) == before
