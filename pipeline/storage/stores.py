"""The addresses of MLflow's store, Optuna's store and Dask's scheduler. They are outside DVC and change no result.

`address` decides which addresses are accepted. Every command and worker that uses one asks it, and so does `doctor`.
"""

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from pipeline.params import Mistake
from pipeline.storage import artifacts

LOCAL = "sqlite:///"
WEB = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")
WITH_DRIVER = ("sqlite", *DATABASES)  # schemes that may name a driver after +
PORTS = range(1, 2**16)
LEAST_CHARACTERS = 4  # a shorter secret is hidden only as a whole word


@dataclass(frozen=True)
class Kind:
    """The addresses that one environment variable may hold."""

    variable: str
    schemes: tuple[str, ...]
    example: str
    file: str = ""  # the SQLite file in the project that is used if the variable is not set


MLFLOW = Kind(
    "MLFLOW_TRACKING_URI",
    ("sqlite", *WEB, *DATABASES),
    "sqlite:///mlflow.db or http://host:5000",
    "mlflow.db",
)
STUDIES = Kind(
    "RNN_STUDIES",
    ("sqlite", "postgresql", "mysql"),
    "sqlite:///studies.db or postgresql+psycopg://host/name",
    "studies.db",
)
SCHEDULER = Kind("DASK_SCHEDULER_ADDRESS", ("tcp", "tls", "ws", "wss"), "tcp://host:8786")
ADDRESSES = (MLFLOW.variable, STUDIES.variable, SCHEDULER.variable)
HINTS = {  # for schemes that people try
    "file": "MLflow 3 keeps no runs in a folder",
    "postgres": "write postgresql+psycopg",
    "databricks": "the names of our experiments do not work there",
    "databricks-uc": "the names of our experiments do not work there",
    "redis": "Redis keeps no tables",
}
EXAMPLE_FILE = f"{LOCAL}file.db"
SQLITE = ("sqlite", "sqlite+pysqlite")
FILE_MISTAKES = {  # patterns of what follows sqlite:// up to a question mark, and what is wrong with it
    r"/*(:memory:)?|/file:.*": f"it names no file that lasts; write {EXAMPLE_FILE}",
    r"[^/].*": f"an SQLite address has three slashes: write {EXAMPLE_FILE}",
    r"/~.*": "SQLite does not expand ~; write the whole path",
    r".*#.*": "write %23 for # in the name of a file",
    r".*%[01][0-9A-Fa-f].*": "the name of its file has a control character, such as %0A",
}
SERVER_MISTAKES = {  # patterns of addresses
    r".*[\s?#].*": "it has a space, a query (?) or a fragment (#)",
    r".*@.*@.*|[^/]*//[^/]*/.*@.*": "write %40 for @ and %2F for / in a user or password",
}
SCHEDULER_MISTAKES = {
    r".*@.*|[^/]*//.*/.*": "it has a user or a path, which Dask does not know",
    r"[^:]*://(\[.*\]|[^:]*)": "it has no port",
}
DRIVERS = {  # the package of a module
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "pymysql": "pymysql",
    "pyodbc": "pyodbc",
    "mysql": "mysql-connector-python",
}
HOST = r"(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\])"
URL = re.compile(r"([a-z][\w+.-]*)://(.*)", re.ASCII | re.DOTALL | re.IGNORECASE)
# the end of a user, then a host, a port and a path
PLAIN = re.compile(rf"(?:[^/?#\s]*(@))?({HOST}?(?::\d+)?(?:/[^\s?#;@'\"`<>()]*)?)")
QUERY_STARTS = ("?", "#", ";")  # a semicolon, as in addresses of JDBC and ODBC
PUNCTUATION = re.compile(r"[\s'\"`<>(),;:.!\]}]*")
FORMS: tuple[Callable[[str], str], ...] = (  # of a secret in a message
    str,
    unquote,
    unquote_plus,
    quote,
    quote_plus,
    lambda secret: quote(secret, safe=""),
    lambda secret: repr(secret)[1:-1],
)
HARMLESS = {"host", "port", "timeout", "connect_timeout", "sslmode", "charset", "driver"}
OUR_WORDS = {  # of commands in our messages: outside of an address, they show no secret
    "postgres",
    "postgresql",
    "mlflow",
    "optuna",
    "python",
    "pipeline",
    "track",
    "doctor",
    "unset",
}


