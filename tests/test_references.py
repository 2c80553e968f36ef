"""docs/references.md and docs/references.bib have every paper that the project cites."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITING = ("pipeline/**/*.py", "docs/**/*.md", "*.md", "*.yaml", "benchmarks/**/*.py")
ARXIV = re.compile(r"\b\d{4}\.\d{5}\b|\barXiv[ :]?(\d{4}\.\d{4})\b")
ENTRY = re.compile(r"^@(\w+)\{(\w+),$", re.MULTILINE)
BIBLIOGRAPHY = (ROOT / "docs/references.bib").read_text(encoding="utf-8")
LIST = (ROOT / "docs/references.md").read_text(encoding="utf-8")


def fields(name: str) -> list[str]:
    return re.findall(rf"^  {name} = \{{(.+)\}},$", BIBLIOGRAPHY, re.MULTILINE)


def cited() -> set[str]:
    """The arXiv ids in code and documents."""
    paths = [path for pattern in CITING for path in ROOT.glob(pattern)]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    matches = [match for text in texts for match in ARXIV.finditer(text)]
    return {match[1] or match[0] for match in matches if _is_month(match[1] or match[0])}


def _is_month(number: str) -> bool:
    return 1 <= int(number[2:4]) <= 12


def test_every_cited_arxiv_id_is_in_the_bibliography():
    ids = cited()
    assert {"1906.10720", "2005.00159", "1211.5063"} <= ids
    assert sorted(ids - set(fields("eprint"))) == []


def test_the_list_and_the_bibliography_have_the_same_works():
    titles = fields("title")
    keys = [key for _, key in ENTRY.findall(BIBLIOGRAPHY)]
    assert len(titles) == len(set(titles)) == len(set(keys)) == len(fields("year"))
    assert [title for title in titles if title not in LIST] == []
    assert LIST.count("\n| ") == len(titles) + 1  # and the heading
    assert [eprint for eprint in fields("eprint") if f"arXiv {eprint}" not in LIST] == []


def test_readme_links_the_list():
    assert "(docs/references.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
