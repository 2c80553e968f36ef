"""Every number and list in params.yaml at its bounds, and just outside of them, in a tiny study.

A study with legal parameters either succeeds, or ends before any training with one line that names a key.
"""

import copy
import shutil
from collections.abc import Iterator
from math import inf, nextafter
from pathlib import Path
from sys import float_info
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.params import Mistake, Params, messages
from tests.support import tiny_study

DOCUMENT = tiny_study.document()
Path_ = tuple[str | int, ...]

# More of the same work: a bound on the hours of a study, not on its abilities.
REPEATED = {
    "train.seeds",
    "train.runs.vanilla-textbook.seed_factor",
    "train.runs.vanilla-tuned.seed_factor",
    "tune.trials",
    "tune.race_seeds",
    "tune.regret_seeds",
    "gradients.seeds",
    "retention.seeds",
    "retention.updates",
}
# The stages that a section changes; the others have computed their files already.
STAGES = {
    "data": (
        "prepare",
        "tune",
        "train",
        "evaluate",
        "gradients",
        "attractor",
        "remedies",
        "claims",
        "examples",
    ),
    "settings.textbook": (
        "prepare",
        "retention",
        "train",
        "evaluate",
        "gradients",
        "attractor",
        "remedies",
        "claims",
    ),
    "train": ("train", "evaluate", "gradients", "attractor", "remedies", "claims", "examples"),
    "tune": ("tune", "train", "evaluate", "claims"),
    "evaluate": ("prepare", "evaluate", "claims"),
    "gradients": ("prepare", "gradients", "attractor", "remedies", "claims"),
    "attractor": ("attractor",),
    "retention": ("retention", "claims"),
    "claims": ("claims",),
}


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The path of every number that is not a list's, and of the first number of every list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        yield from leaves(value[0], (*path, 0))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


OPTIONAL = {  # numbers that may be null, as they are here
    ("data", "limit"): 100,
    ("settings", "textbook", "clip_norm"): 1.0,
    ("settings", "textbook", "weight_averaging"): 0.9,
}
LEAST = float_info.min  # libraries make the processor take smaller numbers for 0
NUMBERS = [*leaves(DOCUMENT), *OPTIONAL]


def dotted(path: Path_) -> str:
    return ".".join(name for name in path if isinstance(name, str))


def bounds(path: Path_) -> tuple[list, list]:
    """(legal values, illegal values) of a number: its bounds, and the numbers next to them on the other side."""
    _, schema = messages._schema_at(Params, path)
    is_whole = schema["type"] == "integer"
    step = schema.get("multipleOf", 1)

    def below(number):
        return number - step if is_whole else (number and nextafter(number, -inf)) or -LEAST

    def above(number):
        return number + step if is_whole else (number and nextafter(number, inf)) or LEAST

    lower, upper = schema.get("minimum"), schema.get("maximum")
    if lower is None:
        lower = above(schema["exclusiveMinimum"])
    if upper is None:
        upper = below(schema["exclusiveMaximum"])
    return [lower, upper], [below(lower), above(upper)]


def changed(path: Path_, value: Any) -> dict[str, Any]:
    """The document of the tiny study with another value at this path."""
    document = copy.deepcopy(DOCUMENT)
    section = document
    for name in path[:-1]:
        section = section[name]
    section[path[-1]] = value
    return document


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_every_number_has_two_bounds_and_is_refused_outside(path):
    for value in bounds(path)[1]:
        with pytest.raises(Mistake) as raised:
            params.validated(Params, changed(path, value), "params.yaml")
        lines = str(raised.value).splitlines()
        assert any(line.startswith(f"params.yaml: {dotted(path)}") for line in lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of the tiny study with its own parameters, computed."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write(DOCUMENT)
        tiny_study.reviews(tiny_study.sorted_labels(160, 80)).to_csv(tiny_study.FILE, index=False)
        study = params.read()
        tiny_study.compute(study, tiny_study.stages(study))
    return folder


def write(document: dict[str, Any]) -> None:
    YAML().dump(document, Path("params.yaml"))


AT_BOUNDS = [
    (path, value)
    for path in NUMBERS
    for place, value in enumerate(bounds(path)[0])
    if not (place and dotted(path) in REPEATED)
    and path[:2] != ("settings", "steady")  # as of settings.textbook, which more stages read
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("path", "value"), AT_BOUNDS, ids=[f"{dotted(path)}={value}" for path, value in AT_BOUNDS]
)
def test_a_study_at_a_bound_succeeds_or_is_refused_in_one_line(
    finished, tmp_path, monkeypatch, path, value
):
    folder = shutil.copytree(finished, tmp_path / "study")
    monkeypatch.chdir(folder)
    write(changed(path, value))
    refusal = tiny_study.outcome(lambda names: stages_of(names, path))
    assert len(refusal.splitlines()) <= 1


def stages_of(names: list[str], path: Path_) -> list[str]:
    """Those of these stages whose files this number changes."""
    (section,) = (name for name in STAGES if f"{dotted(path)}.".startswith(f"{name}."))
    return [name for name in names if name.partition("@")[0] in STAGES[section]]
