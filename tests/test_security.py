"""What SECURITY.md promises."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from pipeline import __main__ as door
from pipeline.params import Mistake
from pipeline.storage import dvc_lock, optuna_storage, stores
from pipeline.tracking import live
from pipeline.workers import driver
from tests.support import toy_study

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("pipeline", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
BETWEEN_PROCESSES = "pipeline/workers/"  # bytes of our own processes, never of a file
SECRET = "pAsSw0rd-1f7c"  # noqa: S105
EXECUTES = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("pickle.load", "cloudpickle.load", "joblib.load", "dill.load", "torch.load", "pd.read_pickle", "yaml.load"),
    *("keras.config.enable_unsafe_deserialization", "keras.saving.load_model", "keras.models.load_model"),
}


def calls(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_run_as_code_and_no_command_is_a_shell_string(path):
    for name, call in calls(path):
        assert name not in EXECUTES
        assert not name.endswith((".extractall", ".loads")) or name == "json.loads" or BETWEEN_PROCESSES in str(path)
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("shell", "False") == "False"
        assert given.get("allow_pickle", "False") == "False"
        assert given.get("safe_mode", "True") == "True"
        assert name not in ("subprocess.run", "subprocess.Popen") or not isinstance(
            call.args[0], ast.Constant | ast.JoinedStr
        )


def test_servers_are_started_on_loopback_with_their_checks():
    files = [ROOT / "Makefile", ROOT / "README.md", *(ROOT / ".ci").iterdir(), *ROOT.glob("docs/*.md"), *SOURCES]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert not re.search(r"disable.security.middleware|DISABLE_SECURITY|allowed-hosts[ =]['\"]?\*", text, re.IGNORECASE)
    assert "mlflow ui --workers 1 --host 127.0.0.1" in text
    assert len(re.findall(r"^.*0\.0\.0\.0.*$", text, re.MULTILINE)) == len(
        re.findall(r"^.*0\.0\.0\.0.*--allowed-hosts.*$", text, re.MULTILINE)
    )


def test_every_requirement_is_pinned_by_hash():
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    assert len(entries) > 100
    assert [entry for entry in entries if not re.search(r"==[^\n]*\\\n +--hash=sha256:[0-9a-f]{64}", entry)] == []


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """A small study, and every address with a password in it; nothing answers at any of them."""
    toy_study.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, scheme in (
        ("MLFLOW_TRACKING_URI", "http"),
        ("RNN_STUDIES", "postgresql+psycopg"),
        ("DASK_SCHEDULER_ADDRESS", "tcp"),
    ):
        monkeypatch.setenv(name, f"{scheme}://user:{SECRET}@127.0.0.1:9/db?password={SECRET}")
    monkeypatch.setattr(dvc_lock, "fingerprint", lambda stage, folder: "0")
    return tmp_path


def fails(given):
    raise RuntimeError(f"cannot reach {stores.mlflow(Path())}")


def asks_the_studies(given):
    with optuna_storage.opened("tune@vanilla"):
        pass


def asks_the_scheduler(given):
    driver.Workers(1, driver.scheduler()).run("cell", max, None, {0: 1}, lambda *_: None)


@pytest.mark.parametrize("what", [None, fails, asks_the_studies, asks_the_scheduler])
def test_a_password_in_an_address_is_never_printed(secrets, monkeypatch, capfd, what):
    if what:
        monkeypatch.setitem(door.COMMANDS, "doctor", what)
    code = door.main(["doctor"])
    said = capfd.readouterr()
    assert code in ((0, 1, 2) if what is None else (1, 2))
    assert "127.0.0.1" in said.out + said.err
    assert SECRET not in said.out + said.err


def test_a_password_in_an_address_is_not_written(secrets, capfd):
    door.main(["track"])
    assert SECRET not in "".join(capfd.readouterr())
    grep = subprocess.run(["grep", "-r", SECRET, str(secrets)], capture_output=True, text=True, check=False)
    assert grep.stdout == ""


def test_a_password_is_not_in_the_traceback_that_mlflow_keeps(secrets, monkeypatch):
    told = []
    monkeypatch.setattr(live, "_sender", lambda process: told.append)
    monkeypatch.setattr(live, "COMMAND", ["cat"])

    def trains():
        with live.writer(secrets, "train@vanilla-textbook", {}):
            fails(None)

    with pytest.raises(RuntimeError):
        trains()
    assert "RuntimeError: cannot reach http://...@127.0.0.1:9/db?..." in told[-1]["traceback"]
    assert SECRET not in str(told)


def test_an_address_in_a_mistake_is_masked_too(secrets, monkeypatch, capsys):
    def mistaken(given):
        raise Mistake(f"no scheduler at {driver.scheduler()}")

    monkeypatch.setitem(door.COMMANDS, "doctor", mistaken)
    assert door.main(["doctor"]) == 2
    assert capsys.readouterr().err == "error: no scheduler at tcp://...@127.0.0.1:9/db?...\n"
