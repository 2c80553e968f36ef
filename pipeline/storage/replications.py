"""The files of reports/replications/. `python -m pipeline replicate` writes them and `claims` reads them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.params import PARAMS, Claims, Mistake, Settings, Strict, Tune, validated
from pipeline.storage import artifacts, dvc_lock
from pipeline.storage.dvc_lock import RecordedStage

FOLDER = artifacts.REPORTS / "replications"
NAME = r"[a-z0-9-]+"
Verdict = Literal["holds", "partly", "does not hold", "not shown"]
Setting = bool | int | float | str | None


class Mean(Strict):
    """A mean over seeds with its 95 % interval. A single seed has no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


class Measure(Strict):
    """A number that decides a verdict. Files of earlier versions lack the values that have a default."""

    what: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    source: str
    decided_low: float | None = None
    decided_high: float | None = None
    confidence: float | None = None
    exact: bool = False
    tokens: int | None = None
    sequence_length: int | None = None
    side: Literal["above", "below", "exactly", "within"]
    threshold: float
    fails_beyond: float | None = None
    verdict: Verdict


class Claim(Strict):
    name: str
    verdict: Verdict
    measures: list[Measure]


class Replication(Strict):
    """One file. It holds no time, host name or path, so the same results give the same bytes."""

    name: str = Field(pattern=f"^{NAME}$")
    commit: str
    params: str  # `parameters` of the replicated study
    machine: dict[str, str]  # machine.described()
    flags: str  # XLA_FLAGS
    tuned: Literal["searched", "kept"]
    chosen: dict[str, dict[str, Setting]]  # architecture -> settings
    means: dict[str, dict[str, Mean]]  # run -> metric
    claims: list[Claim]


def path(name: str, folder: Path = Path()) -> Path:
    return folder / FOLDER / f"{name}.json"


def parameters(
    stages: dict[str, RecordedStage],
    claims: Claims,
    tune: Tune,
    start: Settings,
) -> str:
    """A digest of the values in params.yaml that determine the results of a study, so without `claims.disclosures`.

    `stages` are the stages that `claims` reads from, as dvc.lock records them. `start` holds the settings that
    `tune` starts from.
    """
    file = str(PARAMS)
    values = {name: stage.params.get(file, {}) for name, stage in stages.items()}
    thresholds = claims.model_dump(exclude={"disclosures"})
    sections = [thresholds, tune.model_dump(), start.model_dump()]
    return dvc_lock.digest([values, sections])


def read_all(folder: Path = Path()) -> list[Replication]:
    """Every replication, sorted by name; raise Mistake for a JSON file that is not a replication."""
    files = (folder / FOLDER).glob("[!.]*.json")  # not `._amd.json` of macOS
    return list(map(_read, sorted(files)))


def _read(file: Path) -> Replication:
    try:
        content = artifacts.read_json(file)
        replication = validated(Replication, content, str(file))
    except Mistake as mistake:
        first_problem = str(mistake).split("\n")[0]
        raise _unusable(file, first_problem) from None

    if replication.name != file.stem:
        problem = f"its name is {replication.name!r}, not {file.stem!r}"
        raise _unusable(file, problem)
    return replication


def _unusable(file: Path, problem: str) -> Mistake:
    """A Mistake with the right remedy: DVC does not make these files."""
    problem = problem.removeprefix(f"{file}: ")
    problem = problem.partition("; `dvc repro`")[0]
    remedy = f"restore it with `git checkout HEAD -- {file}` or delete it"
    return Mistake(f"{file}: not a file of `python -m pipeline replicate`: {problem}; {remedy}")


def write(replication: Replication, folder: Path = Path()) -> None:
    file = path(replication.name, folder)
    artifacts.write_json(file, replication.model_dump())
