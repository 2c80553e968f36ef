"""examples: a few validation reviews, chosen by a rule, read word by word by the textbook's recurrent networks."""

from pipeline.params import Params, Settings
from pipeline.science import sample_readings
from pipeline.storage import artifacts

RUNS = ("vanilla-textbook", "bidirectional-textbook", "lstm-textbook")  # those that are trained; the first one chooses
SEED = 0  # by rule, not by score


def main(params: Params) -> None:
    split = artifacts.read_parquet(artifacts.split("validation"))
    words = artifacts.read_text(artifacts.VOCABULARY).splitlines()
    networks = {run: _trained(run) for run in RUNS if run in params.train.runs}
    told = sample_readings.told(split, words, networks, SEED)
    artifacts.write_json(artifacts.EXAMPLES_EVERYTHING, told)
    artifacts.write_json(artifacts.EXAMPLES, sample_readings.brief(told))


def _trained(run: str) -> tuple[str, Settings, int, bytes]:
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    return card["architecture"], settings, card["vocabulary_size"], artifacts.read_weights(artifacts.weights(run, SEED))
