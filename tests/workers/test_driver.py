"""Where units of work run."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.params import Mistake
from pipeline.workers import driver, pool


@dataclass(frozen=True)
class Shared:
    """Stands for the values that every unit of a stage needs."""

    text: str = "for every unit"


@dataclass(frozen=True)
class Task:
    """Stands for the task of one unit. `folder`: where the unit leaves a mark each time it begins."""

    number: int
    folder: str = ""


SHARED = Shared()
STANDS_FOR_TENSORFLOW = """
import logging, types
get_logger = logging.getLogger
errors = types.SimpleNamespace(ResourceExhaustedError=MemoryError)
"""


@pytest.fixture(autouse=True)
def light(tmp_path_factory, monkeypatch):
    """Processes that do not load TensorFlow, which takes 5 s each: units in this file do not compute with it."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "tensorflow.py").write_text(STANDS_FOR_TENSORFLOW)
    path = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))


def log_nothing(unit, epoch, metrics):
    pass


def square(shared, task, report):
    assert shared == SHARED
    report({"epoch": 1, "loss": 0.5})
    report({"epoch": 2, "loss": 0.25})
    return task.number * task.number, os.getpid(), os.environ["TF_NUM_INTRAOP_THREADS"]


def fail(shared, task, report):
    if task.number == 1:
        raise ArithmeticError("epoch 1: the loss is not a finite number")
    return task.number


def die(shared, task, report):
    os._exit(9)


def run(processes, function, count=3, log=log_nothing, folder="", **options):
    with closing(driver.Workers(processes)) as workers:
        tasks = {number: Task(number, str(folder)) for number in range(count)}
        return workers.run("test unit", function, SHARED, tasks, log, **options)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_are_in_the_order_of_tasks_and_messages_arrive_meanwhile(processes):
    messages = []
    results = run(processes, square, log=lambda *message: messages.append(message))
    values, processes_used, threads = zip(*results.values(), strict=True)
    assert values == (0, 1, 4)
    assert set(threads) == {"1"}
    assert (os.getpid() in processes_used) == (processes == 1)

    expected = []
    for unit in range(3):
        expected += [(unit, 1, {"loss": 0.5}), (unit, 2, {"loss": 0.25})]
    assert sorted(messages) == expected


def test_a_log_has_one_line_for_each_finished_unit(capsys):
    run(1, square)
    lines = capsys.readouterr().out.splitlines()
    last_message = "epoch 2 loss 0.2500"
    assert [line.partition(", about")[0].removesuffix(")") for line in lines] == [
        f"test unit 0: {last_message} (1 of 3 done",
        f"test unit 1: {last_message} (2 of 3 done",
        f"test unit 2: {last_message} (3 of 3 done",
    ]
    assert [re.search("about .* left", line) is not None for line in lines] == [True, True, False]


def test_a_unit_without_messages_has_a_line_in_a_log(capsys):
    run(1, identity, count=1)
    assert capsys.readouterr().out == "test unit 0: done (1 of 1 done)\n"


@pytest.mark.parametrize(
    ("running", "left"), [(0, "00:40"), (2, "00:15")], ids=["alone", "with two others"]
)
def test_units_that_run_count_half_in_the_time_left(running, left, capsys, monkeypatch):
    times = iter([0, 10])
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: next(times)))
    driver._Progress("test unit", 5, 0, log_nothing).count(0, running)
    assert f"(1 of 5 done, about {left} left)" in capsys.readouterr().out


