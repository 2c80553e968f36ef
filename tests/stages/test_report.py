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
from pipeline.reporting.page import render
from pipeline.stages import report
from pipeline.stages.context import Context
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.tracking.run_records import record
from tests.reporting import invented
from tests.reporting.invented import Outline

ROOT = Path(__file__).parents[2]
MACHINE_WORDS = r"\b(?:inf|nan|None(?! of)|NaN|NaT|null)\b"
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
        if tag not in ("meta", "link", "br"):
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

    page = (small / "index.html").read_text()
    assert f"<code>{metrics_hash}</code>" in page
    assert f"<code>{key}</code>" in page


def test_a_study_without_live_networks_links_no_playground(small, tmp_path, monkeypatch):
    def without_networks():
        card = artifacts.read_json(artifacts.PLAYGROUND_CARD)
        artifacts.write_json(artifacts.PLAYGROUND_CARD, card | {"networks": {}})

    assert "playground.html" in (small / "README.md").read_text()
    reports = written(tmp_path / "without", monkeypatch, SMALL, without_networks)
    assert "playground" not in (reports / "README.md").read_text()
    assert 'href="playground.html"' not in (reports / "index.html").read_text()
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
    pictures = {file.stem for file in (full / "figures").iterdir()}
    assert set(re.findall(r"\]\(figures/([a-z0-9-]+)\.svg\)", text)) == pictures
    assert re.findall(r"!\[\]", text) == []
    for name in pictures:
        assert ElementTree.parse(full / "figures" / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314


def test_mlflow_finds_the_figures_that_it_shows(full):
    shown = {presentation.figure for presentation in record.PRESENTATIONS.values()} - {""}
    assert shown <= {file.stem for file in (full / "figures").iterdir()}


def test_the_markdown_has_at_most_400_lines(full):
    assert len((full / "README.md").read_text().splitlines()) <= 400


def test_the_page_fetches_nothing_and_is_well_formed(full):
    page = Page((full / "index.html").read_text())
    assert page.fetched == ["data:,"]
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.charts > 40


def test_every_link_of_the_page_leads_to_a_file_or_a_place_that_is_there(full):
    page = Page((full / "index.html").read_text())
    assert {"distances/100.csv", "memory/10.csv", "tuning/vanilla.csv", "metrics.json"} <= set(
        page.linked
    )
    for link in page.linked:
        assert link[1:] in page.ids if link.startswith("#") else (full / link).is_file(), link


def test_tables_of_lengths_that_are_not_listed_are_not_read(small, tmp_path, monkeypatch):
    def spoil():
        for table in (artifacts.gradients(77), artifacts.memory(77), artifacts.trials("lstm")):
            artifacts.write_text(table, "not a table of this study\n")

    reports = written(tmp_path / "stale", monkeypatch, SMALL, spoil)
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
    assert re.findall(MACHINE_WORDS, (reports / "README.md").read_text()) == []
    assert Page((reports / "index.html").read_text()).open == []


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
    assert "not finite" in text
    assert re.findall(MACHINE_WORDS, text) == []


def test_texts_from_the_files_cannot_become_markup(tmp_path, monkeypatch):
    hostile = '</script><script>alert("x")</script> {{ 1 }} | *bold* ![i](x) <img src=x onerror=1>'

    def spoil():
        card = artifacts.read_json(artifacts.DATA_CARD)
        own = {"source": "csv", "subject": hostile, "labels": {"negative": hostile, "positive": ""}}
        artifacts.write_json(artifacts.DATA_CARD, {**card, **own, "split_rule": hostile})

    monkeypatch.setattr(render, "pictures", lambda report: {})
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

    monkeypatch.setattr(render, "pictures", lambda report: {})
    reports = written(tmp_path / "csv", monkeypatch, SMALL, change)
    text = (reports / "README.md").read_text()
    assert f"# What recurrent networks do with {subject}\n" in text
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


def test_the_page_has_the_disclosures_of_our_own_study(small):
    page = unescape((small / "index.html").read_text())
    for disclosure in params.read(ROOT / "params.yaml").claims.disclosures:
        assert disclosure in page


@pytest.mark.parametrize("study", ["full", "small"])
def test_no_number_is_shown_as_a_computer_spells_that_there_is_none(study, request):
    text = (request.getfixturevalue(study) / "README.md").read_text()
    assert re.findall(MACHINE_WORDS, text) == []


@pytest.mark.parametrize(
    "outline",
    [
        replace(
            invented.WHOLE,
            comparisons=[],
            lags=[],
            architectures=["feedforward", "lstm"],
            lengths=[10, 50],
            seeds=2,
        ),
        replace(
            invented.WHOLE,
            comparisons=[],
            runs=[run for run in invented.WHOLE.runs if run.endswith("textbook")],
            architectures=["feedforward"],
            lengths=[200],
            trained_up_to=50,
            tuned=["vanilla"],
        ),
    ],
    ids=[
        "no synthetic task, no tanh network, not the textbook's length",
        "nothing recurrent, nothing trained there",
    ],
)
def test_a_study_that_lacks_a_part_is_reported_without_it(outline, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "pictures", lambda report: {})
    text = (written(tmp_path / "part", monkeypatch, outline) / "README.md").read_text()
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
    page = page.split("</script>\n<script>")[0]  # behind the data is Vega
    assert "<script>alert" not in page
    assert "<img" not in page

    text = (reports / "README.md").read_text()
    assert "<script>" not in text
    assert "<img" not in text

    picture = (reports / "figures/reading-1.svg").read_text()
    assert "<img" not in picture
    ElementTree.fromstring(picture)  # noqa: S314 - a null byte would end it

    words = ("{{seven}}", "{%raw%}", "‹U+202E›gnp", "nu␀ll")
    for form in (page, text, picture):
        assert "\0" not in form
        assert "\u202e" not in form
    assert [word for word in words if word not in page] == []
    assert [word for word in words if word not in picture] == []
    for row in re.findall(r"^\| &lt;/script>.*$", text, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", row)) > 2
