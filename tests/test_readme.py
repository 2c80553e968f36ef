"""README.md says what the committed results say, and names commands that exist."""

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


def committed(path: str) -> str:
    found = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"{path} is not committed here (a copy without results)")
    return found.stdout


def test_the_result_table_is_that_of_the_committed_metrics():
    metrics = json.loads(committed("reports/metrics.json"))
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d,]+) \| (\w+) \| ([\d.]+) \| ([^|]+) \|$", README, re.MULTILINE)
    assert {run for run, *_ in rows} == set(metrics)
    for run, parameters, seeds, mean, interval in rows:
        accuracy = metrics[run]["test/accuracy"]
        assert seeds == ("none" if run == "tfidf" else str(len(accuracy["scores"])))
        assert parameters == f"{metrics[run]['parameters']:,}"
        assert mean == f"{100 * accuracy['mean']:.1f}"
        expected = f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}" if accuracy["low"] else "one fit"
        assert interval.strip() == expected


def test_verdicts_and_numbers_of_the_text_are_the_committed_ones():
    claims = json.loads(committed("reports/claims.json"))
    rows = re.findall(r"^\| ([A-Z][^|]+\.) \| ([a-z ]+) \|$", README, re.MULTILINE)
    assert rows == [(claim["sentence"], claim["verdict"]) for claim in claims]
    value = {measure["what"]: measure["value"] for claim in claims for measure in claim["measures"]}

    def of(*words: str) -> float:
        (found,) = {number for what, number in value.items() if all(word in what for word in words)}
        return found

    gradient = 10 ** of("gradient at the first token", "100 tokens, vanilla", "trained at")
    assert f"over its 100 tokens to {100 * gradient:.0f} %" in README
    lengths = params.read(ROOT / "params.yaml").gradients.sequence_lengths
    beyond_textbook = [length for length in sorted(lengths) if length > 100]
    decay = pd.concat(pd.read_csv(StringIO(committed(f"reports/decay/{length}.csv"))) for length in beyond_textbook)
    own = decay.query("architecture == 'vanilla' and weights == 'trained' and trained_length == sequence_length")
    unclear = own[own["log10_at_last_lag_high"] >= np.log10(0.001)]["sequence_length"].tolist()
    lengths_in_words = " and ".join(map(str, unclear))
    assert f"At {lengths_in_words} tokens, on three seeds, the data do not show that it vanishes" in README
    ahead = of("test accuracy of feedforward-textbook minus that of vanilla-textbook")
    assert f"is {100 * ahead:.1f} points ahead of the vanilla RNN" in README
    assert f"fades to {100 * of('effect of a word 99', 'on vanilla'):.0f} %" in README
    measured, theory = of("half-life, 800 tokens", "initial"), of("half-life of that start in theory")
    assert f"a half-life of {measured:.0f} tokens over 800, predicted {theory:.0f}" in " ".join(README.split())
    kept = [f"{of('learned to keep the first token', name):.0f}" for name in ("vanilla", "lstm")]
    assert f"look back {kept[0]} tokens, the LSTM with the same budget {kept[1]}." in " ".join(README.split())


def test_the_time_of_the_study_is_that_of_its_stages():
    seconds = json.loads(committed(durations.FILE.as_posix()))["seconds"]
    stages = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"].keys() - {"track"}
    assert seconds.keys() <= stages
    said = re.search(r"about (\d+) minutes to run", " ".join(README.split()))
    assert f"about {said[1]} minutes" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if seconds.keys() == stages:  # else a part of it
        assert int(said[1]) == 5 * round(sum(seconds.values()) / 300)
    assert sum(seconds.values()) < 60 * int(said[1]) + 150


def test_every_make_word_in_the_texts_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")]
    words = {word for text in texts for word in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}
    assert words >= {"reproduce", "test", "ui", "quick", "full"}
    assert words <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
