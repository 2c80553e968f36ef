"""The documents name paths, pages, anchors and commands that exist. The lab notebook and the changelog are history."""

import re
import shlex
from pathlib import Path

import pytest
from dvc.cli import parser as dvc_parser
from ruamel.yaml import YAML

from pipeline import __main__ as command_line
from pipeline.params import Params, document, validated
from pipeline.storage import lock_comparison

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CHANGELOG = ROOT / "CHANGELOG.md"
NOTEBOOK = DOCS / "lab-notebook.md"
INDEX = DOCS / "README.md"
HISTORY = [CHANGELOG, NOTEBOOK]
REPLICATIONS = ROOT / "reports/replications/README.md"
EVERY_DOCUMENT = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), REPLICATIONS])
DOCUMENTS = [path for path in EVERY_DOCUMENT if path not in HISTORY]
GUIDES = [DOCS / "architecture.md", *sorted(DOCS.glob("guides/*.md"))]
PAGES = [INDEX, *GUIDES, *sorted(DOCS.glob("tutorial*.md"))]

PATH_OF_CODE = re.compile(r"\b(?:pipeline|benchmarks|chaos|tests)/[\w/]+(?:\.\w+)?")
CODE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
VERSION = re.compile(r"^## ([\d.]+) \(\d{4}-\d\d-\d\d\)$", re.MULTILINE)
DATED = re.compile(r"\d{4}-\d\d-\d\d: .")
VARIABLES = re.compile(r"^\s*([A-Z_]+=\S* )+")  # in front of a command
MOST_WORDS = 700
FIRST_COMMAND_LINE = 10


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def prose(document: Path) -> str:
    """The text without code and comments."""
    without_code = CODE.sub("", text_of(document))
    return COMMENT.sub("", without_code)


def paths_of_code(document: Path) -> list[str]:
    paths = PATH_OF_CODE.findall(text_of(document))
    return sorted(set(paths))


def links(document: Path) -> list[str]:
    """The targets of the links and pictures of a page, without addresses on the web."""
    targets = LINK.findall(prose(document))
    return [target for target in targets if "://" not in target]


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, formed as Git hosts do."""
    titles = HEADING.findall(prose(document))
    words = [re.sub(r"[^\w -]", "", title) for title in titles]
    return {title.lower().replace(" ", "-") for title in words}


def blocks(document: Path, language: str = "") -> list[str]:
    """The blocks of code in this language. Commands have none."""
    pairs = CODE.findall(text_of(document))
    return [block for name, block in pairs if name == language]


def commands(document: Path) -> list[list[str]]:
    """The words of each command of a page, without comments and without variables in front."""
    lines = []
    for block in blocks(document):
        joined = block.replace("\\\n", "")
        lines += joined.splitlines()

    parsed = []
    for line in lines:
        command = VARIABLES.sub("", line)
        parsed.append(shlex.split(command, comments=True))
    return list(filter(None, parsed))


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_of_code_in_a_document_exists(document):
    paths = paths_of_code(document)
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_the_documents_quote_paths_of_code():
    quoting = {document.name for document in filter(paths_of_code, DOCUMENTS)}
    assert quoting >= {"AGENTS.md", "CONTRIBUTING.md", "README.md", "acceptance.md"}


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_index_links_every_page():
    linked = [(DOCS / link).resolve() for link in links(INDEX)]
    decisions = set(DOCS.glob("decisions/*.md"))
    pages = set(DOCS.glob("**/*.md"))
    assert pages - decisions - {INDEX} - set(linked) == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_is_short_and_begins_with_a_command(page):
    words = prose(page).split()
    assert len(words) <= MOST_WORDS

    before, _, _ = text_of(page).partition("```")
    assert before.count("\n") < FIRST_COMMAND_LINE


def check_target(words: list[str]) -> None:
    makefile = text_of(ROOT / "Makefile")
    assert f"\n{words[1]}:" in makefile, words


def check_dvc(words: list[str]) -> None:
    parser = dvc_parser.get_main_parser()
    assert parser.parse_args(words[1:]).func


def check_pipeline(words: list[str]) -> None:
    arguments = command_line.parser().parse_args(words[3:])
    assert arguments.command in command_line.COMMANDS


@pytest.mark.parametrize("page", [INDEX, *GUIDES], ids=name_of)
def test_the_commands_of_a_page_exist(page):
    lines = commands(page)
    assert lines
    for words in lines:
        match words:
            case ["make", *_]:
                check_target(words)
            case ["dvc", *_]:
                check_dvc(words)
            case ["python", "-m", "pipeline", command, *_] if command != "--help":
                check_pipeline(words)


def merged(settings: dict, changes: dict) -> dict:
    """The settings with the changes, key by key."""
    result = dict(settings)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) else value
    return result


@pytest.mark.parametrize("page", ["own-data", "change-and-compare"])
def test_the_settings_of_a_guide_are_valid(page):
    (block,) = blocks(DOCS / f"guides/{page}.md", "yaml")
    changes = YAML(typ="safe").load(block)
    study = document(ROOT / "params.yaml")
    textbook = study["settings"]["textbook"]

    added = changes.get("settings", {})
    for name, values in added.items():
        added[name] = textbook | values
    validated(Params, merged(study, changes), page)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("a threshold in `claims`", "claims"),
        ("a threshold in `attractor`", "attractor"),
        ("`remedies.runs`", "remedies.runs"),
        ("`gradients.reviews`", "gradients.reviews"),
    ],
)
def test_the_guide_names_the_stages_that_run_again(change, key):
    page = text_of(DOCS / "guides/change-and-compare.md")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {change} |")]
    *_, cell, _ = row.split("|")
    assert set(re.findall("`(.+?)`", cell)) == stages_that_read(key)


def stages_that_read(key: str) -> set[str]:
    """The stages of dvc.yaml with this parameter, and all that read their results."""
    stages = document(ROOT / "dvc.yaml")["stages"]
    entries = {name: stage.get("do", stage) for name, stage in stages.items()}
    names = {name for name, entry in entries.items() if key in entry.get("params", [])}

    for _ in entries:
        for name, entry in entries.items():
            results = [
                out for other in names for out in paths_in(entries[other], "outs", "metrics")
            ]
            deps = paths_in(entry, "deps")
            if any(lock_comparison.overlap(dep, result) for dep in deps for result in results):
                names.add(name)
    return names


def paths_in(stage: dict, *sections: str) -> list[str]:
    entries = [entry for section in sections for entry in stage.get(section, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_the_newest_version_of_the_changelog_is_that_of_the_project():
    newest, *_ = VERSION.findall(text_of(CHANGELOG))
    project = text_of(ROOT / "pyproject.toml")
    citation = text_of(ROOT / "CITATION.cff")
    assert f'\nversion = "{newest}"\n' in project
    assert f"\nversion: {newest}\n" in citation


def test_each_entry_of_the_lab_notebook_has_a_date_and_a_verdict():
    _, *entries = text_of(NOTEBOOK).split("\n## ")
    assert len(entries) > 40
    undated = [entry[:80] for entry in entries if not DATED.match(entry)]
    assert undated == []

    undecided = [entry[:80] for entry in entries if "**Verdict.**" not in entry]
    assert undecided == []
