"""The sections of the report, in their order. To add one, add a file and a line here."""

from pipeline.reporting.parts import Section
from pipeline.reporting.sections import gradients, mechanism

SECTIONS: tuple[Section, ...] = (gradients.SECTION, mechanism.SECTION)
