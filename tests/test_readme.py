"""README.md agrees with the committed results, shows the outputs that its commands print, and stays short."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import networkx
import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline import params
from pipeline.params import Data, Mistake
from pipeline.reporting.numbers import percent, share_of
from pipeline.science.statistics.seeds import best_seed
from pipeline.storage import sources, stores
from pipeline.verify import durations
from tests.support import readme

ROOT = Path(__file__).parents[1]
MEASURED = r"\d[\d.,]* (?:%|points|words|tokens|seeds|film reviews|reviews|minutes|seconds)"
OWN_VARIABLE = re.compile(r"\b(?:RNN_[A-Z_]+|NO_COLOR)\b")
SET_BY_THE_MAKEFILE = {"RNN_PLAN"}
REFUSED_REVIEWS = """\
review,sentiment
"Slow, but the ending is wonderful.",pos
I left before the end.,neg
"A great cast, wasted.",negative
"""
SERVED = "The ending is wonderful."
CHECKED_OUTPUTS = [
    "python -m pipeline summary",
    "dvc params diff",  # this and the next in quick_session.py
    "dvc metrics diff",
    "python -m pipeline predict",
    "python -m pipeline read",
    "curl",
    "python -m pipeline prepare",
]
MOST_WORDS = 900
MOST_WORDS_OF_A_PARAGRAPH = 30
MOST_WORDS_OF_A_SENTENCE = 24
FIRST_COMMANDS = 25  # lines


def committed(path: str) -> str:
    git = subprocess.run(
        ["git", "show", f"HEAD:{path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if git.returncode:
        pytest.skip(f"{path} is not committed here (a copy without results)")
    return git.stdout


def results(path: str):
    """The content of a committed JSON file."""
    return json.loads(committed(path))


def claims() -> list[dict]:
    return results("reports/claims.json")


def value_of(*words: str) -> float:
    """The one value of the measures whose description begins with the first words and contains the others."""
    values = set()
    for claim in claims():
        for measure in claim["measures"]:
            description = measure["what"]
            contains_words = all(word in description for word in words)
            if contains_words and description.startswith(words[0]):
                values.add(measure["value"])
    (value,) = values
    return value


def accuracy(run: str) -> str:
    metrics = results("reports/metrics.json")
    return percent(metrics[run]["test/accuracy"]["mean"])


def sentence_about_reviews() -> str:
    card = results("reports/data.json")
    return f"on {card['reviews']:,} film reviews"


def sentence_about_accuracy() -> str:
    return (
        f"Averaging the words gets {accuracy('feedforward-textbook')} of the test reviews right, "
        f"the RNN {accuracy('vanilla-textbook')}."
    )


def sentence_about_gradients() -> str:
    trained = value_of(
        "dz/dh 90 tokens before the last relative to the last, vanilla, 100 tokens",
        "trained at 100",
    )
    return f"Over 90 words, the trained RNN keeps {share_of(trained)} of it."


def sentence_about_memory() -> str:
    effect = value_of("effect of a word 90 tokens before the last on vanilla", ", 100 tokens")
    return f"A strong word 90 words before the end keeps {percent(effect)} of its effect."


SENTENCES = (
    sentence_about_reviews,
    sentence_about_accuracy,
    sentence_about_gradients,
    sentence_about_memory,
)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda function: function.__name__)
def test_a_finding_has_the_committed_numbers(sentence):
    assert sentence() in " ".join(readme.paragraphs())


def test_every_measured_number_is_in_a_checked_sentence():
    prose = " ".join(readme.paragraphs())
    for sentence in SENTENCES:
        prose = prose.replace(sentence(), "")
    assert re.findall(MEASURED, prose) == []


def test_a_bag_of_words_beats_the_textbook_network_by_the_interval():
    leads = {}
    for comparison in results("reports/comparisons.json"):
        pair = comparison["run"], comparison["baseline"]
        leads[pair] = comparison

    lead = leads["feedforward-textbook", "vanilla-textbook"]
    assert lead["low"] > 0
    assert lead["p_holm"] < 0.05


@pytest.mark.parametrize("name", ["gradients quickly vanish", "forgets the beginning"])
def test_over_a_paragraph_gradient_and_memory_fade_without_being_gone(name):
    (claim,) = [claim for claim in claims() if claim["name"] == name]
    verdicts = {}
    for item in claim["by_distance"]:
        verdicts[item["words"]] = item["verdict"]
    assert verdicts["paragraph"] == "partly"


def test_the_diagram_shows_the_stages_of_dvc_and_their_order():
    (block,) = readme.blocks("mermaid")
    diagram = re.sub(r"%%.*", "", block)  # without comments
    stages = re.findall(r"(\w+)\[", diagram)
    assert len(stages) == len(set(stages))

    names_only = re.sub(r"\[.*?\]", "", diagram)
    arrows = re.findall(r"(\w+) --> (\w+)", names_only)

    flow = networkx.DiGraph()
    with Repo(str(ROOT)) as repo:
        for reader, source in repo.index.graph.edges:
            start = source.name.partition("@")[0]
            end = reader.name.partition("@")[0]
            flow.add_edge(start, end)
    assert set(stages) == set(flow)
    direct = networkx.transitive_reduction(flow)
    assert sorted(arrows) == sorted(direct.edges)


def command_with(words: str) -> str:
    (command,) = [command for command in readme.outputs() if words in command]
    return command


def printed(command: str) -> str:
    """The output of a command in the shell, in the project's folder."""
    lock = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    if committed("dvc.lock") != lock:
        pytest.skip("the results here are not the committed ones")

    programs = Path(sys.executable).parent
    path = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def refused() -> str:
    """The error of `prepare` about a small CSV file with the README's settings."""
    (block,) = readme.blocks("yaml")
    changes = YAML(typ="safe").load(block)
    defaults = params.document(ROOT / "params.yaml")
    data = params.validated(Data, defaults["data"] | changes["data"], "README.md")
    Path(data.path).parent.mkdir(parents=True)
    Path(data.path).write_text(REFUSED_REVIEWS)
    with pytest.raises(Mistake) as error:
        list(sources.read(data))
    return f"error: {error.value}\n"


