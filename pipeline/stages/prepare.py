"""Reviews from their source to encoded splits, a vocabulary and the data card."""

from pipeline.params import SPLITS, Params
from pipeline.science.text import data_card, splits, tokenizer
from pipeline.storage import artifacts, sources


def main(params: Params) -> None:
    """Writes the three splits, the vocabulary and the data card; nothing where a Mistake is raised."""
    shares = (params.data.validation_share, params.data.test_share)
    table, tokens = tokenizer.gathered(sources.read(params.data))
    fates = splits.allot(table, *shares)
    rows = {name: (fates["fate"] == name).to_numpy() for name in SPLITS}
    known = tokenizer.ranked(tokens.filter(rows["train"]))
    words = tokenizer.vocabulary(known, params.data.vocabulary_size)
    encoded = {name: tokenizer.encoded(table[ours], tokens.filter(ours), words) for name, ours in rows.items()}
    card = data_card.card(
        table,
        fates,
        encoded,
        vocabulary_size=len(words),
        words_in_train=len(known),
        source=params.data.source,
        rule=splits.split_rule(table, *shares),
        sequence_length=params.settings["textbook"].sequence_length,
    )
    for name, split in encoded.items():
        artifacts.write_parquet(artifacts.split(name), split)
    artifacts.write_text(artifacts.VOCABULARY, "".join(f"{word}\n" for word in words))
    artifacts.write_json(artifacts.DATA_CARD, card)
