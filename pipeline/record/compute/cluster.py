"""Units on a Dask cluster that shares neither disk nor code with this process. The only importer of dask.

A plugin brings every worker, also one that joins later, the code of this checkout and the shared values. What runs over
there before that travels by value, so scheduler and workers need the packages of the lock file alone. Encryption is
Dask's own: an address `tls://` and Dask's configuration of certificates (docs/cluster.md).
"""

import hashlib
import io
import logging
import os
import pickle
import sys
import zipfile
from concurrent.futures import Executor, Future
from contextlib import nullcontext, suppress
from pathlib import Path

import cloudpickle
from distributed import Client, KilledWorker, WorkerPlugin

from pipeline.params import Mistake
from pipeline.record.compute import worker

CODE = Path(__file__).parents[2]
NAME = "rnn-for-nlp"
PATIENCE_SECONDS, GOODBYE_SECONDS = 20, 2
AGAIN = "`dvc repro` goes on"

logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what went wrong is said in one line, by Mistake
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Cluster(Executor):
    """The workers of the scheduler at this address; raises Mistake where none answers."""

    def __init__(self, address: str, shared: tuple, hear: worker.Tell):
        self._address, study = address, Study(_code(), shared)
        try:
            self._client = Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
            self._client.subscribe_topic(study.digest, lambda event: hear(*event[1]))
            self._client.register_plugin(study)
        except (OSError, ValueError) as error:
            raise Mistake(f"DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there ({error})") from None
        if not self._client.nthreads():
            print(f"no worker has joined {address} yet: waiting for one", file=sys.stderr, flush=True)
        self._digest, self._executor = study.digest, self._client.get_executor(pure=False)

    def submit(self, function, /, *args) -> Future:
        """Its future raises Mistake where the cluster could not do it: workers kept dying, the scheduler is gone."""
        there = self._executor.submit(_caller(), self._digest, cloudpickle.dumps((function, args)))
        here: Future = Future()

        def hand_over(there: Future) -> None:
            if there.cancelled():
                here.set_exception(Mistake(f"the Dask scheduler at {self._address} went away; {AGAIN}"))
            elif (error := there.exception()) is None:
                here.set_result(there.result())
            elif isinstance(error, KilledWorker):
                losses = error.allowed_failures + 1
                here.set_exception(Mistake(f"{losses} workers of {self._address} died of it (memory?); {AGAIN}"))
            else:
                here.set_exception(error)

        there.add_done_callback(hand_over)
        return here

    def shutdown(self, wait=True, *, cancel_futures=False) -> None:
        with suppress(Exception):  # the scheduler may have gone
            self._client.unregister_worker_plugin(NAME)
        with suppress(Exception):
            self._client.close(timeout=GOODBYE_SECONDS)

    def abandon(self) -> None:
        """The cluster drops what it has not begun; what it has begun it ends, and nobody asks for it."""
        self.shutdown()


class Study(WorkerPlugin):
    """Makes a worker of the cluster one of this study. Runs over there, but for its beginning."""

    name = NAME

    def __init__(self, code: bytes, shared: tuple):
        self.code, self.shared = code, cloudpickle.dumps(shared)
        self.digest = hashlib.sha256(self.code + self.shared).hexdigest()[:16]

    async def setup(self, worker) -> None:
        import asyncio

        await asyncio.to_thread(self._take_up, worker)  # the worker goes on answering while TensorFlow loads

    def _take_up(self, dask_worker) -> None:
        import importlib

        def tell(unit, message):
            dask_worker.log_event(self.digest, [unit, message])

        present = sys.modules.get("pipeline.record.compute.worker")
        with present._one_at_a_time if present else nullcontext():  # a unit of an earlier study may be under way
            if getattr(present, "digest", None) == self.digest:
                return
            if "tensorflow" in sys.modules and os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
                raise RuntimeError("start the workers without TensorFlow: this one loaded it with threads of its own")
            for name in [name for name in sys.modules if name.partition(".")[0] == "pipeline"]:
                del sys.modules[name]  # an earlier study's code
            archive = Path(dask_worker.local_directory) / f"{NAME}-{self.digest}.zip"
            archive.write_bytes(self.code)
            sys.path.insert(0, str(archive))
            importlib.invalidate_caches()
            far = importlib.import_module("pipeline.record.compute.worker")
            far.become(pickle.loads(self.shared), tell)  # noqa: S301  # what the driver has just sent, no file
            far.digest = self.digest


def _caller():
    """A function for the workers. It is made anew in here because Dask sends only such functions by value."""

    def call(digest: str, pickled: bytes):
        far = sys.modules.get("pipeline.record.compute.worker")
        if getattr(far, "digest", None) != digest:
            raise RuntimeError("another study took up this cluster: run one at a time, or each on a cluster of its own")
        function, args = pickle.loads(pickled)  # noqa: S301
        return function(*args)

    return call


def _code() -> bytes:
    """This package as an archive, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(CODE.rglob("*.py")):
            archive.writestr(zipfile.ZipInfo(path.relative_to(CODE.parent).as_posix()), path.read_bytes())
    return buffer.getvalue()
