"""`python -m pipeline COMMAND`: the one door. Arguments, parameters, threads, tracker and errors; nothing else."""

import argparse
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from pipeline.params import ARCHITECTURES, Mistake

DESCRIPTION = "What the textbook says about recurrent networks, tested on real film reviews."
EPILOGUE = "The stages are what `dvc repro` runs, in the order of dvc.yaml; settings are in params.yaml."
READING = (
    "A text word by word: what a network would say if the text ended there, what the word counts for the verdict, how "
    "much the verdict depends on the hidden state there, and that state as a row of blocks. A legend explains the rest."
)
VERIFYING = (
    "Compares the files here with dvc.lock, then computes stages again in a clean copy of the commit and names the "
    "first stage, file, column and row that differs, and by how much. Exit code 0: the same, 1: not, 2: cannot tell."
)
REPLICATING = (
    "Computes the study of this commit under other rounding, in a clean copy. Writes reports/replications/NAME.json: "
    "`claims` then prints the verdicts that it contradicts as unstable. After an interruption the same command goes on."
)
STAGES = {
    "prepare": "reviews from the source, cleaned, split and encoded; the data card",
    "tune": "search hidden size, embedding dimension and more for one architecture",
    "train": "train one run on every seed",
    "evaluate": "score every run on the test split and compare",
    "gradients": "how gradients and memory fade, at one sequence length",
    "retention": "how far back networks learn to look, on a task whose truth is known",
    "claims": "the tutorial's sentences against what was measured",
    "examples": "a few reviews read word by word, for the report",
    "report": "write reports/ from the files of the other stages",
    "track": "make MLflow equal to the files",
}


