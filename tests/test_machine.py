"""What a process that computes has loaded, and what it can still load."""

import subprocess
import sys

PROGRAM = """
import gc, sys
from pipeline import machine

machine.prepare()
machine.load_tensorflow()
print("tensorflow" in sys.modules, "matplotlib" in sys.modules, "sklearn" in sys.modules, gc.isenabled())

import sklearn.linear_model
print(sklearn.linear_model.__name__)
"""


def test_tensorflow_comes_without_the_plots_of_keras_and_scikit_learn_on_demand():
    lines = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert lines.splitlines() == ["True False False True", "sklearn.linear_model"]
