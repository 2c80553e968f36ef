"""How to run the study again, and where its numbers are."""

from pipeline.reporting.parts import (
    Command,
    Details,
    Part,
    Section,
    Table,
)

COMMANDS = """make reproduce               # installs the packages and runs every stage that is not up to date
.venv/bin/dvc repro --force  # runs every stage again
make ui                      # every trial, seed and curve in MLflow
.venv/bin/python -m pipeline replicate NAME  # the study with other rounding, or on your machine"""
FILES = (
    ("data.json", "the texts, their splits and counts"),
    ("metrics.json, runs.csv", "the scores of every run and seed"),
    ("comparisons.json", "the declared comparisons"),
    (
        "ensembles.json, linear_baselines.csv",
        "ensembles of seeds, and the gain over linear models",
    ),
    (
        "calibration.csv, length_buckets.csv",
        "calibration, and accuracy by length",
    ),
    ("hard_texts.csv", "test texts on which networks err or disagree"),
    ("models.json", "the settings and layers of every run"),
    ("tuning", "every trial, race and regret"),
    (
        "gradients, decay, decay_by_seed, distances",
        "gradients, half-lives and horizons",
    ),
    (
        "memory, probes, states",
        "effects of words, changed texts and updates of the state",
    ),
    ("retention.csv", "the synthetic task"),
    ("attractor", "slow modes, gradients by lag, words, and verdicts"),
    ("remedies.csv, remedies.json", "gradient, memory, accuracy and cost of every remedy"),
    ("claims.json", "the sentences of the tutorial, with their measures"),
    ("replications", "verdicts and numbers of each replication, with its machine and flags"),
    ("examples.json", "the texts read word by word"),
    ("machine.json", "the machine that computed the results"),
)


def commands() -> list[Part]:
    text = (
        "Run these commands in the folder of the project. The parameters are in params.yaml. The same parameters, "
        "packages and kind of processor give the same bytes, this report included."
    )
    after = (
        "A replication writes reports/replications/NAME.json. Commit this file, then run dvc repro: the table of the "
        "tutorial's sentences compares its verdicts with ours."
    )
    return [text, Command(COMMANDS), after]


def files() -> Details:
    table = Table("Files and folders in reports/", ["file", "contents"], FILES)
    return Details("The files with all numbers", [table])


SECTION = Section("How to reproduce it", (commands, files))
