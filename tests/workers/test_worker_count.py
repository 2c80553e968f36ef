"""RNN_WORKERS and the number of processes."""

import pytest

from pipeline.params import Mistake
from pipeline.workers import worker_count


def test_rnn_workers_sets_the_number_of_workers(monkeypatch):
    monkeypatch.setenv("RNN_WORKERS", "3")
    assert worker_count.processes() == 3
    monkeypatch.setenv("RNN_WORKERS", "many")
    with pytest.raises(Mistake, match="RNN_WORKERS: 'many': must be a whole number from 1"):
        worker_count.processes()
