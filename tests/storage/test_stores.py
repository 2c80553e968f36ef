"""Which addresses are accepted, and that no message shows the secrets of one."""

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import requests
from distributed.comm.addressing import get_address_host_port
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine

from pipeline.params import Mistake
from pipeline.storage import optuna_storage, stores

KINDS = {kind.variable: kind for kind in (stores.MLFLOW, stores.STUDIES, stores.SCHEDULER)}
PARTS = ("Zq7aX", "Kv9bW")  # of a secret
SEPARATORS = ["", "é", "//", "?x=", "%2F", "%40", " ", "	", *"/?#@:&=%+'\\.[],;()`", '"']
SCHEMES = [
    "http",
    "HTTPS",
    "sqlite",
    "postgresql+psycopg",
    "postgres",
    "redis",
    "tcp",
    "file",
    "x y",
]
DATABASES = ("postgresql+psycopg", "postgres")
PLACES = [
    "{scheme}://bob:{secret}@host:9/db",
    "{scheme}://bob:{secret}@[::1]:9/db",
    "{scheme}://{secret}@host:9",
    "{scheme}://:{secret}@host",
    "{scheme}://host:9/db?access={secret}",
    "{scheme}://bob@host/db?user=bob&password={secret}&x=1",
    "{scheme}://host/#{secret}",
    "{scheme}://host:9/db;user=bob;password={secret}",
    "jdbc:{scheme}://host:9;databaseName=db;password={secret}",
    "{scheme}//bob:{secret}@host://db",
    "{scheme}:///bob:{secret}@host",
    "{scheme}:bob:{secret}@host",
    "bob:{secret}@host:9/db",
    " {scheme}://bob:{secret}@host ",
    '"{scheme}://bob:{secret}@host"',
]


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch):
    for name in stores.ADDRESSES:
        monkeypatch.delenv(name, raising=False)


