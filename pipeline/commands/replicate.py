"""`replicate`: the study of this commit under other rounding, and its verdicts as a file that `claims` reads.

It computes in a clean copy below `.unfinished/`, which stays there when the command is interrupted: the same command
then goes on, because DVC skips the stages that are finished in the copy.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline import machine
from pipeline.params import Mistake, Params, document, read
from pipeline.storage import artifacts, dvc_lock, recorded_files, replications
from pipeline.storage.dvc_lock import LOCK
from pipeline.verify import clean_copy, durations
from pipeline.workers import driver, resume

XLA, OWN = "xla", "own"
FLAG = "--xla_cpu_experimental_ynn_fusion_type="  # products and reductions without the library YNN, in another order
FOLDER = resume.FOLDER / "replications"
INPUTS = ("params.yaml", "environment.json", "dvc.yaml", "requirements.lock", "pipeline")
LONGEST_NAME = 60
PROBE_UPDATES = 5
PROBE = "from pipeline.commands import replicate; print(replicate.digest_of_training())"
CODE = Path(__file__).parents[2]


def main(params: Params, name: str, without_tune: bool, rounding: str | None) -> None:
    """Writes reports/replications/{name}.json; raises Mistake where that cannot be a replication."""
    root = Path()
    _check_name(name, root)
    if driver.scheduler():
        raise Mistake("DASK_SCHEDULER_ADDRESS: flags do not reach the workers of a cluster; unset it to replicate here")

    commit = clean_copy.commit(root, INPUTS, "replicate")
    flags = _flags(rounding or _default_rounding(root), root)
    request = {"commit": commit, "flags": flags, "tuned": "kept" if without_tune else "searched"}
    request["processor"] = machine.model()

    copy = _prepared_copy(params, name, root, request)
    _run(params, name, copy, request)
    if without_tune:
        _demand_the_same_settings(params, root, copy)

    replications.write(_collected(params, name, copy, request), root)
    _remove(root / FOLDER / name)
    print(f"{replications.path(name)}: written; commit it, then `dvc repro` compares its verdicts with ours")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)

    for parent in (folder.parent, folder.parent.parent):
        if not any(parent.iterdir()):
            parent.rmdir()


def _check_name(name: str, root: Path) -> None:
    if not re.fullmatch(replications.NAME, name) or len(name) > LONGEST_NAME:
        allowed = f"lower-case letters, digits and -, at most {LONGEST_NAME} of them"
        raise Mistake(f"{name!r} is not a name for a replication; allowed: {allowed}")

    file = replications.path(name)
    if (root / file).exists():
        raise Mistake(f"{file}: already here; choose another name, or delete it to replicate again")


def _default_rounding(root: Path) -> str:
    """This machine's own rounding where the study was computed on another kind of machine."""
    return OWN if (root / machine.MACHINE).exists() and _unlike(root) else XLA


def _unlike(root: Path) -> dict:
    """What of this machine can round otherwise than the one where `evaluate` ran."""
    unlike = machine.unlike(artifacts.read_json(root / machine.MACHINE), machine.described())
    unlike.pop("python", None)
    return unlike


def _flags(rounding: str, root: Path) -> str:
    """The XLA_FLAGS of the replication; raises Mistake where they give the rounding of the study here."""
    here = os.environ.get("XLA_FLAGS", "")

    if rounding == OWN:
        if not _unlike(root):
            remedy = f"use --rounding {XLA}"
            raise Mistake(f"{machine.MACHINE}: this machine rounds as the one where the study was computed; {remedy}")
        return here

    flags = f"{here} {FLAG}".strip()
    print("probe: does this flag change the weights of a short training?", flush=True)
    if _probe(here) == _probe(flags):
        remedy = "replicate on another machine"
        raise Mistake(f"XLA_FLAGS={flags}: a short training gives the same weights without {FLAG}; {remedy}")

    return flags


def _probe(flags: str) -> str:
    """`digest_of_training` in a process with these flags."""
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(CODE)}
    ended = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True)

    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise Mistake(f"XLA_FLAGS={flags}: a short training failed: {reason}")

    return ended.stdout.strip()


def digest_of_training(architecture: str = "vanilla", updates: int = PROBE_UPDATES) -> str:
    """SHA-256 of the weights of a network with the textbook's settings after some updates on random words."""
    machine.prepare()
    machine.load_tensorflow()
    import numpy as np

    from pipeline.science.networks import architectures, sequences, training

    params = read()
    settings = params.settings["textbook"].model_copy(update={"epochs": 1})
    reviews = updates * settings.batch_size

    rng = np.random.default_rng(0)
    tokens = rng.integers(1, params.data.vocabulary_size, (reviews, settings.sequence_length), dtype=np.int32)
    examples = sequences.Examples(tokens, rng.integers(0, 2, reviews))

    vocabulary = params.data.vocabulary_size
    _, packed = training.train(architecture, settings, vocabulary, 0, examples, examples, lambda row: None)
    weights = architectures.restored(architecture, settings, vocabulary, packed).get_weights()
    return hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()


def _prepared_copy(params: Params, name: str, root: Path, request: dict) -> Path:
    """The copy that an interrupted command left, else a new one; raises Mistake where it was left by another."""
    folder = root / FOLDER / name
    copy, asked = folder / "study", folder / "request.json"

    if asked.exists():
        begun = artifacts.read_json(asked)
        different = [key for key, value in request.items() if begun.get(key) != value]
        if different:
            was = ", ".join(f"{key} {begun.get(key)!r}, now {request[key]!r}" for key in different)
            raise Mistake(f"{folder}: an unfinished replication with {was}; `rm -r {folder}` begins again")
        _repair_lock(copy)
        print(f"{folder}: goes on where it was interrupted", flush=True)
        return copy

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clean_copy.make(params, root, request["commit"], copy, "replicate")
    _forget_results(copy)
    if request["tuned"] == "kept":
        _keep_tuned(params, root, copy)
    artifacts.write_json(asked, request)
    return copy


