"""The inputs of a stage: as DVC sees them, and the words for each change of them."""

import json
import os
import shutil
from dataclasses import replace as replace_fields
from importlib.metadata import version
from pathlib import Path

import pytest
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage

from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from tests.support.review_sources import SPECIAL_FILES

ROOT = Path(__file__).parents[2]
STAGE = "train@small"
DVC = """
stages:
  train:
    foreach: ${train.runs}
    do:
      cmd: python train.py ${key}
      deps:
        - ${data.path}
        - data/reviews.csv
        - pipeline/params
        - pipeline/train.py
      params:
        - data.limit
        - train.runs.${key}
        - settings.${item.settings}
        - ${item.from}:
        - environment.json:
            - numpy
            - pandas
"""
PARAMS = """
data: {path: data/raw, limit: null}
settings:
  textbook: {epochs: 2, rate: 0.5, cuts: [1, 2], mask: false}
  other: {epochs: 9}
train:
  runs:
    small: {settings: textbook, from: tuned.json}
"""


@pytest.fixture
def folder(tmp_path):
    """A project with one stage; nothing of DVC but dvc.yaml."""
    installed = {package: version(package) for package in ("numpy", "pandas", "scipy")}
    files = {
        "dvc.yaml": DVC,
        "params.yaml": PARAMS,
        "environment.json": json.dumps(installed),
        "tuned.json": '{"epochs": 3}',
        "requirements.lock": "numpy==1\n",
        ".dvcignore": (ROOT / ".dvcignore").read_text(),
        "data/raw/notes.txt": "notes",
        "data/reviews.csv": "fine\n",
        "pipeline/params/schema.py": "ONE = 1\n",
        "pipeline/train.py": "TWO = 2\n",
        "pipeline/report.py": "THREE = 3\n",
    }
    for name, content in files.items():
        artifacts.write_text(tmp_path / name, content)
    return tmp_path


def replace(old: str, new: str):
    def edit(path: Path) -> None:
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    return edit


def test_the_inputs_of_every_stage_are_those_that_dvc_sees(tmp_path):
    for name in ("dvc.yaml", "params.yaml", "environment.json"):
        shutil.copy(ROOT / name, tmp_path)
    for architecture in ("vanilla", "bidirectional"):
        artifacts.write_json(tmp_path / artifacts.tuned(architecture), {"settings": {"tuned": {}}})

    with Repo.init(str(tmp_path), no_scm=True) as repo:
        stages = {
            stage.name: stage for stage in repo.index.stages if isinstance(stage, PipelineStage)
        }
    assert len(stages) > 10
    for name, stage in stages.items():
        inputs = stage_inputs.read(name, tmp_path)
        by_kind = {}
        for dep in stage.deps:
            by_kind.setdefault(isinstance(dep, ParamsDependency), []).append(dep)
        assert inputs.deps.keys() == {dep.def_path for dep in by_kind[False]}, name
        assert {file: set(keys) for file, keys in inputs.keys.items()} == {
            dep.def_path: set(dep.params) for dep in by_kind[True]
        }, name


@pytest.mark.parametrize("name", ["tune@vanilla", "train@vanilla-textbook", "train@vanilla-tuned"])
def test_the_record_of_a_stage_is_the_one_of_dvc(project, name):
    inputs = stage_inputs.read(name, project)
    assert inputs.record == replace_fields(dvc_lock.finished(project)[name], outs={})
    assert inputs.is_recorded


