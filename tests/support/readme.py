"""README.md as data: its prose, its tables, and the commands that it shows with their output."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROSE = " ".join(BLOCK.sub("", TEXT).split())


def blocks(language: str) -> list[str]:
    """The contents of the blocks of code in this language."""
    return [content for name, content in BLOCK.findall(TEXT) if name == language]


def outputs() -> dict[str, str]:
    """The output below each command with a `$` in front; empty where the README shows none."""
    outputs_by_command = {}
    for block in blocks("console"):
        for part in block.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            outputs_by_command[command] = output
    return outputs_by_command


def paragraphs() -> list[str]:
    """The paragraphs and the items of lists, without headings, tables, code, pictures and addresses."""
    text = re.sub(r"^(#|\|).*$", "", BLOCK.sub("", TEXT), flags=re.MULTILINE)
    text = re.sub(r"!\[.*?\]\(.*?\)", "", text)
    text = re.sub(r"\]\(.*?\)", "]", text)
    parts = re.split(r"\n\s*\n|^- ", text, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in parts if part.strip()]


def sentences() -> list[str]:
    """The sentences of the paragraphs. A colon ends one, because a list or code follows it."""
    parts = []
    for paragraph in paragraphs():
        parts += re.split(r"(?<=[.?!:])\W*\s", paragraph)
    return parts


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without the two rows of its head."""
    (table,) = re.findall(rf"^\| {heading} .*\n\|[-:|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
