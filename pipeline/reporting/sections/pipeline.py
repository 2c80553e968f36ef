"""The picture of the pipeline: its stages, with what each of them reads and writes."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import altair as alt
import pandas as pd

from pipeline.reporting.charts import NEUTRAL
from pipeline.reporting.numbers import count, listed, size
from pipeline.reporting.parts import Details, Figure, Paragraph, Section, Table
from pipeline.reporting.provenance import StageGroup
from pipeline.storage.lock_comparison import overlap
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
    arrows = _arrows(stage_groups)
    levels = _levels([*(group.name for group in stage_groups), REPORT.name], arrows)
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
        [
            group.name,
            group.command,
            _files(group.inputs),
            size(_total(group.inputs)),
            _files(group.outputs),
            size(_total(group.outputs)),
            group.status,
        ]
        for group in stage_groups
    ]
    columns = ["stage", "command", "reads", "size", "writes", "size", "status"]
    table = Table("The stages, their inputs and outputs", columns, rows, left=(0, 1, 2, 4, 6))
    return Details("Inputs and outputs of each stage", [table])


def _arrows(groups: Sequence[StageGroup]) -> list[tuple[str, str]]:
    """Returns which stage feeds which, without the arrows that a longer way makes superfluous."""
    feeds = {
        (maker.name, reader.name)
        for maker in groups
        for reader in groups
        if maker != reader and _reads_from(reader, maker)
    }
    last = [group.name for group in groups if group.name not in {maker for maker, _ in feeds}]
    feeds |= {(name, REPORT.name) for name in last}

    ways = set(feeds)
    for middle in [group.name for group in groups]:
        into = [start for start, end in ways if end == middle]
        out_of = [end for start, end in ways if start == middle]
        ways |= {(start, end) for start in into for end in out_of}

    def is_direct(start: str, end: str) -> bool:
        return not any(
            (start, group.name) in ways and (group.name, end) in ways for group in groups
        )

    return sorted(arrow for arrow in feeds if is_direct(*arrow))


def _reads_from(reader: StageGroup, maker: StageGroup) -> bool:
    return any(overlap(path, made) for path in reader.inputs for made in maker.outputs)


def _levels(names: Iterable[str], arrows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns the row of each stage: the report is in the last row, and a stage is above all stages that it feeds."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            readers = [end for start, end in arrows if start == name]
            depths[name] = 1 + max(map(depth, readers), default=-1)
        return depths[name]

    deepest = max(map(depth, names))
    return {name: deepest - level for name, level in depths.items()}


def _boxes(groups: Sequence[StageGroup], levels: Mapping[str, int]) -> pd.DataFrame:
    """Returns one row per stage: its place and its lines of text."""
    texts = {group.name: _lines(group) for group in groups}
    texts[REPORT.name] = (REPORT.name, "", "writes this page")
    names = [name for name in texts if name in levels]

    rows = []
    for name in names:
        neighbours = [other for other in names if levels[other] == levels[name]]
        middle = (neighbours.index(name) + 0.5) / len(neighbours)
        half_width = min(BOX_WIDTH, 0.92 / len(neighbours)) / 2
        title, reads, writes = texts[name]
        rows.append(
            {
                "stage": name,
                "left": round(middle - half_width, 4),
                "right": round(middle + half_width, 4),
                "middle": round(middle, 4),
                "top": levels[name] + (1 - BOX_HEIGHT) / 2,
                "bottom": levels[name] + (1 + BOX_HEIGHT) / 2,
                "centre": levels[name] + 0.5,
                "title": title,
                "reads": reads,
                "writes": writes,
            }
        )
    return pd.DataFrame(rows)


def _lines(group: StageGroup) -> tuple[str, str, str]:
    title = f"{group.name} × {len(group.items)}" if group.items else group.name
    reads = f"reads {size(_total(group.inputs))}" if group.inputs else "reads no data"
    return title, reads, f"writes {size(_total(group.outputs))}"


def _chart(
    boxes: pd.DataFrame, arrows: Sequence[tuple[str, str]], last_level: int
) -> alt.LayerChart:
    across = alt.Scale(domain=[0, 1], nice=False)
    down = alt.Scale(domain=[0, last_level + 1], reverse=True, nice=False)
    x = partial(alt.X, scale=across, axis=None)
    y = partial(alt.Y, scale=down, axis=None)
    places = boxes.set_index("stage")
    lines = pd.DataFrame(
        [
            {
                "x": places.loc[start, "middle"],
                "y": places.loc[start, "bottom"],
                "x2": places.loc[end, "middle"],
                "y2": places.loc[end, "top"],
            }
            for start, end in arrows
        ],
        columns=["x", "y", "x2", "y2"],
    )
    base = alt.Chart(boxes)
    tooltip = ["title:N", "reads:N", "writes:N"]
    rules = alt.Chart(lines).mark_rule(color=NEUTRAL, strokeWidth=1.5)
    heads = alt.Chart(lines).mark_point(
        shape="triangle-down", filled=True, size=70, color=NEUTRAL, opacity=1, yOffset=-4
    )
    box = base.mark_rect(fill=NEUTRAL, fillOpacity=0.12, stroke=NEUTRAL, cornerRadius=6)

    texts = []
    for column, offset in (("title", -18), ("reads", 1), ("writes", 18)):
        weight = "bold" if column == "title" else "normal"
        text = base.mark_text(fontSize=13, fontWeight=weight, dy=offset)
        texts.append(text.encode(x=x("middle:Q"), y=y("centre:Q"), text=f"{column}:N"))

    return alt.layer(
        rules.encode(
            x=x("x:Q"),
            y=y("y:Q"),
            x2="x2:Q",
            y2="y2:Q",
        ),
        heads.encode(x=x("x2:Q"), y=y("y2:Q")),
        box.encode(
            x=x("left:Q"),
            x2="right:Q",
            y=y("top:Q"),
            y2="bottom:Q",
            tooltip=tooltip,
        ),
        *texts,
    ).properties(width=WIDTH, height=HEIGHT_OF_LEVEL * (last_level + 1))


def _alternative(groups: Sequence[StageGroup], arrows: Sequence[tuple[str, str]]) -> str:
    sentences = []
    for group in groups:
        readers = [end for start, end in arrows if start == group.name]
        sentences.append(
            f"{group.name} writes {size(_total(group.outputs))} for {listed(readers)}."
        )
    return " ".join(sentences)


def _total(sizes: Mapping[str, int | None]) -> int | None:
    """Returns the bytes of all paths, or None if one of them is unknown."""
    known = [number for number in sizes.values() if number is not None]
    return sum(known) if len(known) == len(sizes) else None


def _files(sizes: Mapping[str, int | None]) -> str:
    paths = list(sizes)
    hidden = len(paths) - MOST_FILES
    if hidden > 1:
        paths = [*paths[:MOST_FILES], f"{hidden} more"]
    return ", ".join(paths) or "nothing"


SECTION = Section("How this page was computed", (opening, picture, details))
