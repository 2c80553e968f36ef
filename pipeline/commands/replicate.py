"""`replicate`: writes the verdicts of the study under other rounding to a file for `claims`.

It computes the study of this commit, or it reads the results of another commit. To compute, the stages run in a clean
copy in `.unfinished/`. An interrupted command leaves the copy there. The same command then continues, because DVC skips
the stages that are finished in the copy.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pipeline import machine
from pipeline.commands import rounding
from pipeline.params import PARAMS, Mistake, Params, read, validated
from pipeline.storage import artifacts, dvc_lock, lock_comparison, machine_record, replications
from pipeline.storage.dvc_lock import LOCK, RecordedStage
from pipeline.storage.stage_table import CLAIMS, PREPARE, TUNE, dvc_names
from pipeline.verify import clean_copy, durations
from pipeline.workers import resume, worker_count

FOLDER = resume.FOLDER / "replications"
LONGEST_NAME = 60  # characters
COMMIT = "--commit"
OF_COMMITS = ("commit ", "name ")  # remedies that change a commit or name another
ROUNDING = ("system", "processor", "vectors", "caches", "BLAS")  # what every machine.json says
OF_REVIEWS = tuple(map(str, (artifacts.DATA_CARD, artifacts.VOCABULARY)))  # equal on all machines


@dataclass(frozen=True)
class Request:
    """Everything that can change the result. A copy continues only a replication of the same request."""

    commit: str
    flags: str  # XLA_FLAGS
    tuned: Literal["kept", "searched"]  # `tune` keeps the settings chosen here or searches again
    processor: str


def main(params: Params, name: str, without_tune: bool, way_to_round: str | None) -> None:
    """Writes reports/replications/{name}.json; raises Mistake if the result would not be a replication.

    `without_tune` keeps the settings that tuning chose here. `way_to_round` is an argument of `rounding.flags`.
    """
    _check_name(name)
    if worker_count.scheduler():
        raise Mistake(
            "DASK_SCHEDULER_ADDRESS: XLA flags do not reach the workers of a cluster; "
            "unset it to replicate"
        )

    clean_copy.check_committed((*clean_copy.CODE, *clean_copy.SETTINGS))
    request = Request(
        commit=clean_copy.head(),
        flags=rounding.flags(way_to_round),
        tuned="kept" if without_tune else "searched",
        processor=machine.model(),
    )
    tuned = _recorded_tuning(params) if without_tune else {}

    copy = _prepared_copy(params, name, request)
    if without_tune:
        _keep_tuned(tuned, copy, request.flags)
    _print_estimate(params, copy)
    _run_dvc(copy, request.flags, "repro", CLAIMS.name)

    stages = lock_comparison.sources(CLAIMS.name, params, copy)
    _write(_results(params, name, copy, request, stages))
    shutil.rmtree(FOLDER / name)
    with suppress(OSError):  # another replication is unfinished
        os.removedirs(FOLDER)


def from_commit(params: Params, name: str, revision: str) -> None:
    """Writes reports/replications/{name}.json from the results of a commit; raises Mistake if they do not replicate.

    `revision` is anything that Git resolves to a commit, for example a branch with the results of another machine.
    """
    _check_name(name)
    commit = clean_copy.resolved(revision)
    if not machine.MACHINE.exists():
        raise Mistake(f"{machine.MACHINE}: missing in this checkout; `dvc repro` computes a study")
    own_stages = lock_comparison.demand(CLAIMS.name, params, Path())
    recorded = own_stages | dvc_lock.recorded([CLAIMS.name], Path())
    lock_comparison.check_files([artifacts.CLAIMS, artifacts.METRICS], recorded)
    own_machine = machine_record.read(machine.MACHINE)
    own_parameters = _parameters(params, own_stages)

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "study"
        clean_copy.check_out(commit, copy)

        with _results_of(revision, copy):
            replication = _committed_results(name, commit, copy, own_machine, own_stages)
            if replication.params != own_parameters:
                problem = f"{PARAMS}: other values in `claims` or `tune` than here"
                raise Mistake(f"{problem}; name a commit of the same study")

    _write(replication)


def _committed_results(
    name: str,
    commit: str,
    copy: Path,
    own_machine: dict[str, str],
    own_stages: dict[str, RecordedStage],
) -> replications.Replication:
    """The results in `copy`; raises Mistake unless another kind of machine computed them from the same inputs."""
    description = machine_record.read(copy / machine.MACHINE)
    for entry in ROUNDING:
        if not description.get(entry):
            raise Mistake(f"{machine.MACHINE}: {entry}: missing; name a commit of this version")
    if not rounding.differs(own_machine, description):
        problem = f"its {machine.MACHINE} has the rounding of this study"
        raise Mistake(f"{problem}; name a commit from another kind of machine")

    params = read(copy / PARAMS)
    stages = _checked_stages(params, copy)
    _check_same_study(own_stages, stages)
    _check_complete(copy)
    request = Request(
        commit=commit,
        flags=description.get("XLA_FLAGS", ""),
        tuned="searched",
        processor=description.get("processor", ""),
    )
    return _results(params, name, copy, request, stages)


@contextmanager
def _results_of(revision: str, copy: Path) -> Iterator[None]:
    """Raises every Mistake again with the revision instead of the path of the copy, and with a remedy that fits both.

    The remedies of the reading functions would change this checkout.
    """
    try:
        yield
    except Mistake as mistake:
        first_problem = str(mistake).split("\n")[0].replace(f"{copy}/", "")
        problem, _, remedy = first_problem.partition("; ")
        if not remedy.startswith(OF_COMMITS):
            remedy = "name a commit with the finished results of this study"
        raise Mistake(f"{COMMIT} {revision}: {problem}; {remedy}") from None
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        problem = f"this version cannot read its results ({error!r})"
        raise Mistake(f"{COMMIT} {revision}: {problem}; name a commit of this version") from None


def _checked_stages(params: Params, copy: Path) -> dict[str, RecordedStage]:
    """The stages before `claims`.

    Raises Mistake if committed results differ from dvc.lock or are not in it, or if a stage read another file than a
    stage made.
    """
    stages = lock_comparison.sources(CLAIMS.name, params, copy)
    tuning = TUNE.dvc_names(params)
    every_stage = stages | dvc_lock.recorded([*tuning, CLAIMS.name], copy)

    for mismatch in lock_comparison.differences(every_stage.values(), copy):
        problem = f"differs from {LOCK} of that commit"
        raise Mistake(f"{mismatch.path}: {problem}; commit both together")

    outs = {}
    for stage in every_stage.values():
        outs |= stage.outs
    for stage in every_stage.values():
        for path in stage.deps:
            if path in outs and stage.deps[path] != outs[path]:
                problem = f"{LOCK}: {stage.name} read another {path} than is recorded"
                raise Mistake(f"{problem}; commit after a finished `dvc repro`")

    summaries = map(artifacts.tuning_summary, params.tune.architectures)
    results = [machine.MACHINE, artifacts.METRICS, artifacts.CLAIMS, *summaries]
    lock_comparison.check_files(results, every_stage, copy)
    return stages


def _check_same_study(
    own_stages: dict[str, RecordedStage], stages: dict[str, RecordedStage]
) -> None:
    """Raises Mistake if parameters or reviews of a commit differ from those here."""
    remedy = "name a commit of the same study"
    if stages.keys() != own_stages.keys():
        names = ", ".join(sorted(stages.keys() ^ own_stages.keys()))
        raise Mistake(f"{LOCK}: only one of the two studies has {names}; {remedy}")

    file = str(PARAMS)
    for name, stage in stages.items():
        values = stage.params.get(file, {})
        own_values = own_stages[name].params.get(file, {})
        for key, (own_value, value) in machine.differences(own_values, values).items():
            raise Mistake(f"{PARAMS}: {key}: {value!r}, here {own_value!r}; {remedy}")

    outs = stages[PREPARE.name].outs
    own_outs = own_stages[PREPARE.name].outs
    for path in OF_REVIEWS:
        if outs.get(path) != own_outs.get(path):
            raise Mistake(f"{path}: made from other reviews than here; {remedy}")


def _check_complete(copy: Path) -> None:
    """Raises Mistake if a commit lacks a claim or a run that this checkout has, or the other way round."""
    remedy = "name a commit of the same study"
    claims, own_claims = _names_of_claims(copy), _names_of_claims(Path())
    if claims != own_claims:
        names = ", ".join(sorted(claims ^ own_claims))
        raise Mistake(f"{artifacts.CLAIMS}: only one of the two studies has {names}; {remedy}")

    runs = set(artifacts.read_json(copy / artifacts.METRICS))
    own_runs = set(artifacts.read_json(artifacts.METRICS))
    if runs != own_runs:
        names = ", ".join(sorted(runs ^ own_runs))
        raise Mistake(f"{artifacts.METRICS}: only one of the two studies has {names}; {remedy}")


def _names_of_claims(folder: Path) -> set[str]:
    return {str(row["name"]) for row in artifacts.read_json(folder / artifacts.CLAIMS)}


def _write(replication: replications.Replication) -> None:
    replications.write(replication)
    print(
        f"{replications.path(replication.name)}: written; commit it, "
        "then `dvc repro` compares its verdicts with the study's"
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(replications.NAME, name) or len(name) > LONGEST_NAME:
        allowed = f"at most {LONGEST_NAME} lower-case letters, digits and -"
        raise Mistake(f"{name!r} is not a name for a replication; allowed: {allowed}")

    file = replications.path(name)
    if file.exists() or file.is_symlink():  # also a link that leads nowhere
        raise Mistake(
            f"{file}: already exists; choose another name, or delete it to replicate again"
        )


def _recorded_tuning(params: Params) -> dict[str, RecordedStage]:
    """{name: stage} of every `tune` stage in dvc.lock; raises Mistake if a file is missing or differs."""
    names = TUNE.dvc_names(params)
    stages = dvc_lock.recorded(names, Path())

    for stage in stages.values():
        for out in stage.outs:
            if not Path(out).exists():
                remedy = f"run `dvc repro {stage.name}`, or leave out --without tune"
                raise Mistake(f"{out}: missing, but --without tune keeps it; {remedy}")

    mismatches = lock_comparison.differences(stages.values(), Path(), code=True)
    if mismatches:
        raise Mistake(str(mismatches[0]))
    return stages


def _prepared_copy(params: Params, name: str, request: Request) -> Path:
    """The copy that an interrupted command left, else a new one.

    Raises Mistake if the interrupted command had another request.
    """
    folder = FOLDER / name
    copy = clean_copy.place(params, folder)
    request_file = folder / "request.json"

    if request_file.exists():
        changes = machine.differences(artifacts.read_json(request_file), asdict(request))
        if changes:
            words = [f"{key} {before!r}, now {now!r}" for key, (before, now) in changes.items()]
            raise Mistake(
                f"{folder}: unfinished, with {', '.join(words)}; run `rm -r {folder}` to begin again"
            )
        dvc_lock.repair(copy)
        print(f"{folder}: continues the interrupted replication", flush=True)
        return copy

    shutil.rmtree(folder, ignore_errors=True)
    clean_copy.make(params, request.commit, copy)
    _forget_results(copy)
    artifacts.write_json(request_file, asdict(request))
    return copy


def _forget_results(copy: Path) -> None:
    """Removes all results except the README.md of the replications; sets up an empty DVC cache."""
    artifacts.write_text(copy / ".dvc/config.local", "[cache]\n    dir = cache\n")
    (copy / LOCK).unlink(missing_ok=True)

    shutil.rmtree(copy / artifacts.REPORTS)
    clean_copy.git("checkout", str(replications.FOLDER / "README.md"), folder=copy)


def _keep_tuned(stages: dict[str, RecordedStage], copy: Path, flags: str) -> None:
    """Records the files of `tune` as finished in the copy; raises Mistake if the copy has other inputs for it."""
    _run_dvc(copy, flags, "repro", PREPARE.name)
    for stage in stages.values():
        for out in stage.outs:
            clean_copy.put(Path(out), copy / out)
    _run_dvc(copy, flags, "commit", "--force", *stages)

    if dvc_lock.recorded(stages, copy) != stages:
        problem = f"the inputs of `tune` are not those in {LOCK}"
        raise Mistake(
            f"{copy}: {problem}; replicate without --without tune, or run `dvc repro` first"
        )


def _print_estimate(params: Params, copy: Path) -> None:
    """Prints the number of stages up to `claims`, and the number and duration of the unfinished ones."""
    stages = dvc_names(params)
    needed = stages[: stages.index(CLAIMS.name) + 1]
    finished = dvc_lock.finished(copy)
    waiting = [stage for stage in needed if stage not in finished]

    duration = durations.estimate(waiting)
    print(f"{len(waiting)} of {len(needed)} stages to compute: {duration}", flush=True)


def _run_dvc(copy: Path, flags: str, *arguments: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=copy,
        env={**clean_copy.environment(), machine.FLAGS: flags},
    )
    if finished.returncode:
        failure = f"`dvc {' '.join(arguments)}` failed with exit code {finished.returncode}"
        remedy = "read its messages above; the same command continues from there"
        raise Mistake(f"{copy}: {failure}; {remedy}")


def _results(
    params: Params,
    name: str,
    copy: Path,
    request: Request,
    stages: dict[str, RecordedStage],
) -> replications.Replication:
    """The results in `copy`, which holds a finished study or its commit. `stages` are those before `claims`."""
    from pipeline.science import claims

    metrics = artifacts.read_json(copy / artifacts.METRICS)

    chosen = {}
    for architecture in sorted(params.tune.architectures):
        summary = artifacts.read_json(copy / artifacts.tuning_summary(architecture))
        chosen[architecture] = summary["chosen"]["settings"]

    verdicts = []
    for row in artifacts.read_json(copy / artifacts.CLAIMS):
        claim = {
            "name": row["name"],
            # not `unstable`, if it has replications
            "verdict": row.get("verdict_here", row["verdict"]),
            "measures": claims.deciding(row),
        }
        verdicts.append(claim)

    replication = {
        "name": name,
        "commit": request.commit,
        "params": _parameters(params, stages),
        "machine": artifacts.read_json(copy / machine.MACHINE),
        "flags": request.flags,
        "tuned": request.tuned,
        "chosen": chosen,
        "means": {run: _means(metrics[run]) for run in sorted(metrics)},
        "claims": verdicts,
    }
    return validated(replications.Replication, replication, "its results")


def _parameters(params: Params, stages: dict[str, RecordedStage]) -> str:
    initial = params.settings[params.tune.settings]
    return replications.parameters(stages, params.claims, params.tune, initial)


def _means(metrics: dict) -> dict[str, dict]:
    """The mean and the interval of each metric. The number of parameters has no scores and is left out."""
    means = {}
    for name, metric in sorted(metrics.items()):
        if isinstance(metric, dict):
            means[name] = {
                "mean": metric["mean"],
                "low": metric["low"],
                "high": metric["high"],
                "seeds": len(metric["scores"]),
            }
    return means
