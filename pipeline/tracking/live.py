"""Runs that grow while a stage trains, written by a process of its own at the other end of a pipe.

So a tracker that is slow, down or read-only costs training nothing, and when the trainer dies, however it dies, the
writer sees the pipe end and closes its runs. It finds a run by its tag `key`: a rerun continues the run there was.
"""

import json
import math
import os
import subprocess
import sys
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.storage import dvc_lock, stores
from pipeline.tracking import run_records, store
from pipeline.tracking.run_records import Point

PATIENCE_SECONDS = 20  # for the writer, when the stage has ended
COMMAND = [sys.executable, "-m", "pipeline.tracking"]
CODE = Path(__file__).parents[2]
KINDS = ("architecture", "settings", "seed", "sequence_length")


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
    send({"folder": str(folder.resolve()), "stage": stage, "units": {str(unit): tags for unit, tags in units.items()}})
    os.set_blocking(process.stdin.fileno(), False)
    end = {"end": "FINISHED"}
    try:
        yield lambda unit, step, metrics: send({"unit": str(unit), "step": int(step), "metrics": _as_in_files(metrics)})
    except (KeyboardInterrupt, SystemExit):
        end = {"end": "KILLED"}
        raise
    except BaseException:
        end = {"end": "FAILED", "traceback": stores.masked(traceback.format_exc())[-3000:]}  # a pipe takes 4 kB at once
        raise
    finally:
        send(end)
        _close(process)


def write(messages) -> None:
    """The writer's whole life: a header, then points until an end; without one the trainer died: KILLED.

    Below `gradients@` a run is a mean over seeds, which no seed can log: there only the parent tells of the work.
    """
    header = next(messages)
    name, units, folder = header["stage"], header["units"], Path(header["folder"])
    stage = dvc_lock.present(name, folder)
    client, experiments = store.opened(folder)
    place = client, experiments[run_records.EXPERIMENTS[name.partition("@")[0]]], folder
    shared = {kind: _one({tags[kind] for tags in units.values()}) for kind in KINDS}
    parent = _Growing(*place, run_records.name(name), run_records.tags(name, "", stage.key(), **shared))
    growing, end = {}, {"end": "KILLED"}
    with store.measured(parent.run.id, folder):
        for message in messages:
            if "end" in message:
                end = message
                break
            unit = message["unit"]
            if name.startswith("gradients@"):
                continue
            if unit not in growing:
                tags = run_records.tags(name, unit, stage.key(unit), **units[unit])
                growing[unit] = _Growing(*place, run_records.name(name, unit), {**tags, store.PARENT: parent.run.id})
            growing[unit].log({(metric, message["step"]): value for metric, value in message["metrics"].items()})
    if "traceback" in end:
        parent.run.log_artifacts({"traceback.txt": end["traceback"]})
    for each in (*growing.values(), parent):
        client.set_terminated(each.run.id, end["end"])


class _Growing:
    """A run under way. Where a rerun gives other values than the run of the same key had, that run is begun anew."""

    def __init__(self, client, experiment: str, folder: Path, name: str, tags: dict[str, str]):
        writer = store.writer()
        self._begun = lambda: store.Run.begun(client, experiment, name, {**tags, store.WRITER: writer}, folder)
        self._session: dict[Point, float] = {}
        self.run = store.Run.found(client, experiment, tags["key"]) or self._begun()
        client.set_tag(self.run.id, store.WRITER, writer)
        client.update_run(self.run.id, status="RUNNING")
        if "record" in self.run.tags:
            client.delete_tag(self.run.id, "record")

    def log(self, points: dict[Point, float]) -> None:
        self._session |= points
        if self.run.contradicts(points):
            self.run.delete()
            self.run = self._begun()
        self.run.log(self._session)


def _one(values: set):
    return values.pop() if len(values) == 1 else run_records.ALL


def _as_in_files(metrics: dict) -> dict[str, float]:
    """To the 8 digits that files keep, so that live and final points are the same; without what is not finite."""
    return {name: float(f"{value:.8g}") for name, value in metrics.items() if math.isfinite(value)}


def _sender(process: subprocess.Popen):
    def send(message: dict) -> None:
        with suppress(OSError):  # the writer has gone and has said why; the files have it all
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
