"""DVC's own views of two small studies: numbers and curves side by side, without a network."""

import csv
import json
import re
import shlex
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
    """A repository with this project's curves and metrics, and two experiments, `slow` and `fast`."""
    folder = tmp_path_factory.mktemp("views")
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    with (folder / "dvc.yaml").open("w") as file:
        YAML(typ="safe").dump({"params": ["params.yaml"], "metrics": ["reports/metrics.json"], "plots": [CURVES]}, file)
    write(folder, rate=0.002, loss=0.5)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for words in ("config user.name a", "config user.email a@localhost", "add .", "commit --quiet --message both"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    for name, rate, loss in (("slow", 0.001, 0.625), ("fast", 0.004, 0.375)):
        write(folder, rate, loss)
        dvc(folder, "exp", "save", "--name", name)
    return folder


def write(folder: Path, rate: float, loss: float) -> None:
    for path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"seed,epoch,validation/loss\n0,1,0.75\n0,2,{loss}\n")
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports/metrics.json").write_text(json.dumps({"lstm": {"test/nll": {"mean": loss, "sd": loss / 2}}}))
    (folder / "params.yaml").write_text(f"settings: {{textbook: {{learning_rate: {rate}, epochs: 2}}}}\n")


@pytest.mark.slow
def test_two_experiments_are_in_one_figure_on_a_page_that_fetches_nothing(two):
    dvc(two, "plots", "diff", "--out", "page", "slow", "fast")
    page = (two / "page/index.html").read_text(encoding="utf-8").replace(figures.scripts(), "")
    assert "https://" not in page.replace("https://vega.github.io/schema/", "")
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page) == []
    (figure,) = re.findall(r"var spec = (\{.*?\});\n", page, re.DOTALL)
    points = json.loads(figure)["data"]["values"]
    assert {(point["rev"], float(point["validation/loss"])) for point in points if point["epoch"] == "2"} == {
        ("slow", 0.625),
        ("fast", 0.375),
    }


@pytest.mark.slow
def test_the_metrics_of_two_experiments_are_compared(two):
    found = json.loads(dvc(two, "metrics", "diff", "--json", "slow", "fast").stdout)
    assert found["reports/metrics.json"]["lstm.test/nll.mean"] == {"old": 0.625, "new": 0.375, "diff": -0.25}


@pytest.mark.slow
def test_all_experiments_are_in_one_table_by_the_command_of_the_readme(two):
    (command,) = re.findall(r"^dvc (exp show .*?)  +#", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    rows = list(csv.DictReader(dvc(two, *shlex.split(command), "--csv").stdout.splitlines()))
    changed = ("lstm.test/nll.mean", "settings.textbook.learning_rate")
    assert {row["Experiment"]: tuple(float(row[name]) for name in changed) for row in rows if row["Experiment"]} == {
        "slow": (0.625, 0.001),
        "fast": (0.375, 0.004),
    }
    assert not {name for name in rows[0] if name.endswith(("sd", "epochs"))}


def test_the_page_around_the_plots_is_made_of_the_installed_scripts():
    assert (ROOT / ".dvc" / "plots/offline.html").read_text(encoding="utf-8") == dvc_page.page()
