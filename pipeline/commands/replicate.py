"""`replicate`: computes the study of this commit under other rounding and writes its verdicts to a file for `claims`.

The stages run in a clean copy in `.unfinished/`. An interrupted command leaves the copy there. The same command then
continues, because DVC skips the stages that are finished in the copy.
"""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline import machine
from pipeline.commands import rounding
from pipeline.params import Mistake, Params
from pipeline.storage import artifacts, dvc_lock, lock_comparison, replications
from pipeline.storage.dvc_lock import LOCK, RecordedStage
from pipeline.verify import clean_copy, durations
from pipeline.workers import driver, resume

FOLDER = resume.FOLDER / "replications"
INPUTS = ("params.yaml", "environment.json", "dvc.yaml", "requirements.lock", "pipeline")
LONGEST_NAME = 60


@dataclass(frozen=True)
class Request:
    """Everything that can change the result. A copy continues only a replication of the same request."""

    commit: str
    flags: str  # XLA_FLAGS
    tuned: str  # "kept" or "searched": the settings of `tune`
    processor: str


def main(params: Params, name: str, without_tune: bool, way_to_round: str | None) -> None:
    """Writes reports/replications/{name}.json; raises Mistake if the result would not be a replication.

    `without_tune` keeps the settings that tuning chose here. `way_to_round` is an argument of `rounding.flags`.
    """
    root = Path()
    _check_name(name, root)
    if driver.scheduler():
        raise Mistake("DASK_SCHEDULER_ADDRESS: XLA flags do not reach the workers of a cluster; unset it to replicate")

    commit = clean_copy.committed_hash(root, INPUTS, "replicate")
    flags = rounding.flags(way_to_round, root)
    request = Request(commit, flags, "kept" if without_tune else "searched", machine.model())
    tuned = _recorded_tuning(params, root) if without_tune else {}

    copy = _prepared_copy(params, name, root, request)
    if without_tune:
        _keep_tuned(tuned, root, copy, flags)
    _print_estimate(params, copy)
    _run_dvc(copy, flags, "repro", "claims")

    replications.write(_results(params, name, copy, request), root)
    _remove(root / FOLDER / name)
    print(f"{replications.path(name)}: written; commit it, then `dvc repro` compares its verdicts with the study's")


def _check_name(name: str, root: Path) -> None:
    if not re.fullmatch(replications.NAME, name) or len(name) > LONGEST_NAME:
        allowed = f"at most {LONGEST_NAME} lower-case letters, digits and -"
        raise Mistake(f"{name!r} is not a name for a replication; allowed: {allowed}")

    file = replications.path(name)
    if (root / file).exists():
        raise Mistake(f"{file}: already exists; choose another name, or delete it to replicate again")


def _recorded_tuning(params: Params, root: Path) -> dict[str, RecordedStage]:
    """{name: stage} of every `tune` stage in dvc.lock; raises Mistake if a file is missing or differs."""
    names = [f"tune@{architecture}" for architecture in params.tune.architectures]
    stages = dvc_lock.recorded(names, root)

    for stage in stages.values():
        missing = [out for out in stage.outs if not (root / out).exists()]
        if missing:
            remedy = f"run `dvc pull {stage.name}` or `dvc repro {stage.name}`, or leave out --without tune"
            raise Mistake(f"{missing[0]}: missing, but --without tune keeps it; {remedy}")

    differences = lock_comparison.differences(stages.values(), root, code=True)
    if differences:
        raise Mistake(str(differences[0]))
    return stages


def _prepared_copy(params: Params, name: str, root: Path, request: Request) -> Path:
    """The copy that an interrupted command left, else a new one.

    Raises Mistake if the interrupted command had another request.
    """
    folder = root / FOLDER / name
    copy = folder / "study"
    request_file = folder / "request.json"

    if request_file.exists():
        interrupted = artifacts.read_json(request_file)
        changes = machine.differences(interrupted, asdict(request))
        if changes:
            changes_in_words = ", ".join(f"{key} {before!r}, now {now!r}" for key, (before, now) in changes.items())
            raise Mistake(f"{folder}: unfinished, with {changes_in_words}; run `rm -r {folder}` to begin again")
        repair_lock(copy)
        print(f"{folder}: continues the interrupted replication", flush=True)
        return copy

    shutil.rmtree(folder, ignore_errors=True)
    clean_copy.make(params, root, request.commit, copy, "replicate")
    _forget_results(copy)
    artifacts.write_json(request_file, asdict(request))
    return copy


