"""README.md as data: its prose, its tables, and the commands that it shows with their output."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "README.md"
TEXT = FILE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NO_PROSE = (
    BLOCK,
    re.compile(r"^[#|].*$", re.MULTILINE),  # headings and tables
    re.compile(r"!\[.*?\]\(.*?\)"),  # pictures
    re.compile(r"(?<=\])\(.*?\)"),  # the targets of links
)
BETWEEN_PARAGRAPHS = re.compile(r"\n\s*\n|^- ", re.MULTILINE)
BETWEEN_SENTENCES = re.compile(r"(?<=[.?!:])\W*\s")  # a list or code follows a colon


def blocks(language: str) -> list[str]:
    """The contents of the blocks of code in this language."""
    contents = []
    for name, content in BLOCK.findall(TEXT):
        if name == language:
            contents.append(content)
    return contents


def outputs() -> dict[str, str]:
    """The output below each command with a `$` in front; empty where the README shows none."""
    outputs_by_command = {}
    for block in blocks("console"):
        with_whole_lines = block.replace("\\\n", "")
        parts = with_whole_lines.split("$ ")
        for part in parts[1:]:
            command, _, output = part.partition("\n")
            outputs_by_command[command] = output
    return outputs_by_command


def paragraphs() -> list[str]:
    """The paragraphs and the items of lists, each on one line."""
    text = TEXT
    for pattern in NO_PROSE:
        text = pattern.sub("", text)

    lines = []
    for part in BETWEEN_PARAGRAPHS.split(text):
        words = part.split()
        if words:
            lines.append(" ".join(words))
    return lines


def sentences() -> list[str]:
    """The sentences of all paragraphs."""
    parts = []
    for paragraph in paragraphs():
        parts += BETWEEN_SENTENCES.split(paragraph)
    return parts


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without its head."""
    head = rf"^\| {heading} .*\n\|[-:|]+\n"
    table = re.search(rf"{head}((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table is not None

    cells_by_row = []
    for line in table[1].splitlines():
        cells = line.strip("|").split("|")
        cells_by_row.append([cell.strip() for cell in cells])
    return cells_by_row
