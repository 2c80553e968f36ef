"""Plain text: a line is a line wherever we read one."""

from pathlib import Path

import pytest

from pipeline.storage import plain_text
from pipeline.verify import comparison

ROOT = Path(__file__).parents[2]
NOT_LINE_ENDS = "one\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029still one"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb\rc\nd\n", ["a", "b", "c", "d"]),
        (NOT_LINE_ENDS, [NOT_LINE_ENDS]),
    ],
)
def test_a_line_ends_at_lf_crlf_or_cr_alone(text, lines):
    assert plain_text.lines(text) == lines


@pytest.mark.parametrize("folder", ["pipeline", "chaos", "benchmarks"])
def test_no_code_splits_lines_by_another_rule(folder):
    files = [path for path in (ROOT / folder).rglob("*.py") if "splitlines(" in path.read_text()]
    assert files == []


def test_verify_numbers_lines_as_an_editor_does(tmp_path):
    (tmp_path / "a.txt").write_text(f"{NOT_LINE_ENDS}\nsame\nfine\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text(f"{NOT_LINE_ENDS}\nsame\ndull\n", encoding="utf-8")
    gap = comparison.gap(tmp_path / "a.txt", tmp_path / "b.txt", 0.0)
    assert gap is not None
    assert "3" in gap.row


def test_the_line_of_a_wrong_byte_counts_all_three_line_ends():
    assert plain_text.line_at(b"a\r\nb\rc\nd", 7) == 4