def home(folder: Path) -> Path:
    """The root of the project. For a copy made by `dvc exp run --temp` or `--queue`, the root of the original."""
    folder = folder.resolve()
    for parent in folder.parents:
        if parent.match(".dvc/tmp/exps"):
            return _original(parent.parents[2], folder.relative_to(parent))
    return folder


def _original(root: Path, path_in_copies: Path) -> Path:
    """The project in DVC's root that a temporary copy comes from. A project may be a subfolder of its repository."""
    parts = path_in_copies.parts
    for first in range(1, len(parts)):
        original = root.joinpath(*parts[first:])
        if (original / "dvc.yaml").exists():
            return original
    return root


def is_copy(folder: Path) -> bool:
    """Whether the folder is a temporary copy that `dvc exp run` made."""
    return home(folder) != folder.resolve()


def mlflow(folder: Path) -> str:
    """The URL of MLflow's store: MLFLOW_TRACKING_URI if set, otherwise mlflow.db in the project."""
    return address(MLFLOW, folder)


def studies(folder: Path) -> str:
    """The URL of Optuna's storage: RNN_STUDIES if set, otherwise studies.db in the project."""
    return address(STUDIES, folder)


def scheduler() -> str | None:
    """The address of the Dask scheduler in DASK_SCHEDULER_ADDRESS, or None if it is not set."""
    return address(SCHEDULER, Path()) if os.environ.get(SCHEDULER.variable) else None


def address(kind: Kind, folder: Path) -> str:
    """The address that this project uses. Raises Mistake for an address that cannot work.

    Relative SQLite paths start at the root of the project. The scheme is in lower case.
    """
    text = _text(kind)
    try:
        url = _accepted(text, kind, folder)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        remedy = f"correct it (as in {kind.example}), or unset {kind.variable}"
        raise Mistake(f"{kind.variable}: {public_form(text)}: {reason}; {remedy}") from None

    if kind != SCHEDULER:
        _check_separate(kind, url, folder)
    return url


def _text(kind: Kind) -> str:
    return os.environ.get(kind.variable) or sqlite_url(Path(kind.file))


def _check_separate(kind: Kind, url: str, folder: Path) -> None:
    """Raises Mistake if MLflow and Optuna would share a database: each has a table `alembic_version`."""
    other = STUDIES if kind == MLFLOW else MLFLOW
    try:
        other_url = _accepted(_text(other), other, folder)
    except (OSError, ValueError):  # whoever uses this store explains it
        return
    if _database(url) != _database(other_url):
        return

    variable = STUDIES.variable if os.environ.get(STUDIES.variable) else MLFLOW.variable
    problem = "MLflow and Optuna would share this database, and each needs its own"
    raise Mistake(
        f"{variable}: {public_form(url)}: {problem}; name another one, or unset {variable}"
    )


def _database(url: str) -> str | Path:
    """The file of an SQLite database, else the URL. The name of a file does not include the timeout."""
    file = sqlite_path(url)
    return file.resolve() if file else url


def _accepted(text: str, kind: Kind, folder: Path) -> str:
    """The address in its usual form. Raises ValueError with the reason if it is not accepted."""
    if re.search(r"^[\s'\"]|[\s'\"]$|[\x00-\x1f]", text):
        raise ValueError("it starts or ends with a space or a quotation mark")
    if kind == SCHEDULER and "://" not in text:
        text = f"tcp://{text}"  # Dask's default

    is_url, name, rest = _split(text)
    name = name.lower() if is_url else text.partition(":")[0]
    scheme, plus, _ = name.partition("+")
    if not is_url or scheme not in kind.schemes or (plus and scheme not in WITH_DRIVER):
        hint = HINTS.get(name, f"unknown scheme {name!r}" if is_url else "it has no scheme")
        raise ValueError(f"{hint}; the scheme must be one of {', '.join(kind.schemes)}")

    url = f"{name}://{rest}"
    if scheme == "sqlite":
        return _accepted_file(url, folder)
    if scheme in DATABASES:
        return _accepted_database(url)
    return _accepted_server(url, kind)


