"""The sections of the report, in their order. To add one, add a file and a line here."""

from pipeline.reporting.parts import Section
from pipeline.reporting.sections import (
    attractor,
    claims,
    data,
    findings,
    gradients,
    mechanism,
    memory,
    method,
    pipeline,
    readings,
    remedies,
    reproduce,
    results,
    tuning,
)

SECTIONS: tuple[Section, ...] = (
    findings.SECTION,
    claims.SECTION,
    results.SECTION,
    gradients.SECTION,
    mechanism.SECTION,
    memory.SECTION,
    attractor.SECTION,
    remedies.SECTION,
    tuning.SECTION,
    readings.SECTION,
    data.SECTION,
    reproduce.SECTION,
    pipeline.SECTION,
    method.SECTION,
)
