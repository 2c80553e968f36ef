"""Data sets that are not film reviews go through a small study, up to a report that names them as what they are."""

import re

import pytest
from ruamel.yaml import YAML

from chaos.study import Study
from tests.support import other_data, small_study

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("data_set", other_data.SETS.values(), ids=other_data.SETS)
def test_a_study_of_other_texts_ends_in_a_report_about_them(data_set, tmp_path):
    study = Study(tmp_path / "study")
    small_study.write(study.folder)
    data_set.write(study.folder / other_data.FILE)

    yaml = YAML()
    params = yaml.load(study.folder / "params.yaml")
    params["data"] |= {"source": "csv", "path": other_data.FILE, "limit": None, **data_set.section}
    yaml.dump(params, study.folder / "params.yaml")

    small_study.compute(study, **small_study.PLACE)
    assert "track" in small_study.show(study)

    report = (study.folder / "reports/README.md").read_text(encoding="utf-8")
    labels = params["data"]["labels"]
    assert f"# What recurrent networks do with {data_set.nouns}\n" in report
    assert f"Positive is the label '{labels['positive']}', negative is" in report

    for file in ("README.md", "index.html", "playground.html", "data.json"):
        text = (study.folder / "reports" / file).read_text(encoding="utf-8")
        assert not re.search(r"\b(film|movie)s?\b", text, re.IGNORECASE), file

    predicted = study.stage("predict", *data_set.question)
    assert re.search(r"^(positive|negative) 0\.\d{4}$", predicted.said, re.MULTILINE), (
        predicted.said
    )
