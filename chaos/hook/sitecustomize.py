"""Loaded by every Python process of a study under test (PYTHONPATH): does to a stage what CHAOS_ variables ask for.

CHAOS_WRITE=3:kill or 3:full: at its third write (a flush or a rename) the stage is killed, or the disk is full.
CHAOS_RENAME=within: no rename across folders. CHAOS_CLOCK=-86400: the clock jumps by so many seconds after one.
CHAOS_WORKER=killed: a process that computes is killed as it starts, as where the system is out of memory.
"""

import errno
import os
import signal
import sys
import time

STAGE = sys.orig_argv[1:3] == ["-m", "pipeline"]
WORKER = "worker.serve" in " ".join(sys.orig_argv)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disturb_writes(number: int, what: str) -> None:
    seen = 0

    def disturbed(function):
        def call(*arguments, **named):
            nonlocal seen
            seen += 1
            if seen == number and what == "kill":
                _die()
            if seen == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **named)

        return call

    os.fsync, os.replace = disturbed(os.fsync), disturbed(os.replace)


def _rename_within_folders_only() -> None:
    rename = os.replace

    def call(old, new, **named):
        if os.path.dirname(old) != os.path.dirname(new):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(old, new, **named)

    os.replace = call


def _jump(seconds: float) -> None:
    clock, start = time.time, time.monotonic()
    time.time = lambda: clock() + seconds * (time.monotonic() - start > 1)


if STAGE and "CHAOS_WRITE" in os.environ:
    number, what = os.environ["CHAOS_WRITE"].split(":")
    _disturb_writes(int(number), what)
if STAGE and "CHAOS_RENAME" in os.environ:
    _rename_within_folders_only()
if STAGE and "CHAOS_CLOCK" in os.environ:
    _jump(float(os.environ["CHAOS_CLOCK"]))
if WORKER and "CHAOS_WORKER" in os.environ:
    _die()
