"""Every Python process of a study under test loads this (PYTHONPATH). Variables CHAOS_... disturb stages and workers.

CHAOS_WRITE=3:kill or 3:full: at its third write (a flush or a rename) the stage is killed, or the disk is full.
CHAOS_WRITE=3:edit: at its third write, CHAOS_EDIT is done: a JSON list of a file, an old text and a new one.
CHAOS_LATE_EDIT: such an edit, done when the stage's process ends, before DVC hashes the inputs.
CHAOS_RENAME=within: a rename across folders fails.
CHAOS_CLOCK=-86400: the clock jumps by this number of seconds, one second after the start.
CHAOS_WORKER=killed: a process that computes is killed when it starts, as by a system that is out of memory.
"""

import atexit
import errno
import json
import os
import signal
import sys
import time

IS_STAGE = sys.orig_argv[1:3] == ["-m", "pipeline"]
IS_WORKER = "worker.serve" in " ".join(sys.orig_argv)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _edit(path: str, old: str, new: str) -> None:
    """Replaces the first `old` in a file; appends `new` where `old` is empty."""
    with open(path, "rb") as file:
        content = file.read()
    at = content.index(old.encode()) if old else len(content)

    os.unlink(path)  # it may be a link into DVC's cache
    with open(path, "wb") as file:
        file.write(content[:at] + new.encode() + content[at + len(old) :])


def _disturb_write(number: int, fault: str) -> None:
    """Disturbs one write, counted from 1.

    `kill` ends the process, `full` raises the error of a full disk, and `edit` changes an input.
    """
    count = 0

    def disturbed(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == number and fault == "kill":
                _die()
            if count == number and fault == "edit":
                _edit(*json.loads(os.environ["CHAOS_EDIT"]))
            elif count == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **options)

        return call

    os.fsync = disturbed(os.fsync)
    os.replace = disturbed(os.replace)


def _rename_within_folders_only() -> None:
    rename = os.replace

    def call(old, new, **options):
        if os.path.dirname(old) != os.path.dirname(new):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(old, new, **options)

    os.replace = call


def _jump(seconds: float) -> None:
    clock = time.time
    start = time.monotonic()
    time.time = lambda: clock() + seconds * (time.monotonic() - start > 1)


if IS_STAGE and "CHAOS_WRITE" in os.environ:
    number, fault = os.environ["CHAOS_WRITE"].split(":")
    _disturb_write(int(number), fault)
if IS_STAGE and "CHAOS_LATE_EDIT" in os.environ:
    atexit.register(_edit, *json.loads(os.environ["CHAOS_LATE_EDIT"]))
if IS_STAGE and "CHAOS_RENAME" in os.environ:
    _rename_within_folders_only()
if IS_STAGE and "CHAOS_CLOCK" in os.environ:
    _jump(float(os.environ["CHAOS_CLOCK"]))
if IS_WORKER and "CHAOS_WORKER" in os.environ:
    _die()
