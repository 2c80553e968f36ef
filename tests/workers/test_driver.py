"""Where units of work run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from pathlib import Path

import pytest

from pipeline.params import Mistake
from pipeline.workers import driver, pool

SHARED = ("what every unit needs",)
STANDS_FOR_TENSORFLOW = """
import logging, types
get_logger = logging.getLogger
errors = types.SimpleNamespace(ResourceExhaustedError=MemoryError)
"""


@pytest.fixture(autouse=True)
def light(tmp_path_factory, monkeypatch):
    """Processes that need not load TensorFlow, which takes 5 s each: units here compute nothing with it."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "tensorflow.py").write_text(STANDS_FOR_TENSORFLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))


def square(shared, number, say):
    assert shared == SHARED[0]
    say({"epoch": 1, "loss": 0.5})
    say({"epoch": 2, "loss": 0.25})
    return number * number, os.getpid(), os.environ["TF_NUM_INTRAOP_THREADS"]


def fail(shared, number, say):
    if number == 1:
        raise ArithmeticError("epoch 1: the loss is not a finite number")
    return number


def die(shared, number, say):
    os._exit(9)


def run(processes, function, count=3, report=lambda unit, epoch, metrics: None):
    workers = driver.Workers(processes)
    try:
        return workers.run("test unit", function, SHARED, {unit: (unit,) for unit in range(count)}, report)
    finally:
        workers.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks_and_messages_come_while_units_run(processes):
    heard = []
    results = run(processes, square, report=lambda unit, epoch, metrics: heard.append((unit, epoch, metrics)))
    assert [value for value, _, _ in results.values()] == [0, 1, 4]
    assert sorted(heard) == [(unit, epoch, {"loss": 0.5 / epoch}) for unit in range(3) for epoch in (1, 2)]
    assert {threads for _, _, threads in results.values()} == {"1"}
    assert (os.getpid() in {pid for _, pid, _ in results.values()}) == (processes == 1)


@pytest.mark.parametrize(
    ("last_kind", "running", "unit"),
    [
        ("lstm", {"lstm"}, 1),  # a process goes on with what it has compiled
        (None, {"lstm"}, 2),  # a new process takes what no other has
        ("feedforward", {"lstm", "vanilla"}, 1),  # all kinds are being computed: the first unit
    ],
)
def test_a_process_computes_units_of_its_own_kind_first(last_kind, running, unit):
    kind_of = {0: "lstm", 1: "lstm", 2: "vanilla", 3: "vanilla"}
    assert driver._next(deque([1, 2, 3]), kind_of, last_kind, running) == unit


def test_kinds_change_no_result():
    workers = driver.Workers(2)
    try:
        results = workers.run(
            "test unit",
            square,
            SHARED,
            {unit: (unit,) for unit in range(4)},
            lambda *_: None,
            kinds=dict.fromkeys(range(4), "one"),
        )
    finally:
        workers.close()
    assert [value for value, _, _ in results.values()] == [0, 1, 4, 9]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_exception_of_a_unit_is_raised_by_the_driver(processes):
    with pytest.raises(ArithmeticError, match="not a finite number"):
        run(processes, fail)


def test_workers_keep_the_shared_values_they_started_with():
    workers = driver.Workers(1)
    workers.run("test unit", square, SHARED, {0: (0,)}, lambda *_: None)
    with pytest.raises(ValueError, match="other shared values"):
        workers.run("test unit", square, ("others",), {1: (1,)}, lambda *_: None)


def test_one_unit_needs_no_pool():
    ((_, pid, _),) = run(2, square, count=1).values()
    assert pid == os.getpid()


def test_a_unit_that_kills_its_process_three_times_is_one_clear_line():
    with pytest.raises(Mistake, match=r"^test unit [01]: its process was killed, 3 times"):
        run(2, die, count=2)


def test_a_process_that_is_ended_leaves_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = "import os, tempfile; tempfile.mkstemp(suffix='.py'); os.write({talk}, b'x'); os.read({life}, 1)"
    monkeypatch.setattr(pool, "PROGRAM", program)
    process = pool._Process(())
    assert process._talk.poll(60)
    assert len(list(tmp_path.rglob("*.py"))) == 1
    process.end()
    assert list(tmp_path.iterdir()) == []


def die_once(shared, marks, number, say):
    """The first time unit 1 takes its process with it; unit 0 notes how often it began and waits for that."""
    mark = Path(marks, f"{number}-{uuid.uuid4()}")
    mark.touch()
    if number == 1 and len(list(Path(marks).glob("1-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while number == 0 and len(list(Path(marks).glob("1-*"))) < 2:
        time.sleep(0.1)
    return number


def test_a_killed_process_costs_its_own_unit_a_repetition_and_others_nothing(tmp_path, capsys):
    kept = {}
    workers = driver.Workers(2)
    try:
        tasks = {unit: (str(tmp_path), unit) for unit in (0, 1, 2)}
        found = workers.run("test unit", die_once, SHARED, tasks, lambda *_: None, kept.__setitem__)
    finally:
        workers.close()
    assert found == kept == {0: 0, 1: 1, 2: 2}
    assert sorted(mark.name[0] for mark in tmp_path.iterdir()) == ["0", "1", "1", "2"]
    assert "test unit 1: its process was killed; it runs again" in capsys.readouterr().out


def starve(shared, marks, number, say):
    Path(marks, f"{number}-{uuid.uuid4()}").touch()
    if len(list(Path(marks).glob(f"{number}-*"))) < 2:
        raise MemoryError
    return number


def test_a_lack_of_memory_is_the_machine_s_fault(tmp_path):
    workers = driver.Workers(1)
    tasks = {unit: (str(tmp_path), unit) for unit in (0, 1)}
    assert workers.run("test unit", starve, SHARED, tasks, lambda *_: None) == {0: 0, 1: 1}


def test_an_exception_of_a_unit_tells_where_it_was_raised():
    with pytest.raises(ArithmeticError) as caught:
        run(2, fail)
    assert "in fail" in caught.value.__notes__[0]


def test_close_does_not_wait_for_units_under_way():
    workers = driver.Workers(2)
    began = time.monotonic()

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.run("test unit", sleep_after_the_first, SHARED, {0: (0,), 1: (1,)}, lambda *_: None, stop)
    workers.close()
    assert time.monotonic() - began < 50


def sleep_after_the_first(shared, number, say):
    if number:
        time.sleep(60)


def test_the_number_of_workers_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("RNN_WORKERS", "3")
    assert driver.processes() == 3
    monkeypatch.setenv("RNN_WORKERS", "many")
    with pytest.raises(Mistake, match="RNN_WORKERS: 'many': must be a whole number from 1"):
        driver.processes()


def sleep(shared, number, say):
    os.write(1, f"{os.getpid()}\n".encode())  # at once: two workers write to one pipe
    time.sleep(60)


def test_workers_do_not_outlive_a_driver_that_was_killed():
    program = "from tests.workers import test_driver as t\nif __name__ == '__main__':\n    t.run(2, t.sleep, count=2)\n"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
