"""`python -m pipeline COMMAND`: the CLI. It parses arguments, gives each stage its tools and prints errors.

Imports are lazy, so that `--help` and errors in arguments appear immediately.
"""

import argparse
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from importlib import import_module
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import merge_conflicts

try:
    from pipeline.params import Mistake, Params, suggestion
    from pipeline.storage import stage_table
    from pipeline.storage.stage_table import Stage
except SyntaxError as error:
    if problem := merge_conflicts.problem(error):
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    raise

if TYPE_CHECKING:
    from pipeline.stages.context import Context
    from pipeline.storage.stage_inputs import Inputs

DESCRIPTION = "The textbook's statements about recurrent networks, tested on real texts."
EPILOGUE = "`dvc repro` runs the stages, in the order of dvc.yaml. Settings are in params.yaml."
READING = (
    "Reads a text word by word. For each word it prints the verdict if the text ended there and the contribution of "
    "the word. It also prints the hidden state as a row of blocks, and how strongly the verdict depends on this state. "
    "A legend explains the output."
)
VERIFYING = (
    "Compares the files of this checkout with dvc.lock. Then it computes stages again in a clean copy of the commit "
    "and names the first stage, file, column and row that differs, and by how much. Exit code 0: no difference, "
    "1: a difference, 2: an error prevented the comparison."
)
REPLICATING = (
    "Computes the study of this commit under other rounding, in a clean copy, and writes "
    "reports/replications/NAME.json. `claims` then marks the verdicts that the replication contradicts as unstable. "
    "After an interruption, run the same command again to continue."
)
TEXT_HELP = "a text in plain words; write -- before one that starts with -"
EXAMINING = (
    "Checks versions, processor, stores, disk and stale stages. Prints a remedy for each problem. Exit code 1 if there "
    "is one."
)
OPENING = (
    "Starts MLflow's UI on loopback and prints links to the results of this checkout. If MLFLOW_TRACKING_URI names a "
    "server, prints the links at that server."
)

PLANNING = (
    "Lists how many stages `dvc repro` would run. Estimates the time after measuring the speed of this machine for a "
    "second. `make reproduce` begins with it."
)
SUMMARISING = (
    "Prints scores, verdicts, where to look, and how far the results differ from those of the commit. "
    "`make reproduce` ends with it."
)

WITHOUT_RESULTS = ("doctor", "summary", stage_table.TRACK.name)  # commands that compute nothing
WITHOUT_INPUTS = ("doctor", "ui")  # commands that help although an input is recorded wrongly

TEXT_COMMANDS = ("predict", "read")
OPTION = re.compile(r"-h|--(help|file|run|seed|json)(=\S*)?")  # of these two commands

Arguments = argparse.Namespace


def main(words: list[str] | None = None) -> int:
    """Runs one command and returns its exit code: 2 for a Mistake, 1 for any other error."""
    try:
        arguments = _parsed(sys.argv[1:] if words is None else words)
        _prepare_process(arguments.command)
        code = COMMANDS[arguments.command](arguments)
        print(end="", flush=True)  # unlike `sys.stdout.flush()`, also works after `>&-`
        return code or 0
    except Mistake as mistake:
        for line in str(mistake).split("\n"):
            _print_error(line)
        return 2
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        _print_error(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, SyntaxError) and (problem := merge_conflicts.problem(error)):
            print(f"error: {problem}", file=sys.stderr)
            return 2
        print(_masked(traceback.format_exc()), end="", file=sys.stderr)
        return 1


def _parsed(words: list[str]) -> Arguments:
    """The arguments. After an error of argparse, explains how to pass several words, or a text that starts with -."""
    try:
        return parser().parse_args(words)
    except SystemExit as ended:
        is_text = len(words) > 2 and not any(word.startswith("-") for word in words)
        if ended.code and is_text and words[0] in TEXT_COMMANDS:
            example = f"python -m pipeline {words[0]} {shlex.quote(' '.join(words[1:]))}"
            _print_error(f"put the text in quotes, such as `{example}`")
        texts = [
            word
            for before, word in pairwise(words)
            if word.startswith("-") and before != "--file" and not OPTION.fullmatch(word)
        ]
        if ended.code and texts and words[0] in TEXT_COMMANDS and "--" not in words:
            example = f"python -m pipeline {words[0]} -- {shlex.quote(texts[0])}"
            _print_error(f"write -- before a text that starts with -, such as `{example}`")
        raise


