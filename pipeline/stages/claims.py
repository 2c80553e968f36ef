"""claims: the tutorial's sentences against what the study has measured; from files only."""

import pandas as pd

from pipeline.params import Params
from pipeline.record import artifacts
from pipeline.science import claims, decay


def main(params: Params) -> None:
    lengths = sorted(params.gradients.sequence_lengths)
    textbook = params.settings["textbook"].sequence_length
    sizes = params.settings["textbook"].embedding_dimension, params.settings["textbook"].hidden_size

    def of_all(table) -> pd.DataFrame:
        return pd.concat([artifacts.read_csv(table(length)) for length in lengths], ignore_index=True)

    found = claims.Found(
        min(lengths, key=lambda length: (abs(length - textbook), length)),
        decay.half_life_at_start(*sizes),
        artifacts.read_json(artifacts.COMPARISONS),
        of_all(artifacts.decay),
        of_all(artifacts.memory),
        of_all(artifacts.probes),
        artifacts.read_csv(artifacts.RETENTION),
    )
    artifacts.write_json(artifacts.CLAIMS, claims.table(found, params.claims))
