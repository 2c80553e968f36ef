"""RNN_WORKERS and the number of processes."""

import re

import pytest

from pipeline.params import Mistake
from pipeline.params.messages import short
from pipeline.workers import worker_count


def test_rnn_workers_sets_the_number_of_workers(monkeypatch):
    monkeypatch.setenv("RNN_WORKERS", "3")
    assert worker_count.processes() == 3


@pytest.mark.parametrize("number", ["many", "", "0", "-1", "2.5", "1001", "٣", "9" * 5000])
def test_another_number_of_workers_is_refused(monkeypatch, number):
    monkeypatch.setenv("RNN_WORKERS", number)
    message = f"RNN_WORKERS: {short(number)}: must be a whole number from 1 to 1000"
    with pytest.raises(Mistake, match=f"^{re.escape(message)}$"):
        worker_count.processes()
