"""Paths of code in the documents exist. The lab notebook and the changelog are history and may name old ones."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HISTORY = {ROOT / "docs/lab-notebook.md", ROOT / "CHANGELOG.md"}
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - HISTORY)
PATH_OF_CODE = re.compile(r"\b(?:pipeline|benchmarks|chaos|tests)/[\w/]+(?:\.\w+)?")


def paths_of_code(document: Path) -> set[str]:
    return set(PATH_OF_CODE.findall(document.read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_path_of_code_in_a_document_exists(document):
    assert [path for path in sorted(paths_of_code(document)) if not (ROOT / path).exists()] == []


def test_the_documents_quote_paths_of_code():
    quoting = {document.name for document in DOCUMENTS if paths_of_code(document)}
    assert quoting >= {"AGENTS.md", "CONTRIBUTING.md", "README.md", "acceptance.md"}
