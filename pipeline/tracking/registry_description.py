"""What MLflow shows about the registered model: which texts it reads, and what its versions and aliases mean."""

import re
from pathlib import Path

from pipeline.params import subjects
from pipeline.storage import artifacts

DESCRIPTION = """Takes {texts} in plain words (`list[str]`) and answers each with a label and the probability that
the {text} is positive.{labels}

A version is the best seed of a run by validation accuracy. The tag `current` marks versions that describe the checkout.
The alias `champion` marks the run with the best mean validation accuracy. It moves only to a run that is better by
Welch's 95 % interval over seeds, on the same validation split."""
MARKUP = re.compile(r"[\\`*_\[\]<>&~|]")  # MLflow shows the description as Markdown


def read(folder: Path) -> str:
    """The description of the registered model. The data card describes the texts that the model reads."""
    card = artifacts.read_json(folder / artifacts.DATA_CARD)
    subject = subjects.of_card(card)
    labels = _literal(subjects.labels(card))
    return DESCRIPTION.format(
        texts=_literal(subject.name),
        text=subject.noun,
        labels=f" {labels}" if labels else "",
    )


def _literal(text: str) -> str:
    """A text that Markdown shows as it is."""
    return MARKUP.sub(r"\\\g<0>", text)
