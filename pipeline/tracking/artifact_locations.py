"""Finds where MLflow's store says that artifacts lie, and corrects it after the project folder was moved or copied.

MLflow stores the absolute location of each experiment, run and model. After a move, these locations lead to a folder
that no longer exists. After a copy, they lead into the original. We change locations in the project's own SQLite store
only (see `own_store`), in one transaction. Locations outside the project's old folder stay as they are.

MLflow also writes absolute paths into the file MLmodel. It reads only the last part of them, so they do no harm.
"""

import re
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.storage.stage_table import STAGES
from pipeline.tracking import mlflow_client, read_only

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = "mlartifacts"  # the folder of artifacts, next to the SQLite file
EXPERIMENTS = sorted({stage.experiment for stage in STAGES if stage.experiment})
OURS = re.compile(rf"(.+)/{ROOT}/({'|'.join(map(re.escape, EXPERIMENTS))})(/.*)?")
AMBIGUOUS = re.compile("[%#?]")  # MLflow reads these letters in a plain path as parts of a URL
REMEDY = "`python -m pipeline track` corrects it"
# every column of MLflow's tables that holds a location of artifacts; of `trace_tags` only the rows with LOCATION_TAG
COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
    "trace_tags": ("value",),
}
LOCATION_TAG = "mlflow.artifactLocation"
OUR_TABLES = ("experiments", "runs", "logged_models")  # users choose the locations in other tables
BUSY_SECONDS = 20  # how long SQLite waits for another process


@dataclass(frozen=True)
class LocationDifference:
    """A project folder that the store names, although the project is in another folder.

    Without `new` the store is not the project's own, and `track` changes nothing in it. `subfolder` is the folder of
    the store and its artifacts in the project. `link` leads from the folder of artifacts into the old project folder.
    """

    old: Path
    new: Path | None
    store: str
    subfolder: Path = Path()
    link: Path | None = None

    def __str__(self) -> str:
        if self.link:
            link, target = (shlex.quote(str(path)) for path in (self.link, self.link.resolve()))
            return (
                f"{self.link} leads to artifacts of {self.old}, from which this project was copied or moved; "
                f"`rm {link} && cp -a {target} {link}` gives this project its own artifacts"
            )
        artifacts = self.old / self.subfolder / ROOT
        if self.new:
            return (
                f"MLflow's store says that the artifacts are in {artifacts}, but this project is in {self.new} "
                f"(moved, renamed or copied); {REMEDY}"
            )
        return (
            f"MLflow's store at {stores.masked(self.store)} says that the artifacts are in {artifacts}, and "
            f"{self.old} does not exist; `track` changes locations only in a store inside of the project's folder: put "
            f"the folder back or link it, or unset MLFLOW_TRACKING_URI"
        )


def local_path(location: str) -> Path | None:
    """The folder or file that a location of artifacts leads to; None if it is not on this machine."""
    address = urlsplit(location)
    if address.scheme == "file":
        return Path(unquote(address.path))
    return Path(location) if location.startswith("/") else None


def stored_path(location: str, moves: Mapping[Path, Path]) -> Path | None:
    """The place of artifacts now, although the store may name their old place. `moves` is the result of `moves`."""
    return local_path(moved(location, moves) or "")


def differences(folder: Path, locations: Iterable[str] = ()) -> list[LocationDifference]:
    """The old folders of the project that its store still names. Changes nothing.

    `locations` names the artifacts of each experiment if the store is not SQLite.
    """
    url = stores.mlflow(folder)
    if own_file := own_store(folder):
        return list(_moves_of(own_file, stores.home(folder), url))

    file = stores.sqlite_path(url)
    roots = _roots(_locations(file) if file else locations)
    missing = [root for root in sorted(roots) if not root.is_dir()]
    return [LocationDifference(root, None, url) for root in missing]


def own_store(folder: Path) -> Path | None:
    """The SQLite file of the project's own store: it lies inside of the project, and moves and is copied with it.

    None for any other store. A link that leads out of the project, and a store of a project inside of this one, are not
    the project's own, because other checkouts may use them.
    """
    home = stores.home(folder)
    path = stores.sqlite_path(stores.mlflow(folder))
    if path is None:
        return None

    file = path.resolve()
    for parent in file.parents:
        if parent == home:
            return file
        if (parent / "dvc.yaml").exists():
            return None
    return None


def path_problems(folder: Path) -> list[str]:
    """The problem of a project whose path has letters that MLflow does not read as parts of a path."""
    home = stores.home(folder)
    if stores.is_ambiguous(home):
        return [
            f"MLflow reads ? and codes such as %41 in {home} as parts of a URL and cannot open a store there; rename "
            "the folder"
        ]
    if "#" in str(home):
        return [
            f"MLflow reads # in {home} as part of a URL and cannot load a model from there; rename the folder, and "
            "run `python -m pipeline track`"
        ]
    return []


