"""Names a merge conflict in a module of this project.

The command line needs this when another module cannot be imported. So this module imports none of them.
"""

import os
import re
import shlex

MARKER = re.compile(r"^<{7} .*$", re.MULTILINE)


def problem(error: SyntaxError) -> str:
    """One line with a remedy if Git left a conflict in the file that is not Python. Empty if it did not."""
    return problem_in(error.filename) if error.filename else ""


def problem_in(filename: str) -> str:
    """The same for any file; also empty if it does not exist."""
    if not os.path.exists(filename):
        return ""

    with open(filename, encoding="utf-8", errors="replace") as file:
        text = file.read()
    marker = MARKER.search(text)
    if marker is None:
        return ""

    path = os.path.relpath(filename)
    name = shlex.quote(path)
    lines_before = text.count("\n", 0, marker.start())
    place = f"{path}: line {lines_before + 1}"

    edit = f"keep one version of the lines between its markers and run `git add {name}`"
    discard = f"discard one side whole with `git checkout HEAD -- {name}`"
    return f"{place}: a merge conflict ({marker[0]!r}); {edit}, or {discard}"
