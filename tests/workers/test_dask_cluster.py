"""A Dask worker whose environment differs from the driver's."""

import pytest

from pipeline import machine
from pipeline.workers.dask_cluster import Study

OWN = {"OPENBLAS_CORETYPE": "Haswell", "TF_ENABLE_ONEDNN_OPTS": "0"}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("OPENBLAS_CORETYPE", "Zen", "'Haswell' for the driver, 'Zen' on the worker"),
        ("OPENBLAS_CORETYPE", "", "'Haswell' for the driver, 'not set' on the worker"),
        ("XLA_FLAGS", "--x", "'--x': it can change results; unset it, or set RNN_XLA_FLAGS"),
        ("RNN_XLA_FLAGS", "--x", "XLA_FLAGS: 'not set' for the driver, '--x' on the worker"),
        ("KERAS_MAX_EPOCHS", "1", "'1': it cuts training short"),
    ],
)
def test_a_worker_that_would_compute_other_results_is_refused(name, value, problem, monkeypatch):
    for variable in machine.SWITCHES:
        monkeypatch.delenv(variable, raising=False)
    for variable, own in OWN.items():
        monkeypatch.setenv(variable, own)
    Study(b"", None, OWN)._check_environment(machine)

    monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=problem):
        Study(b"", None, OWN)._check_environment(machine)
