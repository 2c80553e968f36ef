"""prepare: turns the reviews of a source into encoded splits, a vocabulary and the data card."""

from typing import TYPE_CHECKING

import pandas as pd

from pipeline.params import SPLITS, subjects
from pipeline.science import data_requirements
from pipeline.science.text import data_card, splits, tokenizer
from pipeline.storage import artifacts, sources

if TYPE_CHECKING:
    from pipeline.stages.context import Context


def main(context: "Context") -> None:
    """Writes the three splits, the vocabulary and the data card.

    Raises Mistake, and writes nothing, if the source is wrong or a later stage could not measure these reviews.
    """
    params = context.params
    shares = (params.data.validation_share, params.data.test_share)

    table, tokens = tokenizer.tokenise_reviews(sources.read(params.data))
    fates = splits.assign_splits(table, *shares)
    is_in_split_N = {name: (fates["fate"] == name).to_numpy() for name in SPLITS}

    ranked_words = tokenizer.rank_words(tokens.filter(is_in_split_N["train"]))
    vocabulary = tokenizer.vocabulary(ranked_words, params.data.vocabulary_size)

    encoded: dict[str, pd.DataFrame] = {}
    for name, rows in is_in_split_N.items():
        encoded[name] = tokenizer.encode_split(table[rows], tokens.filter(rows), vocabulary)

    data_requirements.require(
        encoded,
        params.gradients.sequence_lengths,
        params.gradients.words,
        params.evaluate.calibration_bins,
    )

    source = subjects.card(params.data)
    card = data_card.card(
        table,
        fates,
        encoded,
        vocabulary_size=len(vocabulary),
        words_in_train=len(ranked_words),
        source=source,
        rule=splits.split_rule(table, *shares, subjects.of_card(source)),
        sequence_length=params.settings["textbook"].sequence_length,
    )

    for name, split in encoded.items():
        artifacts.write_parquet(artifacts.split(name), split)
    artifacts.write_text(artifacts.VOCABULARY, "".join(f"{word}\n" for word in vocabulary))
    artifacts.write_json(artifacts.DATA_CARD, card)
