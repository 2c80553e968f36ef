"""The picture of the pipeline: its stages, with what each of them reads and writes."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import permutations, product

import altair as alt
import numpy as np
import pandas as pd

from pipeline.reporting.charts import NEUTRAL
from pipeline.reporting.numbers import count, listed, size
from pipeline.reporting.parts import (
    Details,
    Figure,
    Paragraph,
    Section,
    Table,
)
from pipeline.storage.lock_comparison import overlap
from pipeline.storage.provenance import StageGroup
from pipeline.storage.stage_table import REPORT

WIDTH, HEIGHT_OF_LEVEL = 640, 92
BOX_WIDTH, BOX_HEIGHT = 0.28, 0.66  # shares of the width and of a level
MOST_FILES = 4  # in a cell of the table


def opening(stage_groups: list[StageGroup]) -> Paragraph:
    stages = sum(len(group.items) or 1 for group in stage_groups)
    return Paragraph(
        f"DVC runs {count(stages, 'stage')} before this page. It runs a stage again only if an input has changed."
    )


def picture(stage_groups: list[StageGroup]) -> Figure:
    arrows, levels = layout(stage_groups)
    boxes = _boxes(stage_groups, levels)
    return Figure(
        name="pipeline",
        title="From the raw texts to this page",
        reading="Each box is a stage, with the size of the data that it reads and writes. Arrows show where data goes.",
        alternative=_alternative(stage_groups, arrows),
        panels=[_chart(boxes, arrows, max(levels.values()))],
        stacked=True,
    )


def details(stage_groups: list[StageGroup]) -> Details:
    rows = [
        {
            "stage": group.name,
            "command": group.command,
            "reads": _files(group.inputs),
            "bytes read": size(_total(group.inputs)),
            "writes": _files(group.outputs),
            "bytes written": size(_total(group.outputs)),
            "status": group.status,
        }
        for group in stage_groups
    ]
    table = Table.of("The stages, their inputs and outputs", pd.DataFrame(rows), {})
    return Details("Inputs and outputs of each stage", [table])


def layout(
    groups: Sequence[StageGroup],
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Returns which stage feeds which, and the row of each stage: it is above all stages that it feeds.

    Arrows that a longer way makes superfluous are left out. The report, in the last row, reads all that no other does.
    """
    names = [*(group.name for group in groups), REPORT.name]
    feeds = np.zeros((len(names), len(names)), dtype=int)
    for (row, maker), (column, reader) in permutations(enumerate(groups), 2):
        feeds[row, column] = _reads_from(reader, maker)
    feeds[:-1, -1] = ~feeds[:-1].any(axis=1)

    # entry [k, i, j]: a way of k + 1 arrows leads from stage i to stage j
    ways = np.array([np.linalg.matrix_power(feeds, length) > 0 for length in range(1, len(names))])
    is_direct = ways[0] & ~ways[1:].any(axis=0)
    arrows = sorted((names[start], names[end]) for start, end in np.argwhere(is_direct))
    depths = ways.any(axis=2).sum(axis=0)
    return arrows, dict(zip(names, (depths.max() - depths).tolist(), strict=True))


def _reads_from(reader: StageGroup, maker: StageGroup) -> bool:
    pairs = product(reader.inputs, maker.outputs)
    return any(overlap(path, output) for path, output in pairs)


def _boxes(groups: Sequence[StageGroup], levels: Mapping[str, int]) -> pd.DataFrame:
    """Returns one row per stage: its place and its lines of text."""
    lines = [*map(_lines, groups), (REPORT.name, "", "writes this page")]
    boxes = pd.DataFrame(lines, columns=["title", "reads", "writes"])
    boxes = boxes.assign(stage=list(levels), level=list(levels.values()))
    of_level = boxes.groupby("level")["stage"]
    neighbours = of_level.transform("size")
    middle = (of_level.cumcount() + 0.5) / neighbours
    half_width = np.minimum(BOX_WIDTH, 0.92 / neighbours) / 2
    return boxes.assign(
        left=(middle - half_width).round(4),
        right=(middle + half_width).round(4),
        middle=middle.round(4),
        top=boxes["level"] + (1 - BOX_HEIGHT) / 2,
        bottom=boxes["level"] + (1 + BOX_HEIGHT) / 2,
        centre=boxes["level"] + 0.5,
        data=boxes["reads"] + "\n" + boxes["writes"],
    )


