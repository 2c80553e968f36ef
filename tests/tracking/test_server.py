"""A team's server: `mlflow server` on PostgreSQL with artifacts of its own, over HTTP; first users come at once."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from psycopg import sql

from pipeline.stages import track
from pipeline.stages.context import Context
from pipeline.storage import stage_inputs
from pipeline.tracking import checkouts, live_runs, mlflow_store, read_only, registry_reader
from pipeline.tracking.checkouts import Checkout
from pipeline.tracking.tracker import Tracker
from tests.support import toy_study
from tests.support.serving import mlflow_server

OPEN = "from pathlib import Path; from pipeline.tracking import mlflow_store; mlflow_store.opened(Path())"
TRACK = """
from pipeline import params
from pipeline.storage import stage_inputs
from pipeline.tracking.tracker import Tracker
from pipeline.stages import track
from pipeline.stages.context import Context
stage_inputs.is_unchanged = lambda stage, folder: True
track.main(Context(params.read(), "track", tracker=Tracker()))
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    monkeypatch.chdir(tmp_path)
    return toy_study.write(tmp_path)


@pytest.fixture
def database(postgresql, request):
    """The URL of a new one: Optuna, in another test, and MLflow both keep a table `alembic_version`."""
    name = f"mlflow_{request.function.__name__[5:20]}"
    with psycopg.connect(postgresql.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return postgresql.replace("/postgres?", f"/{name}?")


@pytest.fixture
def server(database, tmp_path):
    """Its URL."""
    options = ("--serve-artifacts", "--artifacts-destination", tmp_path / "artifacts")
    with mlflow_server(database, tmp_path, *options) as url:
        yield url


def at_once(count: int, code: str, url: str) -> list[str]:
    """The stderr of this many users who run the code at the same time; every one succeeds."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": url, "PYTHONPATH": str(live_runs.CODE)}
    users = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    errors = [user.communicate(timeout=120)[1] for user in users]
    assert [user.returncode for user in users] == [0] * count, errors
    return errors


def refused(url: str, content: bytes | None = None, **headers: str) -> bool:
    """Whether the server's own checks of host and origin turn this request away."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=30)  # noqa: S310
    except urllib.error.HTTPError as error:
        return error.code == 403
    return False


def test_a_server_without_our_experiments_has_an_empty_registry():
    client = Mock()
    client.search_registered_models.return_value = PagedList([], None)
    client.search_model_versions.return_value = PagedList([], None)
    client.search_runs.return_value = PagedList([], None)
    client.get_experiment_by_name.return_value = None
    client.search_logged_models.side_effect = MlflowException("Missing value: experiment_ids")
    registry = registry_reader.read_through_mlflow(client, Checkout("me"))
    assert registry.versions == []
    assert registry.models == []


@pytest.mark.exhaustive
def test_a_team_server_equals_the_files_whoever_comes_first(study, server, monkeypatch, capsys):
    assert refused(server, Host="evil.example")
    assert refused(
        f"{server}/api/2.0/mlflow/experiments/create", b"{}", Origin="http://evil.example"
    )

    at_once(2, TRACK, server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    context = Context(study, "track", tracker=Tracker())
    track.main(context)  # what two made at once is made one
    capsys.readouterr()
    track.main(context)
    assert "changed just now: 0\n" in capsys.readouterr().out
    assert track.check(context) == 0

    client, experiments = mlflow_store.opened(Path())
    checkout = checkouts.identified(Path())
    runs = client.search_runs(list(experiments.values()))
    assert len({run.data.tags["key"] for run in runs}) == len(runs) == toy_study.RECORDS
    versions = registry_reader.read_through_mlflow(client, checkout).versions
    assert {version.tags["run"]: version.is_champion for version in versions} == {
        "vanilla-textbook": False,
        "vanilla-tuned": True,
    }

    version = client.get_model_version_by_alias("rnn-for-nlp", "champion")
    stored = client.get_model_version_download_uri("rnn-for-nlp", version.version)
    assert stored.startswith("mlflow-artifacts:/")
    assert list(Path("artifacts").rglob("seed-1.weights.h5"))
    assert not Path("mlflow.db").exists()


@pytest.mark.slow
def test_first_users_of_a_bare_postgresql_make_its_tables_once(database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    with pytest.raises(read_only.NoStore), read_only.client(Path()):
        pass
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert not connection.execute(
            "select 1 from pg_tables where schemaname = 'public'"
        ).fetchall()

    at_once(2, OPEN, database)
    assert not Path("mlflow.db").exists()
    with read_only.client(Path()) as client:
        assert client.search_experiments()

    monkeypatch.setattr(read_only, "SCHEMA", "of another MLflow")
    with (
        pytest.raises(read_only.OtherTables, match="pipeline doctor` names"),
        read_only.client(Path()),
    ):
        pass
