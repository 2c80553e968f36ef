"""DVC's own views of two small studies: numbers and curves side by side, without a network."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.reporting import dvc_page, figures

ROOT = Path(__file__).parents[1]
CURVES = next(plot for plot in YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"] if not isinstance(plot, str))
FILES = next(iter(CURVES.values()))["y"]


def dvc(folder, *words):
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A repository with this project's curves and metrics, as two revisions, `before` and `after`, have them."""
    folder = tmp_path_factory.mktemp("views")
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    with (folder / "dvc.yaml").open("w") as file:
        YAML(typ="safe").dump({"metrics": ["reports/metrics.json"], "plots": [CURVES]}, file)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "--quiet"], cwd=folder, check=True)
    for revision, loss in (("before", 0.625), ("after", 0.375)):
        for path in FILES:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"seed,epoch,validation/loss\n0,1,0.75\n0,2,{loss}\n")
        (folder / "reports").mkdir(exist_ok=True)
        (folder / "reports/metrics.json").write_text(json.dumps({"lstm": {"test/nll": {"mean": loss}}}))
        for words in (["add", "."], ["commit", "--quiet", "--message", revision], ["tag", revision]):
            subprocess.run([*git, *words], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_two_revisions_are_in_one_figure_on_a_page_that_fetches_nothing(two):
    dvc(two, "plots", "diff", "--out", "page", "before", "after")
    page = (two / "page/index.html").read_text(encoding="utf-8").replace(figures.scripts(), "")
    assert "https://" not in page.replace("https://vega.github.io/schema/", "")
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page) == []
    (figure,) = re.findall(r"var spec = (\{.*?\});\n", page, re.DOTALL)
    points = json.loads(figure)["data"]["values"]
    assert {(point["rev"], float(point["validation/loss"])) for point in points if point["epoch"] == "2"} == {
        ("before", 0.625),
        ("after", 0.375),
    }


@pytest.mark.slow
def test_the_metrics_of_two_revisions_are_compared(two):
    found = json.loads(dvc(two, "metrics", "diff", "--json", "before", "after").stdout)
    assert found["reports/metrics.json"]["lstm.test/nll.mean"] == {"old": 0.625, "new": 0.375, "diff": -0.25}


def test_the_page_around_the_plots_is_made_of_the_installed_scripts():
    assert (ROOT / ".dvc" / "plots/offline.html").read_text(encoding="utf-8") == dvc_page.page()
