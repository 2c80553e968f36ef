"""The process of the stage, which hands cells to its workers."""

import subprocess
import sys


def test_the_driver_of_the_length_study_needs_no_tensorflow():
    program = "import sys, pipeline.stages.gradients; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
