"""Identifies this checkout among all that share a store of MLflow. docs/decisions/0014-checkouts.md has the rules.

A run or a version belongs to the checkout in its tag OWNER, and no other checkout changes it. The tag `current.<id>`
says that it describes the checkout with this id. The tag `current` says that it describes at least one checkout.
"""

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Mistake
from pipeline.storage import artifacts, stores
from pipeline.storage.dvc_lock import digest
from pipeline.tracking import artifact_locations

OWNER = "checkout"
CURRENT = "current"
NAME_VARIABLE = "RNN_CHECKOUT"
FILE = Path(".dvc/tmp/checkout.json")  # git-ignored; it moves with the folder


@dataclass(frozen=True)
class Checkout:
    """The identity of a checkout in one store.

    Attributes:
        is_temporary: whether it is a copy that `dvc exp run` made. Such a copy is never current.
        has_own_store: whether the store is inside of its folder, so that runs without an owner are its own.
    """

    id: str
    is_temporary: bool = False
    has_own_store: bool = False

    @property
    def mark(self) -> str:
        """The tag on everything that describes this checkout."""
        return f"{CURRENT}.{self.id}"

    @property
    def current_tags(self) -> dict[str, str]:
        """The tags that a run or version needs in order to be current for this checkout."""
        return {} if self.is_temporary else {CURRENT: "true", self.mark: "true"}

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether this checkout may change it. Without an owner, the checkout that it describes may."""
        if OWNER in tags:
            return tags[OWNER] == self.id
        return self.has_own_store or self.mark in tags

    def is_shown_by(self, tags: Mapping[str, str]) -> bool:
        """Whether a run with these tags describes this checkout. A temporary copy marks nothing, but owns its runs."""
        return tags.get(OWNER) == self.id if self.is_temporary else self.mark in tags

    def is_current(self, tags: Mapping[str, str]) -> bool:
        """Whether nothing is missing from the tags. Always true for a temporary copy."""
        return self.current_tags.items() <= tags.items()

    def stale_tags(self, tags: Mapping[str, str]) -> list[str]:
        """The tags to remove from something that does not describe this checkout. Marks of others stay."""
        if self.is_temporary:
            return []

        stale = [self.mark] if self.mark in tags else []
        if CURRENT in tags and not foreign_marks(tags, self):
            stale.append(CURRENT)
        return stale


def foreign_marks(tags: Iterable[str], checkout: Checkout) -> list[str]:
    """The marks of other checkouts among these tags."""
    return [tag for tag in tags if tag.startswith(f"{CURRENT}.") and tag != checkout.mark]


def identified(folder: Path) -> Checkout:
    """The identity of the checkout in this folder. Writes nothing.

    A copy of a folder has a new id, except in a store inside of the folder, which was copied too.
    """
    home = stores.home(folder)
    identity = _identity(home)
    has_own_store = artifact_locations.own_store(home) is not None
    id_here = identity["first_id"] if has_own_store else identity["id"]
    id_here = _name() or id_here
    if stores.is_copy(folder):
        return Checkout(digest([id_here, str(folder.resolve())]), is_temporary=True)
    return Checkout(id_here, has_own_store=has_own_store)


def keep(folder: Path) -> None:
    """Saves the identity, so that the checkout keeps it after a move."""
    home = stores.home(folder)
    identity = _identity(home)
    if _saved(home) != identity:
        artifacts.write_json(home / FILE, identity)


def _name() -> str:
    """The id that the user chose, for example for the fresh clones of a CI."""
    name = os.environ.get(NAME_VARIABLE, "")
    if name and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        problem = f"{NAME_VARIABLE}: is {name!r}, allowed are up to 40 letters, digits, _ and -"
        raise Mistake(f"{problem}; `unset {NAME_VARIABLE}` lets `track` choose a name")
    return name


def _identity(home: Path) -> dict:
    """The id of a folder, the id before it was copied for the first time, and its place."""
    saved = _saved(home)
    place = _place(home)
    new_id = digest(place)
    if not saved:
        ids = {"id": new_id, "first_id": new_id}
    elif _is_copy(saved, place):
        ids = {"id": new_id, "first_id": saved["first_id"]}
    else:
        ids = {"id": saved["id"], "first_id": saved["first_id"]}
    return {**ids, **place}


def _is_copy(saved: dict, place: dict) -> bool:
    """Whether a saved identity belongs to another folder.

    That folder still exists, or is on another machine, or was moved away after the copy: a move on one device keeps the
    inode. A file that an older version saved has no device.
    """
    original = Path(saved["path"])
    if _saved(original).get("id") == saved["id"] and not original.samefile(place["path"]):
        return True
    was_renamed = saved["path"] != place["path"] and saved.get("device") == place["device"]
    return saved["inode"] != place["inode"] and (saved["host"] != place["host"] or was_renamed)


def _saved(home: Path) -> dict:
    """The content of the file, or an empty dictionary if it is missing or damaged."""
    try:
        identity = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    fields = {"id", "first_id", "path", "inode", "host"}
    return identity if isinstance(identity, dict) and fields <= identity.keys() else {}


def _place(home: Path) -> dict:
    """The place of a folder. Its inode stays the same when it is moved, or seen from another machine of a cluster."""
    status = home.stat()
    return {
        "path": str(home),
        "inode": status.st_ino,
        "device": status.st_dev,
        "host": socket.gethostname(),
    }
