"""The process of the stage, which hands cells to its workers, and the networks that it measures."""

import subprocess
import sys

import pytest

from pipeline import params
from pipeline.stages import gradients


def test_the_driver_of_the_length_study_needs_no_tensorflow():
    program = "import sys, pipeline.stages.gradients; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("architecture", "tokens", "seeds"),
    [
        ("flattened", 50, 3),
        ("flattened", 100, 10),
        ("flattened", 200, 3),
        ("flattened", 400, 0),
        ("feedforward", 200, 3),
        ("feedforward", 400, 10),
    ],
)
def test_a_network_of_a_fixed_size_is_measured_only_where_it_trains(architecture, tokens, seeds):
    study = params.read()
    changed = study.gradients.model_copy(update={"trained_up_to": 200, "seeds": 3})
    train = study.train.model_copy(update={"seeds": 10})
    study = study.model_copy(update={"gradients": changed, "train": train})
    assert gradients.measured_seeds(architecture, tokens, study) == range(seeds)


def test_a_run_with_few_seeds_is_measured_on_these():
    content = params.read().model_dump(by_alias=True)
    content["train"]["seeds"] = 5
    content["train"]["runs"]["lstm-textbook"]["seed_factor"] = 0.4
    content["gradients"] |= {"seeds": 3, "trained_up_to": 200}
    study = params.Params.model_validate(content)
    assert gradients.measured_seeds("lstm", 200, study) == range(2)