@pytest.mark.parametrize(
    ("file", "edit", "change"),
    [
        (
            "params.yaml",
            replace("epochs: 2", "epochs: 4"),
            "params.yaml: settings.textbook.epochs was 2 and is 4",
        ),
        (
            "params.yaml",
            replace("rate: 0.5, ", ""),
            "params.yaml: settings.textbook.rate was 0.5 and is empty",
        ),
        (
            "params.yaml",
            replace("limit: null", "limit: 100"),
            "params.yaml: data.limit was empty and is 100",
        ),
        ("params.yaml", replace("{epochs: 2,", "{epochs: 2"), "params.yaml: line "),
        ("params.yaml", Path.unlink, "params.yaml: no such file here"),
        ("tuned.json", replace("3", "5"), "tuned.json: epochs was 3 and is 5"),
        ("environment.json", replace(version("numpy"), "0"), "environment.json: numpy was "),
        ("data/reviews.csv", replace("fine", "dull"), "data/reviews.csv was edited"),
        ("data/reviews.csv", Path.unlink, "data/reviews.csv was deleted"),
        ("data/raw/more.txt", Path.touch, "data/raw/more.txt is new"),
        ("pipeline/params/schema.py", replace("1", "2"), "pipeline/params/schema.py was edited"),
        ("pipeline/params/new.py", Path.touch, "pipeline/params/new.py is new"),
        ("pipeline/train.py", replace("2", "1"), "pipeline/train.py was edited"),
    ],
)
def test_a_change_is_named_in_one_line(folder, file, edit, change):
    inputs = stage_inputs.read(STAGE, folder)
    inputs.check()
    edit(folder / file)
    with pytest.raises(Mistake) as error:
        inputs.check()
    message = str(error.value).replace(f"{folder}/", "")
    assert message.startswith(f"{STAGE}: an input changed while the stage ran: {change}")
    assert "; `dvc repro` runs it again; undo the change first to continue" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("params.yaml", replace("epochs: 9", "epochs: 10")),
        ("params.yaml", replace("mask: false}", "mask:   false}  # a comment")),
        ("params.yaml", replace("{epochs: 2, rate: 0.5,", "{rate: 0.5, epochs: 2,")),
        ("params.yaml", replace("epochs: 2", "epochs: 0.2e1")),
        ("params.yaml", replace("rate: 0.5", "rate: 5e-1")),
        ("params.yaml", replace("mask: false", "mask: 0")),  # equal for DVC; other code refuses it
        ("params.yaml", replace("cuts: [1, 2]", "cuts: [1.0, 2]")),
        ("tuned.json", replace("3", "3.0")),
        ("pipeline/train.py", lambda path: os.utime(path, (0, 0))),
        ("pipeline/train.py", replace("", "")),
        ("environment.json", replace(version("scipy"), "0")),
        ("pipeline/report.py", replace("3", "4")),
        ("data/raw/.writing-1-notes.txt", Path.touch),
    ],
)
def test_a_change_that_the_stage_does_not_read_is_none(folder, file, edit):
    inputs = stage_inputs.read(STAGE, folder)
    edit(folder / file)
    inputs.check()
    inputs.check_code()
    assert inputs.fingerprint == stage_inputs.read(STAGE, folder).fingerprint


def test_an_edit_that_is_undone_is_none(folder):
    inputs = stage_inputs.read(STAGE, folder)
    for file in ("pipeline/train.py", "params.yaml", "data/reviews.csv"):
        content = (folder / file).read_text()
        (folder / file).write_text("something else")
        (folder / file).write_text(content)
    inputs.check()
    inputs.check_code()


def test_edited_code_ends_a_unit_and_edited_data_do_not(folder):
    inputs = stage_inputs.read(STAGE, folder)
    (folder / "data/reviews.csv").write_text("dull")
    inputs.check_code()
    (folder / "pipeline/train.py").write_text("something else")
    with pytest.raises(Mistake, match=r": pipeline/train\.py was edited; `dvc repro`"):
        inputs.check_code()


def test_equal_numbers_of_dvc_lock_are_unchanged_inputs(project):
    artifacts.write_text(project / "requirements.lock", "")
    before = stage_inputs.read("tune@vanilla", project).fingerprint
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("trials: 3", "trials: 3.0"))
    inputs = stage_inputs.read("tune@vanilla", project)
    assert inputs.is_recorded
    assert inputs.fingerprint == before
    assert stage_inputs.is_unchanged(dvc_lock.finished(project)["tune@vanilla"], project)


def test_a_package_of_another_version_is_a_change(folder, monkeypatch):
    inputs = stage_inputs.read(STAGE, folder)
    monkeypatch.setattr(stage_inputs, "version", lambda package: "9")
    change = f"the package numpy was {version('numpy')} and is 9, the package pandas was"
    for check in (inputs.check, inputs.check_code):
        with pytest.raises(Mistake, match=change):
            check()


@pytest.mark.parametrize(("make", "kind"), SPECIAL_FILES)
def test_an_input_that_is_neither_file_nor_folder_is_named(folder, monkeypatch, make, kind):
    monkeypatch.chdir(folder)
    (folder / "data/reviews.csv").unlink()
    make(folder / "data/reviews.csv")
    with pytest.raises(Mistake, match=f"^data/reviews.csv: {kind}; DVC needs a file or a folder"):
        stage_inputs.read(STAGE, folder)


def test_many_changes_are_counted(folder):
    inputs = stage_inputs.read(STAGE, folder)
    for number in range(10):
        (folder / f"data/raw/{number}.txt").touch()
    with pytest.raises(Mistake, match=r"2\.txt is new and 7 more; "):
        inputs.check()


def test_a_repeated_stage_takes_no_work_from_before_it_was_recorded(project):
    artifacts.write_text(project / "requirements.lock", "")
    repeated = stage_inputs.read("tune@vanilla", project).fingerprint
    (project / "dvc.lock").unlink()
    assert stage_inputs.read("tune@vanilla", project).fingerprint != repeated