@pytest.fixture
def networks() -> None:
    if not (ROOT / "artifacts/models").exists():
        pytest.skip("the trained networks are not here; `dvc repro` makes them")


def champion() -> tuple[str, int]:
    """The run that a new store makes champion, by the mean over seeds, and its best seed."""
    metrics = results("reports/metrics.json")
    means = {}
    for run in metrics.keys() - {"tfidf", "tfidf-bigrams"}:
        means[run] = metrics[run]["validation/accuracy"]["mean"]
    best_run = max(means, key=means.__getitem__)
    scores = metrics[best_run]["validation/accuracy"]["scores"]
    return best_run, best_seed(scores)


def served() -> dict:
    """The answer of the server, which equals that of `predict`; tests/tracking checks this for the real server."""
    run, seed = champion()
    command = f"python -m pipeline predict --json --run {run} --seed {seed} '{SERVED}'"
    answers = json.loads(printed(command))
    for answer in answers:
        answer["probability"] = pytest.approx(answer["probability"], abs=1e-6)
    return {"predictions": answers}


def test_the_shown_summary_is_the_printed_one():
    command = "python -m pipeline summary"
    assert readme.outputs()[command] == printed(command).lstrip()


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("name", ["predict", "read"])
def test_the_shown_answer_of_a_network_is_the_printed_one(name):
    command = command_with(f"pipeline {name} ")
    assert readme.outputs()[command] == printed(command)


@pytest.mark.usefixtures("networks")
def test_the_answer_of_the_server_is_the_predicted_one():
    command = command_with("curl ")
    assert f'{{"inputs": ["{SERVED}"]}}' in command
    assert json.loads(readme.outputs()[command]) == served()


def test_the_shown_error_of_a_csv_file_is_the_printed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert readme.outputs()["python -m pipeline prepare"] == refused()


def test_every_shown_output_is_checked():
    with_output = [command for command, output in readme.outputs().items() if output]
    checked = [command_with(words) for words in CHECKED_OUTPUTS]
    assert with_output == checked


def test_the_table_lists_every_environment_variable_of_the_project():
    names = set(stores.ADDRESSES)
    for path in (ROOT / "pipeline").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        names |= set(OWN_VARIABLE.findall(code))
    names -= SET_BY_THE_MAKEFILE
    listed = [cells[0].strip("`") for cells in readme.rows("variable")]
    assert sorted(listed) == sorted(names)


def test_the_readme_lists_every_variable_of_make():
    (values,) = re.findall(r"^QUOTED := (.*)$", text_of_makefile(), re.MULTILINE)
    (listed,) = re.findall(r"^Variables of `make`: (.*)$", readme.TEXT, re.MULTILINE)
    names = re.findall(r"`([A-Z_]+)`", listed)
    assert sorted(names) == sorted(values.split())


def minutes_of(command: str) -> int:
    """The time of a command on the machine in the first row of the table."""
    (head,) = re.findall(r"^\| measured on \|.*$", readme.TEXT, re.MULTILINE)
    columns = head.split(" | ")
    column = columns.index(f"`{command}`")

    first_row = readme.rows("measured on")[0]
    time = first_row[column]
    return int(time.removesuffix(" min"))


def test_the_time_of_the_small_study_is_about_the_sum_of_its_stages():
    seconds = results("benchmarks/quick.json")["seconds"]
    assert sum(seconds.values()) == pytest.approx(60 * minutes_of("make quick"), abs=60)


def test_the_time_of_the_study_is_about_the_sum_of_its_stages():
    seconds = results(durations.FILE.as_posix())["seconds"]
    stages = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"].keys() - {"track"}
    assert seconds.keys() <= stages

    minutes = minutes_of("make reproduce")
    total = sum(seconds.values())
    assert total < 60 * minutes + 150
    if seconds.keys() == stages:  # otherwise only a part of the study was timed
        assert minutes == 5 * round(total / 300)


def test_the_commands_come_early_and_the_prose_is_short():
    lines = readme.TEXT.splitlines()[:FIRST_COMMANDS]
    beginning = "\n".join(lines)
    for command in ("make reproduce", "make test", "make quick"):
        assert f"\n{command} " in beginning

    words = [len(paragraph.split()) for paragraph in readme.paragraphs()]
    assert sum(words) <= MOST_WORDS
    assert max(words) <= MOST_WORDS_OF_A_PARAGRAPH

    for sentence in readme.sentences():
        assert len(sentence.split()) <= MOST_WORDS_OF_A_SENTENCE, sentence


def text_of_makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_make_word_in_the_texts_is_in_the_makefile():
    words = set()
    for path in ROOT.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        words |= set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert words >= {"reproduce", "test", "ui", "quick", "full"}
    assert words <= set(re.findall(r"^([a-z-]+):", text_of_makefile(), re.MULTILINE))


@pytest.mark.parametrize("key", re.findall(r"--set-param ([\w.]+)=", readme.TEXT))
def test_a_changed_key_is_in_params_yaml(key):
    value = params.document(ROOT / "params.yaml")
    for part in key.split("."):
        value = value[part]
    assert isinstance(value, int)
