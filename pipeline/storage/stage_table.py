"""The table of stages, in the order of dvc.yaml. Other modules of the package take the names of stages from here.

The CLI, `verify`, MLflow's experiments, the fault tests in chaos/ and the tests read this table. It is in storage
because dvc.lock names stages too. The stages that train networks must not import it. Otherwise DVC would train every
network again after a change of a help text.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from pipeline.params import Params

ARITHMETIC = 1e-6  # float32 rounding error of one pass through a network
TRAINING = 0.05  # training amplifies rounding errors over hundreds of updates: an accuracy can move by five points
EXPERIMENT_OF_TUNING = "rnn-for-nlp/tuning"
EXPERIMENT_OF_TRAINING = "rnn-for-nlp/training"
EXPERIMENT_OF_GRADIENTS = "rnn-for-nlp/gradients"


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, or one group of stages that differ in their item.

    name: the command of the stage and the module in pipeline/stages/ that computes it.
    help: one line of `python -m pipeline --help`.
    item: the kind of item that DVC names after `@`: a run, an architecture; empty for a stage without items.
    listed_in: the key of params.yaml that lists these items.
    resumes_from: where an interrupted stage finds its finished units: in stored results (pipeline/workers/resume.py) or
        in its Optuna study. Empty for a stage that runs no units on workers.
    loads_tensorflow: whether the main process of the stage needs TensorFlow; its workers always load it.
    experiment: the MLflow experiment with the runs of the stage; empty for a stage that MLflow does not show.
    tolerance: the difference that `verify` accepts on another kind of machine, relative to max(1, recorded value).
    """

    name: str
    help: str
    item: str = ""
    listed_in: str = ""
    resumes_from: Literal["", "results", "study"] = ""
    loads_tensorflow: bool = False
    experiment: str = ""
    tolerance: float = ARITHMETIC

    def items(self, params: Params) -> list[str]:
        """The items that these parameters list; empty for a stage without items."""
        if not self.listed_in:
            return []
        return [str(item) for item in attrgetter(self.listed_in)(params)]

    def dvc_name(self, item: str = "") -> str:
        """The name in dvc.lock: `prepare`, `train@vanilla-textbook`."""
        return f"{self.name}@{item}" if item else self.name

    def dvc_names(self, params: Params) -> list[str]:
        """The names in dvc.lock of all items, or the one name of a stage without items."""
        if not self.listed_in:
            return [self.name]
        return [self.dvc_name(item) for item in self.items(params)]


PREPARE = Stage("prepare", "read, clean, split and encode the reviews; write the data card")
TUNE = Stage(
    "tune",
    "search for the settings of one architecture: hidden size, embedding dimension, learning rate, dropout",
    item="architecture",
    listed_in="tune.architectures",
    resumes_from="study",
    experiment=EXPERIMENT_OF_TUNING,
    tolerance=TRAINING,
)
TRAIN = Stage(
    "train",
    "train one run on every seed",
    item="run",
    listed_in="train.runs",
    resumes_from="results",
    experiment=EXPERIMENT_OF_TRAINING,
    tolerance=TRAINING,
)
EVALUATE = Stage(
    "evaluate",
    "score every run on the test split and compare the runs",
    loads_tensorflow=True,
    experiment=EXPERIMENT_OF_TRAINING,
)
GRADIENTS = Stage(
    "gradients",
    "measure how gradients and memory fade, at one sequence length",
    item="sequence_length",
    listed_in="gradients.sequence_lengths",
    resumes_from="results",
    experiment=EXPERIMENT_OF_GRADIENTS,
    tolerance=TRAINING,
)
RETENTION = Stage(
    "retention",
    "measure how far back networks learn to look, on an artificial task whose answer is known",
    resumes_from="results",
    experiment=EXPERIMENT_OF_GRADIENTS,
    tolerance=TRAINING,
)
ATTRACTOR = Stage(
    "attractor",
    "test whether recurrent networks sum up words along one slow direction of their state",
    resumes_from="results",
    experiment=EXPERIMENT_OF_GRADIENTS,
    tolerance=TRAINING,
)
REMEDIES = Stage(
    "remedies",
    "measure what keeps the gradient and the memory of the vanilla network",
    resumes_from="results",
    experiment=EXPERIMENT_OF_GRADIENTS,
)
CLAIMS = Stage(
    "claims",
    "test the tutorial's sentences against the measurements",
    experiment=EXPERIMENT_OF_GRADIENTS,
)
EXAMPLES = Stage(
    "examples", "read a few reviews word by word, for the report", loads_tensorflow=True
)
REPORT = Stage("report", "write reports/ from the files of the other stages")
TRACK = Stage("track", "make MLflow equal to the files")

STAGES = (
    PREPARE,
    TUNE,
    TRAIN,
    EVALUATE,
    GRADIENTS,
    RETENTION,
    ATTRACTOR,
    REMEDIES,
    CLAIMS,
    EXAMPLES,
    REPORT,
    TRACK,
)
BY_NAME = {stage.name: stage for stage in STAGES}


def dvc_names(params: Params) -> list[str]:
    """The name of every stage that these parameters define. dvc.lock may list more stages, which are not read."""
    names = []
    for stage in STAGES:
        names += stage.dvc_names(params)
    return names


def is_ours(dvc_name: str) -> bool:
    """Whether a stage of DVC is one of STAGES. Users may add stages of their own."""
    return dvc_name.partition("@")[0] in BY_NAME


def stage_of(dvc_name: str) -> Stage:
    """The Stage for a name in dvc.lock: TRAIN for `train@vanilla-textbook`."""
    return BY_NAME[dvc_name.partition("@")[0]]
