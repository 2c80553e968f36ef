"""docs/records/acceptance.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs/records/acceptance.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_table_has_twenty_one_rows_each_with_a_test():
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", TABLE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 22))
    for number, tests in rows:
        for name in tests.split("<br>"):
            assert NAMED.fullmatch(name), number


def test_every_test_that_the_table_names_exists():
    for file, name in NAMED.findall(TABLE):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"\ndef {name}(" in source, f"{file}::{name}"
