"""The parts of a report that sections return, independent of the page that shows them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import altair as alt
from pandas import DataFrame

from pipeline.reporting.inputs import Inputs
from pipeline.reporting.numbers import cell

NUMBER = re.compile(r"[<>+−]? ?\d")
LONG_TABLE = 10  # rows; a longer table can be filtered


@dataclass(frozen=True)
class Bullets:
    texts: Sequence[str]


@dataclass(frozen=True)
class Command:
    """A command line to paste, with the lines of its output if they help."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells are texts. `left` are the columns that are aligned left: by default those of words."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] | None = None
    sortable: bool = False
    filterable: bool = False

    @classmethod
    def of(
        cls,
        caption: str,
        rows: Any,
        /,
        **formats: Callable[..., Any],
    ) -> "Table":
        """A sortable table of rows that a DataFrame can be made of.

        A column has the format of its name, or else `cell`; a missing value is an empty text.
        """
        frame = DataFrame(rows)
        texts = DataFrame(
            {
                name: values.map(formats.get(name, cell), na_action="ignore").astype(object)
                for name, values in frame.items()
            }
        )
        cells = texts.fillna("").to_numpy().tolist()
        columns = [name.replace("_", " ") for name in frame]
        return cls(caption, columns, cells, sortable=True, filterable=len(cells) > LONG_TABLE)

    @property
    def aligned_left(self) -> Sequence[int]:
        """`left`, or the columns in which no cell begins like a number."""
        if self.left is not None:
            return self.left
        columns = enumerate(zip(*self.rows, strict=True))
        return [place for place, cells in columns if not any(map(NUMBER.match, cells))]


@dataclass(frozen=True)
class Figure:
    """A picture of one or more panels, which stand next to each other on a wide screen.

    Attributes:
        name: of its file in reports/figures and of its permalink.
        title: the finding, as a sentence without numbers that the data could contradict.
        reading: how to read it, at most two sentences.
        alternative: the text for people who do not see it; it contains the main numbers.
        panels: charts of `charts`, each with its own width.
        stacked: whether the panels stand one below the other on every screen.
    """

    name: str
    title: str
    reading: str
    alternative: str
    panels: Sequence[alt.LayerChart]
    stacked: bool = False


@dataclass(frozen=True)
class Choice:
    """Figures or parts among which a reader chooses, such as one per sequence length. The first one is shown."""

    label: str
    options: dict[str, "Part"]


@dataclass(frozen=True)
class Details:
    """Parts that are folded away until a reader opens them."""

    summary: str
    parts: Sequence["Part"]


@dataclass(frozen=True)
class Finding:
    """One sentence and one number next to the figure that shows them."""

    number: str
    sentence: str
    figure: Figure


@dataclass(frozen=True)
class SmallChart:
    """Lines from low to high with a mark at the value, and upright lines at thresholds. All places are in pixels."""

    thresholds: Sequence[float]
    marks: Sequence["SmallMark"]
    conditions: str


@dataclass(frozen=True)
class SmallMark:
    low: float
    value: float
    high: float
    colour: str
    label: str


@dataclass(frozen=True)
class Quote:
    """A sentence of the tutorial with its verdict, notes about it, and one number with its meaning."""

    sentence: str
    mark: str
    verdict: str
    notes: Sequence[str]
    number: str
    meaning: str
    chart: SmallChart | None


@dataclass(frozen=True)
class Quotes:
    """A table of sentences. Only the page has the small charts."""

    rows: Sequence[Quote]


def choice(label: str, options: dict[str, "Part"]) -> "Part | None":
    """A choice among several options; of a single one, that part itself."""
    return Choice(label, options) if len(options) > 1 else next(iter(options.values()), None)


# a text is a paragraph
Part = str | Bullets | Command | Table | Figure | Choice | Details | Finding | Quotes
Parts = Sequence[Part | None]
Maker = Callable[..., Part | Parts | None]


def every_part(part: Part, first_options: bool = False) -> Iterator[Part]:
    """A part and all parts inside it; of each choice, all options or the first one alone."""
    yield part
    inner: Sequence[Part] = []
    match part:
        case Finding():
            inner = [part.figure]
        case Details():
            inner = part.parts
        case Choice():
            options = list(part.options.values())
            inner = options[:1] if first_options else options
    for child in inner:
        yield from every_part(child, first_options)


@dataclass(frozen=True)
class Section:
    """A heading with the functions that make its parts.

    The parameters of each function are names of `inputs`. A function has nothing to say about this study if its first
    input is None, an empty table or an empty dictionary. It returns a part or a list of parts; None and empty texts
    disappear, and so does a section without parts.
    """

    title: str
    makers: Sequence[Maker]
    in_details: bool = False


@dataclass(frozen=True)
class MadePart:
    """A part with the names of the input files that its function used."""

    part: Part
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class MadeSection:
    title: str
    parts: list[MadePart]
    in_details: bool = False

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-").replace("?", "").replace("'", "")

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(chain.from_iterable(part.inputs for part in self.parts)))


def made(section: Section, values: Inputs) -> MadeSection:
    """Calls the functions of a section with the inputs that they name."""
    parts = []
    for maker in section.makers:
        result = None if values.starts_empty(maker) else values.call(maker)
        new_parts = result if isinstance(result, list) else [result]
        parts += [MadePart(part, values.files_of(maker)) for part in new_parts if part]
    return MadeSection(section.title, parts, section.in_details)
