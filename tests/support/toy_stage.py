"""A stage of the toy study, as DVC runs it: `python -m tests.support.toy_stage OUTPUT...` writes these outputs.

What it writes depends on one parameter, the textbook's learning rate: it is the loss of every epoch.
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
        made = Path(temporary)
        toy_study.write(made)
        toy_study.write_run(made, "vanilla-textbook", losses=(rate, rate / 2))
        for output in map(Path, outputs):
            output.parent.mkdir(parents=True, exist_ok=True)
            if (made / output).is_dir():
                shutil.copytree(made / output, output, dirs_exist_ok=True)
            elif (made / output).exists():
                shutil.copy(made / output, output)
            else:
                output.write_text("what the logbook does not show\n")


if __name__ == "__main__":
    main(sys.argv[1:])