def _split(text: str) -> tuple[bool, str, str]:
    """(whether a text is a URL, its scheme, the rest). Without a scheme, the rest is the whole text."""
    url = URL.fullmatch(text)
    return (True, url[1], url[2]) if url else (False, "", text)


def _accepted_file(url: str, folder: Path) -> str:
    """The URL of an SQLite file with its absolute path."""
    name, _, rest = url.partition("://")
    path, question_mark, query = rest.partition("?")
    for pattern, reason in FILE_MISTAKES.items():
        if re.fullmatch(pattern, path):
            raise ValueError(reason)
    if name not in SQLITE:
        raise ValueError(f"unknown driver in {name}; write {EXAMPLE_FILE}")
    if question_mark and not re.fullmatch(r"timeout=[0-9]{1,6}(\.[0-9]+)?", query):
        raise ValueError("after ? only timeout=SECONDS is allowed")

    file = home(folder) / unquote(path.removeprefix("/"))
    parent = next(parent for parent in file.parents if parent.exists())
    if file.is_dir():
        raise ValueError(f"{file} is a folder")
    if kind := artifacts.special_kind(file):
        raise ValueError(f"{file} is {kind}")
    if not parent.is_dir():
        raise ValueError(f"{parent} is not a folder")
    if parent != file.parent and not file.is_relative_to(home(folder)):
        raise ValueError(f"{file.parent} does not exist, perhaps since this project was moved")
    return f"{sqlite_url(file)}{question_mark}{query}"


