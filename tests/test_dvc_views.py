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

from pipeline.reporting import charts, dvc_page
from pipeline.storage import artifacts
from tests.support import readme

ROOT = Path(__file__).parents[1]
PLOTS = YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"]
CURVES = [plot for plot in PLOTS if plot != str(artifacts.FIGURES)]
RUNS = ("lstm-textbook", "vanilla-tuned")
METRICS = Path("reports/metrics.json")


def dvc(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A repository with this project's curves and metrics, and two experiments, `slow` and `fast`."""
    folder = tmp_path_factory.mktemp("views")
    shutil.copytree(
        ROOT / ".dvc",
        folder / ".dvc",
        ignore=shutil.ignore_patterns("cache", "tmp", "config.local"),
    )
    views = {"params": ["params.yaml"], "metrics": [str(METRICS)], "plots": CURVES}
    YAML(typ="safe").dump(views, folder / "dvc.yaml")

    write(folder, rate=0.002, loss=0.5)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for words in (
        "config user.name a",
        "config user.email a@localhost",
        "add .",
        "commit --quiet --message both",
    ):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)

    for name, rate, loss in (("slow", 0.001, 0.625), ("fast", 0.004, 0.375)):
        write(folder, rate, loss)
        dvc(folder, "exp", "save", "--name", name)
    return folder


def write(folder: Path, rate: float, loss: float) -> None:
    metrics = {"lstm": {"test/nll": {"mean": loss, "sd": loss / 2}}}
    contents = {
        METRICS: json.dumps(metrics),
        Path("params.yaml"): f"settings: {{textbook: {{learning_rate: {rate}, epochs: 2}}}}\n",
    }
    for run in RUNS:
        contents[artifacts.history(run)] = f"seed,epoch,validation/loss\n0,1,0.75\n0,2,{loss}\n"

    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


@pytest.mark.slow
def test_each_run_has_one_figure_of_both_experiments_without_network(two):
    dvc(two, "plots", "diff", "--out", "page", "slow", "fast")
    page = (two / "page/index.html").read_text(encoding="utf-8").replace(charts.scripts(), "")
    assert "https://" not in page.replace("https://vega.github.io/schema/", "")
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page) == []

    specifications = [
        json.loads(chart) for chart in re.findall(r"var spec = (\{.*?\});\n", page, re.DOTALL)
    ]
    assert sorted(chart["title"]["text"] for chart in specifications) == [
        str(artifacts.history(run)) for run in RUNS
    ]
    for chart in specifications:
        last_points = [point for point in chart["data"]["values"] if point["epoch"] == "2"]
        losses = {point["rev"]: float(point["validation/loss"]) for point in last_points}
        assert losses == {"slow": 0.625, "fast": 0.375}


@pytest.mark.slow
def test_the_metrics_of_two_experiments_are_compared(two):
    differences = json.loads(dvc(two, "metrics", "diff", "--json", "slow", "fast").stdout)
    assert differences[str(METRICS)]["lstm.test/nll.mean"] == {
        "old": 0.625,
        "new": 0.375,
        "diff": -0.25,
    }


@pytest.mark.slow
def test_all_experiments_are_in_one_table_by_the_command_of_the_readme(two):
    (command,) = re.findall(r"`dvc (exp show [^`]*)`", readme.TEXT)
    rows = list(csv.DictReader(dvc(two, *shlex.split(command), "--csv").stdout.splitlines()))
    losses = {}
    rates = {}
    for row in rows:
        losses[row["Experiment"]] = row["lstm.test/nll.mean"]
        rates[row["Experiment"]] = row["settings.textbook.learning_rate"]

    assert (losses["slow"], rates["slow"]) == ("0.625", "0.001")
    assert (losses["fast"], rates["fast"]) == ("0.375", "0.004")
    assert set(losses) == {"", "slow", "fast"}
    assert not {name for name in rows[0] if name.endswith(("sd", "epochs"))}


def test_the_page_around_the_plots_is_made_of_the_installed_scripts():
    assert (ROOT / ".dvc" / "plots/offline.html").read_text(encoding="utf-8") == dvc_page.page()
