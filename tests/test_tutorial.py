"""The tutorial agrees with the committed results, and its code gives the values in its comments."""

import ast
import json
import re
import shlex
from urllib.parse import unquote

import pytest

from pipeline import __main__ as command_line
from pipeline.reporting.numbers import percent, points, share_of
from tests.test_readme import ROOT, committed

PAGES = [ROOT / "docs/tutorial.md", ROOT / "docs/tutorial-memory.md"]
TUTORIAL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
NUMBER = r"(\S+ (?:%|points))<!-- (\S+) (.+?): (\w+) -->"
IN_WORDS = {
    "percent": percent,
    "share_of_log10": share_of,
    "in_points": lambda value: f"{points(value)} points",
}


def value_at(path: str, keys: str):
    """The value at these keys: a name, an index of a list, or NAME=VALUE for the one item with this value."""
    value = json.loads(committed(path))
    for key in map(unquote, keys.split()):
        if isinstance(value, dict):
            value = value[key]
        elif key.isdigit():
            value = value[int(key)]
        else:
            name, _, wanted = key.partition("=")
            (value,) = [item for item in value if item[name] == wanted]
    return value


@pytest.mark.parametrize(("words", "path", "keys", "form"), re.findall(NUMBER, TUTORIAL))
def test_a_number_is_that_of_the_file_it_names(words, path, keys, form):
    assert words == IN_WORDS[form](value_at(path, keys))


def test_every_measured_number_names_its_file():
    prose = re.sub(r"```.*?```", "", re.sub(NUMBER, "", TUTORIAL), flags=re.DOTALL)
    assert len(re.findall(NUMBER, TUTORIAL)) == TUTORIAL.count("<!-- reports/")
    assert re.findall(r"\d[\d.]* (?:%(?! interval)|points)", prose) == []


def test_every_figure_and_link_is_there():
    linked = re.findall(r"\]\(([^)#]+)\)", TUTORIAL)
    assert len(linked) > 6
    assert [target for target in linked if not (ROOT / "docs" / target).exists()] == []


@pytest.mark.slow
def test_the_code_runs_and_gives_the_values_in_its_comments():
    """Blocks run one after the other; an expression with a comment that is a literal has that value."""
    names = {}
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL):
        exec(compile(block, "docs/tutorial.md", "exec"), names)  # noqa: S102
        for line, literal in re.findall(r"^(\S.*\S) +# ('.*'|\d+)$", block, re.MULTILINE):
            assert eval(line, names) == ast.literal_eval(literal), line  # noqa: S307
            checked += 1
    assert checked == 6


def test_every_command_is_one_of_the_project():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL, re.DOTALL | re.MULTILINE):
        if not language:
            lines += block.splitlines()
    assert len(lines) > 3
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        else:
            assert words[:3] == [".venv/bin/python", "-m", "pipeline"]
            assert command_line.parser().parse_args(words[3:]).command in command_line.COMMANDS
