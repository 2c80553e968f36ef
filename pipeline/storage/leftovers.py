"""Results that no stage of params.yaml makes, such as the networks of a run that was deleted from it.

DVC leaves them where they are. Later stages depend on their folders as a whole, so dvc.lock would record folders that
no clone of the study has.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from pipeline.params import Params, document
from pipeline.storage import lock_comparison
from pipeline.storage.stage_inputs import PIPELINE, PLACEHOLDER, item_values, resolved
from pipeline.storage.stage_table import BY_NAME

ASIDE = Path(".dvc/tmp/leftovers")


def set_aside(params: Params, folder: Path = Path()) -> None:
    """Moves them to ASIDE and prints where each is now. Deletes nothing, because nobody else may have them."""
    for path in listed(params, folder):
        target = _unused(folder / ASIDE / path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another stage was faster
            shutil.move(folder / path, target)
            name = target.relative_to(folder)
            print(f"{path}: moved to {name}, because no stage of params.yaml makes it")


def _unused(path: Path) -> Path:
    """The path, with a number if something has its name."""
    unused, number = path, 1
    while unused.exists():
        unused = path.with_name(f"{path.name}-{number}")
        number += 1
    return unused


def listed(params: Params, folder: Path = Path()) -> list[str]:
    """The paths of all results that no stage of params.yaml makes. Stages of users make what they like."""
    values = params.model_dump()
    made, present, patterns_of_users = set(), {}, []
    for group, entry in (document(folder / PIPELINE).get("stages") or {}).items():
        for template in _templates(entry or {}):
            pattern = PLACEHOLDER.sub("*", template)
            if group not in BY_NAME:
                patterns_of_users.append(pattern)
                continue
            for item in BY_NAME[group].items(params):
                made.add(resolved(template, values | item_values(entry, item, values)))
            if pattern != template:
                for path in folder.glob(pattern):
                    present[path.relative_to(folder).as_posix()] = path

    leftovers = []
    for name, path in sorted(present.items()):
        is_of_user = any(fnmatch(name, pattern) for pattern in patterns_of_users)
        if name not in made and not is_of_user and _is_visible(path):
            leftovers.append(name)
    return leftovers


def _templates(entry: dict) -> Iterator[str]:
    """The outputs of a stage of dvc.yaml."""
    for output in (entry.get("do", entry) or {}).get("outs", []):
        yield output if isinstance(output, str) else next(iter(output))


def _is_visible(path: Path) -> bool:
    """Whether DVC sees the file, or a file in the folder."""
    visible = lock_comparison.files(path if path.is_dir() else path.parent)
    return bool(visible) if path.is_dir() else path.name in visible
