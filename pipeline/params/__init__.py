"""Read params.yaml and check it."""

import shlex
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.reader import ReaderError

from pipeline.params.messages import Missing, Mistake, conflict, short, suggestion, validated
from pipeline.params.schema import (
    ARCHITECTURES,
    DEFAULT_INITIALISER,
    FIXED_SIZE,
    GATED,
    PARAMS,
    SHORTEST_LENGTH,
    SPECIAL_TOKENS,
    SPLITS,
    STATELESS,
    Attractor,
    Claims,
    Data,
    Dimension,
    Params,
    Settings,
    Space,
    Strict,
    Train,
    Tune,
    nearest,
)

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_INITIALISER",
    "FIXED_SIZE",
    "GATED",
    "PARAMS",
    "SHORTEST_LENGTH",
    "SPECIAL_TOKENS",
    "SPLITS",
    "STATELESS",
    "Attractor",
    "Claims",
    "Data",
    "Dimension",
    "Missing",
    "Mistake",
    "Params",
    "Settings",
    "Space",
    "Strict",
    "Train",
    "Tune",
    "conflict",
    "document",
    "nearest",
    "read",
    "read_settings",
    "suggestion",
    "validated",
]


class _Constructor(SafeConstructor):
    """As ruamel's, but every error has the `problem_mark` of its value."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        except Exception as error:
            if not getattr(error, "problem_mark", None):
                error.problem_mark = node.start_mark  # pyright: ignore[reportAttributeAccessIssue]
            raise


def read(path: Path = PARAMS) -> Params:
    """All parameters; raise Mistake with one line per problem."""
    return validated(Params, document(path), str(path))


def read_settings(path: Path, name: str) -> Settings:
    """The settings of this name, from params.yaml or from a file that `tune` wrote as `settings: {name: ...}`."""
    settings = _mapping(document(path).get("settings"), f"{path}: settings")
    if name not in settings:
        raise Mistake(f"{path}: settings.{name}: missing; {suggestion(name, settings)}")
    return validated(Settings, settings[name], str(path), ("settings", name))


def document(path: Path) -> dict[str, Any]:
    """The content of a YAML or JSON file, parsed as DVC does (YAML 1.2, which includes JSON).

    Raise Mistake with one line if the file is missing, cannot be read, or does not hold a mapping.
    """
    text = _text(path)
    if problem := conflict(text):
        raise Mistake(f"{path}: {problem}; {_remedy_of_conflict(path)}")

    parser: Any = YAML(typ="safe", pure=True)  # its stubs do not declare the type of a stream
    parser.Constructor = _Constructor
    try:
        content = parser.load(text)
    except Exception as error:  # a YAMLError, or one of many others: month 13, an integer too long, nesting too deep
        raise Mistake(f"{path}: {_yaml_problem(error, text)}") from None

    return _mapping(content, str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistake(f"{path}: no such file here; run this in the project's root") from None
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"the byte {error.object[error.start]:#x} is not UTF-8"
        raise Mistake(f"{path}: line {line}: {problem}; save the file as UTF-8") from None


def _remedy_of_conflict(path: Path) -> str:
    name = shlex.quote(str(path))
    edit = f"keep one version of the lines between its markers and run `git add {name}`"
    return f"{edit}, or discard one side whole with `git checkout HEAD -- {name}`"


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Mistake(f"{name}: {short(value)}: must be a mapping of keys")
    return cast("dict[str, Any]", value)


def _yaml_problem(error: Exception, text: str) -> str:
    if isinstance(error, RecursionError):
        return "not YAML: values are nested too deeply"
    if isinstance(error, ReaderError):
        position = int(error.position)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        line = text.count("\n", 0, position) + 1
        return f"line {line}: not YAML: the character {text[position]!a} is not allowed"

    message = str(getattr(error, "problem", None) or error)
    problem = " ".join(message.split()) or type(error).__name__

    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"not YAML: {problem}"
    return f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {problem}"
