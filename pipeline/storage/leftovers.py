"""Results of stages that params.yaml no longer names, such as the networks of a run that was deleted from it.

DVC leaves them where they are. Later stages depend on their folders as a whole, so dvc.lock would record folders that
no clone of the study has.
"""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.params import PARAMS, Mistake, Params, document
from pipeline.storage import dvc_lock, lock_comparison
from pipeline.storage.stage_inputs import PIPELINE, PLACEHOLDER, item_values, resolved
from pipeline.storage.stage_table import BY_NAME


def remove(params: Params, folder: Path = Path()) -> None:
    """Deletes each of them that dvc.lock records as it is.

    Raises Mistake, before it deletes anything, if another file or folder is in their place.
    """
    paths = listed(params, folder)
    hashes: dict[str, str] = {}
    if paths:
        for stage in dvc_lock.finished(folder).values():
            hashes |= stage.outs

    for path in paths:
        if lock_comparison.hash_of(folder / path) != hashes.get(path):
            remedy = f"move it away, or `rm -r {shlex.quote(path)}` deletes it"
            raise Mistake(
                f"{path}: no stage of params.yaml makes it, but later stages read its folder; {remedy}"
            )
    for path in paths:
        leftover = folder / path
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
        print(f"{path}: deleted, because params.yaml no longer names its stage")


def listed(params: Params, folder: Path = Path()) -> list[str]:
    """The paths of all results whose stage params.yaml does not name."""
    values = document(folder / PARAMS)
    made, present = set(), {}
    for group, entry in document(folder / PIPELINE)["stages"].items():
        if group not in BY_NAME:
            continue
        for template in _templates(entry):
            for item in BY_NAME[group].items(params):
                made.add(resolved(template, values | item_values(entry, item, values)))
            for path in folder.glob(PLACEHOLDER.sub("*", template)):
                present[path.relative_to(folder).as_posix()] = path
    return sorted(name for name in present.keys() - made if _is_visible(present[name]))


def _templates(entry: dict) -> Iterator[str]:
    """The outputs that contain the name of an item."""
    for output in entry.get("do", entry).get("outs", []):
        path = output if isinstance(output, str) else next(iter(output))
        if PLACEHOLDER.search(path):
            yield path


def _is_visible(path: Path) -> bool:
    """Whether DVC sees the file, or a file in the folder."""
    visible = lock_comparison.files(path if path.is_dir() else path.parent)
    return bool(visible) if path.is_dir() else path.name in visible