def repair_lock(copy: Path) -> None:
    """DVC writes dvc.lock in place. If a kill truncated it, restores the one from the start of the last stage."""
    try:
        dvc_lock.finished(copy)
    except Mistake:
        (copy / LOCK).unlink()
        if (copy / dvc_lock.BACKUP).exists():
            shutil.copy(copy / dvc_lock.BACKUP, copy / LOCK)


def _forget_results(copy: Path) -> None:
    """Removes all results except the README.md of the replications; sets up an empty DVC cache."""
    artifacts.write_text(copy / ".dvc/config.local", "[cache]\n    dir = cache\n")
    (copy / LOCK).unlink(missing_ok=True)

    readme = copy / replications.FOLDER / "README.md"
    text = artifacts.read_text(readme)
    shutil.rmtree(copy / artifacts.REPORTS)
    artifacts.write_text(readme, text)


def _keep_tuned(stages: dict[str, RecordedStage], root: Path, copy: Path, flags: str) -> None:
    """Records the files of `tune` as finished in the copy; raises Mistake if the copy has other inputs for it."""
    _run_dvc(copy, flags, "repro", "prepare")
    for stage in stages.values():
        for out in stage.outs:
            artifacts.write_bytes(copy / out, artifacts.read_bytes(root / out))
    _run_dvc(copy, flags, "commit", "--force", *stages)

    if dvc_lock.recorded(stages, copy) != stages:
        problem = f"the inputs of `tune` are not those in {LOCK}"
        raise Mistake(f"{copy}: {problem}; replicate without --without tune, or run `dvc repro` first")


def _print_estimate(params: Params, copy: Path) -> None:
    """The stages up to `claims` in the order of dvc.yaml, and the duration of the unfinished ones."""
    stages = lock_comparison.listed(params)
    needed = stages[: stages.index("claims") + 1]
    finished = dvc_lock.finished(copy)
    waiting = [stage for stage in needed if stage not in finished]

    duration = durations.estimate(waiting, Path())
    print(f"{len(waiting)} of {len(needed)} stages to compute: {duration}", flush=True)


def _run_dvc(copy: Path, flags: str, *arguments: str) -> None:
    environment = {**clean_copy.environment(), "XLA_FLAGS": flags}
    code = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=copy, env=environment).returncode
    if code:
        remedy = "read its messages above; the same command continues from there"
        raise Mistake(f"{copy}: `dvc {' '.join(arguments)}` failed with exit code {code}; {remedy}")


def _results(params: Params, name: str, copy: Path, request: Request) -> replications.Replication:
    """The results in the finished copy."""
    from pipeline.science import claims

    stages = lock_comparison.sources("claims", params, copy)
    initial = params.settings[params.tune.settings]
    metrics = artifacts.read_json(copy / artifacts.METRICS)
    verdicts = artifacts.read_json(copy / artifacts.CLAIMS)
    architectures = sorted(params.tune.architectures)
    chosen = [artifacts.read_json(copy / artifacts.tuned(architecture)) for architecture in architectures]

    return replications.Replication(
        name=name,
        commit=request.commit,
        params=replications.parameters(stages, params.claims, params.tune, initial),
        machine=artifacts.read_json(copy / machine.MACHINE),
        flags=request.flags,
        tuned=request.tuned,
        chosen={name: file["settings"]["tuned"] for name, file in zip(architectures, chosen, strict=True)},
        means={run: _means(metrics[run]) for run in sorted(metrics)},
        claims=[
            replications.Claim(name=row["name"], verdict=row["verdict"], measures=claims.deciding(row))
            for row in verdicts
        ],
    )


def _means(metrics: dict) -> dict[str, replications.Mean]:
    """By metric. The number of parameters has no scores and is left out."""
    return {
        name: replications.Mean(
            mean=metric["mean"],
            low=metric["low"],
            high=metric["high"],
            seeds=len(metric["scores"]),
        )
        for name, metric in sorted(metrics.items())
        if isinstance(metric, dict)
    }


def _remove(folder: Path) -> None:
    """Removes the folder, and its parents if they are empty then."""
    shutil.rmtree(folder)
    with suppress(OSError):
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
