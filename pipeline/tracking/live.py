"""Runs that grow while a stage trains.

A process of its own writes them, at the other end of a pipe. So a tracker that is slow, down or read-only costs
training nothing. However the trainer dies, the writer sees the end of the pipe and closes the runs. It finds a run by
the tag `key`, so a rerun continues the run that exists.
"""

import json
import math
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.storage import dvc_lock, stores
from pipeline.tracking import store
from pipeline.tracking.run_records import record

PATIENCE_SECONDS = 20  # how long the end of a stage waits for the writer
COMMAND = [sys.executable, "-m", "pipeline.tracking"]
CODE = Path(__file__).parents[2]
TRACEBACK_CHARACTERS = 3000  # a pipe takes 4 kB in one write


@contextmanager
def writer(folder: Path, stage: str, units: dict):
    """Starts the writer and gives log(unit, step, {metric: value}), which never raises and never waits."""
    process = subprocess.Popen(
        COMMAND,
        cwd=CODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,  # Ctrl-C ends the trainer; the writer then ends the runs
    )
    send = _sender(process)
    labels_by_unit = {str(unit): labels for unit, labels in units.items()}
    send({"folder": str(folder.resolve()), "stage": stage, "units": labels_by_unit})
    os.set_blocking(process.stdin.fileno(), False)

    def log(unit, step, metrics: dict) -> None:
        send({"unit": str(unit), "step": int(step), "metrics": _as_in_files(metrics)})

    end = {"end": "FINISHED"}
    try:
        yield log
    except (KeyboardInterrupt, SystemExit):
        end = {"end": "KILLED"}
        raise
    except BaseException:
        end = {
            "end": "FAILED",
            "traceback": stores.masked(traceback.format_exc())[-TRACEBACK_CHARACTERS:],
        }
        raise
    finally:
        send(end)
        _close(process)


def write(messages: Iterator[dict]) -> None:
    """The whole life of the writer: a header, then points, then an end. Without an end the trainer died: KILLED.

    A child run of `gradients@` is a mean over seeds, which no seed can log, so only the parent shows that work.
    """
    header = next(messages)
    name, units = header["stage"], header["units"]
    folder = Path(header["folder"])
    stage = dvc_lock.present(name, folder)
    client, experiments = store.opened(folder)
    experiment = experiments[record.EXPERIMENTS[record.kind(name)]]

    def live_run(unit: str, labels: dict, **parent: str) -> "_LiveRun":
        tags = record.tags(name, unit, stage.key(unit), labels) | parent
        return _LiveRun(client, experiment, folder, record.name(name, unit), tags)

    parent = live_run("", _shared_labels(list(units.values())))
    children = {}
    end = {"end": "KILLED"}
    with store.measured(parent.run.id, folder):
        for message in messages:
            if "end" in message:
                end = message
                break
            if name.startswith("gradients@"):
                continue
            unit = message["unit"]
            if unit not in children:
                children[unit] = live_run(unit, units[unit], **{store.PARENT: parent.run.id})
            step = message["step"]
            children[unit].log({(metric, step): value for metric, value in message["metrics"].items()})

    if "traceback" in end:
        parent.run.log_artifacts({"traceback.txt": end["traceback"]})
    for live in (*children.values(), parent):
        client.set_terminated(live.run.id, end["end"])


class _LiveRun:
    """A run under way. A rerun whose values differ from the points of the existing run replaces that run."""

    def __init__(self, client, experiment: str, folder: Path, name: str, tags: dict[str, str]):
        tags = {**tags, store.WRITER: store.writer()}
        self._begin = lambda: store.Run.begin(client, experiment, name, tags, folder)
        self._session: record.Metrics = {}
        self.run = store.Run.find(client, experiment, tags["key"]) or self._begin()

        client.set_tag(self.run.id, store.WRITER, tags[store.WRITER])
        client.update_run(self.run.id, status="RUNNING")
        if "record" in self.run.tags:
            client.delete_tag(self.run.id, "record")

    def log(self, points: record.Metrics) -> None:
        self._session |= points
        if store.contradict(self.run.points, points):
            self.run.delete()
            self.run = self._begin()
        self.run.log(self._session)


def _shared_labels(labels: list[dict]) -> dict:
    """The labels of a parent: a value that all its units share, else `all`."""
    shared = {}
    for name in record.LABELS:
        values = {unit[name] for unit in labels}
        shared[name] = values.pop() if len(values) == 1 else record.ALL
    return shared


def _as_in_files(metrics: dict) -> dict[str, float]:
    """Finite values only, rounded to the 8 digits that files keep: so live and final points are the same."""
    rounded = {name: float(f"{value:.8g}") for name, value in metrics.items()}
    return {name: value for name, value in rounded.items() if math.isfinite(value)}


def _sender(process: subprocess.Popen):
    def send(message: dict) -> None:
        with suppress(OSError):  # the writer has ended and has printed why; the files have all the values
            process.stdin.write(json.dumps(message).encode() + b"\n")

    return send


def _close(process: subprocess.Popen) -> None:
    process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        store.warn(TimeoutError(f"not done {PATIENCE_SECONDS} s after the stage"))