ACCEPTED = [
    ("MLFLOW_TRACKING_URI", "sqlite:///x.db", "sqlite:///{home}/x.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///x.db?timeout=60", "sqlite:///{home}/x.db?timeout=60"),
    ("MLFLOW_TRACKING_URI", "sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///new/x.db", "sqlite:///{home}/new/x.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///a b.db", "sqlite:///{home}/a b.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///a%20b.db", "sqlite:///{home}/a b.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///a%3Fb.db", "sqlite:///{home}/a%3Fb.db"),
    ("MLFLOW_TRACKING_URI", "sqlite+pysqlite:///x.db", "sqlite:///{home}/x.db"),
    ("MLFLOW_TRACKING_URI", "SQLite:///x.db", "sqlite:///{home}/x.db"),
    ("MLFLOW_TRACKING_URI", "http://host", "http://host"),
    ("MLFLOW_TRACKING_URI", "HTTP://host:5000", "http://host:5000"),
    ("MLFLOW_TRACKING_URI", "https://host/prefix/", "https://host/prefix/"),
    ("MLFLOW_TRACKING_URI", "http://[::1]:5000", "http://[::1]:5000"),
    ("MLFLOW_TRACKING_URI", "http://bob:p%40ss@host", "http://bob:p%40ss@host"),
    ("MLFLOW_TRACKING_URI", "postgresql://bob:x@host/db", "postgresql://bob:x@host/db"),
    ("RNN_STUDIES", "postgresql+psycopg://us:x@h1,h2/db", "postgresql+psycopg://us:x@h1,h2/db"),
    ("RNN_STUDIES", "postgresql+psycopg://us@/db?host=/x", "postgresql+psycopg://us@/db?host=/x"),
    ("RNN_STUDIES", "postgresql+psycopg://us:a/b@host/db", "postgresql+psycopg://us:a/b@host/db"),
    ("RNN_STUDIES", "sqlite:///x.db?timeout=0.5", "sqlite:///{home}/x.db?timeout=0.5"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://host:8786", "tcp://host:8786"),
    ("DASK_SCHEDULER_ADDRESS", "TLS://host:8786", "tls://host:8786"),
    ("DASK_SCHEDULER_ADDRESS", "host:8786", "tcp://host:8786"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://[::1]:8786", "tcp://[::1]:8786"),
]


@pytest.mark.parametrize(("variable", "text", "url"), ACCEPTED)
def test_an_address_that_works_is_accepted(tmp_path, monkeypatch, variable, text, url):
    monkeypatch.setenv(variable, text)
    assert stores.address(KINDS[variable], tmp_path) == url.format(home=tmp_path)


REFUSED = [
    ("MLFLOW_TRACKING_URI", "file:///x", "MLflow 3 keeps no runs in a folder; the scheme must be"),
    ("MLFLOW_TRACKING_URI", "file:./mlruns", "MLflow 3 keeps no runs in a folder; the scheme must"),
    ("MLFLOW_TRACKING_URI", "./mlruns", "it has no scheme; the scheme must be one of sqlite, http"),
    ("MLFLOW_TRACKING_URI", "http:/host", "it has no scheme; the scheme must be one of sqlite"),
    ("MLFLOW_TRACKING_URI", "databricks", "the names of our experiments do not work there"),
    ("MLFLOW_TRACKING_URI", "databricks://p", "the names of our experiments do not work there"),
    (
        "MLFLOW_TRACKING_URI",
        "postgres://host/db",
        "write postgresql+psycopg; the scheme must be",
    ),
    ("MLFLOW_TRACKING_URI", "redis://host", "Redis keeps no tables; the scheme must be one of"),
    ("MLFLOW_TRACKING_URI", "tcp://host:1", "unknown scheme 'tcp'; the scheme must be one of"),
    ("MLFLOW_TRACKING_URI", "http+unix://x", "unknown scheme 'http+unix'; the scheme must be"),
    (
        "MLFLOW_TRACKING_URI",
        "sqlite://x.db",
        "an SQLite address has three slashes: write sqlite:///",
    ),
    ("MLFLOW_TRACKING_URI", "sqlite://", "it names no file that lasts; write sqlite:///file.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///", "it names no file that lasts; write sqlite:///file.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:///:memory:", "it names no file that lasts; write sqlite:///"),
    ("MLFLOW_TRACKING_URI", "sqlite:///file:x?uri=true", "it names no file that lasts; write"),
    ("MLFLOW_TRACKING_URI", "sqlite:///x.db?mode=ro", "after ? only timeout=SECONDS is allowed"),
    ("MLFLOW_TRACKING_URI", "sqlite:///x.db#a", "write %23 for # in the name of a file"),
    ("MLFLOW_TRACKING_URI", "sqlite:///~/x.db", "SQLite does not expand ~; write the whole path"),
    ("MLFLOW_TRACKING_URI", "sqlite:////etc", "/etc is a folder"),
    (
        "MLFLOW_TRACKING_URI",
        "sqlite:////abs/x.db",
        "/abs does not exist, perhaps since this project",
    ),
    ("MLFLOW_TRACKING_URI", "sqlite:////dev/null", "/dev/null is a device"),
    ("MLFLOW_TRACKING_URI", "sqlite:///%00.db", "its file has a control character, such as %0A"),
    ("MLFLOW_TRACKING_URI", "sqlite:///a%0ab.db", "its file has a control character, such as"),
    ("MLFLOW_TRACKING_URI", f"sqlite:///{'a' * 300}.db", "a.db: File name too long; correct it"),
    ("MLFLOW_TRACKING_URI", f"sqlite:///x.db?timeout={9**9}", "after ? only timeout=SECONDS is"),
    ("MLFLOW_TRACKING_URI", "sqlite:////etc/passwd/x.db", "/etc/passwd is not a folder"),
    (
        "MLFLOW_TRACKING_URI",
        "sqlite+aiosqlite:///x.db",
        "unknown driver in sqlite+aiosqlite; write",
    ),
    ("MLFLOW_TRACKING_URI", " http://host", "it starts or ends with a space or a quotation mark"),
    ("MLFLOW_TRACKING_URI", "http://host ", "it starts or ends with a space or a quotation mark"),
    ("MLFLOW_TRACKING_URI", "'http://host'", "it starts or ends with a space or a quotation mark"),
    ("MLFLOW_TRACKING_URI", '"sqlite:///x.db"', "it starts or ends with a space or a quotation"),
    ("MLFLOW_TRACKING_URI", "http://ho st", "it has a space, a query (?) or a fragment (#)"),
    ("MLFLOW_TRACKING_URI", "http://host?access=x", "it has a space, a query (?) or a fragment"),
    ("MLFLOW_TRACKING_URI", "http://host/#x", "it has a space, a query (?) or a fragment (#)"),
    ("MLFLOW_TRACKING_URI", "http://", "its host or port is not valid"),
    ("MLFLOW_TRACKING_URI", "http://:5000", "its host or port is not valid"),
    ("MLFLOW_TRACKING_URI", "http://::1:5000", "its host or port is not valid (an IPv6 host needs"),
    ("MLFLOW_TRACKING_URI", "http://[::1", "Invalid IPv6 URL"),
    ("MLFLOW_TRACKING_URI", "http://host:abc", "its host or port is not valid"),
    ("MLFLOW_TRACKING_URI", "http://host:٣٠٠٠", "its host or port is not valid"),
    ("MLFLOW_TRACKING_URI", "http://host:99999", "Port out of range 0-65535"),
    ("MLFLOW_TRACKING_URI", "http://host:0", "its port must be from 1 to 65535"),
    ("MLFLOW_TRACKING_URI", "http://bob:a/b@host", "write %40 for @ and %2F for / in a user or"),
    ("MLFLOW_TRACKING_URI", "http://bob:a@b@host", "write %40 for @ and %2F for / in a user or"),
    ("MLFLOW_TRACKING_URI", "mssql+pyodbc://host/db", "run `python -m pip install pyodbc`"),
    ("RNN_STUDIES", "studies.db", "it has no scheme; the scheme must be one of sqlite, postgresql"),
    ("RNN_STUDIES", "redis://host", "Redis keeps no tables; the scheme must be one of sqlite"),
    ("RNN_STUDIES", "journal:///x", "unknown scheme 'journal'; the scheme must be one of sqlite"),
    ("RNN_STUDIES", "grpc://host:1", "unknown scheme 'grpc'; the scheme must be one of sqlite"),
    ("RNN_STUDIES", "http://host", "unknown scheme 'http'; the scheme must be one of sqlite"),
    ("RNN_STUDIES", "mysql+pymysql://u:x@h/db", "run `python -m pip install pymysql`"),
    ("RNN_STUDIES", "mysql://u:x@h/db", "run `python -m pip install mysqlclient`"),
    ("RNN_STUDIES", "postgresql+psycopg2://h/db", "run `python -m pip install psycopg2-binary`"),
    ("RNN_STUDIES", "postgresql+asyncpg://h/db", "its driver is asynchronous, which is not"),
    ("RNN_STUDIES", "postgresql+nonsense://h/db", "SQLAlchemy has no driver postgresql+nonsense"),
    ("RNN_STUDIES", "postgresql+psycopg://u:a@b@h/db", "write %40 for @ in a user or password"),
    ("RNN_STUDIES", "postgresql+psycopg://h:x/db", "not a database address with a numeric port"),
    ("RNN_STUDIES", "postgresql+psycopg://h:99999/db", "its port must be from 1 to 65535"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://host", "it has no port"),
    ("DASK_SCHEDULER_ADDRESS", "host", "it has no port"),
    ("DASK_SCHEDULER_ADDRESS", "http://host:8787", "unknown scheme 'http'; the scheme must be"),
    ("DASK_SCHEDULER_ADDRESS", "inproc://x", "unknown scheme 'inproc'; the scheme must be one"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://bob:x@host:1", "it has a user or a path, which Dask does"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://host:1/", "it has a user or a path, which Dask does not"),
    ("DASK_SCHEDULER_ADDRESS", "tcp://host:1?x=2", "it has a space, a query (?) or a fragment"),
]


@pytest.mark.parametrize(("variable", "text", "reason"), REFUSED)
def test_an_address_that_cannot_work_is_refused(tmp_path, monkeypatch, variable, text, reason):
    monkeypatch.setenv(variable, text)
    with pytest.raises(Mistake) as mistake:
        stores.address(KINDS[variable], tmp_path)
    line = str(mistake.value)
    assert line.startswith(f"{variable}: ")
    assert reason in line
    assert line.endswith(f"or unset {variable}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("addresses", "culprit"),
    [
        ({"RNN_STUDIES": "sqlite:///mlflow.db"}, "RNN_STUDIES"),
        ({"MLFLOW_TRACKING_URI": "sqlite:///studies.db?timeout=9"}, "MLFLOW_TRACKING_URI"),
        ({"MLFLOW_TRACKING_URI": "sqlite:///new/../studies.db"}, "MLFLOW_TRACKING_URI"),
        (dict.fromkeys(("RNN_STUDIES", "MLFLOW_TRACKING_URI"), "sqlite:///x.db"), "RNN_STUDIES"),
        (
            dict.fromkeys(("RNN_STUDIES", "MLFLOW_TRACKING_URI"), "postgresql+psycopg://h/db"),
            "RNN_STUDIES",
        ),
    ],
)
def test_one_database_for_both_stores_is_refused(tmp_path, monkeypatch, addresses, culprit):
    for name, text in addresses.items():
        monkeypatch.setenv(name, text)
    for store in (stores.mlflow, stores.studies):
        with pytest.raises(Mistake, match=rf"^{culprit}: .*/.*; .* unset {culprit}$"):
            store(tmp_path)


@pytest.mark.parametrize("name", ["a b", "a%41", "a?b", "a#b", "ä", "a'b", "a@b"])
def test_a_study_in_a_folder_of_any_name_is_where_its_path_says(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    url = stores.studies(folder)
    assert stores.sqlite_path(url) == folder / "studies.db"
    optuna_storage._study("study", url)
    assert [path.name for path in folder.iterdir()] == ["studies.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("http://bob:S3cret@host:5000/prefix", "http://...@host:5000/prefix"),
        ("postgresql+psycopg://bob:S3cret@host/db?x=1", "postgresql+psycopg://...@host/db?..."),
        ("http://host/?access=S3cret", "http://host/?..."),
        ("http://host/#S3cret", "http://host/#..."),
        ("http://bob:S3cr/etWord@host", "http://..."),
        ("http://bob:12/S3cret@host", "http://..."),
        ("mssql://host/db;password=S3cret", "mssql://host/db;..."),
        ("http//bob:S3cret@host://x", "..."),
        ("http://bob:S3cr?et@host", "http://..."),
        ("http://host?access=a@S3cret", "http://..."),
        ("http://bob:S3c@ret@host", "http://...@host"),
        ("bob:S3cret@host", "..."),
        ("sqlite:////home/me@work/x.db?key=S3cret", "sqlite:////home/me@work/x.db?..."),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("mlruns", "mlruns"),
    ],
)
def test_an_address_is_shown_with_its_scheme_host_and_database_only(text, public):
    assert stores.public_form(text) == public


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("run `mlflow db upgrade sqlite:////a/x.db`", "run `mlflow db upgrade sqlite:////a/x.db`"),
        ("(http://host:5000/a): refused", "(http://host:5000/a): refused"),
        ("see http://host:5000: refused", "see http://host:5000: refused"),
        ("at http://a:b@host/x?y=1: refused", "at http://...@host/x?...: refused"),
        ("no address at all", "no address at all"),
    ],
)
def test_a_text_keeps_everything_but_secrets(text, masked):
    assert stores.masked(text) == masked


def test_our_own_words_in_a_query_are_no_secrets(monkeypatch):
    query = "odbc_connect=DRIVER%3Dx%3BPWD%3DgeHeim1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"mssql+pyodbc:///?{query}")
    assert stores.masked("its driver is missing: geheim1") == "its driver is missing: ..."


def test_a_password_that_is_a_word_of_our_messages_leaves_commands_whole(monkeypatch):
    address = "postgresql+psycopg://mlflow:mlflow@host/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert stores.masked(f"{address} does not answer; unset MLFLOW_TRACKING_URI") == (
        "postgresql+psycopg://...@host/mlflow does not answer; unset MLFLOW_TRACKING_URI"
    )


def test_credentials_that_a_proxy_repeats_are_hidden(monkeypatch):
    address = "http://bob:p%40ss@host"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    header = requests.Request("GET", address).prepare().headers["Authorization"]
    assert stores.masked(f"502: Authorization: {header}") == "502: Authorization: Basic ..."


def errors_about(text):
    """The messages that libraries, and this project, give for an address."""
    attempts = [
        lambda: create_engine(text),
        lambda: requests.Request("GET", text).prepare(),
        lambda: conninfo_to_dict(text),
        lambda: get_address_host_port(text),
        *(lambda kind=kind: stores.address(kind, Path()) for kind in KINDS.values()),
    ]
    for attempt in attempts:
        try:
            attempt()
        except Exception as error:
            yield str(error)
            yield repr(error)


@settings(deadline=None)
@given(
    variable=st.sampled_from(stores.ADDRESSES),
    scheme=st.sampled_from(SCHEMES),
    place=st.sampled_from(PLACES),
    separator=st.sampled_from(SEPARATORS),
)
def test_no_part_of_a_secret_is_in_any_message(variable, scheme, place, separator):
    assume(scheme != "sqlite" or ":///" not in place)  # there it is the name of a file
    assume("//{secret}@" not in place or (separator != ":" and scheme not in DATABASES))  # a user
    text = place.format(scheme=scheme, secret=separator.join(PARTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, text)
        messages = [*errors_about(text), text, repr(text), json.dumps(text)]
        messages += [f"{function(text)} failed" for function in (quote, unquote, str.lower)]
        printed = [stores.masked(message) for message in messages]
        with suppress(Mistake):
            stores.address(KINDS[variable], Path())

    for line in [stores.public_form(text), *printed]:
        assert not any(part.lower() in line.lower() for part in PARTS)
