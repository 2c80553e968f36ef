"""A small study, computed whole in two clones that have nothing in common but the commit: the same bytes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from chaos import study
from pipeline.record import lineage

ROOT = Path(__file__).parents[1]
RUNS = ("vanilla-textbook", "vanilla-tuned")
PLACES = {  # where each lies, and what it finds in its environment
    "here": {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "RNN_WORKERS": "1"},
    "Läufe mit 映画": {"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONHASHSEED": "2", "RNN_WORKERS": "2"}
    | {"SOURCE_DATE_EPOCH": "0"},
}


def shrink(folder: Path) -> None:
    """To what takes half a minute; nothing in it is computed."""
    study.shrink(folder / "params.yaml")
    yaml = YAML()
    params, stages = (yaml.load(folder / name) for name in ("params.yaml", "dvc.yaml"))
    params["train"]["runs"] = {run: params["train"]["runs"][run] for run in RUNS}
    params["evaluate"]["comparisons"] = [list(RUNS)]
    deps = stages["stages"]["gradients"]["deps"]
    stages["stages"]["gradients"]["deps"] = [dep for dep in deps if not re.search(r"models/(?!vanilla)", dep)]
    yaml.dump(params, folder / "params.yaml")
    yaml.dump(stages, folder / "dvc.yaml")
    study.forget_results(folder)


@pytest.mark.slow
def test_two_clones_give_the_same_bytes_whatever_the_path_zone_locale_and_number_of_workers(tmp_path):
    subprocess.run([ROOT / ".ci/copy", tmp_path / "study"], cwd=ROOT, check=True)
    shrink(tmp_path / "study")
    made = []
    for place, environment in PLACES.items():
        clone = study.Study(shutil.copytree(tmp_path / "study", tmp_path / place / "study"))
        ended = clone.repro("report", RNN_TRACKING="off", **environment)
        assert ended.code == 0, ended.said
        made.append({name: stage["outs"] for name, stage in clone.lock().items()})
    assert {name.partition("@")[0] for name in made[0]} == study.STAGES.keys() - {"track"}
    assert made[0] == made[1]
    kept = YAML(typ="safe").load(clone.folder / lineage.KEPT)  # by the last stage as it began
    assert {**clone.lock(), **kept["stages"]} == clone.lock()
    assert clone.lock().keys() - kept["stages"].keys() == {"report"}
    assert "1970" not in (clone.folder / "reports/README.md").read_text(encoding="utf-8")  # SOURCE_DATE_EPOCH
