"""The report on invented studies: its files, their bytes, and its text."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.params import Mistake
from pipeline.reporting import document, figures
from pipeline.stages import report
from pipeline.stages.context import Context
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from tests.reporting import invented
from tests.reporting.invented import Outline

ROOT = Path(__file__).parents[2]
PANELS = {
    "accuracy": 1,
    "calibration": 8,
    "accuracy-by-length": 2,
    "differences": 1,
    "gradients-by-lag": 6,
    "gradients-by-length": 3,
    "memory-by-lag": 2,
    "gradients-by-start": 2,
    "gradients-by-place": 2,
    "half-life-by-length": 3,
    "horizons-by-length": 6,
    "lyapunov": 3,
    "bounds": 2,
    "gradient-norms": 2,
    "memory-beside-gradient": 4,
    "changed-reviews": 2,
    "truncation": 1,
    "memory-deficit": 2,
    "retention": 2,
    "reading-1": 2,
    "reading-2": 2,
    "tuning-by-trial": 2,
    "tuning-slices": 4,
    "tuning-sizes": 2,
    "tuning-parameters": 1,
    "tuning-importances": 1,
}
FIGURES = set(PANELS)
MACHINE_WORDS = r"\b(?:inf|nan|None|NaN|NaT|null)\b"
SMALL = replace(
    invented.WHOLE,
    runs=["feedforward-textbook", "vanilla-textbook"],
    comparisons=[],
    tuned=["vanilla"],
    lengths=[3],
    architectures=["vanilla"],
    seeds=2,
    seed_factors={},
)


class Page(HTMLParser):
    """The requests, links, ids and charts of a page; `open` lists the elements that are not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched: list[str | None] = []
        self.linked: list[str] = []
        self.ids: list[str | None] = []
        self.open: list[str] = []
        self.charts = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if tag == "a":
            self.linked.append(attributes["href"] or "")
        else:
            self.fetched += [attributes[name] for name in ("src", "href") if name in attributes]
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.charts += attributes.get("type") == "application/json"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def written(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    outline: Outline = invented.WHOLE,
    spoil: Callable[[], None] = lambda: None,
) -> Path:
    """The folder after `report` on an invented study; `spoil` may change its files first."""
    monkeypatch.chdir(ROOT)
    study = invented.study(outline)
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    invented.write(outline)
    spoil()
    invented.record(study)
    report.main(Context(study))
    return folder / "reports"


def markdown(folder: Path, monkeypatch: pytest.MonkeyPatch, outline: Outline) -> str:
    """The Markdown alone, without the time that pictures take."""
    monkeypatch.setattr(figures, "specified", lambda panels: panels)
    monkeypatch.setattr(document, "pictures", lambda story: {})
    monkeypatch.setattr(document, "html", lambda story: "")
    return (written(folder, monkeypatch, outline) / "README.md").read_text()


def outputs(reports: Path) -> dict[str, bytes]:
    files = [
        reports / "README.md",
        reports / "index.html",
        reports / "playground.html",
        *sorted((reports / "figures").iterdir()),
    ]
    return {str(file.relative_to(reports)): file.read_bytes() for file in files}


OF_REPLICATION = "−99.0 points (−99.5 to −98.0 points)"


