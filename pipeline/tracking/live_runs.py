"""Writes runs to MLflow while a stage trains.

A second process, the writer, gets the points through a pipe and writes them. So an MLflow that is slow, down or
read-only costs training nothing. However the trainer dies, the writer sees the end of the pipe and ends the runs. It
finds a run of this checkout by the tag `key`, so a rerun continues the run that exists.
"""

import json
import math
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.storage import stage_inputs, stores
from pipeline.storage.stage_table import GRADIENTS, stage_of
from pipeline.tracking import checkouts, mlflow_store, run_sync, sql_reader
from pipeline.tracking.checkouts import OWNER
from pipeline.tracking.run_records import record
from pipeline.tracking.run_records.tables import Metrics, Strings

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_SECONDS = 20  # how long the end of a stage waits for the writer
COMMAND = [sys.executable, "-m", "pipeline.tracking"]
CODE = Path(__file__).parents[2]
TRACEBACK_CHARACTERS = 3000  # a pipe takes at most 4 kB in one write

Log = Callable[[Any, int, dict[str, float]], None]  # unit, step, {metric: value}


@contextmanager
def writer(folder: Path, stage: str, units: dict[Any, dict]) -> Iterator[Log]:
    """Starts the writer and gives log(unit, step, {metric: value}), which never raises and never waits.

    `units` maps each unit to its tags `architecture`, `settings`, `seed` and `sequence_length`.
    """
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        COMMAND,
        cwd=CODE,
        stdin=read_end,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C ends the trainer; the writer then ends the runs
    )
    os.close(read_end)

    def send(message: dict) -> None:
        """Drops the message if the pipe is full or the writer has ended. No value is lost: the files have them all."""
        with suppress(OSError):
            os.write(write_end, json.dumps(message).encode() + b"\n")

    def log(unit: Any, step: int, metrics: dict[str, float]) -> None:
        point = {
            "unit": str(unit),
            "step": int(step),
            "metrics": _as_in_files(metrics),
        }
        send(point)

    header = {
        "folder": str(folder.resolve()),
        "stage": stage,
        "units": {str(unit): labels for unit, labels in units.items()},
    }
    send(header)
    os.set_blocking(write_end, False)

    end = {"end": "FINISHED"}
    try:
        yield log
    except (KeyboardInterrupt, SystemExit):
        end = {"end": "KILLED"}
        raise
    except BaseException:
        text = stores.masked(traceback.format_exc())
        end = {"end": "FAILED", "traceback": text[-TRACEBACK_CHARACTERS:]}
        raise
    finally:
        send(end)
        os.close(write_end)
        _wait_for(process)


def _as_in_files(metrics: dict[str, float]) -> dict[str, float]:
    """The finite values, rounded to the 8 digits that files keep. So live and final points are the same."""
    return {name: float(f"{value:.8g}") for name, value in metrics.items() if math.isfinite(value)}


def _wait_for(process: subprocess.Popen) -> None:
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        mlflow_store.warn(TimeoutError(f"not done {PATIENCE_SECONDS} s after the stage"))


def write(messages: Iterator[dict]) -> None:
    """Writes the runs of one stage from its first message to its last, in the writer's process.

    `messages` are a header, then points, then an end. If the end is missing, the trainer died, and the runs get the
    status KILLED. A child run of `gradients` is a mean over seeds, which cannot be logged while single seeds train. So
    only the parent run of that stage is live.
    """
    header = next(messages)
    folder = Path(header["folder"])
    units = header["units"]
    stage = stage_inputs.present(header["stage"], folder)
    kind = stage_of(stage.name)
    checkouts.keep(folder)
    client, experiments = mlflow_store.opened(folder)
    checkout = checkouts.identified(folder)
    keys = dict.fromkeys((stage.key(unit) for unit in ("", *units)), ())
    own_runs = run_sync.own_runs(sql_reader.runs(folder, keys, checkout), checkout)

    def live_run(unit: str, labels: dict, **parent: str) -> "_LiveRun":
        tags = {**record.tags(stage, unit, labels), OWNER: checkout.id, **parent}
        name = record.name(stage.name, unit)
        stored = own_runs.get((kind.experiment, tags["key"]))
        run = run_sync.writable(client, stored) if stored else None
        return _LiveRun(client, experiments[kind.experiment], folder, name, tags, run)

    parent = live_run("", _shared_labels(list(units.values())))
    children = {}
    end = {"end": "KILLED"}
    with mlflow_store.measured(parent.run.id, folder):
        for message in messages:
            if "end" in message:
                end = message
                break
            if kind == GRADIENTS:
                continue

            unit, step = message["unit"], message["step"]
            if unit not in children:
                children[unit] = live_run(unit, units[unit], **{mlflow_store.PARENT: parent.run.id})
            children[unit].log(
                {(metric, step): value for metric, value in message["metrics"].items()}
            )

    if "traceback" in end:
        client.log_text(parent.run.id, end["traceback"], "traceback.txt")
    for live in (*children.values(), parent):
        client.set_terminated(live.run.id, end["end"])


def _shared_labels(labels: list[dict]) -> dict:
    """The labels of a parent run: the value that all its units share, or else `all`."""
    shared = {}
    for name in record.LABELS:
        values = {unit[name] for unit in labels}
        shared[name] = values.pop() if len(values) == 1 else record.ALL
    return shared


class _LiveRun:
    """A run under way. A rerun whose values differ from the points of the existing run replaces that run.

    `track` then gives it what users added to the replaced run, because it knows which names are ours.
    """

    def __init__(
        self,
        client: "MlflowClient",
        experiment: str,
        folder: Path,
        name: str,
        tags: Strings,
        run: mlflow_store.Run | None,
    ):
        tags = {**tags, mlflow_store.WRITER: mlflow_store.writer()}
        self._begin = lambda **more_tags: mlflow_store.Run.begin(
            client, experiment, name, {**tags, **more_tags}, folder
        )
        self._session: Metrics = {}  # all points of this process, which a new run gets again
        self.run = run or self._begin()

        client.set_tag(self.run.id, mlflow_store.WRITER, tags[mlflow_store.WRITER])
        client.update_run(self.run.id, status="RUNNING")
        if "record" in self.run.tags:
            client.delete_tag(self.run.id, "record")

    def log(self, points: Metrics) -> None:
        self._session |= points
        if mlflow_store.contradict(self.run.points, points):
            replaced = self.run
            self.run = self._begin(**{mlflow_store.REPLACES: replaced.id})
            # second, because a deleted run without a successor would hand over nothing after a kill
            self.run.client.delete_run(replaced.id)
        self.run.log(self._session)
