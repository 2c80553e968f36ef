"""Names a merge conflict in a module of this project.

The command line needs this when another module cannot be imported. So this module imports none of them.
"""

import os
import re
import shlex
from pathlib import Path

MARKER = re.compile(r"^<{7} .*$", re.MULTILINE)


def problem(error: SyntaxError) -> str:
    """One line with a remedy if Git left a conflict in the file that is not Python. Empty if it did not."""
    if error.filename is None or not os.path.exists(error.filename):
        return ""

    path = Path(os.path.relpath(error.filename))
    text = path.read_text(encoding="utf-8", errors="replace")
    marker = MARKER.search(text)
    if marker is None:
        return ""

    line = text.count("\n", 0, marker.start()) + 1
    name = shlex.quote(str(path))
    edit = f"keep one version of the lines between its markers and run `git add {name}`"
    remedy = f"{edit}, or discard one side whole with `git checkout HEAD -- {name}`"
    return f"{path}: line {line}: a merge conflict ({marker[0]!r}); {remedy}"
