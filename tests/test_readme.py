"""README.md agrees with the committed results, and names commands that exist."""

import json
import re
import subprocess
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.verify import durations

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())


def committed(path: str) -> str:
    shown = subprocess.run(
        ["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True
    )
    if shown.returncode:
        pytest.skip(f"{path} is not committed here (a copy without results)")
    return shown.stdout


def test_the_result_table_is_that_of_the_committed_metrics():
    metrics = json.loads(committed("reports/metrics.json"))
    row = r"^\| `([a-z-]+)` \| ([\d,]+) \| (\w+) \| ([\d.]+) \| ([^|]+) \|$"
    rows = {run: cells for run, *cells in re.findall(row, README, re.MULTILINE)}
    assert rows.keys() == metrics.keys()

    for run, (parameters, seeds, mean, interval) in rows.items():
        accuracy = metrics[run]["test/accuracy"]
        assert parameters == f"{metrics[run]['parameters']:,}"
        assert seeds == ("none" if run.startswith("tfidf") else str(len(accuracy["scores"])))
        assert mean == f"{100 * accuracy['mean']:.1f}"
        expected = (
            f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}"
            if accuracy["low"]
            else "one fit"
        )
        assert interval.strip() == expected


@pytest.fixture
def claims():
    return json.loads(committed("reports/claims.json"))


def value_of(claims: list[dict], *words: str) -> float:
    """The one value of the measures whose description contains all of these words."""
    values = set()
    for claim in claims:
        for measure in claim["measures"]:
            if all(word in measure["what"] for word in words):
                values.add(measure["value"])
    (value,) = values
    return value


def test_the_verdicts_are_the_committed_ones(claims):
    rows = re.findall(r"^\| ([A-Z][^|]+\.) \| ([a-z ]+) \|$", README, re.MULTILINE)
    assert rows == [(claim["sentence"], claim["verdict"]) for claim in claims]


def test_the_numbers_of_the_text_are_the_committed_ones(claims):
    gradient = 10 ** value_of(
        claims, "gradient at the first token", "100 tokens, vanilla", "trained at"
    )
    assert f"over its 100 tokens to {100 * gradient:.0f} %" in PROSE

    points = 100 * value_of(
        claims, "test accuracy of feedforward-textbook minus that of vanilla-textbook"
    )
    assert f"is {points:.1f} points ahead of the vanilla RNN" in PROSE

    effect = 100 * value_of(claims, "effect of a word 99", "on vanilla")
    assert f"fades to {effect:.0f} %" in PROSE

    measured = value_of(claims, "half-life, 800 tokens", "initial")
    theory = value_of(claims, "half-life of that start in theory")
    assert f"a half-life of {measured:.0f} tokens over 800, predicted {theory:.0f}" in PROSE

    vanilla = value_of(claims, "learned to keep the first token", "vanilla")
    lstm = value_of(claims, "learned to keep the first token", "lstm")
    assert f"look back {vanilla:.0f} tokens, the LSTM with the same budget {lstm:.0f}." in PROSE


def test_the_lengths_without_proof_of_vanishing_are_the_committed_ones():
    lengths = sorted(params.read(ROOT / "params.yaml").gradients.sequence_lengths)
    files = [f"reports/decay/{length}.csv" for length in lengths if length > 100]
    decay = pd.concat(pd.read_csv(StringIO(committed(file))) for file in files)
    own = decay.query(
        "architecture == 'vanilla' and weights == 'trained' and trained_length == sequence_length"
    )
    unclear = own[own["log10_at_last_lag_high"] >= np.log10(0.001)]["sequence_length"]
    lengths_in_words = " and ".join(map(str, unclear))
    assert (
        f"At {lengths_in_words} tokens, on three seeds, the data do not show that it vanishes"
        in PROSE
    )


def test_the_time_of_the_study_is_that_of_its_stages():
    seconds = json.loads(committed(durations.FILE.as_posix()))["seconds"]
    stages = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"].keys() - {"track"}
    assert seconds.keys() <= stages

    (minutes,) = re.findall(r"about (\d+) minutes to run", PROSE)
    assert f"about {minutes} minutes" in (ROOT / "Makefile").read_text(encoding="utf-8")
    total = sum(seconds.values())
    assert total < 60 * int(minutes) + 150
    if seconds.keys() == stages:  # otherwise only a part of the study was timed
        assert int(minutes) == 5 * round(total / 300)


def test_every_make_word_in_the_texts_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = set()
    for path in ROOT.glob("*.md"):
        words |= set(
            re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
    assert words >= {"reproduce", "test", "ui", "quick", "full"}
    assert words <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
