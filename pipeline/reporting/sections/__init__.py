"""The sections of the report, in their order. To add one, add a file and a line here."""

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

ORDER = (
    findings,
    claims,
    results,
    gradients,
    mechanism,
    memory,
    attractor,
    remedies,
    tuning,
    readings,
    data,
    reproduce,
    pipeline,
    method,
)
SECTIONS = tuple(module.SECTION for module in ORDER)
