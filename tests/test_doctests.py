"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path.relative_to(ROOT) for path in sorted((ROOT / "pipeline").rglob("*.py"))]
WITH_EXAMPLES = [path for path in SOURCES if ">>> " in (ROOT / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_the_examples_of_a_module_give_the_output_they_show(path):
    module = import_module(".".join(path.with_suffix("").parts))
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
