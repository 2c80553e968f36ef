"""The inputs of report sections, from the files of an invented study."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from pipeline.params.subjects import OWN_TEXTS
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.parts import MadeSection, Section, Table, every_part, made
from pipeline.storage import artifacts
from tests.reporting import invented

OUTLINE = replace(invented.WHOLE, lengths=[100])
SETTINGS = {
    "alpha": 0.05,
    "power": 0.8,
    "almost": 0.2,
    "meaningful": 0.75,
    "learned_share": 0.8,
    "vanished": 0.001,
    "faded": 0.1,
    "disclosures": [],
}
FILES = {
    "claims": artifacts.CLAIMS,
    "card": artifacts.DATA_CARD,
    "metrics": artifacts.METRICS,
    "compared": artifacts.COMPARISONS,
    "models": artifacts.MODELS_CARD,
    "ensembles": artifacts.ENSEMBLES,
    "runs": artifacts.RUNS,
    "calibration": artifacts.CALIBRATION,
    "buckets": artifacts.LENGTH_BUCKETS,
    "gains": artifacts.LINEAR_BASELINES,
}


@cache
def files() -> dict[str, Any]:
    """The files of the invented study by the names of the report's inputs. Do not change them."""
    start = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            invented.write(OUTLINE)
            values = {name: _read(path) for name, path in FILES.items()}
            memory = map(artifacts.memory, OUTLINE.lengths)
            values["memory"] = pd.concat(map(artifacts.read_csv, memory), ignore_index=True)
            everything = map(artifacts.gradients_everything, OUTLINE.lengths)
            tables = map(artifacts.read_parquet, everything)
            values["everything"] = pd.concat(tables, ignore_index=True)
        finally:
            os.chdir(start)
    return values


def _read(path: Path) -> Any:
    return artifacts.read_json(path) if path.suffix == ".json" else artifacts.read_csv(path)


def inputs(**changed: Any) -> Inputs:
    """The inputs of the invented study, with others in the place of some."""
    values = {**files(), **changed}
    return Inputs(values, {**SETTINGS, "runs": list(values["models"])})


def section(section: Section, **changed: Any) -> MadeSection:
    return made(section, inputs(**changed))


def own_texts() -> dict[str, Any]:
    """A data card of a user's own texts."""
    return {**files()["card"], "source": "csv", "subject": OWN_TEXTS.name}


def all_words(section: MadeSection) -> str:
    """Everything that a reader of the section could read, as one text."""
    return " ".join(str(part.part) for part in section.parts)


def parts(section: MadeSection, kind: type) -> list[Any]:
    """The parts of a kind, also those inside other parts."""
    every = [part for made_part in section.parts for part in every_part(made_part.part)]
    return [part for part in every if isinstance(part, kind)]


def table(section: MadeSection, beginning: str) -> Table:
    """The table whose caption begins like this."""
    tables = [item for item in parts(section, Table) if item.caption.startswith(beginning)]
    (only,) = tables
    return only