def test_a_terminal_shows_a_bar_and_no_lines(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(1, square)
    output, bar = capsys.readouterr()
    assert output == ""
    assert "3/3" in bar
    assert "2: epoch 2 loss 0.2500" in bar


@pytest.mark.parametrize(
    ("last_kind", "running", "unit"),
    [
        ("lstm", {"lstm"}, 1),  # a process continues with the network that it has compiled
        (None, {"lstm"}, 2),  # a new process takes a kind that no other has
        ("feedforward", {"lstm", "vanilla"}, 1),  # every kind is being computed: the first unit
    ],
)
def test_a_process_computes_units_of_its_own_kind_first(last_kind, running, unit):
    kind_of = {0: "lstm", 1: "lstm", 2: "vanilla", 3: "vanilla"}
    assert driver.next_unit(deque([1, 2, 3]), kind_of, last_kind, running) == unit


def test_kinds_change_no_result():
    results = run(2, square, count=4, kinds=dict.fromkeys(range(4), "one"))
    values, _, _ = zip(*results.values(), strict=True)
    assert values == (0, 1, 4, 9)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_exception_of_a_unit_is_raised_by_the_driver(processes):
    with pytest.raises(ArithmeticError, match="not a finite number"):
        run(processes, fail)


def test_an_exception_of_a_unit_tells_where_it_was_raised():
    with pytest.raises(ArithmeticError) as caught:
        run(2, fail)
    assert "in fail" in caught.value.__notes__[0]


def test_workers_keep_the_shared_values_they_started_with():
    workers = driver.Workers(1)
    workers.run("test unit", square, SHARED, {0: Task(0)}, log_nothing)
    with pytest.raises(ValueError, match="must be the object that the workers started with"):
        workers.run("test unit", square, Shared("others"), {1: Task(1)}, log_nothing)


def identity(shared, task, report):
    return shared


def test_units_may_share_nothing():
    with closing(driver.Workers(2)) as workers:
        tasks = {0: None, 1: None}
        assert workers.run("test unit", identity, None, tasks, log_nothing) == tasks


def test_one_unit_needs_no_pool():
    ((_, pid, _),) = run(2, square, count=1).values()
    assert pid == os.getpid()


def test_a_unit_that_kills_its_process_three_times_is_a_mistake():
    with pytest.raises(Mistake, match=r"^test unit [01]: its process was killed, 3 times"):
        run(2, die, count=2)


def test_a_process_that_is_ended_leaves_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = "import os, tempfile; tempfile.mkstemp(suffix='.py'); os.write({talk}, b'x'); os.read({life}, 1)"
    process = pool.Process(SHARED, program)
    assert process.talk.poll(60)
    assert len(list(tmp_path.rglob("*.py"))) == 1
    process.end()
    assert list(tmp_path.iterdir()) == []


def leave_mark(task):
    Path(task.folder, f"{task.number}-{uuid.uuid4()}").touch()


def beginnings(folder, number):
    """How often a unit has begun."""
    return len(list(Path(folder).glob(f"{number}-*")))


def die_once(shared, task, report):
    """Unit 1 kills its process the first time. Unit 0 waits until unit 1 begins again."""
    leave_mark(task)
    if task.number == 1 and beginnings(task.folder, 1) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while task.number == 0 and beginnings(task.folder, 1) < 2:
        time.sleep(0.1)
    return task.number


def test_a_killed_process_repeats_its_own_unit_and_no_other(tmp_path, capsys):
    results_as_they_come = {}
    results = run(2, die_once, folder=tmp_path, keep=results_as_they_come.__setitem__)
    assert results == results_as_they_come == {0: 0, 1: 1, 2: 2}
    assert sorted(mark.name[0] for mark in tmp_path.iterdir()) == ["0", "1", "1", "2"]
    assert "test unit 1: its process was killed; it runs again" in capsys.readouterr().out


def starve(shared, task, report):
    leave_mark(task)
    if beginnings(task.folder, task.number) < 2:
        raise MemoryError
    return task.number


def test_a_unit_without_enough_memory_runs_again(tmp_path):
    assert run(1, starve, count=2, folder=tmp_path) == {0: 0, 1: 1}


def sleep_after_the_first(shared, task, report):
    if task.number:
        time.sleep(60)


def test_close_does_not_wait_for_running_units():
    began = time.monotonic()

    def stop(unit, result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(2, sleep_after_the_first, count=2, keep=stop)
    assert time.monotonic() - began < 50


def sleep(shared, task, report):
    # one system call, because two workers write to one pipe
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(60)


def test_workers_do_not_outlive_a_driver_that_was_killed():
    program = "from tests.workers import test_driver as t\nif __name__ == '__main__':\n    t.run(2, t.sleep, count=2)\n"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()

    deadline = time.monotonic() + 20
    for pid in workers:
        while os.path.exists(f"/proc/{pid}"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