def _prepare_process(command: str) -> None:
    """Sets environment variables and makes output safe to print.

    Raises Mistake if a variable could change the results of this command, or if dvc.lock records other inputs than a
    stage has used. Under DVC, it also backs up dvc.lock, makes this process end when DVC ends, and prints the time left
    of a run of `make`.
    """
    from pipeline import machine

    machine.prepare()
    if "DVC_STAGE" in os.environ:
        from pipeline.storage import dvc_lock, used_inputs
        from pipeline.verify import run_plan

        stage = os.environ["DVC_STAGE"]
        machine.end_with_dvc()
        finished = dvc_lock.keep(Path())
        used_inputs.check(stage, _run_of_dvc(), finished)
        run_plan.announce(stage)
    elif command not in WITHOUT_INPUTS:
        from pipeline.storage import used_inputs

        used_inputs.check_known(command)

    if command not in WITHOUT_RESULTS:
        machine.check(os.environ)
        machine.check_packages()

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # in a notebook it is of another type
            # print ? for a letter that the terminal cannot show
            stream.reconfigure(errors="replace")


def _print_error(text: str) -> None:
    """Prints one line. Signs that could change the screen are printed as escapes, as Python writes them."""
    signs = [sign if sign.isprintable() else repr(sign)[1:-1] for sign in _masked(text)]
    line = "".join(signs)
    print(f"error: {line}", file=sys.stderr)


def _masked(text: str) -> str:
    """The text without passwords and other secrets of URLs."""
    from pipeline.storage import stores

    return stores.masked(text)


def parser() -> argparse.ArgumentParser:
    command_line = argparse.ArgumentParser(
        prog="python -m pipeline", description=DESCRIPTION, epilog=EPILOGUE
    )
    commands = command_line.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for stage in stage_table.STAGES:
        _add_stage(commands, stage)

    predict = _add_command(commands, "predict", "print how positive a text is")
    source = predict.add_mutually_exclusive_group(required=True)
    source.add_argument("text", nargs="?", help=TEXT_HELP)
    source.add_argument(
        "--file", help="a file of texts, one per line (UTF-8); - reads standard input"
    )
    _add_network(predict)
    predict.add_argument(
        "--json", action="store_true", help="print label and probability with all digits"
    )

    read = _add_command(commands, "read", "read a text word by word", READING)
    read.add_argument("text", help=TEXT_HELP)
    _add_network(read)
    read.add_argument(
        "--json", action="store_true", help="print all numbers, with every hidden state"
    )

    verify = _add_command(
        commands, "verify", "compute the commit's results again and compare", VERIFYING
    )
    verify.add_argument(
        "stage",
        nargs="*",
        help="a stage as DVC names it, or `train` for every train@...; without it, all stages",
    )
    verify.add_argument("--files", action="store_true", help="only compare the files with dvc.lock")
    verify.add_argument(
        "--json", action="store_true", help="print every difference; progress goes to stderr"
    )
    verify.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="write the duration of each stage in seconds to FILE",
    )

    replicate = _add_command(
        commands, "replicate", "compute the study under other rounding", REPLICATING
    )
    replicate.add_argument("name", help="name of the replication: lower-case letters, digits and -")
    replicate.add_argument(
        "--without",
        choices=[stage_table.TUNE.name],
        help="keep the settings that this checkout chose instead of searching again; faster",
    )
    replicate.add_argument(
        "--rounding",
        choices=["xla", "own"],
        help="xla: set an XLA flag that changes rounding; own: rely on the rounding of this machine. Default: own on "
        "a machine of another kind than the study's, otherwise xla",
    )
    replicate.add_argument(
        "--commit",
        metavar="REVISION",
        help="compute nothing: take the results that this commit holds, from a machine of another kind",
    )

    ui = _add_command(commands, "ui", "open MLflow's UI on the results", OPENING)
    ui.add_argument("--port", default="5000", help="a free port on loopback; default: 5000")

    plan = _add_command(commands, "plan", "list what `dvc repro` would run", PLANNING)
    plan.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="SETTING",
        help="a setting of `dvc exp run -S` for a new copy, in which every stage runs",
    )
    plan.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="durations of an earlier run with these settings; default: benchmarks/stages.json",
    )

    summary = _add_command(commands, "summary", "print the results on one screen", SUMMARISING)
    summary.add_argument(
        "--folder", type=Path, default=Path(), help="the folder of the study; default: this one"
    )
    summary.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="write the durations of the stages that `make` has just run to FILE",
    )

    _add_command(
        commands, "doctor", "find problems of this checkout and print their remedies", EXAMINING
    )
    return command_line


