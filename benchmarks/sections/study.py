"""CPU seconds of every stage, before and after a change, from the committed measurements of stage_cpu.py."""

import pandas as pd

from benchmarks import document, stage_cpu
from benchmarks.rounds import Start
from benchmarks.sizes import Sizes

TEXT = """\
CPU seconds of each stage with all its workers, from a forced `dvc repro` of the whole study on one machine
(`python -m benchmarks.stage_cpu NAME --force`; the rows are in `benchmarks/stage_cpu.csv`). The other sections of
this page were measured at another time.
"""


def measure(sizes: Sizes, start: Start) -> document.Section:
    """`sizes` and `start` are not used: a whole study takes too long to run with every benchmark."""
    return render(pd.read_csv(stage_cpu.TABLE))


def render(rows: pd.DataFrame) -> document.Section:
    """Columns study, stage and cpu_seconds as a table with a column per study and a total."""
    wide = rows.pivot_table(index="stage", columns="study", values="cpu_seconds", sort=False)
    wide = wide[rows["study"].unique()]

    lines = [
        [f"`{stage}`", *map(_seconds, row)]
        for stage, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    totals = wide.sum()
    lines.append(["all", *map(_seconds, totals)])

    share = f"The last study takes {totals.iloc[-1] / totals.iloc[0]:.0%} of the CPU seconds of the first."
    table = document.table(["stage", *wide.columns], lines)
    return document.Section("The whole study", [TEXT, share, table])


def _seconds(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}"