def main(arguments: list[str] | None = None) -> int:
    try:
        given = parser().parse_args(arguments)
        from pipeline import machine

        machine.prepare()
        if "DVC_STAGE" in os.environ:
            from pipeline.storage import dvc_lock

            machine.end_with_dvc()
            dvc_lock.keep(Path())
        _print_whatever_the_terminal()
        code = COMMANDS[given.command](given) or 0
        sys.stdout.flush()
        return code
    except Mistake as mistake:
        for line in str(mistake).splitlines():
            print(f"error: {_masked(line)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read this has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"error: {error.filename or 'the system'}: {_masked(error.strerror or str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:
        print(_masked(traceback.format_exc()), end="", file=sys.stderr)
        return 1


def _masked(text: str) -> str:
    from pipeline.storage import stores

    return stores.masked(text)


def _print_whatever_the_terminal() -> None:
    """A letter that it lacks becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # what stands for a terminal in a notebook
            stream.reconfigure(errors="replace")


def parser() -> argparse.ArgumentParser:
    door = argparse.ArgumentParser(prog="python -m pipeline", description=DESCRIPTION, epilog=EPILOGUE)
    commands = door.add_subparsers(dest="command", metavar="COMMAND", required=True)
    stages = {name: commands.add_parser(name, help=said, description=said) for name, said in STAGES.items()}
    stages["tune"].add_argument("architecture", choices=ARCHITECTURES)
    stages["train"].add_argument("run", help="its name in params.yaml, train.runs: vanilla-textbook, ...")
    stages["gradients"].add_argument("sequence_length", type=int, help="in tokens")
    stages["track"].add_argument("--check", action="store_true", help="change nothing; exit 1 where MLflow differs")
    predict = commands.add_parser("predict", help="how positive a text is", description="How positive a text is.")
    what = predict.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", help="a review in plain words")
    what.add_argument("--file", help="a file of reviews, one a line (UTF-8)")
    predict.add_argument("--run", help="a run of params.yaml; without it the best by validation accuracy")
    predict.add_argument("--seed", type=int, help="one of its seeds; without it the best by validation accuracy")
    predict.add_argument("--json", action="store_true", help="label and probability with all digits")
    read = commands.add_parser("read", help="a text word by word", description=READING)
    read.add_argument("text", help="a review in plain words")
    read.add_argument("--run", help="a run of params.yaml; without it the best by validation accuracy")
    read.add_argument("--seed", type=int, help="one of its seeds; without it the best by validation accuracy")
    read.add_argument("--json", action="store_true", help="all numbers, with every hidden state")
    recompute = commands.add_parser(
        "verify", help="compute the commit's results again and compare", description=VERIFYING
    )
    recompute.add_argument(
        "stage", nargs="*", help="a stage as DVC names it, or `train` for every train@...; none: all"
    )
    recompute.add_argument("--files", action="store_true", help="compare the files with dvc.lock, compute nothing")
    recompute.add_argument("--json", action="store_true", help="every difference; progress goes to stderr")
    recompute.add_argument("--times", type=Path, metavar="FILE", help="write the seconds that each stage took there")
    replicate = commands.add_parser("replicate", help="the study under other rounding", description=REPLICATING)
    replicate.add_argument("name", help="of the replication: lower-case letters, digits and -")
    replicate.add_argument("--without", choices=["tune"], help="tune: keep the settings chosen here, which saves time")
    replicate.add_argument(
        "--rounding",
        choices=["xla", "own"],
        help="xla: with a flag of XLA that changes rounding; own: that of this machine; without it own where this is "
        "another kind of machine than the study's, else xla",
    )
    said = "versions, processor, stores, disk, what is stale; each problem with its remedy (exit code 1)"
    commands.add_parser("doctor", help=said, description=f"{said[0].upper()}{said[1:]}.")
    return door


def _stage(given) -> None:
    """The stages that compute in this process."""
    from importlib import import_module

    from pipeline import machine, params

    found = params.read()
    if given.command in ("evaluate", "examples"):
        machine.load_tensorflow()
    import_module(f"pipeline.stages.{given.command}").main(found)


def _fanned_out(given) -> None:
    """The stages whose units run on workers and are followed live in MLflow."""
    from contextlib import ExitStack
    from importlib import import_module

    from pipeline import params
    from pipeline.tracking.tracker import Tracker
    from pipeline.workers import driver

    found = params.read()
    unit = _known_unit(given, found)
    with ExitStack() as stack:
        kept = None
        if given.command != "tune":  # there the study keeps what trials found
            from pipeline.workers import resume

            kept = stack.enter_context(resume.opened(f"{given.command}@{unit}"))
        workers = driver.Workers(driver.processes(), driver.scheduler(), kept)
        stack.callback(workers.close)
        hands = [workers, Tracker()]
        if given.command == "tune":
            from pipeline.storage import optuna_storage

            hands.append(stack.enter_context(optuna_storage.opened(f"tune@{unit}")))
        import_module(f"pipeline.stages.{given.command}").main(unit, found, *hands)


def _retention(given) -> None:
    """On workers, too, but one stage for all units; nothing of it grows in MLflow."""
    from contextlib import closing

    from pipeline import params
    from pipeline.stages import retention
    from pipeline.workers import driver, resume

    found = params.read()
    with (
        resume.opened("retention") as kept,
        closing(driver.Workers(driver.processes(), driver.scheduler(), kept)) as workers,
    ):
        retention.main(found, workers)


def _known_unit(given, found):
    """The run, architecture or length that was asked for; raises Mistake where params.yaml does not list it."""
    key, asked, known = {
        "train": lambda: ("train.runs", given.run, list(found.train.runs)),
        "tune": lambda: ("tune.architectures", given.architecture, found.tune.architectures),
        "gradients": lambda: ("gradients.sequence_lengths", given.sequence_length, found.gradients.sequence_lengths),
    }[given.command]()
    if asked not in known:
        raise Mistake(f"{asked!r} is not in params.yaml, {key}; known: {', '.join(map(str, known))}")
    return asked


def _predict(given) -> None:
    from pipeline import machine

    machine.load_tensorflow()
    from pipeline.commands import predict

    predict.main(given.text, given.file, given.run, given.seed, given.json)


def _read(given) -> None:
    from pipeline import machine

    machine.load_tensorflow()
    from pipeline.commands import read

    read.main(given.text, given.run, given.seed, given.json)


def _verify(given) -> int:
    from pipeline import params
    from pipeline.verify import recompute

    return recompute.main(params.read(), given.stage, given.files, given.json, given.times)


def _replicate(given) -> None:
    from pipeline import params
    from pipeline.commands import replicate

    replicate.main(params.read(), given.name, given.without == "tune", given.rounding)


def _doctor(given) -> int:
    from pipeline.commands import doctor

    return doctor.main()


def _track(given) -> int:
    from pipeline import params
    from pipeline.stages import track
    from pipeline.tracking.tracker import Tracker

    return track.main(params.read(), Tracker(), given.check)


COMMANDS = {
    "prepare": _stage,
    "evaluate": _stage,
    "claims": _stage,
    "examples": _stage,
    "report": _stage,
    "tune": _fanned_out,
    "train": _fanned_out,
    "gradients": _fanned_out,
    "retention": _retention,
    "track": _track,
    "predict": _predict,
    "read": _read,
    "verify": _verify,
    "replicate": _replicate,
    "doctor": _doctor,
}

if __name__ == "__main__":
    sys.exit(main())
