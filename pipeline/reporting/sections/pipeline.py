"""The picture of the pipeline: its stages, with what each of them reads and writes."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product, starmap

import altair as alt
import networkx
import numpy as np
from pandas import DataFrame

from pipeline.reporting.charts import NEUTRAL
from pipeline.reporting.numbers import count, listed, size
from pipeline.reporting.parts import (
    Details,
    Figure,
    Section,
    Table,
)
from pipeline.storage.lock_comparison import overlap
from pipeline.storage.provenance import StageGroup
from pipeline.storage.stage_table import REPORT

Arrow = tuple[str, str]
Sizes = Mapping[str, int | None]

WIDTH, HEIGHT_OF_LEVEL = 640, 92
BOX_WIDTH, BOX_HEIGHT = 0.28, 0.66  # shares of the width and of a level
MOST_FILES = 4  # in a cell of the table


def opening(stage_groups: list[StageGroup]) -> str:
    stages = sum(len(group.items) or 1 for group in stage_groups)
    return f"DVC runs {count(stages, 'stage')} before this page. It runs a stage again only if an input has changed."


def picture(stage_groups: list[StageGroup]) -> Figure:
    arrows, levels = layout(stage_groups)
    sentences = []
    for group in stage_groups:
        readers = listed(end for start, end in arrows if start == group.name)
        sentences.append(f"{group.name} writes {size(_total(group.outputs))} for {readers}.")
    return Figure(
        name="pipeline",
        title="From the raw texts to this page",
        reading="Each box is a stage, with the size of the data that it reads and writes. Arrows show where data goes.",
        alternative=" ".join(sentences),
        panels=[_chart(_boxes(stage_groups, levels), arrows)],
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
    table = Table.of("The stages, their inputs and outputs", rows)
    return Details("Inputs and outputs of each stage", [table])


def layout(groups: Sequence[StageGroup]) -> tuple[list[Arrow], dict[str, int]]:
    """Returns which stage feeds which, and the row of each stage: it is above all stages that it feeds.

    Arrows that a longer way makes superfluous are left out. The report, in the last row, reads all that no other does.
    """
    graph = networkx.DiGraph()
    for maker in groups:
        readers = [reader.name for reader in groups if _reads_from(reader, maker)]
        graph.add_edges_from((maker.name, reader) for reader in readers or [REPORT.name])

    levels = dict.fromkeys([*(group.name for group in groups), REPORT.name], 0)
    from_below = list(networkx.topological_generations(graph.reverse()))
    for level, names in enumerate(reversed(from_below)):
        levels |= dict.fromkeys(names, level)
    return sorted(networkx.transitive_reduction(graph).edges), levels


def _reads_from(reader: StageGroup, maker: StageGroup) -> bool:
    pairs = product(reader.inputs, maker.outputs)
    return reader is not maker and any(starmap(overlap, pairs))


def _boxes(groups: Sequence[StageGroup], levels: Mapping[str, int]) -> DataFrame:
    """Returns one row per stage: its place and its lines of text."""
    texts = [*map(_text, groups), f"{REPORT.name}\nwrites this page"]
    boxes = DataFrame({"stage": list(levels), "level": list(levels.values()), "text": texts})
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
    )


def _text(group: StageGroup) -> str:
    title = f"{group.name} × {len(group.items)}" if group.items else group.name
    has_size = len(group.inputs) > 1 or any(group.inputs.values())
    reads = size(_total(group.inputs)) if has_size else _files(group.inputs)
    return f"{title}\nreads {reads}\nwrites {size(_total(group.outputs))}"


def _chart(boxes: DataFrame, arrows: Sequence[Arrow]) -> alt.LayerChart:
    levels = int(boxes["level"].max()) + 1
    x = partial(alt.X, scale=alt.Scale(domain=[0, 1], nice=False), axis=None)
    y = partial(alt.Y, scale=alt.Scale(domain=[0, levels], reverse=True, nice=False), axis=None)
    places = boxes.set_index("stage")[["middle", "top", "bottom"]]
    lines = DataFrame(arrows, columns=["start", "end"])
    lines = lines.join(places, on="start").join(places.add_suffix("_end"), on="end")

    arrow, box = alt.Chart(lines), alt.Chart(boxes)
    rules = arrow.mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(
        x=x("middle:Q"), y=y("bottom:Q"), x2="middle_end:Q", y2="top_end:Q"
    )
    heads = arrow.mark_point(
        shape="triangle-down", filled=True, size=70, color=NEUTRAL, opacity=1, yOffset=-4
    ).encode(x=x("middle_end:Q"), y=y("top_end:Q"))
    frames = box.mark_rect(fill=NEUTRAL, fillOpacity=0.12, stroke=NEUTRAL, cornerRadius=6)
    frames = frames.encode(x=x("left:Q"), x2="right:Q", y=y("top:Q"), y2="bottom:Q")
    texts = box.mark_text(fontSize=13, lineBreak="\n", dy=17)
    texts = texts.encode(x=x("middle:Q"), y=y("top:Q"), text="text:N")

    layers = alt.layer(rules, heads, frames, texts)
    return layers.properties(width=WIDTH, height=HEIGHT_OF_LEVEL * levels)


def _total(sizes: Sizes) -> int | None:
    """Returns the bytes of all paths, or None if one of them is unknown."""
    numbers = [number for number in sizes.values() if number is not None]
    return sum(numbers) if len(numbers) == len(sizes) else None


def _files(sizes: Sizes) -> str:
    paths = list(sizes)
    hidden = len(paths) - MOST_FILES
    if hidden > 1:
        paths = [*paths[:MOST_FILES], f"{hidden} more"]
    return ", ".join(paths) or "nothing"


SECTION = Section("How this page was computed", (opening, picture, details))