def contradicted(claim: dict) -> dict:
    """The claim as `claims` writes it if a replication has another verdict."""
    numbers = {
        "value": -0.99,
        "low": -0.995,
        "high": -0.98,
        "unit": "points",
        "threshold": 0.0,
        "side": "above",
    }
    replication = {
        "name": "amd",
        "verdict": "does not hold",
        "obstacle": "",
        "measures": [
            {**measure, **numbers}
            for measure in claim["measures"]
            if measure["threshold"] is not None
        ],
    }
    return {
        **claim,
        "verdict": "unstable",
        "verdict_here": claim["verdict"],
        "replications": [replication],
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield written(tmp_path_factory.mktemp("full"), monkeypatch)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield written(tmp_path_factory.mktemp("quick"), monkeypatch, invented.QUICK)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield written(tmp_path_factory.mktemp("small"), monkeypatch, SMALL)


def test_the_same_files_give_the_same_bytes_in_any_folder_and_order(
    small, full, tmp_path, monkeypatch
):
    again = outputs(written(tmp_path / "another name", monkeypatch, SMALL))
    assert again == outputs(small)
    assert str(tmp_path) not in "".join(text.decode() for text in again.values())


def test_a_flipped_bit_in_an_unread_prediction_stops_the_report(small, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(small.parent, tmp_path / "study"))
    predictions = artifacts.predictions("vanilla-textbook")
    artifacts.write_bytes(predictions, b"predictions")
    out = {"path": "artifacts/predictions", "md5": lock_comparison.hash_of(predictions.parent)}
    lock = artifacts.read_json(Path("dvc.lock"))
    lock["stages"]["evaluate"]["outs"].append(out)
    artifacts.write_json(Path("dvc.lock"), lock)
    listing = lock_comparison.files(predictions.parent)
    monkeypatch.setattr(lock_comparison, "listing", lambda *_: listing)

    shutil.rmtree("reports/figures")
    artifacts.write_bytes(predictions, b"predictionr")
    with pytest.raises(
        Mistake,
        match=r"^evaluate: artifacts/predictions/vanilla-textbook.parquet differs from dvc.lock",
    ):
        report.main(Context(params.read()))
    assert not Path("reports/figures").exists()


def cut_a_table(lock: dict) -> None:
    text = artifacts.read_text(artifacts.memory(3))
    artifacts.write_text(artifacts.memory(3), text[: len(text) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_a_table, "gradients@3: .*y/3"),
        (
            lambda lock: lock["stages"].pop("train@vanilla-textbook"),
            "dvc.lock: the stage train@vanilla-textbook is missing",
        ),
        (lambda lock: lock["stages"].clear(), "dvc.lock: the stage prepare is missing"),
    ],
    ids=["a truncated table", "a stage that never ran", "no record"],
)
def test_a_file_or_stage_missing_in_dvc_lock_is_refused_by_name(
    damage, message, small, tmp_path, monkeypatch
):
    monkeypatch.chdir(shutil.copytree(small.parent, tmp_path / "study"))
    lock = artifacts.read_json(Path("dvc.lock"))
    damage(lock)
    artifacts.write_json(Path("dvc.lock"), lock)
    with pytest.raises(Mistake, match=f"^{message}"):
        report.main(Context(params.read()))


def test_every_file_is_listed_with_its_hash_and_the_keys_of_its_runs(small):
    stages = dvc_lock.finished(small.parent)
    metrics_hash = stages["evaluate"].outs["reports/metrics.json"]
    key = stages["train@vanilla-textbook"].key()

    text = (small / "README.md").read_text()
    assert f"| reports/metrics.json | evaluate | {metrics_hash} |" in text
    assert f"| vanilla-textbook | rnn-for-nlp/training | {key} |" in text

    titles = re.findall('title="([^"]*)"', (small / "index.html").read_text())
    (title,) = {title for title in titles if title.startswith("reports/metrics.json")}
    assert metrics_hash in title
    assert key in title


def test_a_study_without_live_networks_links_no_playground(tmp_path, monkeypatch):
    def without_networks():
        card = artifacts.read_json(artifacts.PLAYGROUND_CARD)
        artifacts.write_json(artifacts.PLAYGROUND_CARD, card | {"networks": {}})

    assert "](playground.html)" in markdown(tmp_path / "with", monkeypatch, SMALL)
    reports = written(tmp_path / "without", monkeypatch, SMALL, without_networks)
    assert "playground" not in (reports / "README.md").read_text()
    assert "This study has none of the networks" in (reports / "playground.html").read_text()


@pytest.mark.exhaustive
def test_another_path_zone_locale_or_date_gives_the_same_bytes(small, tmp_path):
    study = tmp_path / "ein Ordner, größer"
    shutil.copytree(small.parent, study)
    expected = outputs(study / "reports")
    for name in expected:
        (study / "reports" / name).unlink()

    place = {
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "0",
        "PYTHONHASHSEED": "7",
    }
    environment = {**os.environ, **place, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "pipeline", "report"],
        cwd=study,
        env=environment,
        check=True,
    )
    assert outputs(study / "reports") == expected
    assert "1970" not in (study / "reports/README.md").read_text()