def _accepted_database(url: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parts = make_url(url)
        dialect = parts.get_dialect()
    except NoSuchModuleError:
        raise ValueError(f"SQLAlchemy has no driver {url.partition(':')[0]}") from None
    except (ArgumentError, ValueError):
        raise ValueError("it is not a database address with a numeric port") from None

    if dialect.is_async:
        raise ValueError("its driver is asynchronous, which is not supported")
    try:
        dialect.import_dbapi()
    except ImportError as error:
        module = str(error.name)
        package = DRIVERS.get(module, module)
        raise ValueError(f"its driver is missing: run `python -m pip install {package}`") from None
    if parts.host and not re.fullmatch(r"[\w.:%,-]+", parts.host):  # PostgreSQL takes several
        raise ValueError("write %40 for @ in a user or password")
    _check_port(parts.port)
    return url


def _accepted_server(url: str, kind: Kind) -> str:
    mistakes = SERVER_MISTAKES
    if kind == SCHEDULER:
        mistakes = {**SERVER_MISTAKES, **SCHEDULER_MISTAKES}
    for pattern, reason in mistakes.items():
        if re.fullmatch(pattern, url):
            raise ValueError(reason)

    place = urlsplit(url)
    if not re.fullmatch(rf"(.*@)?{HOST}(:[0-9]{{0,5}})?", place.netloc):
        raise ValueError("its host or port is not valid (an IPv6 host needs brackets)")
    _check_port(place.port)
    return url


def _check_port(port: int | None) -> None:
    if port is not None and port not in PORTS:
        raise ValueError(f"its port must be from {PORTS[0]} to {PORTS[-1]}")


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file. SQLAlchemy reads ? and codes such as %41 in a path as parts of a URL."""
    text = str(path)
    if is_ambiguous(path):
        text = text.replace("%", "%25").replace("?", "%3F")
    return LOCAL + text


def is_ambiguous(path: Path) -> bool:
    """Whether a path has ? or a code such as %41, which have a meaning in URLs."""
    return "?" in str(path) or unquote(str(path)) != str(path)


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite database; None for the URL of anything else."""
    if not url.startswith(LOCAL):
        return None
    return Path(unquote(url.removeprefix(LOCAL).partition("?")[0]))


def public_form(text: str) -> str:
    """An address with its scheme, host and database only. Hides all but the scheme if these are not certain."""
    is_url, scheme, rest = _split(text)
    if not is_url:
        return text if re.fullmatch(r"[\w./-]*(:[\w./-]*)?", text) else "..."
    if scheme.partition("+")[0].lower() == "sqlite" and rest.startswith("/"):
        path = re.split(r"[?#]", rest, maxsplit=1)[0]
        return f"{scheme}://{path}{_without_values(rest[len(path) :])}"

    plain = PLAIN.match(rest)
    hidden = rest[plain.end() :] if plain else rest
    is_query = hidden.startswith(QUERY_STARTS)
    if not plain or "@" in hidden or not (is_query or PUNCTUATION.fullmatch(hidden)):
        return f"{scheme}://..."
    user = "...@" if plain[1] else ""
    end = _without_values(hidden) if is_query else hidden
    return f"{scheme}://{user}{plain[2]}{end}"


def _without_values(query: str) -> str:
    """The sign that begins a query, and the punctuation that follows the address in a text."""
    return re.sub(r"^([?#;]).*?([`'\"),:;]*)$", r"\1...\2", query, flags=re.DOTALL)


def masked(text: str) -> str:
    """Shows every URL in a text without its secrets, and hides the secrets in ADDRESSES wherever they appear."""
    secrets = set()
    for name in ADDRESSES:
        address_text = os.environ.get(name, "")
        if address_text:
            text = text.replace(address_text, public_form(address_text))
            secrets |= _secrets(address_text)
    text = re.sub(r"[A-Za-z][\w+.-]*://\S*", lambda url: public_form(url[0]), text)

    for secret in sorted(secrets, key=len, reverse=True):  # a secret may contain another one
        pattern = re.escape(secret)
        if len(secret) < LEAST_CHARACTERS:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        text = re.sub(pattern, "...", text, flags=re.IGNORECASE)
    return text


def _secrets(address_text: str) -> set[str]:
    """The password of an address, also as HTTP sends it, the values of its query, and its fragment.

    In each form in which a message can contain them: whole, in parts, percent-encoded and decoded.
    """
    _, scheme, rest = _split(address_text)
    secrets = {
        _password(scheme.lower(), rest),
        _credentials(rest),
        rest.partition("#")[2],
        *_query_values(rest),
    }

    forms = set()
    for secret in secrets:
        forms |= {form(secret) for form in FORMS}
    parts = set()
    for form in forms:
        parts.update(re.split(r"\W", form, flags=re.ASCII))

    long_parts = {part for part in parts if len(part) >= LEAST_CHARACTERS}
    words = {part for part in long_parts if part.lower() in HARMLESS}  # as in "DRIVER=x;PWD=y"
    secrets = forms | long_parts - words
    return {secret for secret in secrets if secret and secret.lower() not in OUR_WORDS}


def _password(scheme: str, rest: str) -> str:
    """The password in an address, or its user if that may be a token; empty if there is none."""
    user = rest.rpartition("@")[0]
    name, colon, password = user.partition(":")
    if "sqlite" in scheme and rest.startswith("/"):
        return ""  # the name of a file may have an @
    if colon:
        return password
    return "" if scheme.startswith(DATABASES) else name


def _credentials(rest: str) -> str:
    """The user and password as HTTP sends them, because a proxy may repeat them in its error."""
    user = unquote(rest.rpartition("@")[0])
    return b64encode(user.encode("latin-1", "replace")).decode()


def _query_values(rest: str) -> Iterator[str]:
    for part in re.split(r"[?#&;]", rest)[1:]:
        name, equals, value = part.partition("=")
        if name.lower() not in HARMLESS:
            yield value if equals else name
