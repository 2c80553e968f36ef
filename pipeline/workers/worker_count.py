"""How many processes compute, or on which cluster: RNN_WORKERS and DASK_SCHEDULER_ADDRESS in the environment."""

import os
import re

from pipeline.params import Mistake
from pipeline.params.messages import short
from pipeline.storage import stores

ALLOWED = range(1, 1001)  # values of RNN_WORKERS


def processes() -> int:
    """The number of workers of this machine: RNN_WORKERS if set, otherwise one per core that this process may use."""
    number = os.environ.get("RNN_WORKERS")
    if number is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    if number is None:
        return os.cpu_count() or 1
    if not re.fullmatch("[0-9]{1,4}", number) or int(number) not in ALLOWED:
        bounds = f"from {ALLOWED[0]} to {ALLOWED[-1]}"
        raise Mistake(f"RNN_WORKERS: {short(number)}: must be a whole number {bounds}")
    return int(number)


def scheduler() -> str | None:
    """The address of the Dask scheduler, or None if it is not set. Raises Mistake if it is not accepted."""
    return stores.scheduler()


def described() -> str:
    """Where units would run, as `doctor` prints it."""
    if address := scheduler():
        return f"the workers of the Dask scheduler at {stores.masked(address)} (DASK_SCHEDULER_ADDRESS)"
    return (
        f"{processes()} of one thread each (RNN_WORKERS changes the number; "
        "DASK_SCHEDULER_ADDRESS selects a cluster)"
    )