def _add_command(commands, name: str, help: str, description: str = "") -> argparse.ArgumentParser:
    sentence = f"{help[0].upper()}{help[1:]}."
    return commands.add_parser(name, help=help, description=description or sentence)


def _add_stage(commands, stage: Stage) -> None:
    subparser = _add_command(commands, stage.name, stage.help)
    if stage.listed_in:
        subparser.add_argument(
            "item", metavar=stage.item, help=f"one of {stage.listed_in} in params.yaml"
        )
    if stage == stage_table.TRACK:
        subparser.add_argument(
            "--check", action="store_true", help="change nothing; exit code 1 if MLflow differs"
        )


def _add_network(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--run", help="a run of params.yaml; default: the best by validation accuracy"
    )
    command.add_argument(
        "--seed", type=int, help="a seed of the run; default: the best by validation accuracy"
    )


def _run_stage(arguments: Arguments) -> None:
    """Runs a stage on the inputs that it finds. Raises Mistake if one of them has changed at its end."""
    from pipeline import machine, params
    from pipeline.storage import leftovers, stage_inputs, used_inputs

    _check_workers()
    stage = stage_table.BY_NAME[arguments.command]
    parameters = params.read()
    name = stage.dvc_name(_item(stage, arguments, parameters))
    leftovers.set_aside(parameters)
    inputs = stage_inputs.read(name)
    inputs.check_packages()

    _note_switches()
    if stage.loads_tensorflow:
        machine.load_tensorflow()
    from pipeline.workers import resume  # it imports pandas

    resume.delete_recorded()
    with _context(stage, inputs) as context, _unchanged(inputs):
        import_module(f"pipeline.stages.{stage.name}").main(context)
    if run := _run_of_dvc():
        used_inputs.keep(inputs, run)


def _run_of_dvc() -> str:
    """Identifies the process of DVC that runs this stage; empty without DVC."""
    if "DVC_STAGE" not in os.environ:
        return ""

    from pipeline import machine

    dvc = machine.parent()
    return f"{dvc.pid} {dvc.create_time()}" if dvc else ""


@contextmanager
def _unchanged(inputs: "Inputs") -> Iterator[None]:
    """Raises Mistake if an input has changed at the end of the block. A change explains any error of the block too."""
    try:
        yield
    except Exception:
        inputs.check()
        raise
    inputs.check()


def _note_switches() -> None:
    """Prints one line for each variable that changes rounding and differs from the value that `evaluate` recorded.

    A damaged record stops no stage, because `evaluate` can run only after the stages before it.
    """
    from pipeline import machine
    from pipeline.storage import machine_record

    if not machine.MACHINE.exists():
        return
    try:
        recorded = machine.switches(machine_record.read(machine.MACHINE))
    except Mistake as mistake:
        print(f"note: {mistake}", file=sys.stderr)
        return

    differences = machine.differences(recorded, machine.switches(os.environ))
    for name, (before, now) in differences.items():
        print(
            f"note: {name} is {now!r}, and {before!r} in {machine.MACHINE}: "
            "this stage may round differently; `evaluate` records the new value",
            file=sys.stderr,
        )


def _item(stage: Stage, arguments: Arguments, parameters: Params) -> str:
    """The run, architecture or sequence length on the command line; empty for a stage without items."""
    if not stage.listed_in:
        return ""

    items = stage.items(parameters)
    if arguments.item not in items:
        hint = suggestion(arguments.item, items)
        raise Mistake(f"{arguments.item!r} is not in params.yaml, {stage.listed_in}; {hint}")
    return arguments.item


