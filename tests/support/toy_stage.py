"""A stage of the toy study, as DVC runs it: `python -m tests.support.toy_stage OUTPUT...` writes these outputs.

The outputs depend on one parameter, the textbook's learning rate: it is the loss of every epoch.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from tests.support import toy_study


def main(outputs: list[str]) -> None:
    rate = YAML(typ="safe").load(Path("params.yaml"))["settings"]["textbook"]["learning_rate"]
    with tempfile.TemporaryDirectory() as temporary:
        study = Path(temporary)
        toy_study.write(study)
        toy_study.write_run(study, "vanilla-textbook", losses=(rate, rate / 2))

        for output in map(Path, outputs):
            output.parent.mkdir(parents=True, exist_ok=True)
            if (study / output).is_dir():
                shutil.copytree(study / output, output, dirs_exist_ok=True)
            elif (study / output).exists():
                shutil.copy(study / output, output)
            else:
                output.write_text("an output that no test reads\n")


if __name__ == "__main__":
    main(sys.argv[1:])
