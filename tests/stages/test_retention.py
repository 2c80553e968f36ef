"""The cells of `retention`: an interrupted stage finds their results again by their content."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.params import read
from pipeline.stages import retention
from pipeline.stages.context import Context
from pipeline.storage import artifacts
from pipeline.workers import driver, resume
from tests.support.invented_inputs import inputs

STAGE = "retention"
STUDY = Path(__file__).parents[1] / "study.yaml"


class Killed(BaseException):
    pass


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function that computes the stage, and gives the cells that it measured. `last`: it is killed there."""
    params = read(STUDY)
    monkeypatch.chdir(tmp_path)

    def compute(signals=None, last=None) -> list[retention.Cell]:
        cells = []

        def measure(recipe, cell, report):
            cells.append(cell)
            if len(cells) == last:
                raise Killed
            row = {"architecture": cell.architecture, "signal": cell.signal, "seed": 0}
            table = pd.DataFrame([{**row, "lag_tokens": cell.lag, "updates": 100}])
            return {"checks": table, "accuracies": table}

        monkeypatch.setattr(retention, "_measure", measure)
        task = params.retention.model_copy(update={"signals": signals} if signals else {})
        changed = params.model_copy(update={"retention": task})
        with resume.opened(inputs(STAGE, tmp_path, is_recorded=True)) as results:
            retention.main(Context(changed, STAGE, driver.Workers(1, finished=results)))
        return cells

    return compute


def test_a_stage_resumed_with_keys_in_another_order_has_every_cell_once(measured):
    cells = measured()
    undisturbed = artifacts.RETENTION.read_bytes(), artifacts.RETENTION_CHECKS.read_bytes()

    with pytest.raises(Killed):
        measured(last=len(cells) // 2)
    turned = {name: read_signals(cells, name) for name in ("lstm", "bidirectional", "vanilla")}
    rest = measured(turned)
    assert len(rest) == len(cells) - len(cells) // 2 + 1
    assert (
        artifacts.RETENTION.read_bytes(),
        artifacts.RETENTION_CHECKS.read_bytes(),
    ) == undisturbed


def read_signals(cells: list[retention.Cell], architecture: str) -> list[str]:
    """The signals of an architecture, in another order than in params.yaml."""
    return sorted(
        {cell.signal for cell in cells if cell.architecture == architecture}, reverse=True
    )


def test_every_cell_has_a_name_of_its_own(measured):
    cells = measured()
    assert len({cell.name for cell in cells}) == len(cells)
