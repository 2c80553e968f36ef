"""What tests read from the parts of a report."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.reporting import inputs, parts
from pipeline.science.gradients import decay
from tests.reporting import invented


def gradient_inputs(outline: invented.Outline = invented.QUICK) -> dict:
    """The files of an invented study of gradients."""
    random = np.random.default_rng(0)
    curves = pd.concat(
        [invented.all_curves(random, length, outline) for length in outline.lengths],
        ignore_index=True,
    )
    measures = invented.fitted(random, curves)
    dynamics = [invented.dynamics(random, length, outline) for length in outline.lengths]
    return {
        "card": invented.card(),
        "claims": [],
        "everything": curves,
        "decay": decay.table(measures),
        "decay_by_seed": decay.by_seed(measures),
        "distances": invented.distances(random, curves),
        "dynamics": pd.concat(dynamics, ignore_index=True),
    }


def values(files: dict, **changes) -> inputs.Inputs:
    """The inputs of a report, some files replaced."""
    thresholds = params.read().claims
    settings = {"vanished": thresholds.vanished, "faded": thresholds.faded}
    return inputs.Inputs({**files, **changes}, settings)


def every_part(some_parts: Iterable[parts.Part]) -> Iterator[parts.Part]:
    """Parts, and those inside them."""
    return chain.from_iterable(map(parts.every_part, some_parts))


def texts(some_parts: Iterable[parts.Part]) -> str:
    """All words of these parts."""
    words = []
    for part in every_part(some_parts):
        match part:
            case str():
                words.append(part)
            case parts.Bullets():
                words += part.texts
            case parts.Table():
                words += [part.caption, *part.columns, *(cell for row in part.rows for cell in row)]
            case parts.Figure():
                words += [part.title, part.reading, part.alternative]
            case parts.Choice():
                words += [part.label, *part.options]
            case parts.Details():
                words.append(part.summary)
    return "\n".join(words)