def require_path(file: Path) -> None:
    """Raises Mistake if MLflow cannot open this SQLite file. It would try for a minute, and create another folder."""
    if stores.is_ambiguous(file):
        raise Mistake(path_problems(file.parent)[0])


def require(folder: Path, client: "MlflowClient") -> None:
    """Raises Mistake if a location leads to a folder that is gone, since MLflow would create that folder again."""
    locations = []
    if stores.sqlite_path(stores.mlflow(folder)) is None:
        from mlflow.entities import ViewType

        experiments = mlflow_client.pages(client.search_experiments, view_type=ViewType.ALL)
        locations = [experiment.artifact_location for experiment in experiments]
    for difference in differences(folder, locations):
        raise Mistake(str(difference))


def correct(folder: Path) -> None:
    """Lets every location in the project's own store lead to the project's present folder."""
    folders = moves(folder)
    file = stores.sqlite_path(stores.mlflow(folder))
    if not folders or not file:
        return

    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as database, database:
        database.create_function("moved", 1, lambda location: moved(location, folders))
        database.execute("begin immediate")
        for table, columns in COLUMNS.items():
            tag = f" and key = '{LOCATION_TAG}'" if table == "trace_tags" else ""
            for column in columns:
                database.execute(
                    f"update {table} set {column} = moved({column}) "  # noqa: S608 - names are constants
                    f"where {column} != moved({column}){tag}"
                )


def moves(folder: Path) -> dict[Path, Path]:
    """The present folder of the project by each old folder that the project's own store names."""
    return {difference.old: difference.new for difference in differences(folder) if difference.new}


def moved(location: str | None, moves: Mapping[Path, Path]) -> str | None:
    """The location after its project folder was moved, in the same notation. `moves` maps old to new folders.

    One folder may contain the other. The longest folder that contains the location decides.
    """
    if not location:
        return location
    path = local_path(location)
    if path is None:
        return location

    folders = {**{new: new for new in moves.values()}, **moves}
    for old in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if path.is_relative_to(old):
            if folders[old] == old:
                return location
            path = folders[old] / path.relative_to(old)
            is_url = location.startswith("file:") or AMBIGUOUS.search(str(path))
            return path.as_uri() if is_url else str(path)
    return location


def _moves_of(file: Path, home: Path, url: str) -> Iterator[LocationDifference]:
    """The old folders of the project that its own store names. A link to the present folder is not an old one.

    The artifacts lie next to the store, or in the project's root if the store was in the root when they were made.
    """
    subfolder = file.parent.relative_to(home)
    depth = len(subfolder.parts)
    locations = _locations(file)
    for root in sorted(_roots(locations)):
        ancestors = [root, *root.parents]
        is_next_to_store = depth < len(ancestors) and ancestors[depth] / subfolder == root
        old = ancestors[depth] if is_next_to_store else root
        if _is_same(old, home):
            continue

        place = subfolder if is_next_to_store else Path()
        links = _links_to(root, home / place, locations)
        for link in links:
            yield LocationDifference(old, None, url, place, link)
        if not links:
            yield LocationDifference(old, home, url, place)


def _links_to(root: Path, new_root: Path, locations: Iterable[str | None]) -> list[Path]:
    """The links below the new folder that lead to the same place below the old one. `locations` name the old places.

    Of a link inside of another one, only the outer link belongs to the new folder.
    """
    links = set()
    for location in locations:
        path = local_path(location or "")
        if path is None or not path.is_relative_to(root / ROOT):
            continue

        place = path.relative_to(root)
        for part in (*reversed(place.parents), place):
            link = new_root / part
            if link.is_symlink() and _is_same(root / part, link):
                links.add(link)
                break
    return sorted(links)


def _is_same(folder: Path, other: Path) -> bool:
    return folder == other or (folder.exists() and other.exists() and folder.samefile(other))


def _roots(locations: Iterable[str | None]) -> set[Path]:
    """The project folders in locations of our experiments."""
    roots = set()
    for location in locations:
        path = local_path(location) if location else None
        if path and (match := OURS.fullmatch(path.as_posix())):
            roots.add(Path(match[1]))
    return roots


def _locations(file: Path) -> list[str]:
    """Every location that MLflow chose itself. Empty for a file that does not exist or is not a store of MLflow."""
    locations = []
    try:
        with read_only.sqlite_database(file) as database:
            for table in OUR_TABLES:
                for column in COLUMNS[table]:
                    query = f"select distinct {column} from {table}"  # noqa: S608 - names are constants
                    locations += [location for (location,) in database.execute(query)]
    except (read_only.NoStore, sqlite3.DatabaseError):
        return []  # opening the store through MLflow explains the problem
    return locations
