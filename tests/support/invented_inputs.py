"""Inputs of a stage for a test, without a DVC repository to read them from."""

from pathlib import Path

from pipeline.storage.stage_inputs import Inputs

FINGERPRINT = "0123456789abcdef"


def inputs(
    stage: str, folder: Path, fingerprint: str = FINGERPRINT, is_recorded: bool = False
) -> Inputs:
    """No inputs, under a fingerprint. `is_recorded`: dvc.lock has their results."""
    invented = Inputs(stage, folder, {}, {}, {}, {}, {})
    vars(invented).update(fingerprint=fingerprint, is_recorded=is_recorded)
    return invented