def test_every_figure_of_the_markdown_is_a_picture_with_alternative_text(full):
    text = (full / "README.md").read_text()
    assert {file.stem for file in (full / "figures").iterdir()} == FIGURES
    pictures = re.findall(r"!\[[^\]]+\]\(figures/([a-z0-9-]+)\.svg\)", text)
    assert set(pictures) == FIGURES
    for name in pictures:
        assert ElementTree.parse(full / "figures" / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314


def test_the_page_fetches_nothing_is_well_formed_and_has_every_panel(full):
    page = Page((full / "index.html").read_text())
    assert page.fetched == ["data:,"]
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    other_lengths = len(invented.WHOLE.lengths) - 1
    assert page.charts == sum(PANELS.values()) + other_lengths * (
        PANELS["gradients-by-lag"] + PANELS["memory-by-lag"]
    )


def test_every_link_of_the_page_leads_to_a_file_or_a_place_that_is_there(full):
    page = Page((full / "index.html").read_text())
    assert {"gradients/100.csv", "memory/10.csv", "tuning/vanilla.csv", "metrics.json"} <= set(
        page.linked
    )
    for link in page.linked:
        assert link[1:] in page.ids if link.startswith("#") else (full / link).is_file(), link


def test_the_document_answers_in_the_order_of_its_questions(full):
    headings = re.findall(r"^## (.+)$", (full / "README.md").read_text(), re.MULTILINE)
    parts = [
        "In one minute",
        "the textbook says",
        "The answer",
        "run on",
        "Every run, and the comparisons",
        "How gradients fade",
        "remembered",
        "Read word by word",
        "tuning found",
        "Model card and data card",
        "Method and caveats",
        "How to reproduce it",
        "Where the numbers come from",
    ]
    for part, heading in zip(parts, headings, strict=True):
        assert part in heading


def test_the_table_of_results_has_every_run_and_the_linear_ceiling(full):
    table = (full / "README.md").read_text().split("sd (points)")[1].split("seeds the")[0]
    metrics = artifacts.read_json(full / "metrics.json")
    for run in [*invented.WHOLE.runs, "tfidf", "tfidf-bigrams"]:
        (row,) = re.findall(rf"^\| {run} \| .*%.*,?.*\|$", table, re.MULTILINE)
        for score in metrics[run]["test/accuracy"]["scores"].values():
            assert f"{score * 100:.1f}" in row


def test_the_report_gives_the_number_of_seeds_of_each_run(full):
    text = (full / "README.md").read_text()
    assert (
        "vanilla-textbook and bidirectional-textbook were trained on 6 seeds, every other run on 3."
        in text
    )
    assert "3 or 6 seeds per run" in text
    for run, seeds in (("vanilla-textbook", 6), ("vanilla-tuned", 3), ("tfidf", "none")):
        assert re.search(rf"^\| {run} \| [\d,]+ \| {seeds} \|", text, re.MULTILINE)
    assert "3 and 6 seeds): " in text, "of a declared comparison"


def test_equal_runs_have_one_number_of_seeds_in_every_sentence(tmp_path, monkeypatch):
    text = markdown(tmp_path / "equal", monkeypatch, replace(invented.WHOLE, seed_factors={}))
    assert "Every run was trained on 3 seeds." in text
    assert "and 3 seeds per run" in text
    assert "Numbers of seeds at" not in text
    assert "luckier" not in text


def test_tables_of_lengths_that_are_not_listed_are_named_and_not_read(
    small, tmp_path, monkeypatch, capsys
):
    def spoil():
        for table in (artifacts.gradients(77), artifacts.memory(77), artifacts.trials("lstm")):
            artifacts.write_text(table, "not a table of this study\n")

    reports = written(tmp_path / "stale", monkeypatch, SMALL, spoil)
    assert capsys.readouterr().out.splitlines() == [
        f"reports/{folder}: stale, not in params.yaml and not in the report: {name}"
        for folder, name in (("gradients", "77"), ("memory", "77"), ("tuning", "lstm"))
    ]
    assert outputs(reports) == outputs(small)


@pytest.mark.parametrize(
    "outline",
    [
        pytest.param(
            replace(
                SMALL, runs=["lstm-textbook"], architectures=["lstm"], lengths=[100, 30], seeds=10
            ),
            marks=pytest.mark.exhaustive,
        ),
        replace(
            SMALL,
            runs=["feedforward-textbook", "vanilla-tuned"],
            architectures=["feedforward"],
            tuned=["vanilla"],
        ),
        replace(
            SMALL,
            runs=["flattened-textbook", "vanilla-textbook"],
            architectures=["flattened", "vanilla"],
            lengths=[100, 200],
        ),
    ],
    ids=["one run on ten seeds", "only tuned recurrence", "a fixed size at one of two lengths"],
)
def test_any_part_of_a_study_can_be_reported(tmp_path, monkeypatch, outline):
    reports = written(tmp_path / "part", monkeypatch, outline)
    text = (reports / "README.md").read_text()
    assert ("gradients were not measured at that length" in text) == (100 not in outline.lengths)
    assert Page((reports / "index.html").read_text()).open == []


def test_trials_that_diverged_or_repeated_are_listed_with_the_reason(full):
    text = (full / "README.md").read_text()
    table = text.split("Trials that diverged or repeated an earlier one")[1].split(
        "Read this with care"
    )[0]
    for row in (
        r"2 \| completed \| 3 \| [\d.]+ % \| the settings of trial 1 again",
        r"6 \| completed \| 3 \| [\d.]+ % \| the settings of trial 5 again",
        r"7 \| diverged \| none \| none \| loss is \\\| not &lt;finite>",
    ):
        for architecture in ("vanilla", "bidirectional"):
            assert re.search(rf"^\| {architecture} \| {row} \|$", table, re.MULTILINE), row
    assert table.count("| vanilla |") == 3


def test_the_race_and_the_regret_of_each_search_are_tables(full):
    text = (full / "README.md").read_text()
    for architecture in ("vanilla", "bidirectional"):
        race = artifacts.read_json(full / f"tuning/{architecture}.json")["race"]
        outcomes = ["replaced", "chosen", "dropped: not ahead after half of the seeds"]
        for contestant, outcome in zip(race, outcomes, strict=True):
            name = (
                "starting recipe"
                if contestant["starting_recipe"]
                else f"trial {contestant['trial']}"
            )
            assert re.search(
                rf"^\| {architecture} \| {name} \|.* \| {outcome} \|$", text, re.MULTILINE
            ), name

        regret = rf"\| {architecture} \| trial {race[1]['trial']} \| 2 \| 81.5 % \| 82.5 % \| \+1.0 \| −2.0 to 4.0 \|"
        assert re.search(regret, text)


def test_the_table_of_comparisons_gives_p_better_with_its_interval(full):
    text = (full / "README.md").read_text()
    for row in artifacts.read_json(full / "comparisons.json"):
        interval = ""
        if row["p_better_low"] is not None:
            interval = f" ({row['p_better_low']:.2f} to {row['p_better_high']:.2f})"
        cell = re.escape(f"| {row['p_better']:.2f}{interval} | {row['answers']} |")
        assert re.search(rf"^\| {row['run']} \| {row['baseline']} \|.*{cell}$", text, re.MULTILINE)


@pytest.mark.exhaustive
def test_a_search_with_one_completed_trial_has_no_importances_or_contour(tmp_path, monkeypatch):
    def spoil():
        table = artifacts.read_csv(artifacts.trials("vanilla"))
        table.loc[table.trial > 0, "state"] = "FAIL"
        artifacts.write_csv(artifacts.trials("vanilla"), table)

        start = invented.contestant(table, 0)
        summary = {
            "chosen": {name: start[name] for name in ("trial", "starting_recipe", "settings")},
            "race": [],
            "regret": {"difference": 0.0, "low": None, "high": None},
            "expected_best": [0.8],
            "importances": {"evaluator": "PED-ANOVA", "values": None},
        }
        artifacts.write_json(artifacts.tuning_summary("vanilla"), summary)

    reports = written(tmp_path / "one", monkeypatch, replace(SMALL, tuned=["vanilla"]), spoil)
    text = (reports / "README.md").read_text()
    assert "which dimension mattered cannot be told" in text
    assert "For vanilla the completed trials span no area" in text
    assert "nothing beats the starting recipe: in the search, no trial was ahead of it" in text
    assert "Regret: chosen minus starting recipe" not in text

    expected = {name for name in FIGURES if name.startswith("tuning-")} - {"tuning-importances"}
    assert set(re.findall(r"figures/(tuning-[a-z-]+)\.svg", text)) == expected


def test_a_search_without_its_summary_is_a_mistake_that_names_the_file(tmp_path, monkeypatch):
    def spoil():
        artifacts.tuning_summary("vanilla").unlink()

    with pytest.raises(Mistake, match=r"reports/tuning/vanilla.json: not here yet"):
        written(tmp_path / "half", monkeypatch, replace(SMALL, tuned=["vanilla"]), spoil)


def test_a_number_that_is_not_finite_is_named_and_drawn_as_a_gap(tmp_path, monkeypatch):
    def spoil():
        metrics = artifacts.read_json(artifacts.METRICS)
        metrics["vanilla-textbook"]["test/accuracy"] = invented.summary([0.8, np.nan])
        artifacts.write_json(artifacts.METRICS, metrics)
        for path, column in (
            (artifacts.gradients(3), "log10_relative_norm"),
            (artifacts.memory(3), "sign_accuracy"),
        ):
            table = artifacts.read_csv(path)
            table.loc[(table.seed == 1) & (table.lag_tokens > 0), column] = np.nan
            artifacts.write_csv(path, table)

    text = (written(tmp_path / "gaps", monkeypatch, SMALL, spoil) / "README.md").read_text()
    assert "| vanilla-textbook | 326,273 | 2 | not finite | none | not finite |" in text
    assert "not ranked: vanilla-textbook" in text
    assert "nan" not in text.lower().replace("nance", "")


@pytest.mark.exhaustive
def test_a_length_for_which_no_review_is_long_enough_is_reported_as_none(tmp_path, monkeypatch):
    def spoil():
        for path in (artifacts.gradients(900), artifacts.memory(900)):
            artifacts.write_csv(path, artifacts.read_csv(path).head(0))

    monkeypatch.setattr(document, "pictures", lambda story: {})
    reports = written(tmp_path / "long", monkeypatch, replace(SMALL, lengths=[3, 900]), spoil)
    text = (reports / "README.md").read_text()
    assert "| vanilla | forward | trained | " in text
    assert re.search(r"\| reviews measured \|  \|  \| 500 \| 0 \|", text)


def test_a_length_without_training_is_named_but_never_the_headline(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "pictures", lambda story: {})
    reports = written(tmp_path / "untrained", monkeypatch, replace(SMALL, lengths=[3, 900]))
    text = (reports / "README.md").read_text()
    assert "the nearest that was: 3 tokens" in text
    assert "No network was trained at 900 tokens" in text
    assert re.search(r"\| vanilla \| 100 \| 900 \|", text)
    assert "| trained at this length | 2 / 500 | none |" in text


def test_texts_from_the_files_cannot_become_markup(tmp_path, monkeypatch):
    hostile = '</script><script>alert("x")</script> {{ 1 }} | *bold* ![i](x) <img src=x onerror=1>'

    def spoil():
        card = artifacts.read_json(artifacts.DATA_CARD)
        own = {"source": "csv", "subject": hostile, "labels": {"negative": hostile, "positive": ""}}
        artifacts.write_json(artifacts.DATA_CARD, {**card, **own, "split_rule": hostile})

    monkeypatch.setattr(document, "pictures", lambda story: {})
    reports = written(tmp_path / "hostile", monkeypatch, SMALL, spoil)
    page = (reports / "index.html").read_text()
    assert '<script>alert("x")' not in page
    assert "<img src=x" not in page
    assert Page(page).fetched == ["data:,"]

    text = (reports / "README.md").read_text()
    assert "<script>" not in text
    assert r"&lt;/script> {{ 1 }} \| \*bold\* !\[i\](x) &lt;img" in text


@pytest.mark.parametrize("subject", ["texts", "text messages"])
def test_a_report_about_a_csv_says_what_its_texts_and_labels_are(tmp_path, monkeypatch, subject):
    def change():
        card = artifacts.read_json(artifacts.DATA_CARD)
        labels = {"negative": "schlecht", "positive": "gut"}
        own = {"source": "csv", "subject": subject, "labels": labels, "split_rule": "Blocks."}
        artifacts.write_json(artifacts.DATA_CARD, {**card, **own})
        artifacts.write_json(artifacts.CLAIMS, invented.claim_table(SMALL.lengths))

    monkeypatch.setattr(document, "pictures", lambda story: {})
    reports = written(tmp_path / "csv", monkeypatch, SMALL, change)
    text = (reports / "README.md").read_text()
    assert f"# What recurrent networks do with {subject}\n" in text
    assert f"25,000 {subject} (the CSV file that data.path names)" in text
    assert "each of them a review. Positive is the label 'gut', negative is 'schlecht'." in text
    assert ("The texts are text messages and come" in text) == (subject == "text messages")
    for file in ("README.md", "index.html"):
        assert not re.search("film|movie", (reports / file).read_text(), re.IGNORECASE)


def test_importing_the_stage_imports_no_network_library_and_no_mlflow():
    unwanted = {"tensorflow", "keras", "mlflow", "optuna"}
    code = f"import sys, pipeline.stages.report; print(*{unwanted} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == ""


@pytest.mark.parametrize(
    ("data", "is_ours"),
    [({}, True), ({"limit": 1000}, False), ({"source": "rotten_tomatoes"}, False)],
)
def test_only_our_own_study_discloses_how_its_thresholds_came_about(data, is_ours):
    parameters = params.read(ROOT / "params.yaml")
    parameters = parameters.model_copy(update={"data": parameters.data.model_copy(update=data)})
    assert len(parameters.claims.disclosures) > 1
    expected = parameters.claims.disclosures if is_ours else []
    assert report._disclosures(parameters) == expected


def test_disclosures_stand_next_to_the_table(small):
    for file, answer in (("README.md", "## The answer"), ("index.html", ">The answer</h2>")):
        opening = unescape((small / file).read_text()).split(answer)[0]
        for disclosure in params.read(ROOT / "params.yaml").claims.disclosures:
            assert disclosure in opening


@pytest.mark.parametrize(
    ("file", "answer", "end_of_row"),
    [("README.md", "## The answer", "\n"), ("index.html", ">The answer</h2>", "</tr>")],
)
def test_the_document_opens_with_the_textbooks_sentences_and_verdicts(
    full, file, answer, end_of_row
):
    claims = artifacts.read_json(full / "claims.json")
    assert len({claim["verdict"] for claim in claims}) > 1

    opening = unescape((full / file).read_text()).split(answer)[0]
    places = [opening.index(claim["sentence"]) for claim in claims]
    assert places == sorted(places)
    for place, claim in zip(places, claims, strict=True):
        row = opening[place:].split(end_of_row)[0]
        assert claim["verdict"] in row
        assert claim["caveat"] not in row
        for measure in claim["measures"]:
            is_in_row = f"asked: {measure['side']} " in row and measure["what"] in row
            assert is_in_row == (measure["threshold"] is not None)


@pytest.mark.parametrize(
    "study", ["full", pytest.param("quick", marks=pytest.mark.exhaustive), "small"]
)
def test_no_number_is_shown_as_a_computer_spells_that_there_is_none(study, request):
    text = (request.getfixturevalue(study) / "README.md").read_text()
    assert re.findall(MACHINE_WORDS, text) == []


@pytest.mark.exhaustive
def test_a_study_as_small_as_make_quick_is_reported_whole(quick):
    page = Page((quick / "index.html").read_text())
    assert page.open == []
    assert {file.stem for file in (quick / "figures").iterdir()} == FIGURES
    text = (quick / "README.md").read_text()
    assert "| trained at this length | 2 / 500 | 2 to 4 / 500 | none |" in text
    assert "| trained at 100 tokens | 2 / 500 | 2 to 4 / 500 | 2 / 500 |" in text


def test_networks_of_the_textbooks_length_are_not_shown_at_another(full):
    text = (full / "README.md").read_text()
    parts = re.split(
        r"Half-life and horizons of the median seed at (\d+) tokens",
        text.split("Half-life and horizons at every length")[1],
    )
    designs = {}
    for length, part in zip(parts[1::2], parts[2::2], strict=True):
        table = part.split("</details>")[0]
        designs[int(length)] = re.findall(
            r"^\| vanilla \| (trained at .*?) \|", table, re.MULTILINE
        )

    here, at_100 = "trained at this length", "trained at 100 tokens"
    assert designs == {10: [here, at_100], 50: [here, at_100], 100: [here], 200: [at_100]}
    assert "vanilla, trained at 100 tokens: half-life" in text

    for caption in ("left of a word at the largest lag", "How far memory reaches"):
        table = re.split(rf"\*\*[^*\n]*{caption}", text)[1].split("</details>")[0]
        rows = set(re.findall(r"^\| vanilla \| (\d+) \| (\d+) \|", table, re.MULTILINE))
        assert rows >= {("10", "10"), ("50", "50"), ("100", "100"), ("100", "200")}
        assert rows <= {
            ("10", "10"),
            ("50", "50"),
            *(("100", length) for length in ("10", "50", "100", "200")),
        }


@pytest.mark.parametrize(
    ("outline", "sentences"),
    [
        (
            replace(
                invented.WHOLE,
                comparisons=[],
                lags=[],
                architectures=["feedforward", "lstm"],
                lengths=[10, 50],
                seeds=2,
            ),
            [
                "in a synthetic task with a known answer, was not measured",
                "makes a gradient fade was not measured",
                "In the trained lstm network the gradient ",
                "the nearest that was: 50 tokens",
                "With 2 seeds the intervals are wide",
                "Values smaller than 1 quickly disappear to 0 (Vanishing Gradient). | ? **not shown** | "
                "nothing that decides was measured |",
            ],
        ),
        (
            replace(
                invented.WHOLE,
                comparisons=[],
                runs=[run for run in invented.WHOLE.runs if run.endswith("textbook")],
                architectures=["feedforward"],
                lengths=[200],
                trained_up_to=50,
                tuned=["vanilla"],
            ),
            [
                "No gradient of a trained recurrent network was measured",
                "No network was trained at 200 tokens",
            ],
        ),
    ],
    ids=[
        "no synthetic task, no tanh network, not the textbook's length",
        "nothing recurrent, nothing trained there",
    ],
)
def test_a_study_that_lacks_a_part_is_reported_and_says_so(
    outline, sentences, tmp_path, monkeypatch
):
    text = markdown(tmp_path / "part", monkeypatch, outline)
    for sentence in sentences:
        assert sentence in text
    assert re.findall(MACHINE_WORDS, text) == []


HOSTILE_WORDS = [
    "</script><script>alert(1)</script>",
    "a|b",
    "{{seven}}",
    "{%raw%}",
    "\u202egnp",
    '"><img onerror=alert(1)>',
    "nu\0ll",
    "`*_[x](y)",
    "end",
]


def write_hostile_words() -> None:
    """A review with these words, and claims: the first quotes them, and a replication contradicts another one."""
    examples = artifacts.read_json(artifacts.EXAMPLES)
    reading = {
        "token": HOSTILE_WORDS,
        "probability": [0.5, *[0.9] * 8],
        "gradient": [0.0, *[1.0] * 8],
    }
    review = examples["reviews"][0]
    review["readings"] = dict.fromkeys(review["readings"], reading)
    artifacts.write_json(artifacts.EXAMPLES, examples)

    first, *others = artifacts.read_json(artifacts.CLAIMS)
    decided = next(
        claim for claim in others if any(measure["verdict"] for measure in claim["measures"])
    )
    hostile = {**first, "sentence": " ".join(HOSTILE_WORDS), "caveat": "<img src=y>"}
    artifacts.write_json(artifacts.CLAIMS, [hostile, contradicted(decided)])


def test_a_review_that_was_written_to_become_markup_stays_text(tmp_path, monkeypatch):
    reports = written(tmp_path / "review", monkeypatch, SMALL, write_hostile_words)
    page = (reports / "index.html").read_text()
    assert Page(page).fetched == ["data:,"]
    assert Page(page).open == []
    page = page.split("</main>")[0]  # behind it is Vega
    assert "<script>alert" not in page
    assert "<img" not in page

    text = (reports / "README.md").read_text()
    assert "<script>" not in text
    assert "<img" not in text

    picture = (reports / "figures/reading-1.svg").read_text()
    assert "<img" not in picture
    ElementTree.fromstring(picture)  # noqa: S314 - a null byte would end it

    for form in (page, text, picture):
        assert "\0" not in form
        assert "\u202e" not in form
        for word in ("{{seven}}", "{%raw%}", "‹U+202E›gnp", "nu␀ll"):
            assert word in form
    for form in (page, text):
        assert "≠ **unstable**" in form or "≠</span> unstable" in form
        assert "The verdict here held in 0 of 1 replication." in form
        assert f"amd: {OF_REPLICATION}" in form
        assert "A verdict that a replication contradicts is unstable." in " ".join(form.split())

    (row,) = re.findall(r"^\| &lt;/script>.*$", text, re.MULTILINE)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