def _lines(group: StageGroup) -> tuple[str, str, str]:
    title = f"{group.name} × {len(group.items)}" if group.items else group.name
    total = _total(group.inputs)
    reads = _files(group.inputs) if total is None else size(total)
    if not group.inputs:
        reads = "no data"
    return title, f"reads {reads}", f"writes {size(_total(group.outputs))}"


def _chart(
    boxes: pd.DataFrame, arrows: Sequence[tuple[str, str]], last_level: int
) -> alt.LayerChart:
    across = alt.Scale(domain=[0, 1], nice=False)
    down = alt.Scale(domain=[0, last_level + 1], reverse=True, nice=False)
    x = partial(alt.X, scale=across, axis=None)
    y = partial(alt.Y, scale=down, axis=None)
    places = boxes.set_index("stage")
    starts, ends = zip(*arrows, strict=True)
    start, end = (
        places.loc[list(starts)].reset_index(),
        places.loc[list(ends)].reset_index(),
    )
    columns = {
        "x": start["middle"],
        "y": start["bottom"],
        "x2": end["middle"],
        "y2": end["top"],
    }
    lines = pd.DataFrame(columns)
    base = alt.Chart(boxes)
    tooltip = ["title:N", "reads:N", "writes:N"]
    rules = alt.Chart(lines).mark_rule(color=NEUTRAL, strokeWidth=1.5)
    heads = alt.Chart(lines).mark_point(
        shape="triangle-down",
        filled=True,
        size=70,
        color=NEUTRAL,
        opacity=1,
        yOffset=-4,
    )
    box = base.mark_rect(fill=NEUTRAL, fillOpacity=0.12, stroke=NEUTRAL, cornerRadius=6)

    text = base.mark_text(fontSize=13).encode(x=x("middle:Q"), y=y("centre:Q"))
    title = text.mark_text(fontSize=13, fontWeight="bold", dy=-18).encode(text="title:N")
    data = text.mark_text(fontSize=13, dy=1, lineBreak="\n").encode(text="data:N")
    arrows_drawn = [
        rules.encode(x=x("x:Q"), y=y("y:Q"), x2="x2:Q", y2="y2:Q"),
        heads.encode(x=x("x2:Q"), y=y("y2:Q")),
    ]
    boxes_drawn = box.encode(
        x=x("left:Q"),
        x2="right:Q",
        y=y("top:Q"),
        y2="bottom:Q",
        tooltip=tooltip,
    )
    height = HEIGHT_OF_LEVEL * (last_level + 1)
    return alt.layer(*arrows_drawn, boxes_drawn, title, data).properties(width=WIDTH, height=height)


def _alternative(groups: Sequence[StageGroup], arrows: Sequence[tuple[str, str]]) -> str:
    sentences = []
    for group in groups:
        readers = listed(end for start, end in arrows if start == group.name)
        sentences.append(f"{group.name} writes {size(_total(group.outputs))} for {readers}.")
    return " ".join(sentences)


def _total(sizes: Mapping[str, int | None]) -> int | None:
    """Returns the bytes of all paths, or None if one of them is unknown."""
    numbers = [number for number in sizes.values() if number is not None]
    return sum(numbers) if len(numbers) == len(sizes) else None


def _files(sizes: Mapping[str, int | None]) -> str:
    paths = list(sizes)
    hidden = len(paths) - MOST_FILES
    if hidden > 1:
        paths = [*paths[:MOST_FILES], f"{hidden} more"]
    return ", ".join(paths) or "nothing"


SECTION = Section("How this page was computed", (opening, picture, details))
