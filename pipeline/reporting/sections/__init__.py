"""The sections of the report, in their order. To add one, add a file and a line here."""

from pipeline.reporting.parts import Section
from pipeline.reporting.sections import data, method, reproduce, tuning

SECTIONS: tuple[Section, ...] = (
    tuning.SECTION,
    data.SECTION,
    reproduce.SECTION,
    method.SECTION,
)
