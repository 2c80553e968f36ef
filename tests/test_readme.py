"""README.md agrees with the committed results, and names commands that exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.reporting.numbers import share_of
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
    """The one value of the measures whose description begins with the first words and contains the others."""
    values = set()
    for claim in claims:
        for measure in claim["measures"]:
            what = measure["what"]
            if what.startswith(words[0]) and all(word in what for word in words):
                values.add(measure["value"])
    (value,) = values
    return value


def test_the_verdicts_are_the_committed_ones(claims):
    rows = []
    for claim in claims:
        distances = [f"{item['words']}: {item['verdict']}" for item in claim["by_distance"]]
        cells = [claim["sentence"], claim["verdict"], "; ".join(distances)]
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    table = "\n".join(rows)
    assert table in README, f"the rows of the table of verdicts must be:\n{table}"


def test_the_sentences_about_gradients_have_the_committed_numbers(claims):
    at_paragraph = ("dz/dh 90 tokens before the last relative to the last, vanilla, 100 tokens",)
    trained = value_of(claims, *at_paragraph, "trained at 100")
    initial = value_of(claims, *at_paragraph, "at initialisation")
    expect(
        f"the median trained vanilla network keeps {share_of(trained)} of its gradient; at initialisation it keeps "
        f"{share_of(initial)}."
    )

    measured = value_of(claims, "half-life", "vanilla, 800 tokens", "at initialisation")
    theory = value_of(claims, "half-life in a long text at initialisation, in theory")
    expect(
        f"the half-life is {measured:.0f} tokens in texts of 800 tokens, and theory predicts {theory:.0f}."
    )


def test_the_sentences_about_memory_have_the_committed_numbers(claims):
    at_paragraph = "a word 90 tokens before the last"
    effect = value_of(claims, f"effect of {at_paragraph} on vanilla", ", 100 tokens")
    sign = value_of(
        claims,
        "used with the right sign",
        f"in which {at_paragraph} moves vanilla the right way, 100 tokens",
    )
    expect(
        f"The effect of a word fades to {100 * effect:.0f} % over this distance, and its direction is still right in "
        f"{100 * sign:.0f} % of the reviews."
    )

    updates = params.read(ROOT / "params.yaml").retention.updates
    vanilla = value_of(claims, "longest lag over which vanilla learned to keep the first token")
    lstm = value_of(claims, "longest lag over which lstm learned to keep the first token")
    expect(
        f"Within {updates} updates a vanilla network learns to look back {vanilla:.0f} tokens and an LSTM learns to "
        f"look back {lstm:.0f}."
    )


def test_the_lead_of_the_feed_forward_net_is_the_committed_one(claims):
    lead = value_of(claims, "test accuracy of feedforward-textbook minus that of vanilla-textbook")
    expect(f"is {100 * lead:.1f} points ahead of the vanilla RNN")


def expect(sentence: str) -> None:
    assert sentence in PROSE, f"README.md must say: {sentence}"


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