def _check_workers() -> None:
    """Raises Mistake if RNN_WORKERS or an address is wrong. Called before any work, not hours later."""
    from pipeline.storage import stores
    from pipeline.workers import worker_count

    worker_count.processes()
    worker_count.scheduler()
    stores.studies(Path())


@contextmanager
def _context(stage: Stage, inputs: "Inputs") -> Iterator["Context"]:
    """The parameters and tools of a stage. Closes the workers, the results and the study at the end of the block."""
    from pipeline import machine, params
    from pipeline.stages.context import Context

    name = inputs.stage
    content = inputs.documents[str(params.PARAMS)]
    parameters = params.validated(Params, content, str(params.PARAMS))
    if not stage.resumes_from:
        yield Context(parameters, name)
        return

    from pipeline.tracking.tracker import Tracker
    from pipeline.workers import driver, resume, worker_count

    with ExitStack() as stack:
        results = None
        if stage.resumes_from == "results":
            results = stack.enter_context(resume.opened(inputs, machine.is_forced()))
        workers = driver.Workers(
            worker_count.processes(), worker_count.scheduler(), results, inputs.check_code
        )
        stack.enter_context(closing(workers))
        context = Context(parameters, name, workers, Tracker())

        if stage.resumes_from == "study":
            from pipeline.storage import optuna_storage

            study = optuna_storage.opened(inputs, machine.is_forced())
            context = replace(context, study=stack.enter_context(study))
        yield context


def _track(arguments: Arguments) -> int:
    from pipeline import params
    from pipeline.stages import track
    from pipeline.stages.context import Context
    from pipeline.tracking.tracker import Tracker

    context = Context(params.read(), arguments.command, tracker=Tracker())
    if arguments.check:
        return track.check(context)
    track.main(context)
    return 0


def _predict(arguments: Arguments) -> None:
    from pipeline import machine

    machine.load_tensorflow()
    from pipeline.commands import predict

    predict.main(arguments.text, arguments.file, arguments.run, arguments.seed, arguments.json)


def _read(arguments: Arguments) -> None:
    from pipeline import machine

    machine.load_tensorflow()
    from pipeline.commands import read

    read.main(arguments.text, arguments.run, arguments.seed, arguments.json)


def _verify(arguments: Arguments) -> int:
    from pipeline import params
    from pipeline.verify import recompute

    _check_workers()
    return recompute.main(
        params.read(), arguments.stage, arguments.files, arguments.json, arguments.times
    )


def _replicate(arguments: Arguments) -> None:
    from pipeline import params
    from pipeline.commands import replicate

    if arguments.commit is not None:
        if arguments.without or arguments.rounding:
            raise Mistake("--commit takes finished results; leave out --without and --rounding")
        replicate.from_commit(params.read(), arguments.name, arguments.commit)
        return

    _check_workers()
    without_tuning = arguments.without == stage_table.TUNE.name
    replicate.main(params.read(), arguments.name, without_tuning, arguments.rounding)


def _ui(arguments: Arguments) -> None:
    from pipeline.commands import ui

    ui.main(arguments.port)


def _plan(arguments: Arguments) -> None:
    from pipeline.commands import plan

    _check_workers()
    plan.main(arguments.set_param, arguments.times)


def _summary(arguments: Arguments) -> None:
    from pipeline.commands import summary

    summary.main(arguments.folder, arguments.times)


def _doctor(arguments: Arguments) -> int:
    from pipeline.commands import doctor

    return doctor.main()


COMMANDS: dict[str, Callable[[Arguments], int | None]] = {
    **dict.fromkeys(stage_table.BY_NAME, _run_stage),
    stage_table.TRACK.name: _track,
    "predict": _predict,
    "read": _read,
    "verify": _verify,
    "replicate": _replicate,
    "ui": _ui,
    "plan": _plan,
    "summary": _summary,
    "doctor": _doctor,
}

if __name__ == "__main__":
    sys.exit(main())
