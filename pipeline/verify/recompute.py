"""`verify`: is what the commit says what comes out of it? The files against dvc.lock, then each stage computed again.

Works in a clone of the commit that shares nothing with this checkout; MLflow and stored studies play no part. Each
stage starts from the recorded files of those before it, where this checkout has them, else from what was computed just
now: so a stage that differs differs by itself.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from graphlib import TopologicalSorter
from pathlib import Path

from pipeline import machine
from pipeline.params import Mistake, Params
from pipeline.storage import dvc_lock, recorded_files
from pipeline.storage.dvc_lock import LOCK, Stage
from pipeline.storage.stages import ARITHMETIC, STAGES, TRACK, TRAINING
from pipeline.verify import clean_copy, comparison, durations

TOLERANCES = {stage.name: stage.tolerance for stage in STAGES if stage.tolerance == TRAINING}
RECORDED = (str(LOCK), "params.yaml", "environment.json", "dvc.yaml")
SAME, TOLERATED, DIFFERS = "identical", "within the tolerance", "differs"
NOT_COMPARED = "not compared"  # another kind of machine made other bytes, and the recorded ones are not here


def main(params: Params, wanted: list[str], only_files: bool, as_json: bool, times: Path | None = None) -> int:
    """0 where everything is the same, also within tolerances on another kind of machine; 1 where something is not."""
    root, started = Path(), time.monotonic()

    def say(text: str) -> None:
        print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

    if times and (only_files or not times.parent.is_dir()):
        raise Mistake(f"--times {times}: " + ("--files computes nothing" if only_files else "its folder is not here"))
    stages, commit = _stages(params, root), clean_copy.commit(root, RECORDED, "verify")
    chosen = _chosen(wanted, stages)
    found = {"commit": commit, "files": [], "machine": {}, "stages": [], "first": None}
    wrong = recorded_files.differences(stages.values(), root, code=True)
    for each in wrong:
        say(f"differs: {each}")
    found["files"] = [asdict(each) for each in wrong]
    paths = [path for stage in stages.values() for path in (*stage.outs, *stage.deps)]
    here = sum((root / path).exists() for path in paths)
    if not wrong:
        say(f"files: {here} of {len(paths)} that dvc.lock names are here, all as recorded ({_since(started)})")
    if not wrong and not only_files:
        changed = _machine(root)
        found["machine"] = {name: {"recorded": a, "here": b} for name, (a, b) in changed.items()}
        for line in _machines(changed, root):
            say(line)
        measured = durations.estimated(chosen, root)
        say(f"estimate: {len(chosen)} of {len(stages)} stages to compute, {measured}{_of_all(stages, root)}")
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            copy = Path(folder) / "study"
            clean_copy.make(params, root, commit, copy, "verify")
            for number, name in enumerate(chosen, 1):
                begun = time.monotonic()
                say(f"[{number}/{len(chosen)}] {name} ...")
                files = _recomputed(stages[name], stages, root, copy, bool(changed))
                verdict = _worst([each["verdict"] for each in files])
                found["stages"].append({"stage": name, "verdict": verdict, "files": files})
                say(f"[{number}/{len(chosen)}] {name}: {verdict} ({_since(begun)})")
                if times:
                    durations.note(times, name, time.monotonic() - begun)
                for each in files:
                    if each["verdict"] != SAME:
                        found["first"] = found["first"] or {"stage": name, **each}
                        say(f"    {_in_words(each)}")
    verdict = _worst([DIFFERS if wrong else SAME, *(stage["verdict"] for stage in found["stages"])])
    if as_json:
        print(json.dumps({"verdict": verdict, **found}, indent=2))
    first = f"; first: {found['first']['stage']}, {_in_words(found['first'])}" if found["first"] else ""
    say(f"{commit[:10]}: {verdict}{first} ({_since(started)})")
    return int(verdict == DIFFERS)


def _stages(params: Params, root: Path) -> dict[str, Stage]:
    """Those of these parameters but `track`, each behind what it reads from."""
    names = [name for name in recorded_files.listed(params) if name != TRACK.name]
    known = dvc_lock.recorded(names, root)
    before = {
        name: [
            other
            for other in names
            if other != name
            and any(recorded_files.overlap(path, out) for path in _read(known[name]) for out in known[other].outs)
        ]
        for name in names
    }
    return {name: known[name] for name in TopologicalSorter(before).static_order()}


def _read(stage: Stage) -> list[str]:
    """What it reads that another stage may have made."""
    return [path for path in [*stage.deps, *stage.params] if not path.startswith(recorded_files.CODE)]


def _chosen(wanted: list[str], stages: dict[str, Stage]) -> list[str]:
    """All, or those of these names; `train` is every `train@...`."""
    unknown = [name for name in wanted if not any(name in (each, each.partition("@")[0]) for each in stages)]
    if unknown:
        raise Mistake(f"{unknown[0]!r} is no stage that can be verified; known: {', '.join(stages)}")
    return [each for each in stages if not wanted or each in wanted or each.partition("@")[0] in wanted]


def _machine(root: Path) -> dict[str, tuple[str, str]]:
    """What of this machine is not as it was where `evaluate` ran; all of it where that was not recorded."""
    path = root / machine.MACHINE
    return machine.unlike(json.loads(path.read_text()) if path.exists() else {}, machine.described())


def _machines(changed: dict, root: Path) -> list[str]:
    if not (root / machine.MACHINE).exists():
        return [f"machine: {machine.MACHINE} is not here, so nothing says on what kind of machine this was computed"]
    if not changed:
        return ["machine: of the kind on which this was computed, so the same bytes are asked for"]
    differ = ", ".join(f"{name} {there}, here {here}" for name, (there, here) in changed.items())
    return [
        f"machine: another kind than the one on which this was computed ({differ}): other last bits are no surprise",
        f"tolerances: {TRAINING:g} where networks are trained ({', '.join(TOLERANCES)}), else {ARITHMETIC:g}, each "
        "times max(1, |recorded|)",
    ]


def _of_all(stages: dict[str, Stage], root: Path) -> str:
    """What README.md says of all stages together."""
    readme = root / "README.md"
    said = re.search(r"about\s+(\d+ minutes) to run", readme.read_text(encoding="utf-8")) if readme.exists() else None
    return f"; all {len(stages)} take about {said[1]} on two cores (README.md)" if said else ""


def _recomputed(stage: Stage, stages: dict[str, Stage], root: Path, copy: Path, other_machine: bool) -> list[dict]:
    """Runs the stage in the copy; what became of each file that it makes.

    Later stages find the recorded files there again; where these are not here, a dvc.lock that records what was made.
    """
    for path in _read(stage):
        for other in stages.values():
            for out in other.outs:
                if recorded_files.overlap(path, out) and (root / out).exists():
                    _replace(root / out, copy / out)
        if not (copy / path).exists():
            raise Mistake(f"{stage.name}: {path} is not here to start from; `dvc pull`, or verify what makes it, too")
    for out in stage.outs:
        _remove(copy / out)
    words = [sys.executable, *_command(stage)]
    done = subprocess.run(words, cwd=copy, env=clean_copy.environment(), capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise Mistake(f"{stage.name}: ended with exit code {done.returncode} in the copy: {last}")
    found = [
        each for out, hashed in stage.outs.items() for each in _compared(stage, out, hashed, root, copy, other_machine)
    ]
    for out, hashed in stage.outs.items():
        if (root / out).exists():
            _replace(root / out, copy / out)
        elif (copy / out).exists():  # `claims` and `report` refuse what dvc.lock does not record
            lock = (copy / LOCK).read_text(encoding="utf-8")
            (copy / LOCK).write_text(lock.replace(hashed, recorded_files.hash_of(copy / out)), encoding="utf-8")
    return found


def _command(stage: Stage) -> list[str]:
    name, _, item = stage.name.partition("@")
    return ["-m", "pipeline", name, *([item] if item else [])]


def _compared(stage: Stage, out: str, hashed: str, root: Path, copy: Path, other_machine: bool) -> list[dict]:
    if not (copy / out).exists():
        return [{"path": out, "verdict": DIFFERS, "gap": None, "why": "was not made"}]
    if recorded_files.hash_of(copy / out) == hashed:
        return [{"path": out, "verdict": SAME, "gap": None, "why": ""}]
    if not (root / out).exists():
        verdict = NOT_COMPARED if other_machine else DIFFERS
        return [{"path": out, "verdict": verdict, "gap": None, "why": "the recorded one is not here to compare with"}]
    if (copy / out).is_dir():
        ours, theirs = recorded_files.files(root / out), recorded_files.files(copy / out)
        unlike = [f"{out}/{name}" for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    else:
        unlike = [out]
    return [_one(stage, path, root, copy, other_machine) for path in unlike]


def _one(stage: Stage, path: str, root: Path, copy: Path, other_machine: bool) -> dict:
    for folder, why in ((copy, "was not made"), (root, "is new")):
        if not (folder / path).exists():
            return {"path": path, "verdict": DIFFERS, "gap": None, "why": why}
    tolerance = TOLERANCES.get(stage.name.partition("@")[0], ARITHMETIC)
    gap = comparison.gap(root / path, copy / path, tolerance)
    tolerated = other_machine and (gap is None or gap.within)
    return {
        "path": path,
        "verdict": TOLERATED if tolerated else DIFFERS,
        "gap": gap and asdict(gap),
        "why": "" if gap else "other bytes, the same numbers",
    }


def _in_words(each: dict) -> str:
    gap = each["gap"]
    if not gap:
        return f"{each['path']}: {each['why']}"
    place = ", ".join(text for text in (gap["row"], f"column {gap['column']}" if gap["column"] else "") if text)
    apart = "" if gap["difference"] is None else f", apart by {gap['difference']:.3g}"
    most = "" if gap["largest"] is None else f"; the largest difference is {gap['largest']:.3g}"
    return (
        f"{each['path']}: {place}: recorded {gap['recorded']}, computed {gap['found']}{apart}; "
        f"{gap['values']} values differ{most}"
    )


def _worst(verdicts: list[str]) -> str:
    return max(verdicts, key=(SAME, TOLERATED, NOT_COMPARED, DIFFERS).index)


def _replace(source: Path, target: Path) -> None:
    _remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _since(start: float) -> str:
    return durations.spoken(time.monotonic() - start)
