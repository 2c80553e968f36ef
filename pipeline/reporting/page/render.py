"""Renders the sections of the report: as one HTML page, as Markdown, and as a picture of each figure."""

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2

from pipeline.reporting import charts
from pipeline.reporting.inputs import Record
from pipeline.reporting.numbers import count
from pipeline.reporting.page import texts
from pipeline.reporting.parts import (
    Details,
    Figure,
    MadeSection,
    Part,
    Table,
    every_part,
)
from pipeline.storage.provenance import Provenance

TEMPLATES = Path(__file__).parent
DIGITS = 6
QUOTE_COLUMNS = (
    "The tutorial says",
    "Verdict here",
    "Number",
    "Intervals, and thresholds (dashed)",
)
ARCHITECTURES = [  # pairs keep their order in JSON
    (name, {"colour": charts.COLOURS[name], "sign": charts.SIGNS[name]}) for name in charts.COLOURS
]


@dataclass(frozen=True)
class Report:
    """Sections with a title and a first sentence. Each figure has a name of its own.

    `has_playground` says whether the page with live networks has any network.
    """

    title: str
    lead: str
    sections: Sequence[MadeSection]
    provenance: Provenance
    has_playground: bool = False

    @cached_property
    def panels(self) -> dict[str, list[Record]]:
        """The panels of each figure as Vega-Lite. Raises ValueError if two figures have the same name."""
        figures = self.figures()
        names = [figure.name for figure in figures]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two figures of the report have the name {min(twice)}")
        return {figure.name: charts.specified(figure.panels) for figure in figures}

    @property
    def inputs(self) -> list[str]:
        """The inputs of all sections, in the order of the files."""
        names = set(chain.from_iterable(section.inputs for section in self.sections))
        return [name for name in self.provenance.inputs if name in names]

    @property
    def datasets(self) -> str:
        """The data of all figures as JSON: for each dataset its columns, which are shorter than rows."""
        panels = chain.from_iterable(self.panels.values())
        datasets = dict(ChainMap(*(panel["datasets"] for panel in panels)))
        return texts.json_in_html({name: _columns(rows) for name, rows in datasets.items()})

    def figures(self, first_options: bool = False) -> list[Figure]:
        """All figures, or only the first option of each choice."""
        parts = chain.from_iterable(section.parts for section in self.sections)
        every = chain.from_iterable(every_part(part.part, first_options) for part in parts)
        return [part for part in every if isinstance(part, Figure)]


def _columns(rows: Sequence[Record]) -> dict[str, list[Any]]:
    """
    >>> _columns([{"lag": 1, "mean": 0.123456789}, {"lag": 2}])
    {'lag': [1, 2], 'mean': [0.123457, None]}
    """
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: _column(rows, name) for name in names}


def _column(rows: Sequence[Record], name: str) -> list[Any]:
    return [_rounded(row.get(name)) for row in rows]


def _rounded(value: Any) -> Any:
    """A number with the digits that a reader can see in a figure."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _panel(panel: Record) -> str:
    """A panel as JSON, with the names of its datasets in the place of their rows."""
    return charts.page({**panel, "datasets": list(panel["datasets"])})


def html(report: Report) -> str:
    return _rendered("page.jinja", report, autoescape=True)


def markdown(report: Report) -> str:
    return _rendered("markdown.jinja", report, autoescape=False)


def pictures(report: Report) -> dict[str, str]:
    """Returns the SVG of each figure that Markdown shows or links to, by its name."""
    return {
        figure.name: charts.svg(report.panels[figure.name], 1 if figure.stacked else 2)
        for figure in report.figures(first_options=True)
    }


def _rendered(template: str, report: Report, autoescape: bool) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        autoescape=autoescape,  # noqa: S701 - Markdown escapes with the filter `plain`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "kind": lambda part: type(part).__name__,
        "count": count,
        "folded": _folded,
        "json_panel": _panel,
        "plain": texts.plain,
        "slug": texts.slug,
        "visible": texts.visible,
    }
    environment.globals |= {
        "unknown": _unknown,
        "quote_columns": QUOTE_COLUMNS,
    }
    return environment.get_template(template).render(
        report=report,
        architectures=ARCHITECTURES,
        scripts=charts.scripts,
    )


def _visible(value: Any) -> Any:
    return texts.visible(value) if type(value) is str else value


def _folded(section: MadeSection) -> list[Figure | Table]:
    """Returns the figures and tables of a section that Markdown does not show, because they are folded away."""
    folded = []
    for made in section.parts:
        if section.in_details or isinstance(made.part, Details):
            inner = every_part(made.part, first_options=True)
            folded += sorted(inner, key=lambda part: isinstance(part, Table))
    return [part for part in folded if isinstance(part, Figure | Table)]


def _unknown(part: Part) -> None:
    raise TypeError(f"the templates of the report lack the part {type(part).__name__}")
