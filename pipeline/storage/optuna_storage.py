"""Where Optuna keeps its studies: outside DVC, so that a search that was interrupted goes on.

A study is named by all that can change it: a hash of the stage's parameters, code and data and of the lock file. Only
the driver writes here. RNN_STUDIES names another database, as Optuna spells it (postgresql+psycopg://...): that cannot
change a result and may hold a password, so it is no parameter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from pipeline.params import Mistake
from pipeline.storage import dvc_lock, stores

optuna.logging.set_verbosity(optuna.logging.WARNING)
FINISHED = "finished"  # attribute of a study whose files are written
BUSY_SECONDS = 20


@contextmanager
def opened(stage: str, folder: Path = Path()) -> Iterator[optuna.Study]:
    """The study of this `tune` stage, begun or as it was left; begun anew where DVC has its results and asks again.

    Raises Mistake, also later on, where the storage fails.
    """
    name, done = _fingerprint(stage, folder)
    url = stores.studies(folder)
    try:
        study = _begun_or_left(name, url, done)
        yield study
        study.set_user_attr(FINISHED, True)
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise Mistake(f"the studies at {stores.masked(url)} cannot be used: {stores.masked(reason)}") from None


def _begun_or_left(name: str, url: str, done: bool) -> optuna.Study:
    engine = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith(stores.LOCAL) else {}
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=engine)
    except (ImportError, RuntimeError) as error:  # no driver, tables of another version
        raise Mistake(f"the studies at {stores.masked(url)} cannot be used: {error}") from None
    begin = partial(optuna.create_study, study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    if done and begin().user_attrs.get(FINISHED):
        optuna.delete_study(study_name=name, storage=storage)
    return begin()


def _fingerprint(stage: str, folder: Path) -> tuple[str, bool]:
    """(name of its study, whether DVC has its results and asks again all the same: `dvc repro --force`)."""
    name = f"{stage.partition('@')[2]}-{dvc_lock.fingerprint(stage, folder)}"
    recorded = dvc_lock.finished(folder).get(stage)
    return name, recorded is not None and dvc_lock.unchanged(recorded, folder)
