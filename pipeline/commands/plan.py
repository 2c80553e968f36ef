"""`plan`: which stages `dvc repro` would run, and for how long on this machine. `make reproduce` begins with it."""

import shutil
import tempfile
from pathlib import Path

from pipeline.params import PARAMS, Mistake, Params, read
from pipeline.storage import stores
from pipeline.storage.stage_table import TRACK, dvc_names
from pipeline.verify import calibration, durations, run_plan, stale
from pipeline.verify.run_plan import RunPlan
from pipeline.verify.stale import StaleStages
from pipeline.workers import resume, worker_count

NOTHING = (
    "Nothing to compute: only `track` runs. It makes MLflow equal to the files within seconds."
)


def main(settings: list[str], times: Path | None) -> None:
    """Prints one line and writes the plan for the stages.

    `settings` go to `dvc exp run -S` in a new copy, where every stage runs. The file `times` has the durations of a
    run with these settings.
    """
    params = _changed(settings) if settings else read()
    for problem in run_plan.missing_runs(params):
        raise Mistake(problem)

    names = dvc_names(params)
    if settings:
        stages = StaleStages(names[:-1], [], has_other_settings=times is None, has_cache=False)
    else:
        stages = stale.read()

    plan = _planned(stages, times or durations.FILE)
    run_plan.write(plan)
    print(_sentence(stages, plan, len(names)), flush=True)


def _changed(settings: list[str]) -> Params:
    """The parameters with these settings, which DVC applies to a copy of the file. Raises Mistake for a wrong one."""
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PARAMS.name
        shutil.copyfile(PARAMS, copy)
        try:
            apply_overrides(copy, settings)
        except OSError:
            raise
        except Exception as error:  # whatever DVC, Hydra, OmegaConf, Python and YAML raise
            reason = " ".join(str(error.__cause__ or error).split())
            problem = f"a setting of `dvc exp run -S` is wrong: {reason}"
            remedy = "write KEY=VALUE with one value, such as train.seeds=2"
            raise Mistake(f"{PARAMS}: {problem}; {remedy}") from error
        try:
            return read(copy)
        except Mistake as mistake:
            raise Mistake(str(mistake).replace(str(copy), str(PARAMS))) from None


def _planned(stages: StaleStages, times: Path) -> RunPlan:
    """The plan, with an estimate for each stage, unless they run on a cluster."""
    names = [*stages.certain, *stages.possible]
    seconds_by_stage = {}
    passes = None
    if names and not worker_count.scheduler():
        workers = worker_count.processes()
        passes = calibration.passes_per_second(workers)
        seconds_by_stage = durations.on_this_machine(names, workers, passes, times)

    is_continued = resume.FOLDER.exists()
    return RunPlan([*names, TRACK.name], seconds_by_stage, passes, is_continued)


def _sentence(stages: StaleStages, plan: RunPlan, total: int) -> str:
    if not stages.certain:
        return NOTHING

    sentence = f"Will run: {len(stages.certain) + 1} of {total} stages"
    if stages.possible:
        sentence += f", and {len(stages.possible)} more if results change"
    return f"{sentence}. {_estimate(stages, plan)}."


def _estimate(stages: StaleStages, plan: RunPlan) -> str:
    if address := worker_count.scheduler():
        return f"The cluster at {stores.masked(address)} computes, for which nothing was ever timed"
    if not plan.seconds:
        return "Nobody has ever timed these"

    duration = durations.in_words(sum(plan.seconds.values()))
    workers = worker_count.processes()
    noun = "worker" if workers == 1 else "workers"
    notes = [f"a calibration of {calibration.SECONDS:.0f} s, {workers} {noun}"]
    if plan.untimed():
        notes.append(f"without {', '.join(plan.untimed())}")
    if stages.has_other_settings:
        notes.append(f"{PARAMS} differs from dvc.lock: expect another time")
    if stages.has_cache or plan.is_continued:
        notes.append("less if earlier results can be used")
    return f"Estimate for this machine: about {duration} ({'; '.join(notes)})"
