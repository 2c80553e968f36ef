"""Reviews from their source to encoded splits, a vocabulary and the data card."""

from pipeline.params import Params
from pipeline.record import artifacts, sources
from pipeline.science import reviews


def main(params: Params) -> None:
    """Writes the three splits, the vocabulary and the data card; nothing where a Mistake is raised."""
    shares = (params.data.validation_share, params.data.test_share)
    table = sources.read(params.data)
    table["tokens"] = table["text"].map(reviews.tokenise)
    fates = reviews.allot(table, *shares)
    words = reviews.vocabulary(table["tokens"][fates["fate"] == "train"], params.data.vocabulary_size)
    splits = {name: reviews.encoded(table[fates["fate"] == name], words) for name in artifacts.SPLITS}
    card = reviews.card(
        table,
        fates,
        splits,
        words,
        source=params.data.source,
        rule=reviews.split_rule(table, *shares),
        sequence_length=params.settings["textbook"].sequence_length,
    )
    for name, split in splits.items():
        artifacts.write_parquet(artifacts.split(name), split)
    artifacts.write_text(artifacts.VOCABULARY, "".join(f"{word}\n" for word in words))
    artifacts.write_json(artifacts.DATA_CARD, card)
