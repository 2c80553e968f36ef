"""Runs units on a Dask cluster that shares neither disk nor code with this process. Only this module imports dask.

A plugin sends the code of this checkout and the shared values to every Dask worker, including those that join later.
On each worker the plugin starts a separate process, which computes the units. The Dask worker itself cannot: its own
threads would draw from the random generator that Keras seeds.

The plugin and the calls are pickled by value. Scheduler and workers therefore need the packages in requirements.lock,
but not this repository. For encryption, use a `tls://` address and configure certificates in Dask:
docs/guides/cluster.md.
"""

import asyncio
import hashlib
import importlib
import io
import logging
import os
import pickle
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client, KilledWorker, Security, Worker, WorkerPlugin, get_worker
from distributed.comm import connect

from pipeline import machine
from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.workers import worker as worker_process

CODE = Path(__file__).parents[1]
NAME = "rnn-for-nlp"
# attribute of a Dask worker: its processes, by the name of the study
STUDIES = "studies_of_rnn_for_nlp"
# how long we wait for a connection, and the interval between checks of the scheduler
PATIENCE_SECONDS = 20
SILENCE_SECONDS = 30  # we close the connection if the scheduler does not answer for this long
GOODBYE_SECONDS = 2  # how long the client may take to disconnect
REMEDY = "`dvc repro` continues"

for _name in ("distributed", "distributed.client", "distributed.core"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)  # a Mistake reports each failure
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Cluster(Executor):
    """Runs tasks on the workers of the Dask scheduler at `address`. Raises Mistake if no scheduler answers there."""

    at_once = sys.maxsize

    def __init__(self, address: str, shared: object, hear: worker_process.Hear):
        self._address = address
        self._client = _connected(address)
        self._executor = self._client.get_executor(pure=False)
        self._closed = threading.Event()

        study = Study(_code(), shared, machine.switches(os.environ))
        self._study = study.name
        try:
            self._client.subscribe_topic(study.name, lambda event: hear(*event[1]))
            self._client.register_plugin(study)
        except Exception as error:  # a worker may lack a package, disk space, memory
            self.abandon()
            raise Mistake(f"a worker of {address} cannot start the study: {error}") from error

        threading.Thread(target=self._watch, daemon=True).start()
        if not self._client.nthreads():
            print(
                f"waiting: {stores.masked(address)} has no workers yet", file=sys.stderr, flush=True
            )

    def submit(self, function: Callable, /, *arguments) -> Future:
        """Returns a future. It raises Mistake if workers keep crashing or the connection to the scheduler is lost."""
        remote = self._executor.submit(
            _caller(), self._study, cloudpickle.dumps((function, arguments))
        )
        local: Future = Future()

        def pass_on(remote: Future) -> None:
            try:
                answer = pickle.loads(remote.result())  # noqa: S301  # from our own process
                local.set_result(worker_process.result_of(answer))
            except CancelledError:
                local.set_exception(
                    Mistake(f"the Dask scheduler at {self._address} went away; {REMEDY}")
                )
            except KilledWorker as error:
                workers = f"{error.allowed_failures + 1} workers of {self._address}"
                local.set_exception(
                    Mistake(f"{workers} crashed running this task (out of memory?); {REMEDY}")
                )
            except Exception as error:
                local.set_exception(error)

        remote.add_done_callback(pass_on)
        return local

    def _watch(self) -> None:
        """Closes the connection if the scheduler stops answering. Calls that wait for the scheduler then fail."""
        # distributed's types declare None for attributes that it sets when it connects
        client: Any = self._client
        while not self._closed.wait(PATIENCE_SECONDS) and client.status == "running":
            try:
                client.sync(
                    client.scheduler.identity, n_workers=0, callback_timeout=SILENCE_SECONDS
                )
            except Exception:
                with suppress(AttributeError):  # the connection has ended by itself
                    client.loop.add_callback(client.scheduler_comm.comm.abort)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed.set()
        if self._client.status == "running":  # otherwise the client would wait for a lost scheduler
            with suppress(Exception):
                self._client.unregister_worker_plugin(self._study)
        with suppress(Exception):
            self._client.close(timeout=GOODBYE_SECONDS)

    def abandon(self) -> None:
        """Ends the processes on the cluster. Tasks that are running are lost."""
        self.shutdown()


