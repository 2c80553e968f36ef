"""Units on a Dask cluster that shares neither disk nor code with this process. The only importer of dask.

A plugin brings every worker, also one that joins later, the code of this checkout and the shared values, and starts a
process beside it that computes: a Dask worker has threads of its own, and they draw from the generator Keras seeds.
What runs over there before that travels by value, so scheduler and workers need the packages of the lock file alone.
Encryption is Dask's own: an address `tls://` and Dask's configuration of certificates (docs/cluster.md).
"""

import asyncio
import hashlib
import importlib
import io
import logging
import pickle
import sys
import threading
import uuid
import zipfile
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from pathlib import Path

import cloudpickle
from distributed import Client, KilledWorker, Security, WorkerPlugin, get_worker
from distributed.comm import connect

from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.workers import worker

CODE = Path(__file__).parents[1]
NAME, STUDIES = "rnn-for-nlp", "studies_of_rnn_for_nlp"
PATIENCE_SECONDS, SILENCE_SECONDS, GOODBYE_SECONDS = 20, 30, 2
AGAIN = "`dvc repro` goes on"

for _name in ("distributed", "distributed.client", "distributed.core"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)  # what went wrong is said in one line, by Mistake
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Cluster(Executor):
    """The workers of the scheduler at this address; raises Mistake where none answers."""

    at_once = sys.maxsize

    def __init__(self, address: str, shared: tuple, hear: worker.Tell):
        if address.startswith("tls:") and not Security().get_connection_args("client").get("ssl_context"):
            raise Mistake(
                f"DASK_SCHEDULER_ADDRESS: {address}: Dask's configuration names no certificate (docs/cluster.md)"
            )
        self._address, study = address, Study(_code(), shared)
        try:
            asyncio.run(_answers(address))
            self._client = Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise Mistake(
                f"DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there ({str(error) or 'silence'})"
            ) from None
        self._ended = threading.Event()
        self._study, self._executor = study.name, self._client.get_executor(pure=False)
        try:
            self._client.subscribe_topic(study.name, lambda event: hear(*event[1]))
            self._client.register_plugin(study)
        except Exception as error:  # whatever a worker over there lacks
            self.abandon()
            raise Mistake(f"a worker of {address} cannot take up the study: {error}") from error
        threading.Thread(target=self._watch, daemon=True).start()
        if not self._client.nthreads():
            print(f"no worker has joined {stores.masked(address)} yet: waiting for one", file=sys.stderr, flush=True)

    def submit(self, function, /, *args) -> Future:
        """Its future raises Mistake where the cluster could not do it: workers kept dying, the scheduler is gone."""
        there = self._executor.submit(_caller(), self._study, cloudpickle.dumps((function, args)))
        here: Future = Future()

        def hand_over(there: Future) -> None:
            try:
                here.set_result(worker.opened(pickle.loads(there.result())))  # noqa: S301  # from our own process
            except CancelledError:
                here.set_exception(Mistake(f"the Dask scheduler at {self._address} went away; {AGAIN}"))
            except KilledWorker as error:
                losses = error.allowed_failures + 1
                here.set_exception(Mistake(f"{losses} workers of {self._address} died of it (memory?); {AGAIN}"))
            except Exception as error:
                here.set_exception(error)

        there.add_done_callback(hand_over)
        return here

    def _watch(self) -> None:
        """Cuts the connection to a scheduler that has stopped answering: for what waits for it, it then has gone."""
        while not self._ended.wait(PATIENCE_SECONDS) and self._client.status == "running":
            try:
                self._client.sync(self._client.scheduler.identity, n_workers=0, callback_timeout=SILENCE_SECONDS)
            except Exception:
                with suppress(AttributeError):  # it has gone
                    self._client.loop.add_callback(self._client.scheduler_comm.comm.abort)

    def shutdown(self, wait=True, *, cancel_futures=False) -> None:
        self._ended.set()
        if self._client.status == "running":  # else the scheduler has gone: it would be waited for
            with suppress(Exception):
                self._client.unregister_worker_plugin(self._study)
        with suppress(Exception):
            self._client.close(timeout=GOODBYE_SECONDS)

    def abandon(self) -> None:
        """Work under way ends with the processes over there."""
        self.shutdown()


class Study(WorkerPlugin):
    """Gives a worker of the cluster a process of its own for this study. Runs over there, but for its beginning."""

    def __init__(self, code: bytes, shared: tuple):
        self.code, self.shared = code, cloudpickle.dumps(shared)
        self.name = f"{NAME}-{uuid.uuid4()}"  # another driver may run the same study here, and end first

    def setup(self, worker) -> None:
        archive = Path(worker.local_directory) / f"{NAME}-{hashlib.sha256(self.code).hexdigest()[:16]}.zip"
        archive.write_bytes(self.code)
        if str(archive) not in str(getattr(sys.modules.get("pipeline"), "__path__", "")):
            for name in [name for name in sys.modules if name.partition(".")[0] == "pipeline"]:
                del sys.modules[name]  # of a study with other code
        sys.path.insert(0, str(archive))
        try:
            local = importlib.import_module("pipeline.workers.pool")
            shared = pickle.loads(self.shared)  # noqa: S301  # from the driver, who has just sent it
        finally:
            sys.path.remove(str(archive))
        pool = local.Pool(1, shared, lambda unit, message: worker.log_event(self.name, [unit, message]))
        worker.__dict__.setdefault(STUDIES, {})[self.name] = pool, local.worker.run_packed

    def teardown(self, worker) -> None:
        pool, _ = worker.__dict__.get(STUDIES, {}).pop(self.name, (None, None))
        if pool:
            pool.abandon()


async def _answers(address: str) -> None:
    """Raises OSError where none greets in time: Dask's client would wait for the greeting without end."""
    greeting = connect(address, timeout=PATIENCE_SECONDS, **Security().get_connection_args("client"))
    await (await asyncio.wait_for(greeting, PATIENCE_SECONDS + 1)).close()


def _caller():
    """A function for the workers. It is made anew in here because Dask sends only such functions by value."""

    def call(study: str, packed: bytes) -> bytes:
        worker = get_worker()
        if study not in worker.__dict__.get(STUDIES, {}):
            raise RuntimeError(f"worker {worker.address} could not take up this study; its log says why")
        pool, run_packed = worker.__dict__[STUDIES][study]
        return pool.submit(run_packed, packed).result()

    return call


def _code() -> bytes:
    """This package as an archive, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(CODE.rglob("*.py")):
            archive.writestr(zipfile.ZipInfo(path.relative_to(CODE.parent).as_posix()), path.read_bytes())
    return buffer.getvalue()
