"""The documents name paths, pages, anchors and commands that exist. The lab notebook and the changelog are history."""

import re
import shlex
from pathlib import Path

import pytest
from dvc.cli import parser as dvc_parser
from ruamel.yaml import YAML

from pipeline import __main__ as command_line
from pipeline.params import Params, document, validated

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
NOTEBOOK = ROOT / "docs/lab-notebook.md"
HISTORY = {NOTEBOOK, CHANGELOG}
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - HISTORY)
PAGES = [ROOT / "docs/architecture.md", *sorted(ROOT.glob("docs/guides/*.md"))]
TUTORIAL = sorted(ROOT.glob("docs/tutorial*.md"))
INDEX = ROOT / "docs/README.md"
PATH_OF_CODE = re.compile(r"\b(?:pipeline|benchmarks|chaos|tests)/[\w/]+(?:\.\w+)?")
CODE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
MOST_WORDS = 700
FIRST_COMMAND_LINE = 10


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def paths_of_code(document: Path) -> set[str]:
    return set(PATH_OF_CODE.findall(text_of(document)))


def prose(document: Path) -> str:
    """The text without code and comments."""
    return re.sub(r"<!--.*?-->", "", CODE.sub("", text_of(document)), flags=re.DOTALL)


def links(document: Path) -> list[str]:
    """The targets of the links and pictures of a page, without addresses on the web."""
    targets = re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", text_of(document)))
    return [target for target in targets if "://" not in target]


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, formed as Git hosts do."""
    titles = re.findall(r"^#+ (.*)$", CODE.sub("", text_of(document)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(document: Path) -> list[list[str]]:
    """The words of each command of a page, without comments and without variables in front."""
    lines = []
    for language, block in CODE.findall(text_of(document)):
        if not language:
            lines += block.replace("\\\n", "").splitlines()
    parsed = [
        shlex.split(re.sub(r"^\s*([A-Z_]+=\S* )+", "", line), comments=True) for line in lines
    ]
    return [words for words in parsed if words]


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_of_code_in_a_document_exists(document):
    assert [path for path in sorted(paths_of_code(document)) if not (ROOT / path).exists()] == []


def test_the_documents_quote_paths_of_code():
    quoting = {document.name for document in DOCUMENTS if paths_of_code(document)}
    assert quoting >= {"AGENTS.md", "CONTRIBUTING.md", "README.md", "acceptance.md"}


@pytest.mark.parametrize("document", [*DOCUMENTS, *sorted(HISTORY)], ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_links_every_page():
    linked = {(INDEX.parent / link).resolve() for link in links(INDEX)}
    pages = {path for path in ROOT.glob("docs/**/*.md") if path.parent.name != "decisions"}
    assert linked >= pages - {INDEX}


@pytest.mark.parametrize("page", [INDEX, *PAGES, *TUTORIAL], ids=name_of)
def test_a_page_is_short_and_begins_with_a_command(page):
    assert len(prose(page).split()) <= MOST_WORDS
    text = text_of(page)
    first = text[: text.index("```")].count("\n") + 1
    assert first <= FIRST_COMMAND_LINE


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=name_of)
def test_the_commands_of_a_page_exist(page):
    makefile = text_of(ROOT / "Makefile")
    lines = commands(page)
    assert lines
    for words in lines:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        if words[0] == "dvc":
            assert dvc_parser.get_main_parser().parse_args(words[1:]).func
        if words[:3] == ["python", "-m", "pipeline"] and words[3:] != ["--help"]:
            arguments = command_line.parser().parse_args(words[3:])
            assert arguments.command in command_line.COMMANDS


def merged(settings: dict, changes: dict) -> dict:
    """The settings with the changes, key by key."""
    result = dict(settings)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) else value
    return result


@pytest.mark.parametrize("page", ["own-data", "change-and-compare"])
def test_the_settings_of_a_guide_are_valid(page):
    text = text_of(ROOT / f"docs/guides/{page}.md")
    (block,) = [block for language, block in CODE.findall(text) if language == "yaml"]
    settings = document(ROOT / "params.yaml")
    changes = YAML(typ="safe").load(block)
    for name, values in changes.get("settings", {}).items():
        changes["settings"][name] = settings["settings"]["textbook"] | values

    validated(Params, merged(settings, changes), page)


def test_the_newest_version_of_the_changelog_is_that_of_the_project():
    (newest, *_) = re.findall(
        r"^## ([\d.]+) \(\d{4}-\d\d-\d\d\)$", text_of(CHANGELOG), re.MULTILINE
    )
    assert f'\nversion = "{newest}"\n' in text_of(ROOT / "pyproject.toml")
    assert f"\nversion: {newest}\n" in text_of(ROOT / "CITATION.cff")


def test_each_entry_of_the_lab_notebook_has_a_date_and_a_verdict():
    _, *entries = re.split(r"^## ", text_of(NOTEBOOK), flags=re.MULTILINE)
    assert len(entries) > 40
    assert [entry for entry in entries if not re.match(r"\d{4}-\d\d-\d\d: .", entry)] == []
    assert [entry[:80] for entry in entries if "**Verdict.**" not in entry] == []
