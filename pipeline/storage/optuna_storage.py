"""Opens Optuna's studies. They are stored outside DVC, so that an interrupted search can continue.

The name of a study contains a hash of everything that can change it: the parameters, code and data of its stage, and
the lock file of packages. Only the driver writes to a study. RNN_STUDIES selects another database by its URL
(postgresql+psycopg://...). The choice cannot change a result, and the URL may contain a password. So it is not in
params.yaml.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.storage.stage_inputs import Inputs

optuna.logging.set_verbosity(optuna.logging.WARNING)
FINISHED = "finished"  # attribute of a study whose files are written
BUSY_SECONDS = 20  # how long SQLite waits for another process


@contextmanager
def opened(inputs: Inputs, is_forced: bool = False) -> Iterator[optuna.Study]:
    """The study of a `tune` stage with these inputs: a new one, or the one of an interrupted run.

    With `is_forced` (`dvc repro --force`), the study starts from the beginning. So does a finished study whose results
    are in dvc.lock, since DVC repeats its stage. Raise Mistake if the storage fails, also inside the block.
    """
    architecture = inputs.stage.partition("@")[2]
    name = f"{architecture}-{inputs.fingerprint}"
    url = stores.studies(inputs.folder)

    try:
        study = _study(name, url)
        if is_forced or (inputs.is_recorded and study.user_attrs.get(FINISHED)):
            optuna.delete_study(study_name=name, storage=study._storage)
            study = _study(name, url)

        yield study
        study.set_user_attr(FINISHED, True)
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).split("\n")[0]
        raise _unusable(url, stores.masked(reason)) from None


def _study(name: str, url: str) -> optuna.Study:
    """The study of this name, which is created if there is none."""
    options = {}
    if path := stores.sqlite_path(url):
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if "?" in url else {"timeout": BUSY_SECONDS}
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": options})
    except (ImportError, RuntimeError) as error:  # no driver, or tables of another version
        raise _unusable(url, error) from None

    return optuna.create_study(
        study_name=name, storage=storage, direction="maximize", load_if_exists=True
    )


def _unusable(url: str, reason: Exception | str) -> Mistake:
    return Mistake(f"the studies at {stores.masked(url)} cannot be used: {reason}")