class Study(WorkerPlugin):
    """Gives a Dask worker a process for this study. Its `setup` and `teardown` run on the cluster."""

    def __init__(self, code: bytes, shared: object, switches: dict[str, str]):
        self.code = code
        self.shared = cloudpickle.dumps(shared)
        self.switches = switches  # of the driver
        self.name = f"{NAME}-{uuid.uuid4()}"  # another driver may run the same study on this cluster and end first

    def setup(self, worker: Worker) -> None:
        """Unloads another study's code from the Dask worker, imports this code, and starts the process."""
        archive = (
            Path(worker.local_directory)
            / f"{NAME}-{hashlib.sha256(self.code).hexdigest()[:16]}.zip"
        )
        archive.write_bytes(self.code)

        if str(archive) not in str(getattr(sys.modules.get("pipeline"), "__path__", "")):
            for name in list(sys.modules):
                if name.partition(".")[0] == "pipeline":
                    del sys.modules[name]  # it belongs to a study with other code

        sys.path.insert(0, str(archive))
        try:
            module = importlib.import_module("pipeline.workers.pool")
            self._check_environment(module.machine)
            shared = pickle.loads(self.shared)  # noqa: S301  # from the driver
        finally:
            sys.path.remove(str(archive))

        pool = module.Pool(
            1, shared, lambda unit, message: worker.log_event(self.name, [unit, message])
        )
        vars(worker).setdefault(STUDIES, {})[self.name] = pool, module.worker.run_packed

    def _check_environment(self, machine: Any) -> None:
        """Raises RuntimeError if this worker would round differently. `machine` is the driver's module machine.py."""
        environment = machine.prepared(os.environ)
        problems = machine.refused(environment)
        differences = machine.differences(self.switches, machine.switches(environment))
        for name, (driver, here) in differences.items():
            problems.append(f"{name}: {driver!r} for the driver, {here!r} on the worker")
        if problems:
            raise RuntimeError("; ".join(problems))

    def teardown(self, worker: Worker) -> None:
        pool, _ = vars(worker).get(STUDIES, {}).pop(self.name, (None, None))
        if pool:
            pool.abandon()


def _connected(address: str) -> Client:
    if address.startswith("tls:") and not Security().get_connection_args("client").get(
        "ssl_context"
    ):
        raise Mistake(
            f"DASK_SCHEDULER_ADDRESS: {address}: Dask's configuration names no certificate (docs/guides/cluster.md)"
        )
    try:
        asyncio.run(_greet(address))
        return Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error) or "silence"
        raise Mistake(
            f"DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there ({reason})"
        ) from None


async def _greet(address: str) -> None:
    """Opens and closes a connection. Raises OSError if no handshake arrives in time.

    Without this check, Dask's client would wait without limit for a handshake that never arrives.
    """
    greeting = connect(
        address, timeout=PATIENCE_SECONDS, **Security().get_connection_args("client")
    )
    connection = await asyncio.wait_for(greeting, PATIENCE_SECONDS + 1)
    await connection.close()


def _caller() -> Callable[[str, bytes], bytes]:
    """The function that runs on a Dask worker. It is nested, because Dask sends only nested functions by value."""

    def call(study: str, packed: bytes) -> bytes:
        worker = get_worker()
        if study not in vars(worker).get(STUDIES, {}):
            raise RuntimeError(
                f"worker {worker.address} could not start this study; see the log of the worker"
            )
        pool, run_packed = vars(worker)[STUDIES][study]
        return pool.submit(run_packed, packed).result()

    return call


def _code() -> bytes:
    """The package `pipeline` as a zip archive; equal code gives equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(CODE.rglob("*.py")):
            archive.writestr(
                zipfile.ZipInfo(path.relative_to(CODE.parent).as_posix()), path.read_bytes()
            )
    return content.getvalue()