def _repair_lock(copy: Path) -> None:
    """DVC writes dvc.lock in place: where a kill truncated it, the one that the last stage kept takes its place."""
    try:
        dvc_lock.finished(copy)
    except Mistake:
        if (copy / dvc_lock.KEPT).exists():
            shutil.copy(copy / dvc_lock.KEPT, copy / LOCK)
        else:
            (copy / LOCK).unlink()


def _forget_results(copy: Path) -> None:
    """A cache of its own and no result, so that DVC restores none; of the replications only the README.md."""
    (copy / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
    (copy / LOCK).unlink(missing_ok=True)

    readme = copy / replications.FOLDER / "README.md"
    text = artifacts.read_text(readme)
    shutil.rmtree(copy / artifacts.REPORTS)
    artifacts.write_text(readme, text)


def _tune_stages(params: Params) -> list[str]:
    return [f"tune@{architecture}" for architecture in params.tune.architectures]


def _keep_tuned(params: Params, root: Path, copy: Path) -> None:
    """The recorded files of `tune`, so that DVC finds it done; raises Mistake where they are not as recorded."""
    from dvc.repo import Repo

    stages = dvc_lock.recorded(_tune_stages(params), root)
    for stage in stages.values():
        missing = [out for out in stage.outs if not (root / out).exists()]
        if missing:
            remedy = f"`dvc pull {stage.name}` or `dvc repro {stage.name}` brings it, or leave out --without tune"
            raise Mistake(f"{missing[0]}: not here, and --without tune keeps it; {remedy}")

    differences = recorded_files.differences(stages.values(), root, code=True)
    if differences:
        raise Mistake(str(differences[0]))

    lock = document(root / LOCK)
    kept = {name: lock["stages"][name] for name in stages}
    artifacts.write_text(copy / LOCK, json.dumps({"schema": lock["schema"], "stages": kept}))

    with Repo(str(copy)) as repo:
        for stage in stages.values():
            for out, hashed in stage.outs.items():
                content = artifacts.read_bytes(root / out)
                artifacts.write_bytes(copy / out, content)
                artifacts.write_bytes(Path(repo.cache.local.oid_to_path(hashed)), content)


def _run(params: Params, name: str, copy: Path, request: dict) -> None:
    """`dvc repro claims` in the copy; raises Mistake where it fails."""
    finished = dvc_lock.finished(copy)
    stages = _stages(params, copy)
    waiting = [stage for stage in stages if stage not in finished]
    estimate = durations.estimated(waiting, Path())
    print(f"{len(waiting)} of {len(stages)} stages to compute: {estimate}", flush=True)

    environment = {**clean_copy.environment(), "XLA_FLAGS": request["flags"]}
    words = [sys.executable, "-m", "dvc", "repro", "claims"]
    code = subprocess.run(words, cwd=copy, env=environment).returncode

    if code:
        remedy = "its messages are above; the same command goes on from there"
        raise Mistake(f"{name}: `dvc repro` ended with exit code {code} in {copy}; {remedy}")


def _stages(params: Params, copy: Path) -> list[str]:
    """All that `dvc repro claims` runs."""
    kinds = {*recorded_files.above("claims", document(copy / "dvc.yaml")["stages"]), "tune", "claims"}
    return [stage for stage in recorded_files.listed(params) if stage.partition("@")[0] in kinds]


def _demand_the_same_settings(params: Params, root: Path, copy: Path) -> None:
    for architecture in params.tune.architectures:
        file = artifacts.tuned(architecture)
        if artifacts.read_bytes(root / file) != artifacts.read_bytes(copy / file):
            remedy = "replicate without --without tune"
            raise Mistake(f"{copy / file}: DVC searched again, because an input of `tune` is other there; {remedy}")


def _collected(params: Params, name: str, copy: Path, request: dict) -> replications.Replication:
    """The results in the finished copy."""
    stages = recorded_files.sources("claims", params, copy)
    chosen = {
        architecture: artifacts.read_json(copy / artifacts.tuned(architecture))["settings"]["tuned"]
        for architecture in sorted(params.tune.architectures)
    }
    metrics = artifacts.read_json(copy / artifacts.METRICS)
    start = params.settings[params.tune.settings]

    return replications.Replication(
        name=name,
        commit=request["commit"],
        params=replications.parameters(stages, params.claims, params.tune, start),
        machine=artifacts.read_json(copy / machine.MACHINE),
        flags=request["flags"],
        tuned=request["tuned"],
        chosen=chosen,
        means={run: _means(metrics[run]) for run in sorted(metrics)},
        claims=[_claim(row) for row in artifacts.read_json(copy / artifacts.CLAIMS)],
    )


def _means(scores_by_metric: dict) -> dict[str, replications.Mean]:
    """By metric; the number of parameters has no scores and is left out."""
    return {
        metric: replications.Mean(mean=found["mean"], low=found["low"], high=found["high"], seeds=len(found["scores"]))
        for metric, found in sorted(scores_by_metric.items())
        if isinstance(found, dict)
    }


def _claim(row: dict) -> replications.Claim:
    from pipeline.science import claims

    return replications.Claim(name=row["name"], verdict=row["verdict"], measures=claims.deciding(row))
