"""Opens Optuna's studies. They are stored outside DVC, so that an interrupted search can continue.

The name of a study contains a hash of everything that can change it: the parameters, code and data of its stage, and
the lock file of packages. Only the driver writes to a study. RNN_STUDIES selects another database by its URL
(postgresql+psycopg://...). The choice cannot change a result, and the URL may contain a password. So it is not in
params.yaml.
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
BUSY_SECONDS = 20  # how long SQLite waits for another process


@contextmanager
def opened(stage: str, folder: Path = Path()) -> Iterator[optuna.Study]:
    """The study of a `tune` stage such as `tune@vanilla`: a new one, or the one of an interrupted run.

    If DVC repeats a stage that has finished (`dvc repro --force`), the study starts from the beginning.
    Raise Mistake if the storage fails, also inside the block.
    """
    architecture = stage.partition("@")[2]
    name = f"{architecture}-{dvc_lock.fingerprint(stage, folder)}"
    recorded = dvc_lock.finished(folder).get(stage)
    is_repeated = recorded is not None and dvc_lock.unchanged(recorded, folder)
    url = stores.studies(folder)

    try:
        study = _new_or_interrupted(name, url, is_repeated)
        yield study
        study.set_user_attr(FINISHED, True)
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).split("\n")[0]
        raise _unusable(url, stores.masked(reason)) from None


def _new_or_interrupted(name: str, url: str, is_repeated: bool) -> optuna.Study:
    """The study of this name. A finished study starts again if DVC repeats its stage."""
    timeout = {"timeout": BUSY_SECONDS} if stores.sqlite_path(url) else {}
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": timeout})
    except (ImportError, RuntimeError) as error:  # no driver, or tables of another version
        raise _unusable(url, error) from None

    create = partial(
        optuna.create_study,
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
    )
    study = create()
    if is_repeated and study.user_attrs.get(FINISHED):
        optuna.delete_study(study_name=name, storage=storage)
        study = create()
    return study


def _unusable(url: str, reason: Exception | str) -> Mistake:
    return Mistake(f"the studies at {stores.masked(url)} cannot be used: {reason}")
