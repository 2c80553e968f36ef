"""Two clones compute the small study in different environments and with keys in another order: the same bytes."""

import json
import re

import pytest
from ruamel.yaml import YAML

from chaos.study import STAGES, Study
from pipeline.storage import dvc_lock
from tests.support import small_study as support

OTHER_PLACE = {
    "TZ": "America/St_Johns",
    "LC_ALL": "C",
    "PYTHONHASHSEED": "2",
    "RNN_WORKERS": "2",
    "SOURCE_DATE_EPOCH": "0",
}
pytestmark = pytest.mark.slow


def outs(study: Study) -> dict[str, list]:
    return {name: stage["outs"] for name, stage in study.lock().items() if "outs" in stage}


def turned(value):
    """The same values with every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return value


def test_two_clones_give_the_same_bytes_whatever_place_and_workers(request, tmp_path):
    clone = Study(tmp_path / "Läufe mit 映画" / "study")
    support.write(clone.folder)
    file = clone.folder / "params.yaml"
    params = turned(YAML(typ="safe").load(file))
    file.write_text(json.dumps(params), encoding="utf-8")
    support.compute(clone, **OTHER_PLACE)
    # by now another process has often computed it
    small_study = request.getfixturevalue("small_study")
    assert {name.partition("@")[0] for name in outs(clone)} == STAGES.keys() - {"track"}
    assert outs(clone) == outs(small_study)

    # from the start of the last stage
    backup = YAML(typ="safe").load(clone.folder / dvc_lock.BACKUP)["stages"]
    assert backup == {name: entry for name, entry in clone.lock().items() if name != "report"}
    text = (clone.folder / "reports/README.md").read_text(encoding="utf-8")
    assert not re.search(r"\b1970\b", text), "the year of SOURCE_DATE_EPOCH; hashes may contain it"
