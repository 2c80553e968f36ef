"""The promises of SECURITY.md."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline import __main__ as command_line
from pipeline.commands import ui
from pipeline.params import Mistake
from pipeline.storage import optuna_storage
from pipeline.tracking import live_runs
from pipeline.workers import driver, worker_count
from tests.support import toy_study
from tests.support.invented_inputs import inputs

ROOT = Path(__file__).parents[1]
SOURCES = [*sorted((ROOT / "pipeline").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
BETWEEN_PROCESSES = "pipeline/workers/"  # bytes of our own processes, never of a file
SECRET = "pAsSw0rd-1f7c"  # noqa: S105
EXECUTES = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "pickle.load",
    "cloudpickle.load",
    "joblib.load",
    "dill.load",
    "torch.load",
    "pd.read_pickle",
    "yaml.load",
    "keras.config.enable_unsafe_deserialization",
    "keras.saving.load_model",
    "keras.models.load_model",
}
SAFE_ARGUMENTS = {"shell": "False", "allow_pickle": "False", "safe_mode": "True"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_run_as_code_and_no_command_is_a_shell_string(path):
    for name, call in calls(path):
        assert name not in EXECUTES
        if name.endswith(".loads"):
            assert name == "json.loads" or BETWEEN_PROCESSES in str(path)
        if name.endswith(".extractall"):
            assert "filter='data'" in ast.unparse(call)
        if name in ("subprocess.run", "subprocess.Popen"):
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr)

        for keyword in call.keywords:
            value = ast.unparse(keyword.value)
            assert SAFE_ARGUMENTS.get(keyword.arg or "", value) == value


def test_servers_are_started_on_loopback_with_their_checks():
    files = [
        ROOT / "Makefile",
        ROOT / "README.md",
        *(ROOT / ".ci").iterdir(),
        *ROOT.glob("docs/**/*.md"),
        *SOURCES,
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert not re.search(
        r"disable.security.middleware|DISABLE_SECURITY|allowed-hosts[ =]['\"]?\*",
        text,
        re.IGNORECASE,
    )
    assert ui.HOST == "127.0.0.1"
    public = re.findall(r"0\.0\.0\.0.*", text)
    assert all("--allowed-hosts" in rest_of_line for rest_of_line in public)


def test_every_requirement_is_pinned_by_hash():
    lock = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", lock)
    assert len(entries) > 100
    assert [
        entry
        for entry in entries
        if not re.search(r"==[^\n]*\\\n +--hash=sha256:[0-9a-f]{64}", entry)
    ] == []


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """A toy study, and a password in every address; nothing answers at any of them."""
    toy_study.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, scheme in (
        ("MLFLOW_TRACKING_URI", "http"),
        ("RNN_STUDIES", "postgresql+psycopg"),
        ("DASK_SCHEDULER_ADDRESS", "tcp"),
    ):
        monkeypatch.setenv(name, f"{scheme}://user:{SECRET}@127.0.0.1:9/db?password={SECRET}")
    return tmp_path


def fails(arguments):
    raise RuntimeError(f"cannot reach {os.environ['MLFLOW_TRACKING_URI']}")


def open_the_studies(arguments):
    with optuna_storage.opened(inputs("tune@vanilla", Path())):
        pass


def use_the_scheduler(arguments):
    driver.Workers(1, worker_count.scheduler()).run("cell", max, None, {0: 1}, lambda *_: None)


def test_doctor_prints_addresses_without_their_password(secrets, capfd):
    command_line.main(["doctor"])
    output = "".join(capfd.readouterr())
    assert "127.0.0.1" in output
    assert SECRET not in output


@pytest.mark.parametrize("command", [fails, open_the_studies, use_the_scheduler])
def test_a_password_in_an_address_is_never_printed(secrets, monkeypatch, capfd, command):
    monkeypatch.setitem(command_line.COMMANDS, "doctor", command)
    assert command_line.main(["doctor"]) in (1, 2)
    output = "".join(capfd.readouterr())
    assert "127.0.0.1" in output
    assert SECRET not in output


def test_a_password_in_an_address_is_not_written(secrets, capfd):
    command_line.main(["track"])
    assert SECRET not in "".join(capfd.readouterr())
    grep = subprocess.run(
        ["grep", "-r", SECRET, str(secrets)], capture_output=True, text=True, check=False
    )
    assert grep.stdout == ""


def test_a_password_is_not_in_the_traceback_that_mlflow_keeps(secrets, monkeypatch):
    messages = secrets / "messages"
    monkeypatch.setattr(live_runs, "COMMAND", ["tee", str(messages)])

    def trains():
        with live_runs.writer(secrets, "train@vanilla-textbook", {}):
            fails(None)

    with pytest.raises(RuntimeError):
        trains()
    assert "RuntimeError: cannot reach http://...@127.0.0.1:9/db?..." in messages.read_text()
    assert SECRET not in messages.read_text()


def test_an_address_in_a_mistake_is_masked_too(secrets, monkeypatch, capsys):
    def mistaken(arguments):
        raise Mistake(f"no scheduler at {os.environ['DASK_SCHEDULER_ADDRESS']}")

    monkeypatch.setitem(command_line.COMMANDS, "doctor", mistaken)
    assert command_line.main(["doctor"]) == 2
    assert capsys.readouterr().err == "error: no scheduler at tcp://...@127.0.0.1:9/db?...\n"


@pytest.mark.parametrize(
    "text",
    [
        f"http://bob:{SECRET}/x@host",
        f"http://host?access={SECRET}",
        f"postgres://bob:{SECRET}@host/db",
        f"mysql+pymysql://bob:{SECRET}@host/db",
        f"bob:{SECRET}@host",
    ],
)
def test_an_odd_address_is_one_error_without_its_password(secrets, monkeypatch, capfd, text):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", text)
    assert command_line.main(["track", "--check"]) == 2
    output = "".join(capfd.readouterr())
    assert output.startswith("error: MLFLOW_TRACKING_URI: ")
    assert output.count("\n") == 1
    assert SECRET not in output

    assert command_line.main(["track"]) == 0
    assert SECRET not in "".join(capfd.readouterr())
